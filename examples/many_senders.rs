//! cargo run --example many_senders
//!
//! Several threads send on one connection while the main thread receives the echoes.

use std::thread;
use std::time::Duration;
use wsync::{Error, Server, WebSocket};

const SENDERS: usize = 4;
const MESSAGES: usize = 250;

fn main() -> Result<(), Error> {
    let server = Server::bind("127.0.0.1:0")?;
    let serving = server.clone();
    let serving = thread::spawn(move || serving.serve(echo));

    let ws = wsync::connect(&format!("ws://{}/", server.local_addr()))?;
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let ws = ws.sender().clone();
            thread::spawn(move || {
                for n in 0..MESSAGES {
                    ws.send(format!("{sender} {n}"))?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();

    // What one thread sends stays in order; how the threads mix is up to the system.
    let mut next = [0; SENDERS];
    for (count, message) in (1..).zip(ws.iter().take(SENDERS * MESSAGES)) {
        let message = message?;
        let (sender, n) = parse(message.as_text().unwrap_or_default());
        assert_eq!(n, next[sender]);
        next[sender] += 1;
        if count % 100 == 0 {
            println!(
                "{count:4} received, {:3} queued ({} bytes)",
                ws.len(),
                ws.bytes()
            );
            // A slow consumer: the queue grows, up to its bounds, while the threads send on.
            thread::sleep(Duration::from_millis(5));
        }
    }
    for sender in senders {
        sender.join().expect("a sender does not panic")?;
    }
    println!("received of each sender: {next:?}");
    println!("closed: {}", ws.close()?);

    server.shutdown()?;
    serving.join().expect("the server does not panic")
}

fn parse(text: &str) -> (usize, usize) {
    let (sender, n) = text.split_once(' ').expect("two words");
    let number = |word: &str| word.parse().expect("a number");
    (number(sender), number(n))
}

fn echo(ws: WebSocket) {
    for message in ws.iter().map_while(Result::ok) {
        if ws.send(message).is_err() {
            return;
        }
    }
}
