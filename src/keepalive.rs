//! Whether the peer is still there: pings of our own, and how long their pongs take.

use bytes::Bytes;
use std::time::Duration;

/// Pings that are sent unasked, to find out whether the peer is still there (RFC 6455 section 5.5.2).
///
/// Any byte that comes is a sign of life, not only a pong. While this side does not read, because the
/// queue is full or a callback is at work, the peer is not held to be gone as long as bytes of its wait to
/// be read. What the last pongs took tells [`WebSocket::latency`](crate::WebSocket::latency).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::{Config, Keepalive};
///
/// let mut config = Config::client();
/// config.keepalive.interval = Some(Duration::from_secs(5));
/// config.keepalive.timeout = Some(Duration::from_secs(3));
/// // Or not at all:
/// config.keepalive = Keepalive::off();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// The time from one ping to the next. `None` sends none. Defaults to 20 s.
    pub interval: Option<Duration>,
    /// If nothing has come for so long after a ping, the peer is gone: the connection is failed with
    /// [`Timeout::Ping`](crate::Timeout::Ping). `None` never does. Defaults to 20 s.
    pub timeout: Option<Duration>,
}

impl Keepalive {
    /// No pings.
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
    /// assert_eq!(ws.keepalive().interval, None);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn off() -> Self {
        Keepalive {
            interval: None,
            timeout: None,
        }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive {
            interval: Some(Duration::from_secs(20)),
            timeout: Some(Duration::from_secs(20)),
        }
    }
}

/// How long pongs took: from the moment in which the ping was ready to be sent until the pong was read.
/// Pings of [`Keepalive`] and of [`ping_wait`](crate::Sender::ping_wait) are measured.
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
/// let took = ws.ping_wait(Duration::from_secs(5))?;
/// let latency = ws.latency().expect("a pong came");
/// assert_eq!((latency.last, latency.smoothed, latency.minimum), (took, took, took));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// The last one.
    pub last: Duration,
    /// An average in which each counts an eighth of what those before do, as TCP's (RFC 6298).
    pub smoothed: Duration,
    /// The shortest.
    pub minimum: Duration,
}

impl Latency {
    /// With one more.
    pub(crate) fn measured(before: Option<Latency>, last: Duration) -> Self {
        let Some(before) = before else {
            return Latency {
                last,
                smoothed: last,
                minimum: last,
            };
        };
        Latency {
            last,
            smoothed: before.smoothed - before.smoothed / 8 + last / 8,
            minimum: before.minimum.min(last),
        }
    }
}

/// A pong that came (RFC 6455 section 5.5.3), for
/// [`ClientBuilder::on_pong`](crate::ClientBuilder::on_pong) and
/// [`Upgrade::on_pong`](crate::Upgrade::on_pong).
///
/// # Examples
///
/// ```
/// use wsync::ClientBuilder;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let (pongs, came) = std::sync::mpsc::channel();
/// let ws = ClientBuilder::new(&url).on_pong(move |pong| drop(pongs.send(pong))).connect()?;
/// ws.ping("17")?;
/// let pong = came.recv().expect("the server answers");
/// assert_eq!(pong.payload, "17");
/// assert_eq!(pong.latency, None, "only pings of the library's own are measured");
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// What the ping carried; of one that nobody asked for anything.
    pub payload: Bytes,
    /// What it took, if it answers a ping that is measured.
    pub latency: Option<Duration>,
}
