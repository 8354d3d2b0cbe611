//! Errors, one enum per blame: the caller, the system, the peer.

mod calls;

pub use calls::{RecvError, RecvOrError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use crate::close::{CloseCode, Closed, MAX_REASON};
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
    pub fn response(&self) -> Option<&http::Response<Vec<u8>>> {
        match self {
            Error::Handshake(e) => e.response(),
            _ => None,
        }
    }

    /// Whether the peer is to blame.
    pub fn is_peer(&self) -> bool {
        matches!(
            self,
            Error::Handshake(_) | Error::Protocol(_) | Error::TooBig { .. }
        )
    }

    /// Whether a deadline passed.
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

/// Error enums without payloads that matter: `from` into [`Error`], a path, a text.
macro_rules! plain_error {
    ($name:ident, $variant:ident, { $($pattern:pat => $kind:literal, $($text:expr),+;)* }) => {
        impl $name {
            /// The variant as a short stable path.
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

mod proxy;
mod uri;

pub use proxy::ProxyError;
pub use uri::UriError;

/// A call that the protocol or the configuration does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A close code that must not be sent (RFC 6455 section 7.4).
    CloseCode(CloseCode),
    /// A close reason of so many bytes, above [`MAX_REASON`].
    CloseReason(usize),
    /// The payload of a ping or pong of so many bytes, above 125 (RFC 6455 section 5.5).
    ControlPayload(usize),
    /// A header name or value that HTTP does not allow, or one that the handshake sets itself.
    Header,
    /// A cookie that is none, or that its address may not set (RFC 6265 section 5.3).
    Cookie,
    /// A subprotocol that is not a token, or named twice (RFC 6455 section 4.1).
    Subprotocol,
    /// A subprotocol, response or header that does not fit the request.
    Response,
    /// A callback panicked; its connection was failed with 1011.
    Panic,
    /// A call that waits for the connection, made in a callback that the connection waits for.
    InCallback,
    /// [`Upgrade::run`](crate::Upgrade::run) without a callback or a channel to run for.
    NoDelivery,
    /// Text that is not UTF-8, given to a [`MessageWriter`](crate::MessageWriter) (RFC 6455 section 8.1).
    Utf8,
    /// A pattern or a host of `Routes` that cannot be, and why.
    Route(&'static str),
    /// A value of the configuration that cannot work, such as a queue of 0 messages.
    Config(&'static str),
}

plain_error!(Misuse, Misuse, {
    Misuse::CloseCode(code) => "misuse.close_code", "the close code {code} must not be sent";
    Misuse::CloseReason(length) => "misuse.close_reason", "a close reason of {length} bytes, {MAX_REASON} are allowed";
    Misuse::ControlPayload(length) => "misuse.control_payload", "a ping or pong of {length} bytes, 125 are allowed";
    Misuse::Header => "misuse.header", "a header that HTTP does not allow or that the handshake sets itself";
    Misuse::Cookie => "misuse.cookie", "a cookie that is none, or that the address may not set";
    Misuse::Subprotocol => "misuse.subprotocol", "a subprotocol that is not a token, or is named twice";
    Misuse::Response => "misuse.response", "a response that does not fit the request";
    Misuse::Panic => "misuse.panic", "a callback panicked";
    Misuse::InCallback => "misuse.in_callback", "a callback must not wait for its own connection";
    Misuse::NoDelivery => "misuse.no_delivery", "neither a callback nor a channel for the messages";
    Misuse::Utf8 => "misuse.utf8", "text that is not UTF-8";
    Misuse::Route(what) => "misuse.route", "a route that cannot be: {what}";
    Misuse::Config(what) => "misuse.config", "{what}";
});

/// Which rule of RFC 6455 the peer broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit without an extension that gives it a meaning (section 5.2).
    ReservedBits,
    /// An opcode that is not assigned (section 5.2).
    BadOpcode(u8),
    /// A frame from a client without a mask (section 5.1).
    Unmasked,
    /// A frame from a server with a mask (section 5.1).
    Masked,
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame that is a fragment (section 5.5).
    FragmentedControl,
    /// A length in a longer form than needed (section 5.2).
    LengthForm,
    /// A length of 2^63 or more (section 5.2).
    LengthOverflow,
    /// A continuation frame with nothing to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message before the last fragment of the one before (section 5.4).
    ExpectedContinuation,
    /// A Close frame with a body of one byte (section 5.5.1).
    CloseLength,
    /// A close code that must not be sent (section 7.4).
    BadCloseCode(u16),
    /// Text, or the reason of a Close frame, that is not UTF-8 (section 8.1).
    Utf8,
    /// A compressed message that is not DEFLATE (RFC 7692 section 7.2.2).
    Deflate,
}

impl ProtocolError {
    /// The code with which the connection is failed (section 7.4.1).
    pub fn close_code(&self) -> CloseCode {
        match self {
            ProtocolError::Utf8 => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

plain_error!(ProtocolError, Protocol, {
    ProtocolError::ReservedBits => "protocol.reserved_bits", "a reserved bit is set";
    ProtocolError::BadOpcode(opcode) => "protocol.bad_opcode", "the opcode {opcode:#x} is not assigned";
    ProtocolError::Unmasked => "protocol.unmasked", "a frame from the client is not masked";
    ProtocolError::Masked => "protocol.masked", "a frame from the server is masked";
    ProtocolError::ControlTooLong => "protocol.control_too_long", "a control frame is longer than 125 bytes";
    ProtocolError::FragmentedControl => "protocol.fragmented_control", "a control frame is fragmented";
    ProtocolError::LengthForm => "protocol.length_form", "a length is not in its shortest form";
    ProtocolError::LengthOverflow => "protocol.length_overflow", "a length of 2^63 or more";
    ProtocolError::UnexpectedContinuation => "protocol.unexpected_continuation", "a continuation frame continues nothing";
    ProtocolError::ExpectedContinuation => "protocol.expected_continuation", "a message begins within another";
    ProtocolError::CloseLength => "protocol.close_length", "a Close frame with one byte";
    ProtocolError::BadCloseCode(code) => "protocol.bad_close_code", "the close code {code} must not be sent";
    ProtocolError::Utf8 => "protocol.utf8", "text is not UTF-8";
    ProtocolError::Deflate => "protocol.deflate", "a compressed message is not DEFLATE";
});

/// Which deadline passed.
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

plain_error!(Timeout, Timeout, {
    Timeout::Connect => "timeout.connect", "no address of the host answered in time";
    Timeout::Open => "timeout.open", "connecting and the opening handshake took too long";
    Timeout::Message => "timeout.message", "a message took too long to arrive";
    Timeout::Send => "timeout.send", "sending took too long: the peer does not read";
    Timeout::Close => "timeout.close", "the closing handshake took too long";
    Timeout::Ping => "timeout.ping", "no answer to a ping: the peer is gone or stuck";
    Timeout::Recv => "timeout.recv", "no message came in time";
});

/// What TLS said.
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
