//! Lines of standard input out, messages to standard output: for scripts.

use super::link::Link;
use super::output::{BinaryAs, Output};
use super::{Arguments, input, verdict};
use crate::client_options::bound;
use crate::failure::Failure;
use crate::show;
use std::io::{self, ErrorKind, Write};
use std::iter::once;
use std::process::exit;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use wsync::{CancelToken, Error, MessageKind, WebSocket};

/// What there is without a terminal.
#[derive(clap::Args)]
#[command(next_help_heading = "In a pipe")]
pub(super) struct PipeOptions {
    /// End after so many messages, and not when standard input does
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Close when standard input has ended and nothing has come for so long; inf leaves it to the server
    /// [default: 1, or inf with --count]
    #[arg(short, long, value_name = "SECONDS")]
    wait: Option<f64>,
    /// Send what standard input has as binary messages, one for each read
    #[arg(short, long)]
    pub(super) binary: bool,
    /// Send all of standard input as one message
    #[arg(long, conflicts_with = "reconnect")]
    pub(super) whole: bool,
    /// Write one JSON object for each message: type, data (base64 if it is binary), time (Unix, in seconds)
    #[arg(long)]
    json: bool,
    /// How binary messages are written [default: raw with --binary, else hex]
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "json")]
    binary_as: Option<BinaryAs>,
}

impl PipeOptions {
    /// Whether there is something that makes no sense with a prompt.
    pub(super) fn asks_for_it(&self) -> bool {
        let given = self.count.is_some() || self.wait.is_some() || self.binary_as.is_some();
        given || self.binary || self.whole || self.json
    }

    /// How long nothing may come behind the end of standard input. `None`: for as long as the server likes.
    pub(super) fn wait(&self) -> Result<Option<Duration>, Failure> {
        match (self.wait, self.count) {
            (None, Some(_)) => Ok(None),
            (wait, _) => bound(wait.unwrap_or(1.0)),
        }
    }

    fn output(&self) -> Output {
        let raw = || {
            if self.binary {
                BinaryAs::Raw
            } else {
                BinaryAs::Hex
            }
        };
        Output::new(self.json, self.binary_as, raw())
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (options, wait) = (&arguments.piped, arguments.piped.wait()?);
    let builder = arguments.client.builder(&arguments.url)?;
    let Some(policy) = arguments.again.policy()? else {
        let link = Arc::new(Link::new(CancelToken::new(), false));
        let ws = builder.connect().map_err(Failure::NotConnected)?;
        start(&link, arguments, wait)?;
        return receive(&link, options, once(Ok(ws)));
    };
    let reconnect = builder.reconnect(policy).on_wait(|error, delay| {
        let again = format!("connecting again in {}", show::duration(delay));
        match error {
            Some(error) => complain(&format!(
                "{}; {again}",
                Failure::NotConnected(error.clone())
            )),
            None => complain(&again),
        }
    });
    let link = Arc::new(Link::new(reconnect.stop_token(), true));
    start(&link, arguments, wait)?;
    receive(&link, options, reconnect)
}

/// Reads standard input, on a thread that is left to itself at the end.
fn start(link: &Arc<Link>, arguments: &Arguments, wait: Option<Duration>) -> Result<(), Failure> {
    let closing = Arc::clone(link);
    let handler = move || match closing.is_over() {
        true => exit(3),
        false => {
            let closing = Arc::clone(&closing);
            thread::spawn(move || closing.close());
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Failure::Usage(format!("no signal handler: {e}")))?;
    let (link, binary, whole) = (
        Arc::clone(link),
        arguments.piped.binary,
        arguments.piped.whole,
    );
    thread::spawn(move || {
        let read = match (whole, binary) {
            (true, true) => input::whole(&link, MessageKind::Binary),
            (true, false) => input::whole(&link, MessageKind::Text),
            (false, true) => input::chunks(&link),
            (false, false) => input::lines(&link),
        };
        match (&read, wait) {
            (Ok(()), None) => return,
            (Ok(()), Some(wait)) => link.wait_for_silence(wait),
            (Err(_), _) => {}
        }
        link.fail(read.err());
        link.close();
    });
    Ok(())
}

/// Writes what comes, until the last connection has ended or enough has come.
fn receive(
    link: &Link,
    options: &PipeOptions,
    connections: impl Iterator<Item = Result<WebSocket, Error>>,
) -> Result<(), Failure> {
    let mut output = options.output();
    let mut left = options.count;
    for connected in connections {
        let ws = Arc::new(connected.map_err(Failure::NotConnected)?);
        link.opened(&ws);
        let error = match take(link, &ws, &mut output, &mut left) {
            Ok(End::Enough) => {
                link.close();
                return Ok(());
            }
            Ok(End::Ended(error)) => error,
            Err(e) => {
                link.close();
                return match e.kind() {
                    // Whoever reads has had enough.
                    ErrorKind::BrokenPipe => Ok(()),
                    _ => Err(Failure::Usage(format!("standard output: {e}"))),
                };
            }
        };
        let end = verdict(&error, link.is_over());
        if !link.goes_on() {
            return link
                .failure()
                .map_or(end.and_then(|told| all_came(left, &told)), Err);
        }
        match end {
            Ok(told) => complain(&told),
            Err(failure) => complain(&failure.to_string()),
        }
    }
    Ok(())
}

/// How a connection is done with.
enum End {
    /// As many messages have come as were asked for.
    Enough,
    Ended(Error),
}

/// Writes what comes over one connection. Nothing waits in the buffer while nothing comes.
fn take(
    link: &Link,
    ws: &WebSocket,
    output: &mut Output,
    left: &mut Option<u64>,
) -> io::Result<End> {
    if *left == Some(0) {
        return Ok(End::Enough);
    }
    loop {
        let message = match ws.try_recv() {
            Ok(message) => message,
            Err(_) => {
                output.flush()?;
                match ws.recv() {
                    Ok(message) => message,
                    Err(e) => return Ok(End::Ended(e.0)),
                }
            }
        };
        link.heard();
        output.write(&message)?;
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                return output.flush().map(|()| End::Enough);
            }
        }
    }
}

fn all_came(left: Option<u64>, told: &str) -> Result<(), Failure> {
    match left {
        None => Ok(()),
        Some(left) => Err(Failure::Abnormal(format!(
            "{told}; {} did not come",
            show::count(left, "message")
        ))),
    }
}

fn complain(what: &str) {
    let _ = writeln!(anstream::stderr(), "wsync: {}", show::line(what));
}
