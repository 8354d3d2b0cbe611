//! cargo run --release --example testee -- serve 9002
//!
//! The library as conformance suites and load generators see it: an echo server, and clients. Every
//! option sets one setting; the program adds no behaviour of its own.

#[path = "testee/options.rs"]
mod options;

use options::{Options, USAGE, parse};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{
    ClientBuilder, Closed, Compression, Config, Error, Initiator, Message, OriginPolicy, Sender,
    Server, Upgrade, WebSocket,
};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let (base, compression) = if command == "serve" {
        (Config::server(), Compression::server())
    } else {
        (Config::client(), Compression::client())
    };
    let mut options = match parse(words, base, compression) {
        Ok(options) => options,
        Err(what) => return usage(&what),
    };
    let arguments = std::mem::take(&mut options.arguments);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match (command.as_str(), arguments.as_slice()) {
        ("serve", [port]) => serve(port, options),
        ("echo", [url]) => echo_client(&options, url),
        ("recv", [port]) => receive(&options, &local(port)),
        ("send", [port, size, secs]) => match (size.parse(), secs.parse()) {
            (Ok(size), Ok(secs)) => send(&options, &local(port), size, secs),
            _ => usage("SIZE and SECS are numbers"),
        },
        ("autobahn", [url]) => autobahn(&options, url.trim_end_matches('/')),
        _ => usage("no such command"),
    }
}

fn usage(what: &str) -> ExitCode {
    eprintln!("{what}\n{USAGE}");
    ExitCode::from(2)
}

fn local(port: &str) -> String {
    format!("ws://127.0.0.1:{port}/")
}

fn text(error: Error) -> String {
    error.to_string()
}

/// The messages that came, and their bytes. One thread counts, so adding is a load and a store.
#[derive(Default)]
struct Count {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    fn add(&self, message: &Message) {
        let bytes = self.bytes() + message.len() as u64;
        self.bytes.store(bytes, Ordering::Relaxed);
        self.messages.store(self.messages() + 1, Ordering::Relaxed);
    }

    fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A callback that counts, and echoes if it is told to. The pause comes before the first message.
fn callback(
    options: &Options,
    count: &Arc<Count>,
    echo: bool,
) -> impl Fn(&Sender, Message) + Send + Sync + 'static {
    let (count, pause) = (Arc::clone(count), options.pause);
    move |sender, message| {
        if count.messages() == 0 {
            thread::sleep(pause);
        }
        count.add(&message);
        if echo {
            // Why it failed is in the end of the connection.
            let _ = sender.send(message);
        }
    }
}

fn connect(options: &Options, url: &str) -> Result<WebSocket, Error> {
    builder(options, url).connect()
}

fn builder(options: &Options, url: &str) -> ClientBuilder {
    let mut builder = ClientBuilder::new(url)
        .config(options.config.clone())
        .proxy(options.proxy.clone())
        .follow_redirects(options.redirects);
    if let Some(tls) = &options.tls {
        builder = builder.tls(tls.clone());
    }
    for (name, value) in &options.headers {
        builder = builder.header(name, value);
    }
    for subprotocol in &options.subprotocols {
        builder = builder.subprotocol(subprotocol);
    }
    builder
}

fn serve(port: &str, options: Options) -> ExitCode {
    let origins = match options.origins.is_empty() {
        true => OriginPolicy::Any,
        false => OriginPolicy::Only(options.origins.clone()),
    };
    let mut builder = Server::builder()
        .config(options.config.clone())
        .limits(options.limits.clone())
        .origins(origins);
    if let Some(tls) = &options.tls {
        builder = builder.tls(tls.clone());
    }
    for subprotocol in &options.subprotocols {
        builder = builder.subprotocol(subprotocol);
    }
    let server = match builder.bind(format!("127.0.0.1:{port}")) {
        Ok(server) => server,
        Err(error) => return usage(&error.to_string()),
    };
    println!("listening {}", server.local_addr());
    let result = server.serve_upgrades(move |upgrade| match accept(upgrade, &options) {
        Ok((ws, count)) => drop(echo(&ws, &options, &count)),
        Err(error) => println!(
            "{{\"event\":\"refused\",\"status\":{},\"error\":\"{}\"}}",
            status(&error),
            error.kind()
        ),
    });
    result.map_or(ExitCode::from(1), |()| ExitCode::SUCCESS)
}

/// With a callback it returns at the end of the connection.
fn accept(
    upgrade: Result<Upgrade, Error>,
    options: &Options,
) -> Result<(WebSocket, Arc<Count>), Error> {
    let count = Arc::default();
    let ws = match options.callback {
        true => upgrade?.on_message(callback(options, &count, true)).run(),
        false => upgrade?.accept(),
    };
    Ok((ws?, count))
}

/// The status of an opening handshake that failed.
fn status(error: &Error) -> String {
    let status = match error {
        Error::Handshake(e) => e
            .status()
            .or(e.response().map(|response| response.status())),
        Error::Timeout(_) => Some(http::StatusCode::REQUEST_TIMEOUT),
        _ => None,
    };
    status.map_or("null".into(), |status| status.as_u16().to_string())
}

