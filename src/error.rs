//! Errors, one enum per blame: the caller, the system, the peer.

mod calls;

pub use calls::{RecvError, RecvOrError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use crate::close::{CloseCode, Closed};
use crate::handshake::HandshakeError;
use std::sync::Arc;
use std::{fmt, io};

/// Whatever can go wrong. Small, and cheap to clone.
///
/// A normal end of a connection is not an error of iteration; a call that needs an open connection
/// tells of it with [`Error::Closed`].
///
/// # Examples
///
/// ```
/// use wsync::{Error, connect};
///
/// let error = connect("http://localhost").unwrap_err();
/// assert!(matches!(error, Error::Uri(_)));
/// assert_eq!(error.kind(), "uri.scheme");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one of a WebSocket server.
    Uri(UriError),
    /// A call that the protocol or the configuration does not allow. The connection is unharmed.
    Misuse(Misuse),
    /// The operating system, or the peer's: refused, reset, lost (`UnexpectedEof`). `OutOfMemory`: there
    /// was none for a message, and the connection was failed with 1011.
    Io(Arc<io::Error>),
    /// TLS: its configuration, a certificate, or a broken record.
    Tls(Arc<TlsError>),
    /// The proxy: its URL, what it says, or that it refuses.
    Proxy(ProxyError),
    /// The opening handshake was not what RFC 6455 section 4 asks for, or it was refused.
    Handshake(Arc<HandshakeError>),
    /// The peer broke RFC 6455; the connection was failed with [`ProtocolError::close_code`].
    Protocol(ProtocolError),
    /// A message or frame above its limit, in bytes or, for [`Limits::fragments`], in frames.
    /// Received: the connection was failed with 1009.
    ///
    /// [`Limits::fragments`]: crate::Limits::fragments
    TooBig {
        /// As far as it is known.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A message came with the receive queue full, and [`Overflow::Close`] says to fail the connection
    /// then, with this code.
    ///
    /// [`Overflow::Close`]: crate::Overflow::Close
    Overflow(CloseCode),
    /// The connection is closed or closing, and how.
    Closed(Arc<Closed>),
    /// A deadline passed, and which.
    Timeout(Timeout),
    /// A receive call was told to stop ([`Receiver::recv_or`](crate::Receiver::recv_or)).
    Stopped,
}

impl Error {
    /// The variant as a short stable path such as `protocol.bad_opcode`, `timeout.open` or `io`:
    /// for logs and counters.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = wsync::connect("ws://localhost:99999/").unwrap_err();
    /// assert_eq!(error.kind(), "uri.port");
    /// ```
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Uri(e) => e.kind(),
            Error::Misuse(e) => e.kind(),
            Error::Io(_) => "io",
            Error::Tls(_) => "tls",
            Error::Proxy(e) => e.kind(),
            Error::Handshake(e) => e.kind(),
            Error::Protocol(e) => e.kind(),
            Error::TooBig { .. } => "too_big",
            Error::Overflow(_) => "overflow",
            Error::Closed(_) => "closed",
            Error::Timeout(which) => which.kind(),
            Error::Stopped => "stopped",
        }
    }

    /// The HTTP response of a server that refused the opening handshake, with its body.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let reject = |upgrade: wsync::Upgrade| upgrade.reject(http::StatusCode::NOT_FOUND, "no such room\n");
    /// # std::thread::spawn(move || server.serve_upgrades(move |upgrade| drop(upgrade.and_then(reject))));
    /// let error = wsync::connect(&url).unwrap_err();
    /// let response = error.response().ok_or("no answer")?;
    /// assert_eq!(response.status(), 404);
    /// assert_eq!(response.body(), b"no such room\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn response(&self) -> Option<&http::Response<Vec<u8>>> {
        match self {
            Error::Handshake(e) => e.response(),
            _ => None,
        }
    }

    /// Whether the peer is to blame.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Error, ProtocolError};
    ///
    /// assert!(Error::from(ProtocolError::Masked).is_peer());
    /// assert!(!wsync::connect("no address").unwrap_err().is_peer());
    /// ```
    pub fn is_peer(&self) -> bool {
        matches!(
            self,
            Error::Handshake(_) | Error::Protocol(_) | Error::TooBig { .. }
        )
    }

    /// Whether a deadline passed.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Error, Timeout};
    ///
    /// assert!(Error::Timeout(Timeout::Open).is_timeout());
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(self, Error::Timeout(_))
    }

    /// The code to fail the connection with (RFC 6455 section 7.1.7).
    pub(crate) fn close_code(&self) -> Option<CloseCode> {
        match self {
            Error::Protocol(e) => Some(e.close_code()),
            Error::TooBig { .. } => Some(CloseCode::TOO_BIG),
            Error::Timeout(Timeout::Message) => Some(CloseCode::POLICY_VIOLATION),
            Error::Overflow(code) => Some(*code),
            Error::Misuse(Misuse::Panic) => Some(CloseCode::INTERNAL_ERROR),
            Error::Io(e) if e.kind() == io::ErrorKind::OutOfMemory => {
                Some(CloseCode::INTERNAL_ERROR)
            }
            _ => None,
        }
    }

    pub(crate) fn out_of_memory() -> Self {
        Error::from(io::Error::from(io::ErrorKind::OutOfMemory))
    }

    /// The first to fail knows best why; but the system tells it once, to who reads or to who writes, and the
    /// other learns only that the stream has ended.
    pub(crate) fn or_cause(self, later: Error) -> Error {
        let kind = |error: &Error| match error {
            Error::Io(e) => Some(e.kind()),
            _ => None,
        };
        let ended = [
            Some(io::ErrorKind::BrokenPipe),
            Some(io::ErrorKind::UnexpectedEof),
        ];
        let os = matches!(&later, Error::Io(e) if e.raw_os_error().is_some());
        match ended.contains(&kind(&self)) && os && !ended.contains(&kind(&later)) {
            true => later,
            false => self,
        }
    }

    pub(crate) fn eof() -> Self {
        Error::from(io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Uri(e) => write!(f, "bad address: {e}"),
            Error::Proxy(e) => write!(f, "the proxy: {e}"),
            Error::Misuse(e) => e.fmt(f),
            Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                write!(
                    f,
                    "the connection was lost: the peer ended it without a Close frame"
                )
            }
            Error::Io(e) => e.fmt(f),
            Error::Tls(e) => write!(f, "TLS: {e}"),
            Error::Handshake(e) => write!(f, "opening handshake: {e}"),
            Error::Protocol(e) => write!(f, "the peer broke the protocol: {e}"),
            Error::TooBig { size, limit } => write!(f, "too big: {size}, the limit is {limit}"),
            Error::Overflow(_) => write!(f, "a message came with the receive queue full"),
            Error::Closed(closed) => write!(f, "closed: {closed}"),
            Error::Timeout(which) => which.fmt(f),
            Error::Stopped => f.write_str("told to stop"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Uri(e) => Some(e),
            Error::Misuse(e) => Some(e),
            Error::Io(e) => Some(&**e),
            Error::Tls(e) => Some(&**e),
            Error::Proxy(e) => Some(e),
            Error::Handshake(e) => Some(&**e),
            Error::Protocol(e) => Some(e),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    /// An [`Error`] that went through `io::Error`, as from a [`MessageWriter`](crate::MessageWriter), is
    /// taken out again.
    fn from(e: io::Error) -> Self {
        match e.downcast::<Error>() {
            Ok(error) => error,
            Err(e) => Error::Io(Arc::new(e)),
        }
    }
}

impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        let kind = match &e {
            Error::Io(e) => e.kind(),
            Error::Timeout(_) => io::ErrorKind::TimedOut,
            Error::Closed(_) => io::ErrorKind::NotConnected,
            Error::Misuse(Misuse::Utf8) => io::ErrorKind::InvalidData,
            Error::Uri(_) | Error::Misuse(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, e)
    }
}

