//! What can be set on a connection, with the defaults.

use crate::error::Misuse;
use std::time::{Duration, Instant};

/// The settings of a connection.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::Config;
///
/// let mut config = Config::client();
/// config.limits.message = 1 << 20;
/// config.timeouts.send = Some(Duration::from_secs(5));
/// config.queue.messages = 100;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How big things may be.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The bounds of the receive queue.
    pub queue: QueueConfig,
    /// A message longer than this, in bytes, is sent in fragments of this size, so that a pong or a
    /// Close frame can go between them. Defaults to 1 MiB; `None` never fragments.
    pub fragment_size: Option<usize>,
}

impl Config {
    /// The defaults of a client: messages up to 64 MiB.
    pub fn client() -> Self {
        Config {
            limits: Limits {
                message: 64 << 20,
                ..Limits::default()
            },
            timeouts: Timeouts::default(),
            queue: QueueConfig::default(),
            fragment_size: Some(1 << 20),
        }
    }

    /// The defaults of a server: messages up to 1 MiB.
    pub fn server() -> Self {
        Config {
            limits: Limits::default(),
            ..Config::client()
        }
    }

    pub(crate) fn check(&self) -> Result<(), Misuse> {
        let rules = [
            (self.limits.fragments > 0, "a limit of 0 fragments"),
            (self.limits.outbox > 0, "a limit of 0 bytes for the outbox"),
            (self.queue.messages > 0, "a queue of 0 messages"),
            (self.queue.bytes > 0, "a queue of 0 bytes"),
            (self.fragment_size != Some(0), "fragments of 0 bytes"),
        ];
        match rules.iter().find(|(kept, _)| !kept) {
            Some((_, broken)) => Err(Misuse::Config(broken)),
            None => Ok(()),
        }
    }
}

/// How big things may be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The payload of a received message, in bytes. Defaults to 1 MiB on a server and 64 MiB on a
    /// client. Above it the connection is failed with 1009, before the bytes are stored.
    pub message: usize,
    /// The payload of a received frame, in bytes. Defaults to `None`: the limit of a message.
    pub frame: Option<usize>,
    /// The frames of a received message; an empty one counts twice. Defaults to 131 072.
    pub fragments: usize,
    /// The head of an HTTP request or response, in bytes. Defaults to 16 KiB. A line may have half of it,
    /// at most 8 KiB.
    pub head: usize,
    /// Bytes that wait for the socket. At this mark a send waits until there is room. Defaults to
    /// 128 KiB; one message or fragment more may be held.
    pub outbox: usize,
}

impl Default for Limits {
    /// Those of a server.
    fn default() -> Self {
        Limits {
            message: 1 << 20,
            frame: None,
            fragments: 131_072,
            head: 16 << 10,
            outbox: 128 << 10,
        }
    }
}

/// How long things may take. `None` sets no bound.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Connecting, TLS and the opening handshake together. Defaults to 10 s.
    pub open: Option<Duration>,
    /// A received message from its first byte to its last. Defaults to 60 s.
    pub message: Option<Duration>,
    /// A send, until its bytes are with the operating system. Defaults to 30 s.
    pub send: Option<Duration>,
    /// The closing handshake, until TCP has ended. Defaults to 10 s.
    pub close: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            open: Some(Duration::from_secs(10)),
            message: Some(Duration::from_secs(60)),
            send: Some(Duration::from_secs(30)),
            close: Some(Duration::from_secs(10)),
        }
    }
}

/// When a timeout that starts now has passed; `None` sets no bound, and neither does a time beyond
/// what the clock can tell.
pub(crate) fn deadline(now: Instant, timeout: Option<Duration>) -> Option<Instant> {
    now.checked_add(timeout?)
}

/// The bounds of the receive queue. At either of them the reader stops reading, so that the peer
/// feels it; at a quarter of both it reads on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Messages. Defaults to 1024.
    pub messages: usize,
    /// Bytes of payload. Defaults to 16 MiB. A message above it still passes when it is alone.
    pub bytes: usize,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            messages: 1024,
            bytes: 16 << 20,
        }
    }
}
