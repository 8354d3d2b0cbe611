//! Talking to a server at a terminal.

use super::Arguments;
use super::command::{self, Command};
use super::display::{Texts, display};
use super::editor::{Editor, Outcome, history_file};
use super::keys::Keys;
use super::pump::{self, View};
use super::screen::Screen;
use super::session::Session;
use crate::failure::Failure;
use crate::logs;
use crate::show::{self, Paint};
use anstream::{AutoStream, ColorChoice};
use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write, stdin};
use std::iter::once;
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

/// How often to look whether the terminal has another size.
const LOOK: Duration = Duration::from_millis(250);
/// How long the rest of a key may take.
const KEY: Duration = Duration::from_millis(50);

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (pongs, answers) = unbounded();
    let builder = arguments.client.builder(&arguments.url)?;
    let builder = builder.on_pong(move |pong| drop(pongs.send((pong, Instant::now()))));
    let (source, stop) = match arguments.again.policy()? {
        None => {
            let ws = builder.connect().map_err(Failure::NotConnected)?;
            (Source::One(Arc::new(ws)), CancelToken::new())
        }
        Some(policy) => {
            let reconnect = builder.reconnect(policy);
            let stop = reconnect.stop_token();
            (Source::Many(Box::new(reconnect)), stop)
        }
    };
    let colours = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
    let paint = Paint::new(colours);
    let (display, texts) = display().map_err(no_terminal)?;
    let session = Arc::new(Session::new(display, paint, stop));
    let shows = Arc::clone(&session);
    logs::shown_by(Some(Box::new(move |lines| shows.display.print(lines))));
    if let Source::One(ws) = &source {
        // What is typed ahead is to go out, too.
        session.opened(ws);
    }
    stop_on_signal(&session)?;
    tell_pongs(&session, answers);
    let view = View {
        url: arguments.url.clone(),
        insecure: arguments.client.is_insecure(),
        full: arguments.terminal.full,
        again: arguments.again.reconnect,
    };
    let over = Arc::new(AtomicBool::new(false));
    let result = receive(&session, &over, view, source);
    let file = (!arguments.terminal.no_history)
        .then(history_file)
        .flatten();
    let talk = Talk {
        screen: Screen::new(paint).map_err(no_terminal)?,
        editor: Editor::new(file).map_err(|e| Failure::Usage(e.to_string()))?,
        sends: worker(&session),
        others: worker(&session),
        session,
    };
    let waited = talk.until(&over, &texts);
    logs::shown_by(None);
    if !waited {
        return Err(Failure::Abnormal(
            "ended without a closing handshake".into(),
        ));
    }
    let told = result.recv().unwrap_or_else(|_| Ok(String::new()))?;
    let (note, told) = (paint.note, show::line(&told));
    let _ = writeln!(anstream::stdout(), "{note}{told}{note:#}");
    Ok(())
}

/// Where connections come from.
enum Source {
    One(Arc<WebSocket>),
    Many(Box<Reconnect>),
}

/// Shows what comes, on a thread of its own, and gives how it ended.
fn receive(
    session: &Arc<Session>,
    over: &Arc<AtomicBool>,
    view: View,
    source: Source,
) -> Receiver<Result<String, Failure>> {
    let (results, result) = unbounded();
    let (session, over) = (Arc::clone(session), Arc::clone(over));
    thread::spawn(move || {
        let end = match source {
            Source::One(ws) => pump::run(&session, &view, once(Ok(ws))),
            Source::Many(reconnect) => {
                let waiting = Arc::clone(&session);
                let reconnect = reconnect.on_wait(move |error, delay| waiting.waits(error, delay));
                pump::run(&session, &view, reconnect.map(|ws| ws.map(Arc::new)))
            }
        };
        let _ = results.send(end);
        over.store(true, Ordering::SeqCst);
        session.display.wake();
    });
    result
}

/// What a line is to be done with: a command, or why it is none.
type Job = Result<Command, String>;

/// The thread that has the terminal. It never waits for the connection, nor for room to show something.
struct Talk {
    screen: Screen,
    editor: Editor,
    /// A send may wait for the server; the other commands go on meanwhile.
    sends: Sender<Job>,
    others: Sender<Job>,
    session: Arc<Session>,
}

