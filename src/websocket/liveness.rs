//! Pings, pongs and what they tell.

use super::WebSocket;
use crate::error::{Error, Misuse};
use crate::keepalive::{Keepalive, Latency};
use std::time::Duration;

impl WebSocket {
    /// Sends a ping: [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn ping(&self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        self.sender.ping(payload)
    }

    /// Sends a pong that answers no ping: [`Sender::pong`](crate::Sender::pong).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn pong(&self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        self.sender.pong(payload)
    }

    /// Sends a ping and waits for its pong: [`Sender::ping_wait`](crate::Sender::ping_wait).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn ping_wait(&self, timeout: Duration) -> Result<Duration, Error> {
        self.sender.ping_wait(timeout)
    }

    /// How long the last pongs took: [`Sender::latency`](crate::Sender::latency).
    pub fn latency(&self) -> Option<Latency> {
        self.sender.latency()
    }

    /// The pings that are sent unasked.
    pub fn keepalive(&self) -> Keepalive {
        self.sender.keepalive()
    }

    /// Changes them: [`Sender::set_keepalive`](crate::Sender::set_keepalive).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_keepalive(&self, keepalive: Keepalive) -> Result<(), Misuse> {
        self.sender.set_keepalive(keepalive)
    }
}
