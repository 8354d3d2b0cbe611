//! `wsync serve`: echo, broadcast, or a program for each connection.

mod broadcast;
#[cfg(unix)]
mod environment;
#[cfg(unix)]
mod exec;
mod log;
#[cfg(unix)]
mod pipes;
#[cfg(unix)]
mod program;

pub(crate) use log::{Log, Visit, tell};

use crate::failure::Failure;
use crate::interrupt;
use crate::server_options::{ServerOptions, url};
use broadcast::{Broadcast, BroadcastOptions};
use clap::{Args, Subcommand};
#[cfg(unix)]
use exec::{Exec, ExecOptions};
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use wsync::{Error, Server, Upgrade, WebSocket};

/// How long clients may take to answer the Close frame when the server stops.
const CLOSING: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
EXAMPLES
  wsync serve                                   send back what comes, on port 8080
  wsync serve :9000 broadcast                   a chat: what one says, all others hear
  wsync serve 0.0.0.0:9000 exec -- ./hello.sh   a program for each connection
  wsync serve 443 --tls cert.pem key.pem        the same as the first, with TLS
  wsync serve unix:/run/app.sock --health       behind a proxy that asks for /health";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, subcommand_value_name = "MODE", subcommand_help_heading = "Modes")]
pub(crate) struct Arguments {
    /// HOST:PORT, :PORT or PORT of the loopback, or unix:PATH; port 0 lets the system choose
    #[arg(default_value = "127.0.0.1:8080")]
    address: String,
    /// Print nothing about connections
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    options: ServerOptions,
    #[command(subcommand)]
    mode: Option<ModeOptions>,
}

#[derive(Subcommand, Debug, Clone)]
enum ModeOptions {
    /// Send each message back (the default)
    Echo,
    /// Send each message to all other clients
    Broadcast(BroadcastOptions),
    /// Run a program for each connection
    #[cfg(unix)]
    Exec(ExecOptions),
}

/// What is done with connections.
enum Mode {
    Echo,
    Broadcast(Broadcast),
    #[cfg(unix)]
    Exec(Exec),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = arguments.options.clone();
    let log = Log::new(arguments.quiet);
    let mode = Arc::new(Mode::new(arguments)?);
    let outbox = match &arguments.mode {
        Some(ModeOptions::Broadcast(options)) => Some(options.outbox),
        _ => None,
    };
    let server = options.listen(&arguments.address, outbox)?;
    let (tls, last, serving) = (options.speaks_tls(), Arc::clone(&mode), log.clone());
    let ending = mode.ending();
    let serve = move |upgrade| mode.serve(upgrade, &options, &serving);
    serve_until_told(
        &server,
        tls,
        &log,
        ending,
        move || last.end_at_once(),
        serve,
    )
}

/// Serves until the command is told to stop. Handlers may take so long to end beyond the closing handshake;
/// what ends at once is ended by `last`.
pub(crate) fn serve_until_told(
    server: &Server,
    tls: bool,
    log: &Log,
    ending: Duration,
    last: impl Fn() + Send + Sync + 'static,
    serve: impl Fn(Upgrade) + Send + Sync + 'static,
) -> Result<(), Failure> {
    let last = Arc::new(last);
    let at_once = Arc::clone(&last);
    let (stopper, stop) = interrupt::stop(move || at_once())?;
    let mut stdout = std::io::stdout();
    // Perhaps nobody reads it.
    let _ = writeln!(stdout, "listening {}", url(server, tls));
    let _ = stdout.flush();
    let (accepting, refusing) = (server.clone(), log.clone());
    let accepting = thread::spawn(move || {
        let result = accepting.serve_upgrades(move |upgrade| match upgrade {
            Ok(upgrade) => serve(upgrade),
            Err(error) => refusing.refused(&error),
        });
        // If it was not told to stop, its socket broke.
        let _ = stopper.try_send(());
        result
    });
    let _ = stop.recv();
    log.line("stopping; once more to end at once");
    let report = server.shutdown_within(CLOSING + ending);
    last();
    let (told, cut_off) = (report.told, report.cut_off);
    log.line(&format!(
        "stopped: {told} connections told, {cut_off} cut off"
    ));
    match accepting.join() {
        Ok(Err(error)) => Err(Failure::Abnormal(error.to_string())),
        _ => Ok(()),
    }
}

impl Mode {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        Ok(match &arguments.mode {
            None | Some(ModeOptions::Echo) => Mode::Echo,
            Some(ModeOptions::Broadcast(options)) => Mode::Broadcast(Broadcast::new(options)),
            #[cfg(unix)]
            Some(ModeOptions::Exec(options)) => Mode::Exec(Exec::new(options, &arguments.options)?),
        })
    }

    fn serve(&self, upgrade: Upgrade, options: &ServerOptions, log: &Log) {
        let Some(upgrade) = options.admit(upgrade) else {
            return log.line("refused: no credentials, or wrong ones");
        };
        let visit = log.visit(&upgrade);
        if let Mode::Broadcast(broadcast) = self {
            return broadcast.serve(upgrade, visit);
        }
        let ws = match upgrade.accept() {
            Ok(ws) => ws,
            Err(error) => return visit.line(&format!("not opened: {error}")),
        };
        let error = match self {
            Mode::Echo => echo(&ws).err(),
            #[cfg(unix)]
            Mode::Exec(exec) => exec.serve(&ws, &visit),
            Mode::Broadcast(_) => None,
        };
        visit.ended(&ws, error.as_ref());
    }

    /// How long its connections may take beyond the closing handshake.
    fn ending(&self) -> Duration {
        match self {
            #[cfg(unix)]
            Mode::Exec(exec) => exec.ending(),
            _ => Duration::ZERO,
        }
    }

    /// Leaves no process behind.
    fn end_at_once(&self) {
        #[cfg(unix)]
        if let Mode::Exec(exec) = self {
            exec.kill_all();
        }
    }
}

fn echo(ws: &WebSocket) -> Result<(), Error> {
    for message in ws.iter() {
        ws.send(message?)?;
    }
    Ok(())
}
