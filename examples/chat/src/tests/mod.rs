//! Whole servers, with real sockets, files and brokers.

mod brokers;
mod pages;
mod rooms;
mod slow;

use crate::broker::Choice;
use crate::chat::{Chat, Settings};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use wsync::{ClientBuilder, Config, WebSocket};

/// More than anything here may take.
const LATE: Duration = Duration::from_secs(20);

/// It is stopped when it is dropped.
struct Server {
    chat: Arc<Chat>,
    serving: Option<JoinHandle<Result<(), wsync::Error>>>,
}

impl Server {
    fn start(broker: &Choice, history: Option<&Path>) -> Self {
        let settings = Settings {
            listen: "127.0.0.1:0".into(),
            name: Some("test".into()),
            history: history.map(Path::to_owned),
            broker: broker.clone(),
            rate: 1000,
            rooms: 3,
        };
        Server::with(settings)
    }

    fn alone() -> Self {
        Server::start(&Choice::InProcess(Arc::default()), None)
    }

    fn with(settings: Settings) -> Self {
        let chat = Arc::new(Chat::start(settings).unwrap());
        let serving = Arc::clone(&chat);
        let serving = Some(thread::spawn(move || serving.serve()));
        Server { chat, serving }
    }

    fn address(&self) -> SocketAddr {
        self.chat.address()
    }

    fn stop(&mut self) {
        self.chat.stop(LATE);
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap().unwrap();
        }
    }

    /// What it answers, head and body.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(LATE)).unwrap();
        let host = self.address();
        write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn is_well(&self) -> bool {
        self.ask("GET /health").starts_with("HTTP/1.1 200 ")
    }

    fn connect(&self, query: &str) -> Result<WebSocket, wsync::Error> {
        wsync::connect(&format!("ws://{}/ws?{query}", self.address()))
    }

    fn join(&self, room: &str, name: &str) -> Browser {
        Browser::new(self.connect(&format!("room={room}&name={name}")).unwrap())
    }

    fn join_after(&self, room: &str, name: &str, after: &str) -> Browser {
        let query = format!("room={room}&name={name}&after={after}");
        Browser::new(self.connect(&query).unwrap())
    }

    /// A browser that takes hardly anything until it is asked to.
    fn join_slowly(&self, room: &str, name: &str) -> Browser {
        let mut config = Config::client();
        config.queue.messages = 1;
        config.socket.recv_buffer = Some(4096);
        let url = format!("ws://{}/ws?room={room}&name={name}", self.address());
        Browser::new(ClientBuilder::new(&url).config(config).connect().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Browser {
    ws: WebSocket,
}

impl Browser {
    fn new(ws: WebSocket) -> Self {
        let browser = Browser { ws };
        assert_eq!(browser.next()["type"], "welcome");
        browser
    }

    fn say(&self, nonce: &str, text: &str) {
        let message = json!({ "type": "say", "nonce": nonce, "text": text });
        self.ws.send(message.to_string()).unwrap();
    }

    /// Says it until it is acknowledged, as the page does: with a broker that has just come back, an error is no wonder.
    fn insist(&self, nonce: &str, text: &str) -> Value {
        loop {
            self.say(nonce, text);
            let answer =
                std::iter::repeat_with(|| self.next()).find(|message| message["nonce"] == nonce);
            match answer {
                Some(said) if said["type"] == "said" => return said,
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn next(&self) -> Value {
        let message = self.ws.recv_timeout(LATE).unwrap();
        serde_json::from_str(message.as_text().unwrap()).unwrap()
    }

    /// The next of this type; others are left out.
    fn hear(&self, kind: &str) -> Value {
        let messages = std::iter::repeat_with(|| self.next());
        let mut messages = messages
            .inspect(|message| assert!(kind == "error" || message["type"] != "error", "{message}"));
        messages.find(|message| message["type"] == kind).unwrap()
    }

    /// The next so many that were said.
    fn said(&self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.hear("said")).collect()
    }

    /// Until these are in the room.
    fn sees(&self, names: &[&str]) {
        while self.hear("here")["names"] != json!(names) {}
    }
}

fn texts(messages: &[Value]) -> Vec<&str> {
    let texts = messages.iter().map(|message| message["text"].as_str());
    texts.map(Option::unwrap).collect()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LATE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(10));
    }
}
