//! What a user at a terminal can do with the connection.

use super::command::{self, Command};
use super::display::Display;
use super::format;
use crate::failure::Failure;
use crate::show::{self, Paint};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};
use wsync::{CancelToken, Error, MessageKind, Pong, WebSocket};

/// What the threads share.
pub(super) struct Session {
    pub(super) display: Display,
    pub(super) paint: Paint,
    current: Mutex<Option<Arc<WebSocket>>>,
    /// No messages are taken.
    paused: AtomicBool,
    /// Tells who takes messages that something has changed.
    nudge: (
        crossbeam_channel::Sender<()>,
        crossbeam_channel::Receiver<()>,
    ),
    /// The user wants it to end.
    closing: AtomicBool,
    /// Ends attempts to connect again.
    stop: CancelToken,
    pings: Mutex<Vec<(Vec<u8>, Instant)>>,
    ping: AtomicU64,
}

impl Session {
    pub(super) fn new(display: Display, paint: Paint, stop: CancelToken) -> Self {
        Session {
            display,
            paint,
            current: Mutex::new(None),
            paused: AtomicBool::new(false),
            nudge: crossbeam_channel::bounded(1),
            closing: AtomicBool::new(false),
            stop,
            pings: Mutex::new(Vec::new()),
            ping: AtomicU64::new(0),
        }
    }

    /// Does what a line asks for.
    pub(super) fn execute(&self, command: Command) {
        match command {
            Command::Nothing => {}
            Command::Help => self.display.print(command::help()),
            Command::Pause => self.pause(true),
            Command::Resume => self.pause(false),
            Command::Close(code, reason) => self.close(code, reason),
            command => match self.current() {
                Some(ws) => self.with(&ws, command),
                None => self.complain("there is no connection now"),
            },
        }
    }

    /// Begins to close, with 1000 if there is no code, and makes no other connection.
    pub(super) fn close(&self, code: Option<u16>, reason: String) {
        self.closing.store(true, Ordering::SeqCst);
        self.stop.cancel();
        self.paused.store(false, Ordering::SeqCst);
        self.nudge();
        if let Some(ws) = self.current() {
            // What comes of it is told by who receives.
            thread::spawn(move || drop(ws.close_with(code.unwrap_or(1000), reason)));
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(super) fn nudged(&self) -> &crossbeam_channel::Receiver<()> {
        &self.nudge.1
    }

    /// A connection is open.
    pub(super) fn opened(&self, ws: &Arc<WebSocket>) {
        *lock(&self.current) = Some(Arc::clone(ws));
        if self.is_closing() {
            self.close(None, String::new());
        }
    }

    /// It has ended.
    pub(super) fn ended(&self) {
        *lock(&self.current) = None;
        lock(&self.pings).clear();
        self.paused.store(false, Ordering::SeqCst);
    }

    /// A pong came: the answer to a ping and those before it (RFC 6455 section 5.5.3).
    pub(super) fn pong(&self, pong: &Pong, came: Instant) {
        let mut pings = lock(&self.pings);
        let Some(at) = pings
            .iter()
            .position(|(payload, _)| payload[..] == pong.payload[..])
        else {
            return;
        };
        let (payload, sent) = pings.drain(..=at).next_back().unwrap_or((Vec::new(), came));
        drop(pings);
        let payload = show::styled_line(&String::from_utf8_lossy(&payload), &self.paint);
        self.say(&format!(
            "pong {payload} after {}",
            show::duration(came - sent)
        ));
    }

    /// The next connect has to wait: after an error, or a connection that has ended.
    pub(super) fn waits(&self, error: Option<&Error>, delay: Duration) {
        if let Some(error) = error {
            self.complain(&Failure::NotConnected(error.clone()).to_string());
        }
        self.say(&format!("connecting again in {}", show::duration(delay)));
    }

    pub(super) fn say(&self, what: &str) {
        let note = self.paint.note;
        self.display.print(format!("{note}{what}{note:#}"));
    }

    pub(super) fn complain(&self, what: &str) {
        let error = self.paint.error;
        self.display
            .print(format!("{error}{}{error:#}", show::line(what)));
    }

    fn current(&self) -> Option<Arc<WebSocket>> {
        lock(&self.current).clone()
    }

    fn nudge(&self) {
        // If there is no room, it is nudged already.
        let _ = self.nudge.0.try_send(());
    }

    fn pause(&self, pause: bool) {
        let before = self.paused.swap(pause, Ordering::SeqCst);
        self.nudge();
        self.say(match (before, pause) {
            (false, true) => "paused: messages wait in the queue until /resume",
            (true, true) => "it is paused",
            (true, false) => "messages are taken again",
            (false, false) => "it is not paused",
        });
    }

    fn with(&self, ws: &Arc<WebSocket>, command: Command) {
        let sent = match command {
            Command::Send(text) => ws.send(text).map_err(Error::from),
            Command::Binary(bytes) => ws.send(bytes).map_err(Error::from),
            Command::File(path) => return self.file(ws, &path),
            Command::Ping(payload) => self.send_ping(ws, payload),
            Command::Queue => {
                return self
                    .display
                    .print(format::queue(ws, self.is_paused(), &self.paint));
            }
            Command::Stats => return self.display.print(format::stats(ws, &self.paint)),
            _ => Ok(()),
        };
        if let Err(error) = sent {
            self.complain(&format!("not sent: {error}"));
        }
    }

    fn send_ping(&self, ws: &WebSocket, payload: String) -> Result<(), Error> {
        let payload = match payload.as_str() {
            "" => (self.ping.fetch_add(1, Ordering::SeqCst) + 1).to_string(),
            _ => payload,
        };
        lock(&self.pings).push((payload.clone().into_bytes(), Instant::now()));
        ws.ping(payload)
    }

    fn file(&self, ws: &WebSocket, path: &str) {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return self.complain(&format!("{path}: {error}")),
        };
        let began = Instant::now();
        let sent = ws
            .send_streaming(MessageKind::Binary)
            .and_then(|mut writer| {
                let bytes = io::copy(&mut file, &mut writer)?;
                writer.finish().map(|()| bytes)
            });
        match sent {
            Ok(bytes) => self.say(&format!(
                "{} sent in {}",
                show::size(bytes),
                show::duration(began.elapsed().max(Duration::from_micros(1)))
            )),
            Err(error) => self.complain(&format!("{path}: {error}")),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
