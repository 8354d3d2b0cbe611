//! Connecting again: when, how often, and after which errors.

mod outgoing;
mod persistent;
mod retry_after;
mod unsent;

pub use persistent::{Persistent, PersistentBuilder, PersistentEvent};
pub use unsent::WhileDown;

use crate::client::ClientBuilder;
use crate::error::{Error, ProxyError};
use crate::handshake::HandshakeError;
use crate::receiver::CancelToken;
use crate::websocket::WebSocket;
use crossbeam_channel::{RecvTimeoutError, bounded, select};
use std::time::{Duration, Instant};
use std::{fmt, thread};

/// When to connect again.
///
/// Delays are random, so that the clients of a server that comes back do not come all at once: the first is
/// up to [`first`](Self::first), the n-th after it up to [`base`](Self::base) ×
/// [`factor`](Self::factor)ⁿ⁻¹, at most [`most`](Self::most). A `Retry-After` of the server's (RFC 9110
/// section 10.2.3) is waited for in any case.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::ReconnectPolicy;
///
/// let mut policy = ReconnectPolicy::default();
/// policy.most = Duration::from_secs(10);
/// policy.attempts = Some(20);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// The most that the first delay may be. Defaults to 5 s.
    pub first: Duration,
    /// The most that the second may be. Defaults to 3.1 s.
    pub base: Duration,
    /// By which each one grows. Defaults to 1.618.
    pub factor: f64,
    /// The most that any may be. Defaults to 90 s.
    pub most: Duration,
    /// How many connects may fail in a row. Defaults to `None`: any number.
    pub attempts: Option<usize>,
    /// A connection that lived for so long starts the delays anew. Defaults to 5 s.
    pub settled: Duration,
    /// After which errors of a connect to try again. Defaults to [`is_transient`](Self::is_transient).
    pub retry: fn(&Error) -> bool,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        ReconnectPolicy {
            first: Duration::from_secs(5),
            base: Duration::from_millis(3100),
            factor: 1.618,
            most: Duration::from_secs(90),
            attempts: None,
            settled: Duration::from_secs(5),
            retry: ReconnectPolicy::is_transient,
        }
    }
}

impl ReconnectPolicy {
    /// Whether an error may pass by itself: the network's, a timeout, an end within the handshake, and the
    /// statuses 429, 500, 502, 503 and 504 of a server or a proxy. Not an address or a certificate that is
    /// wrong, nor another refusal.
    ///
    /// # Examples
    ///
    /// No second try after a timeout:
    ///
    /// ```
    /// use wsync::{Error, ReconnectPolicy};
    ///
    /// let mut policy = ReconnectPolicy::default();
    /// policy.retry = |error| ReconnectPolicy::is_transient(error) && !error.is_timeout();
    /// assert!(!(policy.retry)(&Error::Timeout(wsync::Timeout::Open)));
    /// ```
    pub fn is_transient(error: &Error) -> bool {
        let passes = |status: http::StatusCode| matches!(status.as_u16(), 429 | 500 | 502..=504);
        match error {
            Error::Io(_) | Error::Timeout(_) => true,
            Error::Handshake(error) => match &**error {
                HandshakeError::Eof => true,
                HandshakeError::Status(response) => passes(response.status()),
                _ => false,
            },
            Error::Proxy(ProxyError::Eof | ProxyError::Socks(1 | 3..=6)) => true,
            Error::Proxy(ProxyError::Status(status)) => passes(*status),
            _ => false,
        }
    }

    /// The n-th delay; `chance` is from 0 to 1.
    fn delay(&self, n: usize, chance: f64) -> Duration {
        let most = match n {
            0 => self.first,
            n => {
                let factor = self.factor.max(1.0).powi(n.min(1000) as i32 - 1);
                let grown = self.base.as_secs_f64() * factor;
                Duration::try_from_secs_f64(grown).unwrap_or(self.most)
            }
        };
        let most = most.min(self.most);
        Duration::try_from_secs_f64(most.as_secs_f64() * chance).unwrap_or(most)
    }
}

/// Called before a wait.
type OnWait = Box<dyn Fn(Option<&Error>, Duration) + Send + Sync>;

