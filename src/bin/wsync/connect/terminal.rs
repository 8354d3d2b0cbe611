//! Talking to a server at a terminal.

use super::Arguments;
use super::command::{self, Command};
use super::prompt::Prompt;
use super::pump::{self, View};
use super::session::Session;
use crate::failure::Failure;
use crate::show::{self, Paint};
use anstream::{AutoStream, ColorChoice};
use crossbeam_channel::{Receiver, Sender, unbounded};
use rustyline::error::ReadlineError;
use std::iter::once;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{CancelToken, Pong, Reconnect, WebSocket};

/// What only a terminal has.
#[derive(clap::Args)]
#[command(next_help_heading = "On a terminal")]
pub(super) struct TerminalOptions {
    /// Show messages whole: binary ones beyond 256 bytes, texts beyond 16 KiB
    #[arg(long)]
    full: bool,
    /// Neither read nor write the history of lines
    #[arg(long)]
    no_history: bool,
}

/// Whether the program is over, for the thread that waits for a line.
#[derive(Default)]
struct Over {
    ended: AtomicBool,
    noticed: AtomicBool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Ok(mut prompt) = Prompt::new(!arguments.terminal.no_history) else {
        return super::pipe::run(arguments);
    };
    let (pongs, answers) = unbounded();
    let builder = arguments.client.builder(&arguments.url)?;
    let builder = builder.on_pong(move |pong| drop(pongs.send((pong, Instant::now()))));
    let (source, stop) = match arguments.again.policy()? {
        None => (
            Source::One(Box::new(builder.connect().map_err(Failure::NotConnected)?)),
            CancelToken::new(),
        ),
        Some(policy) => {
            let reconnect = builder.reconnect(policy);
            let stop = reconnect.stop_token();
            (Source::Many(Box::new(reconnect)), stop)
        }
    };
    drop(builder);
    let colours = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
    let session = Arc::new(Session::new(prompt.display(), Paint::new(colours), stop));
    let over = Arc::new(Over::default());
    stop_on_signal(&session, &over)?;
    let view = View {
        url: arguments.url.clone(),
        insecure: arguments.client.is_insecure(),
        full: arguments.terminal.full,
        again: arguments.again.reconnect,
    };
    tell_pongs(&session, answers);
    let result = receive(&session, &over, view, source);
    read(&mut prompt, &session, &over);
    over.noticed.store(true, Ordering::SeqCst);
    let told = result.recv().unwrap_or_else(|_| Ok(String::new()))?;
    let note = session.paint.note;
    anstream::println!("{note}{}{note:#}", show::line(&told));
    Ok(())
}

/// Where connections come from.
enum Source {
    One(Box<WebSocket>),
    Many(Box<Reconnect>),
}

/// Shows what comes, on a thread of its own, and gives how it ended.
fn receive(
    session: &Arc<Session>,
    over: &Arc<Over>,
    view: View,
    source: Source,
) -> Receiver<Result<String, Failure>> {
    let (results, result) = unbounded();
    let (session, over) = (Arc::clone(session), Arc::clone(over));
    thread::spawn(move || {
        let end = match source {
            Source::One(ws) => pump::run(&session, &view, once(Ok(*ws))),
            Source::Many(reconnect) => {
                let waiting = Arc::clone(&session);
                let reconnect = reconnect.on_wait(move |error, delay| waiting.waits(error, delay));
                pump::run(&session, &view, reconnect)
            }
        };
        session.display.flush();
        let _ = results.send(end);
        over.ended.store(true, Ordering::SeqCst);
        while !over.noticed.load(Ordering::SeqCst) {
            interrupt();
            thread::sleep(Duration::from_millis(20));
        }
    });
    result
}

/// Reads lines and does what they say, until it is over.
fn read(prompt: &mut Prompt, session: &Arc<Session>, over: &Over) {
    // A send may wait for the server; the other commands are to go on meanwhile.
    let (sends, others) = (worker(session), worker(session));
    while !over.ended.load(Ordering::SeqCst) {
        let line = prompt.line(!session.is_closing());
        match line.map(|line| command::parse(&line)) {
            _ if over.ended.load(Ordering::SeqCst) => return prompt.erase(),
            Ok(_) if session.is_closing() => {}
            Ok(Ok(command @ (Command::Send(_) | Command::Binary(_) | Command::File(_)))) => {
                let _ = sends.send(Ok(command));
            }
            Ok(command) => drop(others.send(command)),
            Err(ReadlineError::Interrupted) if session.is_closing() => exit(3),
            Err(_) if session.is_closing() => return session.display.prompt_is_gone(),
            Err(_) => session.close(None, String::new()),
        }
    }
}

/// A thread that does what it is told, or tells what was wrong with it.
fn worker(session: &Arc<Session>) -> Sender<Result<Command, String>> {
    let (sender, commands) = unbounded::<Result<Command, String>>();
    let session = Arc::clone(session);
    thread::spawn(move || {
        for command in commands {
            match command {
                Ok(command) => session.execute(command),
                Err(problem) => session.complain(&problem),
            }
        }
    });
    sender
}

fn tell_pongs(session: &Arc<Session>, answers: Receiver<(Pong, Instant)>) {
    let session = Arc::clone(session);
    thread::spawn(move || {
        for (pong, came) in answers {
            session.pong(&pong, came);
        }
    });
}

/// Ctrl-C comes as a key while a line is edited; this is about signals of others.
fn stop_on_signal(session: &Arc<Session>, over: &Arc<Over>) -> Result<(), Failure> {
    let (session, over) = (Arc::clone(session), Arc::clone(over));
    let handler = move || {
        if !over.ended.load(Ordering::SeqCst) {
            session.close(None, String::new());
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Failure::Usage(format!("no signal handler: {e}")))
}

/// Makes the editor leave off: it takes the signal for Ctrl-C. Nothing else ends it from outside.
#[cfg(unix)]
fn interrupt() {
    use rustix::process::{Signal, getpid, kill_process};
    let _ = kill_process(getpid(), Signal::INT);
}

/// The next key does.
#[cfg(not(unix))]
fn interrupt() {}