impl From<HandshakeError> for Error {
    fn from(e: HandshakeError) -> Self {
        Error::Handshake(Arc::new(e))
    }
}

impl From<TlsError> for Error {
    fn from(e: TlsError) -> Self {
        Error::Tls(Arc::new(e))
    }
}

/// Error enums without payloads that matter: `from` into [`Error`], a path with an example of it, a text.
macro_rules! plain_error {
    ($name:ident, $variant:ident, $example:ident, $path:literal, { $($pattern:pat => $kind:literal, $($text:expr),+;)* }) => {
        impl $name {
            /// The variant as a short stable path: for logs and counters.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("use wsync::", stringify!($name), ";")]
            ///
            #[doc = concat!("assert_eq!(", stringify!($name), "::", stringify!($example), ".kind(), \"", $path, "\");")]
            /// ```
            #[allow(unused_variables)]
            pub fn kind(&self) -> &'static str {
                match self { $($pattern => $kind,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $($pattern => write!(f, $($text),+),)* }
            }
        }

        impl std::error::Error for $name {}

        impl From<$name> for Error {
            fn from(e: $name) -> Self {
                Error::$variant(e)
            }
        }
    };
}

mod misuse;
mod protocol;
mod proxy;
mod uri;

pub use misuse::Misuse;
pub use protocol::ProtocolError;
pub use proxy::ProxyError;
pub use uri::UriError;

