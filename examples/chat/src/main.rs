//! cargo run -p chat
//!
//! A chat in the browser: README.md says how it works, and what it promises.

mod broker;
mod chat;
mod connection;
mod history;
mod monitor;
mod protocol;
mod rate;
mod recorder;
mod rooms;
#[cfg(test)]
mod tests;
mod web;

use chat::{Chat, Settings};
use clap::Parser;
use crossbeam_channel::bounded;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{process, thread};

/// How long browsers may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// A chat in the browser: a page, a monitor at /monitor, the state at /health
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// What the page shows as the name of this server; the address, unless given
    #[arg(long, value_name = "SERVER")]
    name: Option<String>,
    /// The file of the history; in memory, unless given
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// in-process, redis://HOST:PORT, or nats://HOST:PORT (with the feature nats)
    #[arg(long, default_value = "in-process")]
    broker: broker::Choice,
    /// Messages that a browser may say in a second; more of them wait
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Rooms that may have people in them at a time
    #[arg(long, default_value_t = 1000)]
    rooms: usize,
    /// Seconds between telling the load balancer, by /health, and telling browsers that the server goes away
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    drain: u64,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = Options::parse();
    let drain = Duration::from_secs(options.drain);
    let chat = Arc::new(Chat::start(Settings {
        listen: options.listen,
        name: options.name,
        history: options.history,
        broker: options.broker,
        rate: options.rate,
        rooms: options.rooms,
    })?);
    let stopping = stop_on_a_signal(Arc::clone(&chat), drain)?;
    println!("listening http://{}/", chat.address());
    chat.serve()?;
    stopping.join().map_err(|_| "the stop has failed")?;
    Ok(())
}

/// On Ctrl-C or SIGTERM tells all browsers, and ends; on the second at once.
fn stop_on_a_signal(
    chat: Arc<Chat>,
    drain: Duration,
) -> Result<thread::JoinHandle<()>, ctrlc::Error> {
    let (signal, signals) = bounded(1);
    ctrlc::set_handler(move || {
        if signal.try_send(()).is_err() {
            process::exit(1);
        }
    })?;
    Ok(thread::spawn(move || {
        let _ = signals.recv();
        chat.drain();
        // A second signal is not waited for any more.
        let _ = signals.recv_timeout(drain);
        let report = chat.stop(GOODBYE);
        eprintln!("{} browsers told, {} cut off", report.told, report.cut_off);
    }))
}