/// Connections to the same server, one after the other: see [`ClientBuilder::reconnect`].
///
/// # Examples
///
/// ```
/// use wsync::{ClientBuilder, ReconnectPolicy};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let mut connections = ClientBuilder::new(&url).reconnect(ReconnectPolicy::default());
/// let ws = connections.next().expect("nobody stops it")?;
/// ws.send("hello")?;
/// # Ok::<(), wsync::Error>(())
/// ```
pub struct Reconnect {
    builder: ClientBuilder,
    policy: ReconnectPolicy,
    stop: CancelToken,
    /// Delays since a connection was settled.
    delays: usize,
    /// When the connection opened that was given out last.
    opened: Option<Instant>,
    over: bool,
    on_wait: OnWait,
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("builder", &self.builder)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Reconnect {
    pub(crate) fn new(builder: ClientBuilder, policy: ReconnectPolicy, stop: CancelToken) -> Self {
        Reconnect {
            builder,
            policy,
            stop,
            delays: 0,
            opened: None,
            over: false,
            on_wait: Box::new(|_, _| {}),
        }
    }

    /// Calls `hook` before each wait, with how long that will be and the error of the connect before it, if that
    /// failed: to show it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// let connections = ClientBuilder::new("wss://example.org/feed").reconnect(ReconnectPolicy::default());
    /// for ws in connections.on_wait(|error, delay| println!("{error:?}; again in {delay:?}")) {
    ///     ws?.send("subscribe")?;
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn on_wait(
        mut self,
        hook: impl Fn(Option<&Error>, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.on_wait = Box::new(hook);
        self
    }

    /// Ends the iteration when it is cancelled, at once: also while it waits or connects.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let mut connections = ClientBuilder::new(&url).reconnect(ReconnectPolicy::default());
    /// let stop = connections.stop_token();
    /// let ws = connections.next().expect("nobody stops it")?;
    /// stop.cancel();
    /// assert!(connections.next().is_none());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn stop_token(&self) -> CancelToken {
        self.stop.clone()
    }

    /// Waits before the next connect. False when it is stopped.
    fn wait(&mut self, error: Option<&Error>) -> bool {
        let delay = self.policy.delay(self.delays, rand::random());
        let delay = delay.max(error.and_then(retry_after::of).unwrap_or_default());
        self.delays += 1;
        log::debug!("connecting again in {delay:?}");
        (self.on_wait)(error, delay);
        let waited = self.stop.ended().recv_timeout(delay);
        waited == Err(RecvTimeoutError::Timeout)
    }

    /// On a thread of its own, which is left to itself when this is stopped. `None` then.
    fn connect(&self) -> Option<Result<WebSocket, Error>> {
        let (sender, connected) = bounded(1);
        let builder = self.builder.clone();
        let connect = move || drop(sender.send(builder.connect()));
        let thread = thread::Builder::new().name("ws-connect".into());
        if let Err(e) = thread.spawn(connect) {
            return Some(Err(e.into()));
        }
        select! {
            recv(connected) -> result => Some(result.unwrap_or_else(|_| Err(Error::eof()))),
            recv(self.stop.ended()) -> _ => None,
        }
    }
}

impl Iterator for Reconnect {
    type Item = Result<WebSocket, Error>;

    /// The next connection, after the delay that is due; an error that is not retried, once; `None` after
    /// that, and when it is stopped.
    fn next(&mut self) -> Option<Self::Item> {
        if self.over || self.stop.is_cancelled() {
            return None;
        }
        if let Some(opened) = self.opened.take() {
            if opened.elapsed() >= self.policy.settled {
                self.delays = 0;
            }
            if !self.wait(None) {
                return None;
            }
        }
        let mut failed = 0;
        loop {
            let error = match self.connect()? {
                Ok(ws) => {
                    self.opened = Some(Instant::now());
                    return Some(Ok(ws));
                }
                Err(error) => error,
            };
            failed += 1;
            log::debug!("a connect failed: {error}");
            let enough = self.policy.attempts.is_some_and(|most| failed >= most);
            if enough || !(self.policy.retry)(&error) {
                self.over = true;
                return Some(Err(error));
            }
            if !self.wait(Some(&error)) {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(policy: &ReconnectPolicy, n: usize) -> f64 {
        policy.delay(n, 1.0).as_secs_f64()
    }

    #[test]
    fn delays_grow_up_to_the_most() {
        let policy = ReconnectPolicy::default();
        let expected = [
            5.0, 3.1, 5.016, 8.116, 13.131, 21.247, 34.377, 55.622, 89.994, 90.0,
        ];
        for (n, expected) in expected.into_iter().enumerate() {
            assert!((seconds(&policy, n) - expected).abs() < 0.002, "{n}");
        }
        assert_eq!(seconds(&policy, usize::MAX), 90.0);
        assert_eq!(policy.delay(3, 0.0), Duration::ZERO);
        assert_eq!(policy.delay(0, 0.5), Duration::from_millis(2500));
    }

    #[test]
    fn whoever_wants_to_hears_of_each_wait() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", free.local_addr().unwrap());
        drop(free);
        let policy = ReconnectPolicy {
            first: Duration::from_millis(10),
            base: Duration::from_millis(10),
            attempts: Some(3),
            ..ReconnectPolicy::default()
        };
        let (sender, waits) = std::sync::mpsc::channel();
        let mut connections = ClientBuilder::new(url)
            .reconnect(policy)
            .on_wait(move |e, delay| {
                sender.send((e.map(Error::kind), delay)).unwrap();
            });
        assert!(connections.next().unwrap().is_err());
        let waits: Vec<_> = waits.try_iter().collect();
        assert!(
            waits.len() == 2 && waits.iter().all(|(kind, _)| *kind == Some("io")),
            "{waits:?}"
        );
        assert!(
            waits
                .iter()
                .all(|(_, delay)| *delay <= Duration::from_millis(20))
        );
    }

    #[test]
    fn no_policy_makes_a_delay_that_is_none() {
        let mut policy = ReconnectPolicy::default();
        for factor in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            policy.factor = factor;
            (0..50).for_each(|n| assert!(policy.delay(n, 1.0) <= policy.most));
        }
        policy.most = Duration::MAX;
        policy.factor = 1e9;
        (0..50).for_each(|n| assert!(policy.delay(n, 0.5) < Duration::MAX));
    }

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let status = |status: u16| {
            let response = http::Response::builder().status(status).body(Vec::new());
            Error::from(HandshakeError::Status(Box::new(response.unwrap())))
        };
        let passing = [
            Error::eof(),
            Error::Timeout(crate::error::Timeout::Open),
            HandshakeError::Eof.into(),
            status(503),
            status(429),
            ProxyError::Eof.into(),
            ProxyError::Socks(5).into(),
            ProxyError::Status(http::StatusCode::BAD_GATEWAY).into(),
        ];
        let lasting = [
            crate::error::UriError::Scheme.into(),
            crate::error::Misuse::Header.into(),
            HandshakeError::Accept.into(),
            status(401),
            status(404),
            ProxyError::Credentials.into(),
            ProxyError::Socks(2).into(),
        ];
        assert!(passing.iter().all(ReconnectPolicy::is_transient));
        assert!(!lasting.iter().any(ReconnectPolicy::is_transient));
    }
}
