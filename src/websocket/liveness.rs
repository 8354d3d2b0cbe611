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
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.ping("are you there?")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.pong("alive")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// println!("there and back in {:?}", ws.ping_wait(Duration::from_secs(5))?);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn ping_wait(&self, timeout: Duration) -> Result<Duration, Error> {
        self.sender.ping_wait(timeout)
    }

    /// How long the last pongs took: [`Sender::latency`](crate::Sender::latency).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert_eq!(ws.latency(), None, "no ping yet");
    /// ws.ping_wait(Duration::from_secs(5))?;
    /// println!("{:?}", ws.latency());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn latency(&self) -> Option<Latency> {
        self.sender.latency()
    }

    /// The pings that are sent unasked: [`Sender::keepalive`](crate::Sender::keepalive).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert_eq!(ws.keepalive().timeout, Some(Duration::from_secs(20)));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn keepalive(&self) -> Keepalive {
        self.sender.keepalive()
    }

    /// Changes the pings that are sent unasked: [`Sender::set_keepalive`](crate::Sender::set_keepalive).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Keepalive;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.set_keepalive(Keepalive::off())?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn set_keepalive(&self, keepalive: Keepalive) -> Result<(), Misuse> {
        self.sender.set_keepalive(keepalive)
    }
}
