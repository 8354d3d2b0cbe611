//! cargo run -p chat --bin chat-clients -- --url ws://127.0.0.1:8080/ws
//!
//! Clients of the chat that talk, connect again, and count: each must get every message of its room once, and all
//! in the same order. Prints what was seen as one line of JSON; status 1 if that is not so.

mod client;
mod outcome;

use clap::Parser;
use client::{Client, Course};
use outcome::Outcome;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Opening handshakes at a time.
const OPENING: usize = 100;
/// The stack of a client's thread.
const STACK: usize = 128 << 10;

#[derive(Parser)]
struct Arguments {
    /// A server or a load balancer: ws://HOST:PORT/ws. Of several, each connect takes the next.
    #[arg(long, required = true)]
    url: Vec<String>,
    #[arg(long, default_value_t = 30)]
    clients: usize,
    /// The clients are shared out.
    #[arg(long, default_value_t = 3)]
    rooms: usize,
    /// Clients that talk in each room; the others listen. Default: all.
    #[arg(long)]
    speakers: Option<usize>,
    /// Of each that talks.
    #[arg(long, default_value_t = 100)]
    messages: usize,
    /// Messages a second of each that talks.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Bytes of a text, at least.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Messages of one client that may wait for their acknowledgement.
    #[arg(long, default_value_t = 64)]
    window: usize,
    /// Before this all must be done.
    #[arg(long, default_value_t = 120.0)]
    within_secs: f64,
    /// The names of the rooms begin with it. Default: one that no other run has.
    #[arg(long)]
    prefix: Option<String>,
}

impl Arguments {
    fn course(self) -> Course {
        let prefix = || format!("run{}", std::process::id());
        Course {
            prefix: self.prefix.unwrap_or_else(prefix),
            urls: self.url,
            clients: self.clients,
            rooms: self.rooms.clamp(1, self.clients.max(1)),
            speakers: self.speakers.unwrap_or(self.clients),
            messages: self.messages,
            interval: Duration::from_secs_f64(1.0 / self.rate.max(0.001)),
            size: self.size,
            window: self.window.max(1),
            begin: Instant::now(),
            deadline: Instant::now() + Duration::from_secs_f64(self.within_secs),
            open: Default::default(),
            complete: Default::default(),
        }
    }
}

fn main() -> ExitCode {
    let course = Arc::new(Arguments::parse().course());
    let mut threads = Vec::new();
    for number in 0..course.clients {
        while number > course.open() + OPENING && !course.is_late() {
            thread::sleep(Duration::from_millis(1));
        }
        let client = Client::new(Arc::clone(&course), number);
        let thread = thread::Builder::new().stack_size(STACK);
        match thread.spawn(move || client.run()) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                eprintln!("client {number}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let clients: Option<Vec<_>> = threads
        .into_iter()
        .map(|thread| thread.join().ok())
        .collect();
    let Some(clients) = clients else {
        return ExitCode::FAILURE;
    };
    let outcome = Outcome::of(&course, clients);
    println!("{}", outcome.json());
    ExitCode::from(u8::from(!outcome.is_good()))
}
