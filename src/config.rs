//! What can be set on a connection, with the defaults.

use crate::close::CloseCode;
use crate::compression::Compression;
use crate::error::Misuse;
use crate::keepalive::Keepalive;
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
    /// Pings that find out whether the peer is still there.
    pub keepalive: Keepalive,
    /// Options of the TCP sockets that a client connects and a server accepts.
    pub socket: SocketOptions,
    /// The bounds of the receive queue, and what happens at them.
    pub queue: QueueConfig,
    /// Compression of messages, if the peer agrees to it. Defaults to `None`: off.
    pub compression: Option<Compression>,
    /// A message longer than this, in bytes, is sent in fragments of this size, so that a pong or a
    /// Close frame can go between them. Defaults to 1 MiB; `None` never fragments.
    pub fragment_size: Option<usize>,
    /// A received message longer than this, in bytes, is queued in pieces while it arrives, for
    /// [`Receiver::recv_streaming`](crate::Receiver::recv_streaming); other receive calls put it
    /// together. Needs [`Overflow::Block`]. Defaults to `None`: messages are queued whole.
    pub stream_above: Option<usize>,
    /// A receive call that would wait may read the socket itself, in the thread that called it, so
    /// that a message needs no change of threads. A reader thread is then started when it is needed:
    /// when no receive call has read for 20 to 40 ms, when several threads or a task wait for
    /// messages, when a send waits for the peer, when the connection closes. So for up to 40 ms after
    /// a receive call has returned, what arrives may not be seen by a
    /// [`QueueView`](crate::QueueView), and a ping not be answered. Of no effect with a callback or a
    /// channel, or with a policy that drops or closes ([`Overflow`]). Defaults to `true`; with `false` a reader thread always reads at once.
    pub direct_read: bool,
}

/// A piece that was dropped would leave a hole in its message.
pub(crate) const NO_PIECES: &str = "messages in pieces need Overflow::Block";

impl Config {
    /// The defaults of a client: messages up to 64 MiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, Config};
    ///
    /// let mut config = Config::client();
    /// assert_eq!(config.limits.message, 64 << 20);
    /// config.limits.message = 1 << 16; // Chat lines are small.
    /// let builder = ClientBuilder::new("wss://example.org/chat").config(config);
    /// ```
    pub fn client() -> Self {
        Config {
            limits: Limits {
                message: 64 << 20,
                ..Limits::default()
            },
            timeouts: Timeouts::default(),
            keepalive: Keepalive::default(),
            socket: SocketOptions::default(),
            queue: QueueConfig::default(),
            compression: None,
            fragment_size: Some(1 << 20),
            stream_above: None,
            direct_read: true,
        }
    }

    /// The defaults of a server: messages up to 1 MiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Config, Server};
    ///
    /// let mut config = Config::server();
    /// assert_eq!(config.limits.message, 1 << 20);
    /// config.limits.message = 16 << 20; // Pictures are not.
    /// let builder = Server::builder().config(config);
    /// ```
    pub fn server() -> Self {
        Config {
            limits: Limits::default(),
            ..Config::client()
        }
    }

    pub(crate) fn check(&self) -> Result<(), Misuse> {
        check_rules(&[
            (self.limits.fragments > 0, "a limit of 0 fragments"),
            (self.limits.outbox > 0, "a limit of 0 bytes for the outbox"),
            (self.fragment_size != Some(0), "fragments of 0 bytes"),
            (
                self.stream_above.is_none() || self.queue.overflow == Overflow::Block,
                NO_PIECES,
            ),
        ])?;
        if let Some(compression) = &self.compression {
            check_rules(&compression.rules())?;
        }
        self.keepalive.check()?;
        self.queue.check()
    }
}

impl Keepalive {
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        let zero = Some(Duration::ZERO);
        check_rules(&[
            (self.interval != zero, "a ping every 0 s"),
            (self.timeout != zero, "a ping timeout of 0 s"),
        ])
    }
}

/// How big things may be.
///
/// # Memory
///
/// What a connection may need at most, whatever its peer sends and however slowly it reads, is the sum of:
///
/// | bytes | for |
/// |---|---|
/// | 128 KiB | what is read at once; 2 KiB at rest |
/// | 1.5 × `message` | the message that arrives, in its old and its new place while it grows |
/// | [`queue.bytes`](QueueConfig::bytes) + `message` | what is queued |
/// | [`queue.messages`](QueueConfig::messages) × 100 | for each message that is queued |
/// | 2 × `outbox` + the longest message or fragment sent | what is being written, and what waits |
/// | 600 | the answer to the newest ping, a ping, a Close frame |
/// | 64 KiB | the part of the thread's stack that was used; about 8 KiB at rest |
/// | 64 KiB + the TLS library's own, about 50 KiB | with TLS |
/// | 48 KB + 137 KB to 495 KB | with [`Compression`](crate::Compression), to inflate and to deflate |
///
/// Sends in a callback wait for nobody there, so [`queue.bytes`](QueueConfig::bytes) more may wait to be
/// written. With a server's defaults and messages of at most 1 MiB that is about 20 MiB, and 15 KiB at
/// rest. The kernel's buffers come on top: [`SocketOptions`] bounds them.
///
/// # Examples
///
/// ```
/// use wsync::{Config, Server};
///
/// let mut config = Config::server();
/// config.limits.message = 64 << 10;
/// config.limits.outbox = 16 << 10;
/// let builder = Server::builder().config(config);
/// ```
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
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::{ClientBuilder, Config};
///
/// let mut config = Config::client();
/// config.timeouts.send = Some(Duration::from_secs(2));
/// config.timeouts.close = Some(Duration::from_secs(1));
/// config.timeouts.message = None;
/// let builder = ClientBuilder::new("wss://example.org/").config(config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Connecting, TLS and the opening handshake together. Defaults to 10 s.
    pub open: Option<Duration>,
    /// A received message from its first byte to its last; of one in pieces
    /// ([`Config::stream_above`]), from piece to piece. Time in which the reader does not read, because
    /// the queue is full or a callback is at work, does not count. Defaults to 60 s.
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

