//! The way out of a persistent client: straight to its connection, or by way of what waits for one.

use super::unsent::{Unsent, WhileDown};
use crate::close::CloseFrame;
use crate::config::deadline;
use crate::error::{Error, SendError, Timeout};
use crate::keepalive::Pong;
use crate::message::Message;
use crate::receiver::CancelToken;
use crate::sender::Sender;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the handles and the thread of a persistent client share.
pub(super) struct Shared {
    stop: CancelToken,
    /// For a message that finds no room while there is a connection.
    timeout: Option<Duration>,
    state: Mutex<State>,
    /// Wakes those that wait for room.
    room: Condvar,
}

struct State {
    /// Of the connection, while there is one.
    sender: Option<Sender>,
    /// How many connections there were: tells whether it is the same still.
    epoch: u64,
    unsent: Unsent,
    /// A thread sends what waits.
    sending: bool,
    /// Why there will be no more connections.
    over: Option<Error>,
}

impl Shared {
    pub(super) fn new(stop: CancelToken, while_down: WhileDown, timeout: Option<Duration>) -> Self {
        Shared {
            stop,
            timeout,
            state: Mutex::new(State {
                sender: None,
                epoch: 0,
                unsent: Unsent::new(while_down),
                sending: false,
                over: None,
            }),
            room: Condvar::new(),
        }
    }

    pub(super) fn stop(&self) -> &CancelToken {
        &self.stop
    }

    pub(super) fn unsent(&self) -> usize {
        self.lock().unsent.len()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.lock().sender.is_some()
    }

    pub(super) fn over(&self) -> Option<Error> {
        self.lock().over.clone()
    }

    pub(super) fn connected(&self, sender: &Sender) {
        let mut state = self.lock();
        state.sender = Some(sender.clone());
        state.epoch += 1;
    }

    pub(super) fn disconnected(&self) {
        let mut state = self.lock();
        state.sender = None;
        state.epoch += 1;
        state.unsent.rewind();
        drop(state);
        self.room.notify_all();
    }

    pub(super) fn give_up(&self, error: Error) {
        self.lock().over.get_or_insert(error);
        self.room.notify_all();
    }

    pub(super) fn end(&self) -> Vec<Message> {
        self.stop.cancel();
        self.give_up(Error::Stopped);
        let sender = self.lock().sender.take();
        if let Some(sender) = sender {
            let _ = sender.close();
        }
        self.lock().unsent.take_all()
    }

    pub(super) fn send(&self, message: Message) -> Result<(), SendError> {
        let state = self.lock();
        if let Some(over) = state.over.clone() {
            return Err(handed_back(over, message));
        }
        if state.unsent.hands_back() {
            let sender = state.sender.clone();
            drop(state);
            return match sender {
                Some(sender) => sender.send(message),
                None => Err(handed_back(not_connected(), message)),
            };
        }
        self.keep(state, message)?;
        self.send_waiting();
        Ok(())
    }

    /// Puts it behind those that wait; while there is a connection, room is waited for.
    fn keep(
        &self,
        mut state: MutexGuard<'_, State>,
        mut message: Message,
    ) -> Result<(), SendError> {
        let until = deadline(Instant::now(), self.timeout);
        loop {
            message = match state.unsent.put(message) {
                Ok(()) => return Ok(()),
                Err(message) => message,
            };
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let error = match (&state.over, &state.sender) {
                (Some(over), _) => over.clone(),
                (None, None) => not_connected(),
                _ if left == Some(Duration::ZERO) => Error::Timeout(Timeout::Send),
                _ => {
                    let left = left.unwrap_or(Duration::MAX);
                    let waited = self.room.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
            };
            return Err(handed_back(error, message));
        }
    }

    /// Sends what waits, in order, unless a thread does so already.
    pub(super) fn send_waiting(&self) {
        let mut state = self.lock();
        if state.sending {
            return;
        }
        state.sending = true;
        while let (Some(sender), Some(message)) = (state.sender.clone(), state.unsent.next()) {
            let (epoch, message) = (state.epoch, message.clone());
            drop(state);
            let sent = sender.send(message);
            state = self.lock();
            let same = state.epoch == epoch;
            match sent {
                // Of another connection's it is not known here what has come.
                Ok(()) if same || !state.unsent.resends() => {
                    state.unsent.note_sent();
                    self.room.notify_all();
                    state = self.ask(state);
                }
                Ok(()) => {}
                Err(error) => {
                    log::debug!("a message waits for the next connection: {}", error.error);
                    if same {
                        // It may only be slow; then it is given up.
                        state.sender = None;
                        drop(state);
                        sender.close_without_waiting(CloseFrame::going_away());
                        state = self.lock();
                    }
                }
            }
        }
        state.sending = false;
    }

    /// Asks for confirmation, if it is time.
    fn ask<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (Some(sender), Some(ping)) = (state.sender.clone(), state.unsent.ask()) else {
            return state;
        };
        drop(state);
        let _ = sender.ping(ping);
        self.lock()
    }

    pub(super) fn confirm(&self, pong: &Pong) {
        let mut state = self.lock();
        state.unsent.answer(&pong.payload);
        self.room.notify_all();
        drop(self.ask(state));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn handed_back(error: Error, message: Message) -> SendError {
    SendError {
        error,
        message: Some(message),
    }
}

fn not_connected() -> Error {
    io::Error::from(io::ErrorKind::NotConnected).into()
}