/// Echoes until the connection ends, reports how, and returns whether normally. With a callback there
/// is only the end to wait for.
fn echo(ws: &WebSocket, options: &Options, count: &Count) -> bool {
    if !options.callback {
        thread::sleep(options.pause);
    }
    let error = loop {
        let message = match ws.recv() {
            Ok(message) => message,
            Err(error) => break Error::from(error),
        };
        count.add(&message);
        let sent = match options.batch {
            false => ws.send(message).map_err(Error::from),
            true => answer_all(ws, message, count),
        };
        // A failed send says little of why: the queue does, once it is empty.
        if sent.is_err() {
            continue;
        }
    };
    let closed = ws.closed().unwrap_or_default();
    report(&closed, &error, count);
    matches!(error, Error::Closed(_)) && closed.is_normal()
}

/// Answers the message and all that are queued behind it with one flush.
fn answer_all(ws: &WebSocket, first: Message, count: &Count) -> Result<(), Error> {
    ws.feed(first)?;
    for message in ws.try_iter() {
        let message = message?;
        count.add(&message);
        ws.feed(message)?;
    }
    ws.flush()
}

fn report(closed: &Closed, error: &Error, count: &Count) {
    let code = |frame: &Option<wsync::CloseFrame>| match frame {
        Some(frame) => u16::from(frame.code).to_string(),
        None => "null".into(),
    };
    let initiator = match closed.initiator {
        Some(Initiator::Local) => "\"local\"",
        Some(Initiator::Remote) => "\"remote\"",
        None => "null",
    };
    let error = match error {
        Error::Closed(_) => "null".into(),
        error => format!("\"{}\"", error.kind()),
    };
    println!(
        "{{\"event\":\"closed\",\"received\":{},\"sent\":{},\"initiator\":{initiator},\
         \"error\":{error},\"messages\":{},\"bytes\":{}}}",
        code(&closed.received),
        code(&closed.sent),
        count.messages(),
        count.bytes(),
    );
}

fn not_connected(error: &Error) -> ExitCode {
    println!(
        "{{\"event\":\"connect_error\",\"error\":\"{}\",\"status\":{}}}",
        error.kind(),
        status(error)
    );
    ExitCode::from(1)
}

fn echo_client(options: &Options, url: &str) -> ExitCode {
    match connect_counting(options, url, true) {
        Err(error) => not_connected(&error),
        Ok((ws, count)) if echo(&ws, options, &count) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
    }
}

fn connect_counting(
    options: &Options,
    url: &str,
    echo: bool,
) -> Result<(WebSocket, Arc<Count>), Error> {
    let count = Arc::default();
    let mut builder = builder(options, url);
    if options.callback {
        builder = builder.on_message(callback(options, &count, echo));
    }
    Ok((builder.connect()?, count))
}

fn receive(options: &Options, url: &str) -> ExitCode {
    let (ws, count) = match connect_counting(options, url, false) {
        Ok(connected) => connected,
        Err(error) => return not_connected(&error),
    };
    if !options.callback {
        thread::sleep(options.pause);
    }
    // With a callback the first is the end.
    let error = loop {
        let received = match options.batch {
            false => ws
                .recv()
                .map(|message| count.add(&message))
                .map_err(Error::from),
            true => ws
                .recv_batch(1000, Duration::MAX)
                .map(|messages| messages.iter().for_each(|message| count.add(message)))
                .map_err(Error::from),
        };
        if let Err(error) = received {
            break error;
        }
    };
    println!("{{\"count\":{}}}", count.messages());
    let normal = matches!(error, Error::Closed(closed) if closed.is_normal());
    ExitCode::from(if normal { 0 } else { 3 })
}

fn send(options: &Options, url: &str, size: usize, secs: f64) -> ExitCode {
    let ws = match connect(options, url) {
        Ok(ws) => ws,
        Err(error) => return not_connected(&error),
    };
    let message = Message::from(vec![b'x'; size]);
    let end = Instant::now() + Duration::from_secs_f64(secs);
    let mut count = 0u64;
    while Instant::now() < end {
        for _ in 0..64 {
            let sent = match options.batch {
                true => ws.feed(message.clone()),
                false => ws.send(message.clone()),
            };
            if let Err(error) = sent {
                eprintln!("{error}");
                return ExitCode::from(3);
            }
            count += 1;
        }
    }
    let closed = ws.close();
    println!("{{\"count\":{count}}}");
    ExitCode::from(if closed.is_ok_and(|closed| closed.is_normal()) {
        0
    } else {
        3
    })
}

/// The client under test of Autobahn's fuzzing server.
fn autobahn(options: &Options, url: &str) -> ExitCode {
    let count = connect(options, &format!("{url}/getCaseCount"))
        .and_then(|ws| Ok(ws.recv()?))
        .map(|message| message.as_text().and_then(|text| text.parse::<u32>().ok()));
    let count = match count {
        Ok(Some(count)) => count,
        Ok(None) => return usage("not a fuzzing server"),
        Err(error) => return not_connected(&error),
    };
    for case in 1..=count {
        let url = format!("{url}/runCase?case={case}&agent=wsync");
        match connect_counting(options, &url, true) {
            Ok((ws, count)) => drop(echo(&ws, options, &count)),
            Err(error) => drop(not_connected(&error)),
        }
    }
    match connect(options, &format!("{url}/updateReports?agent=wsync")) {
        Ok(ws) => drop(ws.recv()),
        Err(error) => return not_connected(&error),
    }
    ExitCode::SUCCESS
}
