//! cargo run --example client -- ws://127.0.0.1:9001
//!
//! Prints the messages that come, sends each line of standard input, and closes at its end
//! (Ctrl-D). A server to talk to: the example echo_server.

use std::process::ExitCode;
use std::{env, io, thread};
use wsync::{Error, Message, Sender};

fn main() -> ExitCode {
    let Some(url) = env::args().nth(1) else {
        eprintln!("usage: client URL");
        return ExitCode::from(2);
    };
    match talk(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn talk(url: &str) -> Result<(), Error> {
    let (sender, receiver) = wsync::connect(url)?.split();
    // Not joined: it may wait for a line when the server has long gone.
    thread::spawn(move || send_lines(&sender));

    // Ends without an error when either side has closed normally.
    for message in &receiver {
        match message? {
            Message::Text(text) => println!("{text}"),
            Message::Binary(bytes) => println!("({} bytes)", bytes.len()),
        }
    }
    if let Some(closed) = receiver.closed() {
        eprintln!("{closed}");
    }
    Ok(())
}

fn send_lines(sender: &Sender) {
    for line in io::stdin().lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            // The main thread learns why.
            return;
        }
    }
    // Ends the loop of the main thread. Answers that the server has not sent yet do not come.
    let _ = sender.close();
}
