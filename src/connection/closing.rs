//! The closing handshake as seen from the application (RFC 6455 section 7).

use super::{Connection, SendPath, timer};
use crate::close::{CloseFrame, Closed};
use crate::config::deadline;
use crate::error::{Error, Timeout};
use std::net::Shutdown;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long the reader may take to end after its socket was shut down.
const GRACE: Duration = Duration::from_secs(1);

impl Connection {
    /// Sends a Close frame, unless one was sent, and waits for the end.
    pub(crate) fn close(&self, frame: CloseFrame) -> Result<Closed, Error> {
        if self.is_inside() {
            // The end comes when the callback has returned.
            self.close_without_waiting(frame);
            return Ok(self.lock_send().outbound.closed().clone());
        }
        let deadline = self.begin_close(frame);
        if !self.wait_for_end(deadline) {
            let _ = self.transport.shutdown(Shutdown::Both);
            self.wait_for_end(Some(Instant::now() + GRACE));
            return Err(Error::Timeout(Timeout::Close));
        }
        match self.end() {
            Some(end) if end.error.is_none() => Ok(Closed::clone(&end.closed)),
            Some(end) => Err(end.to_error()),
            None => Err(Error::Timeout(Timeout::Close)),
        }
    }

    /// The same without waiting, for a handle that is dropped or a server that stops.
    pub(crate) fn close_without_waiting(&self, frame: CloseFrame) {
        self.close_soon(frame, self.config.timeouts.close);
    }

    /// The same with a timeout of its own, also for one that is closing already.
    pub(crate) fn close_soon(&self, frame: CloseFrame, timeout: Option<Duration>) {
        if self.end().is_some() {
            return;
        }
        let now = Instant::now();
        let deadline = deadline(now, timeout);
        let mut path = self.lock_send();
        path.close(frame, now, timeout);
        if let Some(deadline) = deadline {
            path.hurry(deadline);
        }
        drop(path);
        self.turn.notify_all();
        self.queue.release();
        if self.write_without_waiting() {
            // The reader does not know of it, and may sleep until the peer says something.
            self.write_soon();
        }
        if let Some(deadline) = deadline {
            timer::shutdown_at(deadline, &self.transport);
        }
    }

    /// Ends a connection that is closing, as if its time were over.
    pub(crate) fn cut_off(&self) {
        self.lock_send().hurry(Instant::now());
        let _ = self.transport.shutdown(Shutdown::Both);
    }

    fn begin_close(&self, frame: CloseFrame) -> Option<Instant> {
        let now = Instant::now();
        let mut path = self.lock_send();
        path.close(frame, now, self.config.timeouts.close);
        let deadline = path.outbound.deadline();
        self.turn.notify_all();
        drop(path);
        self.queue.release();
        self.write_until(self.lock_send(), deadline);
        deadline
    }

    /// Waits until the connection has ended. False when the deadline came first.
    pub(crate) fn wait_for_end(&self, deadline: Option<Instant>) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while self.end.get().is_none() {
            ended = match deadline {
                None => self
                    .end_came
                    .wait(ended)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let result = self.end_came.wait_timeout(ended, left);
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

impl SendPath {
    fn close(&mut self, frame: CloseFrame, now: Instant, timeout: Option<Duration>) {
        if self.dead.is_none() {
            self.outbound.close(frame, now, timeout);
        }
    }

    fn hurry(&mut self, deadline: Instant) {
        if self.dead.is_none() {
            self.outbound.hurry(deadline);
        }
    }
}
