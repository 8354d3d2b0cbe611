//! `wsync connect`: lines in, messages out.

#[cfg(unix)]
mod command;
#[cfg(unix)]
mod display;
#[cfg(unix)]
mod editor;
#[cfg(unix)]
mod format;
mod input;
#[cfg(unix)]
mod keys;
mod link;
mod output;
mod pipe;
#[cfg(unix)]
mod pump;
#[cfg(unix)]
mod screen;
#[cfg(unix)]
mod session;
#[cfg(unix)]
mod terminal;

use crate::client_options::{ClientOptions, seconds};
use crate::failure::Failure;
use crate::show;
#[cfg(unix)]
use std::io::{IsTerminal, stdin, stdout};
use wsync::{Closed, Error, Initiator, ReconnectPolicy};

/// What is behind the options in the help.
pub(crate) const EXAMPLES: &str = "\
On a terminal, lines are edited and sent, and messages come above them; /help tells what else there is. Without \
one, lines of standard input go out, and messages come out on standard output, each followed by a line's end.

EXAMPLES
  wsync connect wss://example.org/feed
  wsync connect -H 'Cookie: a=b' -o https://example.org localhost:9001
  echo hello | wsync connect -n 1 ws://localhost:9001
  wsync connect --json --wait inf wss://example.org/feed </dev/null | jq -r .data
  wsync connect --binary --whole ws://localhost:9001 <picture.png";

/// The arguments of `wsync connect`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to: ws://, wss://, ws+unix:PATH; http:// and https:// stand for the first two, and ws:// for none
    url: String,
    #[command(flatten)]
    piped: pipe::PipeOptions,
    #[cfg(unix)]
    #[command(flatten)]
    terminal: terminal::TerminalOptions,
    #[command(flatten)]
    again: AgainOptions,
    #[command(flatten)]
    client: ClientOptions,
}

/// Connecting again.
#[derive(clap::Args)]
#[command(next_help_heading = "Reconnect")]
struct AgainOptions {
    /// Connect again when the connection ends or cannot be made
    #[arg(short, long)]
    reconnect: bool,
    /// The longest wait before that
    #[arg(long, value_name = "SECONDS", default_value_t = 90.0)]
    max_delay: f64,
    /// Give up when so many connects in a row have failed
    #[arg(long, value_name = "N")]
    attempts: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    #[cfg(unix)]
    if is_at_terminal() && !arguments.piped.asks_for_it() {
        return terminal::run(arguments);
    }
    pipe::run(arguments)
}

/// Whether there is one that can move its cursor.
#[cfg(unix)]
fn is_at_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
    stdin().is_terminal() && stdout().is_terminal() && !dumb
}

impl AgainOptions {
    /// When to connect again, if at all.
    fn policy(&self) -> Result<Option<ReconnectPolicy>, Failure> {
        let mut policy = ReconnectPolicy::default();
        policy.most = seconds(self.max_delay)?;
        policy.attempts = self.attempts;
        Ok(self.reconnect.then_some(policy))
    }
}

/// How a connection ended, in words. What the user has asked for is no failure, whatever the code.
fn verdict(error: &Error, asked: bool) -> Result<String, Failure> {
    let Error::Closed(closed) = error else {
        return Err(Failure::Abnormal(error.to_string()));
    };
    let told = told(closed);
    match closed.is_normal() || asked && closed.received.is_some() {
        true => Ok(told),
        false => Err(Failure::Abnormal(told)),
    }
}

fn told(closed: &Closed) -> String {
    let told = match (closed.initiator, &closed.received, &closed.sent) {
        (Some(Initiator::Remote), Some(frame), _) => format!("closed by the server: {frame}"),
        (_, Some(_), Some(frame)) => format!("closed: {frame}"),
        _ => format!("closed: {closed}"),
    };
    match closed.unsent {
        0 => told,
        unsent => format!("{told}; {} not sent", show::count(unsent as u64, "message")),
    }
}
