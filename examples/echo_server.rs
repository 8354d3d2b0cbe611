//! cargo run --example echo_server -- 127.0.0.1:9001
//!
//! Sends every message back. The line "quit", or the end of standard input, stops it: it closes all
//! connections and waits for them.

use std::{env, io, thread};
use wsync::{Error, Server, WebSocket};

fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let server = Server::bind(address)?;
    println!("ws://{}/, \"quit\" stops", server.local_addr());

    let stopping = server.clone();
    let stop = thread::spawn(move || {
        let mut lines = io::stdin().lines().map_while(Result::ok);
        lines.find(|line| line.trim() == "quit");
        stopping.shutdown()
    });
    // Returns as soon as the server stops accepting; `shutdown` waits for the connections.
    server.serve(|ws| {
        let peer = ws
            .peer_addr()
            .map_or("?".into(), |address| address.to_string());
        println!("{peer} connected");
        if let Err(error) = echo(&ws) {
            println!("{peer} lost: {error}");
        } else if let Some(closed) = ws.closed() {
            println!("{peer} closed: {closed}");
        }
    })?;
    stop.join().expect("shutdown does not panic")
}

/// Runs on a thread of its own for each client.
fn echo(ws: &WebSocket) -> Result<(), Error> {
    for message in ws {
        match ws.send(message?).map_err(Error::from) {
            // A Close frame came behind the message: the iteration ends by itself.
            Err(Error::Closed(_)) => {}
            sent => sent?,
        }
    }
    Ok(())
}