impl Talk {
    /// Reads lines and shows texts until it is over; false if the user did not want to wait for that.
    fn until(mut self, over: &AtomicBool, texts: &Texts) -> bool {
        let (mut keys, mut width, mut readable) = (Keys::default(), 0, true);
        loop {
            let was_over = over.load(Ordering::SeqCst);
            let text = texts.take();
            if !text.is_empty() || self.screen.width() != width {
                width = self.screen.width();
                self.screen.show(&text, &self.editor);
            }
            if was_over && texts.is_empty() {
                return true;
            }
            let wait = match (texts.is_empty(), keys.is_pending()) {
                (false, _) => Duration::ZERO,
                (true, true) => KEY,
                (true, false) => LOOK,
            };
            match wait_for_input(texts, readable, wait) {
                Input::Bytes(bytes) if bytes.is_empty() => {
                    // The terminal is gone.
                    readable = false;
                    self.session.close(None, String::new());
                }
                Input::Bytes(bytes) if !self.press(&mut keys, &bytes) => return false,
                Input::Nothing => keys.give_up(),
                Input::Bytes(_) | Input::Text => {}
            }
        }
    }

    /// False if it is to end at once.
    fn press(&mut self, keys: &mut Keys, bytes: &[u8]) -> bool {
        let mut pressed = Vec::new();
        keys.feed(bytes, &mut pressed);
        for key in pressed {
            match self.editor.press(key) {
                Outcome::Interrupt if self.session.is_closing() => return false,
                Outcome::Interrupt | Outcome::EndOfInput => self.session.close(None, String::new()),
                Outcome::Line(line) if !self.session.is_closing() => self.line(&line),
                Outcome::Choices(choices) => {
                    self.screen
                        .show(&format!("{}\n", choices.join("  ")), &self.editor);
                }
                Outcome::ClearScreen => self.screen.clear(),
                Outcome::Suspend => self.screen.suspend(),
                Outcome::Line(_) | Outcome::Edited => {}
            }
        }
        if self.session.is_closing() {
            self.screen.hide_prompt();
        }
        self.screen.show("", &self.editor);
        true
    }

    fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.screen.keep(line);
        }
        let job = command::parse(line);
        let _ = match job {
            Ok(Command::Send(_) | Command::Binary(_) | Command::File(_)) => self.sends.send(job),
            job => self.others.send(job),
        };
    }
}

enum Input {
    /// What was typed; empty if nobody can type any more.
    Bytes(Vec<u8>),
    Text,
    Nothing,
}

fn wait_for_input(texts: &Texts, readable: bool, wait: Duration) -> Input {
    let keyboard = stdin();
    let wait = Timespec::try_from(wait).ok();
    let mut polled = vec![PollFd::new(&texts.woken, PollFlags::IN)];
    if readable {
        polled.push(PollFd::new(&keyboard, PollFlags::IN));
    }
    if poll(&mut polled, wait.as_ref()).is_err() {
        // A signal.
        return Input::Text;
    }
    if polled
        .get(1)
        .is_some_and(|keyboard| !keyboard.revents().is_empty())
    {
        let mut bytes = vec![0; 1024];
        return match rustix::io::read(&keyboard, &mut bytes) {
            Ok(read) => Input::Bytes(bytes[..read].to_vec()),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Input::Text,
            Err(_) => Input::Bytes(Vec::new()),
        };
    }
    match polled[0].revents().is_empty() {
        true => Input::Nothing,
        false => Input::Text,
    }
}

/// A thread that does what it is told, or tells what was wrong with it.
fn worker(session: &Arc<Session>) -> Sender<Job> {
    let (sender, jobs) = unbounded::<Job>();
    let session = Arc::clone(session);
    thread::spawn(move || {
        for job in jobs {
            match job {
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

/// Ctrl-C comes as a key; this is about signals of others.
fn stop_on_signal(session: &Arc<Session>) -> Result<(), Failure> {
    let session = Arc::clone(session);
    ctrlc::set_handler(move || session.close(None, String::new()))
        .map_err(|e| Failure::Usage(format!("no signal handler: {e}")))
}

fn no_terminal(error: io::Error) -> Failure {
    Failure::Usage(format!("the terminal: {error}"))
}
