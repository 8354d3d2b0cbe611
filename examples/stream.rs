//! cargo run --example stream --features stream
//!
//! Messages as a `futures_core::Stream`, two connections in one task, on any executor.

use futures_util::{StreamExt, stream};
use std::error::Error;
use std::thread;
use std::time::Duration;
use wsync::{MessageStream, Server, WebSocket};

/// Sends a few ticks, at a pace of its own.
fn tick(ws: WebSocket, pace: Duration) {
    for n in 1..=5 {
        thread::sleep(pace);
        if ws.send(format!("tick {n}, every {pace:?}")).is_err() {
            return;
        }
    }
    // Waits for the peer's answer: no message is lost.
    let _ = ws.close();
}

fn ticks(server: &Server, path: &str) -> Result<MessageStream, wsync::Error> {
    let url = format!("ws://{}/{path}", server.local_addr());
    let (_sender, receiver) = wsync::connect(&url)?.split();
    Ok(receiver.into_stream())
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("127.0.0.1:0")?;
    let serving = server.clone();
    thread::spawn(move || {
        serving.serve(|ws| {
            let pace = if ws.request().uri().path() == "/fast" {
                100
            } else {
                250
            };
            tick(ws, Duration::from_millis(pace));
        })
    });

    let mut both = stream::select(ticks(&server, "fast")?, ticks(&server, "slow")?);
    futures_executor::block_on(async {
        while let Some(message) = both.next().await {
            println!("{}", message?.as_text().unwrap_or("not a text"));
        }
        Ok(())
    })
}