/// Options of TCP sockets. `None` leaves them to the operating system, which is the default of all. Nagle's
/// algorithm is always off.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::{Config, Server};
///
/// let mut config = Config::server();
/// config.socket.user_timeout = Some(Duration::from_secs(30));
/// config.socket.recv_buffer = Some(64 << 10);
/// let builder = Server::builder().config(config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SocketOptions {
    /// TCP's own probes of an idle connection (`SO_KEEPALIVE`), after so long, in whole seconds. They find a
    /// host that is gone, not a program that is stuck: [`Keepalive`] finds both.
    pub keepalive: Option<Duration>,
    /// How long sent bytes may go unacknowledged before the connection is lost (`TCP_USER_TIMEOUT`, RFC
    /// 5482), in whole milliseconds. On Linux and Android only.
    pub user_timeout: Option<Duration>,
    /// The kernel's buffer for what came (`SO_RCVBUF`), in bytes: beside the queue, what a peer can make
    /// this side hold.
    pub recv_buffer: Option<usize>,
    /// The kernel's buffer for what is sent (`SO_SNDBUF`), in bytes.
    pub send_buffer: Option<usize>,
}

/// When a timeout that starts now has passed; `None` sets no bound, and neither does a time beyond
/// what the clock can tell.
pub(crate) fn deadline(now: Instant, timeout: Option<Duration>) -> Option<Instant> {
    now.checked_add(timeout?)
}

/// The bounds of the receive queue, and what happens at them.
///
/// With [`Overflow::Block`] the reader stops reading at either bound, so that the peer feels it, and
/// reads on at the low mark.
///
/// # Examples
///
/// The newest 100 prices, whatever the application does meanwhile:
///
/// ```
/// use wsync::{Config, Overflow};
///
/// let mut config = Config::client();
/// config.queue.messages = 100;
/// config.queue.overflow = Overflow::DropOldest;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Messages. Defaults to 1024.
    pub messages: usize,
    /// Bytes of payload. Defaults to 16 MiB. There is room as long as less is queued, so the last
    /// message may go beyond.
    pub bytes: usize,
    /// The low mark, in messages: once stopped, the reader reads on when no more than these are left,
    /// and of the bytes no larger share. Below `messages`. Defaults to `None`: a quarter.
    pub low_mark: Option<usize>,
    /// What happens to a message that comes with the queue full. Defaults to [`Overflow::Block`].
    pub overflow: Overflow,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            messages: 1024,
            bytes: 16 << 20,
            low_mark: None,
            overflow: Overflow::Block,
        }
    }
}

impl QueueConfig {
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        check_rules(&[
            (self.messages > 0, "a queue of 0 messages"),
            (self.bytes > 0, "a queue of 0 bytes"),
            (
                self.low_mark.is_none_or(|low| low < self.messages),
                "a low mark that is not below the bound",
            ),
        ])?;
        match self.overflow {
            Overflow::Close(code) if !code.is_sendable() => Err(Misuse::CloseCode(code)),
            _ => Ok(()),
        }
    }

    /// The low mark in messages and in bytes.
    pub(crate) fn low_marks(&self) -> (usize, usize) {
        match self.low_mark {
            None => (self.messages / 4, self.bytes / 4),
            Some(low) => {
                let share = self.bytes as u128 * low as u128 / self.messages.max(1) as u128;
                (low, share as usize)
            }
        }
    }
}

/// What happens to a message that comes with the queue full. What is dropped is counted
/// ([`QueueStats`](crate::QueueStats), [`Closed::dropped`](crate::Closed::dropped)).
///
/// Except with `Block` the reader always reads: pings and Close frames are answered whatever the
/// application does.
///
/// # Examples
///
/// ```
/// use wsync::{CloseCode, Overflow, QueueConfig};
///
/// let mut queue = QueueConfig::default();
/// assert_eq!(queue.overflow, Overflow::Block);
/// queue.overflow = Overflow::Close(CloseCode::POLICY_VIOLATION); // Who is too fast has to go.
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// It waits with the peer: the reader stops reading until the low mark.
    #[default]
    Block,
    /// The oldest messages are dropped until there is room.
    DropOldest,
    /// It is dropped itself.
    DropNewest,
    /// All that wait are dropped, and it is kept: who fell behind starts afresh.
    KeepLatest,
    /// It is dropped, and the connection is failed with this code ([`Error::Overflow`]).
    ///
    /// [`Error::Overflow`]: crate::Error::Overflow
    Close(CloseCode),
}

/// The first rule that is broken, if one is.
pub(crate) fn check_rules(rules: &[(bool, &'static str)]) -> Result<(), Misuse> {
    match rules.iter().find(|(kept, _)| !kept) {
        Some((_, broken)) => Err(Misuse::Config(broken)),
        None => Ok(()),
    }
}
