//! cargo run --example quickstart
//!
//! A server and a client in one process.

use std::thread;
use std::time::Duration;
use wsync::{Error, Server, WebSocket};

fn main() -> Result<(), Error> {
    let server = Server::bind("127.0.0.1:0")?;
    let address = format!("ws://{}/", server.local_addr());
    println!("server   listens on {address}");
    let serving = {
        let server = server.clone();
        thread::spawn(move || server.serve(echo))
    };

    let ws = wsync::connect(&address)?;
    // Sending never waits for receiving: the echoes queue up meanwhile.
    for n in 1..=5 {
        ws.send(format!("message {n}"))?;
    }
    while ws.len() < 5 {
        thread::sleep(Duration::from_millis(1));
    }
    println!(
        "client   sent 5 messages; {} echoes wait, {} bytes",
        ws.len(),
        ws.bytes()
    );

    for message in ws.iter().take(5) {
        let message = message?;
        println!(
            "client   received {:?}, {} more wait",
            message.as_text().unwrap_or("?"),
            ws.len()
        );
    }
    println!("client   closed: {}", ws.close()?);

    server.shutdown()?;
    serving.join().expect("the server does not panic")
}

/// Runs on a thread of its own for each client.
fn echo(ws: WebSocket) {
    for message in &ws {
        let sent = message.and_then(|message| Ok(ws.send(message)?));
        if let Err(error) = sent {
            return println!("server   lost a client: {error}");
        }
    }
    if let Some(closed) = ws.closed() {
        println!("server   closed: {closed}");
    }
}