/// Which deadline passed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::{Error, Timeout};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// let error = Error::from(ws.recv_timeout(Duration::from_millis(1)).unwrap_err());
/// assert!(matches!(error, Error::Timeout(Timeout::Recv)));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// [`Timeouts::open`](crate::Timeouts::open): connecting, TLS and the opening handshake.
    Open,
    /// [`ClientBuilder::connect_timeout`](crate::ClientBuilder::connect_timeout): connecting to the last
    /// address of the host, and no other answered.
    Connect,
    /// [`Timeouts::message`](crate::Timeouts::message): a message from its first byte to its last.
    Message,
    /// [`Timeouts::send`](crate::Timeouts::send): a send.
    Send,
    /// [`Timeouts::close`](crate::Timeouts::close): the closing handshake.
    Close,
    /// [`Keepalive::timeout`](crate::Keepalive::timeout): nothing came after a ping, and the connection
    /// was failed. Or the timeout given to [`ping_wait`](crate::Sender::ping_wait).
    Ping,
    /// The timeout given to a receive call.
    Recv,
}

plain_error!(Timeout, Timeout, Open, "timeout.open", {
    Timeout::Connect => "timeout.connect", "no address of the host answered in time";
    Timeout::Open => "timeout.open", "connecting and the opening handshake took too long";
    Timeout::Message => "timeout.message", "a message took too long to arrive";
    Timeout::Send => "timeout.send", "sending took too long: the peer does not read";
    Timeout::Close => "timeout.close", "the closing handshake took too long";
    Timeout::Ping => "timeout.ping", "no answer to a ping: the peer is gone or stuck";
    Timeout::Recv => "timeout.recv", "no message came in time";
});

/// What TLS said.
///
/// # Examples
///
/// ```
/// use wsync::{Error, TlsConfig};
///
/// let error = TlsConfig::server(b"this is not PEM", b"").unwrap_err();
/// assert!(matches!(&error, Error::Tls(_)));
/// assert_eq!(error.to_string(), "TLS: there is no certificate in the PEM text");
/// ```
#[derive(Debug)]
pub struct TlsError {
    context: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl TlsError {
    #[cfg(any(feature = "native-tls", feature = "rustls", feature = "pkcs12"))]
    pub(crate) fn new(
        context: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        TlsError {
            context,
            source: Some(source.into()),
        }
    }

    pub(crate) fn plain(context: &'static str) -> Self {
        TlsError {
            context,
            source: None,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.context),
            None => f.write_str(self.context),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_stays_unless_it_only_knows_of_the_end() {
        let os = |code| Error::from(io::Error::from_raw_os_error(code));
        let made = |kind| Error::from(io::Error::from(kind));
        let (reset, timed_out) = (os(104), os(110));
        let ended = [made(io::ErrorKind::BrokenPipe), os(32), Error::eof()];
        let kept = |first: &Error, later: &Error| {
            first.clone().or_cause(later.clone()).to_string() == first.to_string()
        };
        if cfg!(target_os = "linux") {
            assert!(ended.iter().all(|end| !kept(end, &timed_out)));
            assert!(
                ended
                    .iter()
                    .all(|end| ended.iter().all(|later| kept(end, later)))
            );
        }
        assert!(kept(&timed_out, &reset) && kept(&timed_out, &Error::eof()));
        assert!(kept(&Error::eof(), &Error::Timeout(Timeout::Send)));
        assert!(kept(&Error::Timeout(Timeout::Send), &reset));
    }
}
