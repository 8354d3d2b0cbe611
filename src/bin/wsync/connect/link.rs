//! The connection of a pipe, for who sends over it.

use crate::failure::Failure;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wsync::{CancelToken, Error, Message, WebSocket};

/// The connection there is now, if there is one.
pub(super) struct Link {
    state: Mutex<State>,
    changed: Condvar,
    /// Ends attempts to connect again.
    stop: CancelToken,
    again: bool,
}

#[derive(Default)]
struct State {
    ws: Option<Arc<WebSocket>>,
    /// Connections so far.
    opened: u64,
    /// This side wants no more.
    over: bool,
    failure: Option<Failure>,
    /// When the last message came.
    heard: Option<Instant>,
}

impl Link {
    /// Another connection follows one that has ended, if `again` says so.
    pub(super) fn new(stop: CancelToken, again: bool) -> Self {
        Link {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            stop,
            again,
        }
    }

    /// A connection is open.
    pub(super) fn opened(&self, ws: &Arc<WebSocket>) {
        let mut state = self.lock();
        state.opened += 1;
        state.ws = Some(Arc::clone(ws));
        let over = state.over;
        drop(state);
        self.changed.notify_all();
        if over {
            self.close();
        }
    }

    /// Whether there will be another connection after this one.
    pub(super) fn goes_on(&self) -> bool {
        self.again && !self.is_over()
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// The connection, as soon as there is one that is newer than the given number. `None` once it is over.
    pub(super) fn connection(&self, newer: u64) -> Option<(Arc<WebSocket>, u64)> {
        let state = self.lock();
        let waits =
            |state: &mut State| !state.over && (state.ws.is_none() || state.opened <= newer);
        let state = (self.changed.wait_while(state, waits)).unwrap_or_else(PoisonError::into_inner);
        match state.over {
            true => None,
            false => Some((state.ws.clone()?, state.opened)),
        }
    }

    /// Sends a message, over the next connection if this one does not take it.
    pub(super) fn send(&self, mut message: Message) -> Result<(), Error> {
        let mut newer = 0;
        while let Some((ws, opened)) = self.connection(newer) {
            let refused = match ws.send(message) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            match refused.message {
                Some(back) if self.again => message = back,
                _ => return Err(refused.error),
            }
            newer = opened;
        }
        Err(Error::Stopped)
    }

    /// A message came.
    pub(super) fn heard(&self) {
        self.lock().heard = Some(Instant::now());
    }

    /// Waits until nothing has come for so long, or it is over.
    pub(super) fn wait_for_silence(&self, time: Duration) {
        let began = Instant::now();
        let mut state = self.lock();
        while !state.over {
            let silent = state
                .heard
                .map_or(began, |heard| heard.max(began))
                .elapsed();
            let Some(left) = time.checked_sub(silent).filter(|left| !left.is_zero()) else {
                return;
            };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Why it is over, if that is no good end.
    pub(super) fn fail(&self, failure: Option<Failure>) {
        self.lock().failure = failure;
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.take()
    }

    /// Closes with 1000 and makes no other connection.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.over = true;
        let ws = state.ws.clone();
        drop(state);
        self.changed.notify_all();
        self.stop.cancel();
        if let Some(ws) = ws {
            // What comes of it is told by who receives.
            let _ = ws.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
