//! Pings, pongs and what they tell.

use super::Sender;
use crate::error::{Error, Misuse};
use crate::keepalive::{Keepalive, Latency};
use std::time::Duration;

impl Sender {
    /// Sends a ping (RFC 6455 section 5.5.2).
    ///
    /// # Errors
    ///
    /// [`Misuse::ControlPayload`](crate::Misuse::ControlPayload) for a payload above 125 bytes, else as
    /// [`send`](Self::send).
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// sender.ping("are you there?")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn ping(&self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        self.connection().ping(payload.as_ref())
    }

    /// Sends a pong that answers no ping (RFC 6455 section 5.5.3). Pings are answered by themselves.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// sender.pong("alive")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn pong(&self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        self.connection().pong(payload.as_ref())
    }

    /// Sends a ping, waits for its pong and returns how long that took. The payload is of the library's own;
    /// a pong that answers a later ping will do (RFC 6455 section 5.5.3).
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] with [`Timeout::Ping`](crate::Timeout::Ping) when no pong came in time: the
    /// connection is as good as before. [`Misuse::InCallback`] in a callback of the connection. Else what ended
    /// the connection.
    ///
    /// # Blocking
    ///
    /// For the timeout at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// let took = sender.ping_wait(Duration::from_secs(5))?;
    /// println!("there and back in {took:?}");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn ping_wait(&self, timeout: Duration) -> Result<Duration, Error> {
        self.connection().ping_wait(timeout)
    }

    /// How long the last pongs took; `None` before the first.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// sender.ping_wait(Duration::from_secs(5))?;
    /// if let Some(latency) = sender.latency() {
    ///     println!("{:?} on average, {:?} at best", latency.smoothed, latency.minimum);
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn latency(&self) -> Option<Latency> {
        self.connection().latency()
    }

    /// The pings that are sent unasked.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// assert_eq!(sender.keepalive().interval, Some(Duration::from_secs(20)));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn keepalive(&self) -> Keepalive {
        self.connection().keepalive()
    }

    /// Changes the pings that are sent unasked, from now on: the next comes after the new interval.
    ///
    /// # Errors
    ///
    /// [`Misuse::Config`] for a time of zero; nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// let mut keepalive = sender.keepalive();
    /// keepalive.interval = Some(Duration::from_secs(60));
    /// sender.set_keepalive(keepalive)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn set_keepalive(&self, keepalive: Keepalive) -> Result<(), Misuse> {
        self.connection().set_keepalive(keepalive)
    }
}
