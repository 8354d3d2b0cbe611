//! What can be wrong with an opening handshake, and what a server answers to it.

use super::server::refusal;
use http::header::{ALLOW, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::fmt;

/// What was wrong with the opening handshake (RFC 6455 section 4).
///
/// # Examples
///
/// ```
/// use wsync::{Error, HandshakeError};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # let reject = |upgrade: wsync::Upgrade| upgrade.reject(http::StatusCode::NOT_FOUND, "no such room\n");
/// # std::thread::spawn(move || server.serve_upgrades(move |upgrade| drop(upgrade.and_then(reject))));
/// match wsync::connect(&url).unwrap_err() {
///     Error::Handshake(error) => assert!(matches!(*error, HandshakeError::Status(_))),
///     error => return Err(error),
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
#[non_exhaustive]
pub enum HandshakeError {
    /// What came is not HTTP at all: another protocol speaks at the other end.
    NotHttp,
    /// The head of the request or response breaks RFC 9112.
    Syntax,
    /// The first line of a request is above the limit of a line.
    RequestLineTooLong,
    /// A header, or the first line of a response, is above the limit of a line.
    LineTooLong,
    /// The head is above [`Limits::head`](crate::Limits::head).
    HeadTooLarge,
    /// More than 100 headers.
    TooManyHeaders,
    /// The method of the request is not GET.
    Method,
    /// The version of HTTP is not 1.1.
    HttpVersion,
    /// The target of the request is not a path.
    Target,
    /// A header that must be there, and which.
    MissingHeader(&'static str),
    /// A header with a value that cannot be, and which.
    InvalidHeader(&'static str),
    /// A header that may be there only once, and which.
    DuplicateHeader(&'static str),
    /// A body where none may be.
    Body,
    /// A request that does not ask for a WebSocket.
    UpgradeRequired,
    /// A version of WebSocket other than 13.
    Version,
    /// The server answered with another status than 101. Its body is cut at 1 MiB, or where the
    /// connection ended.
    Status(Box<http::Response<Vec<u8>>>),
    /// `Sec-WebSocket-Accept` is not the answer to our key: the server does not speak WebSocket.
    Accept,
    /// The server chose a subprotocol that was not offered.
    Subprotocol,
    /// The server chose an extension that was not offered, or not as it was offered, or said so in a
    /// way that RFC 6455 section 9.1 does not allow.
    Extension,
    /// The connection ended before the handshake did.
    Eof,
    /// A browser with a page of a site that may not connect
    /// ([`OriginPolicy`](crate::OriginPolicy)).
    Origin,
    /// This server refused the request, and with which status.
    Rejected(StatusCode),
}

impl HandshakeError {
    /// The variant as a short stable path such as `handshake.status`: for logs and counters.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::HandshakeError;
    ///
    /// assert_eq!(HandshakeError::Origin.kind(), "handshake.origin");
    /// ```
    pub fn kind(&self) -> &'static str {
        self.row().0
    }

    /// The status with which a server answers this error. `None` when there is nothing to answer,
    /// as on the client, or when nobody is left to read it.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::HandshakeError;
    ///
    /// assert_eq!(HandshakeError::Method.status(), Some(http::StatusCode::METHOD_NOT_ALLOWED));
    /// assert_eq!(HandshakeError::Eof.status(), None);
    /// ```
    pub fn status(&self) -> Option<StatusCode> {
        self.row().1
    }

    /// The response of a server that refused, with its body.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Error;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let reject = |upgrade: wsync::Upgrade| upgrade.reject(http::StatusCode::NOT_FOUND, "no such room\n");
    /// # std::thread::spawn(move || server.serve_upgrades(move |upgrade| drop(upgrade.and_then(reject))));
    /// let Err(Error::Handshake(error)) = wsync::connect(&url) else { unreachable!("it is refused") };
    /// assert_eq!(error.response().map(|response| response.status().as_u16()), Some(404));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn response(&self) -> Option<&http::Response<Vec<u8>>> {
        match self {
            HandshakeError::Status(response) => Some(response),
            _ => None,
        }
    }

    /// The bytes with which a server answers this error.
    pub(crate) fn refusal(&self) -> Option<Vec<u8>> {
        let status = self.status()?;
        let body = format!("{self}\n");
        Some(refusal(status, &headers_of(status), body.as_bytes()))
    }

    fn row(&self) -> (&'static str, Option<StatusCode>) {
        use StatusCode as S;
        match self {
            HandshakeError::NotHttp => ("handshake.not_http", Some(S::BAD_REQUEST)),
            HandshakeError::Syntax => ("handshake.syntax", Some(S::BAD_REQUEST)),
            HandshakeError::RequestLineTooLong => {
                ("handshake.request_line_too_long", Some(S::URI_TOO_LONG))
            }
            HandshakeError::LineTooLong => ("handshake.line_too_long", Some(TOO_LARGE)),
            HandshakeError::HeadTooLarge => ("handshake.head_too_large", Some(TOO_LARGE)),
            HandshakeError::TooManyHeaders => ("handshake.too_many_headers", Some(TOO_LARGE)),
            HandshakeError::Method => ("handshake.method", Some(S::METHOD_NOT_ALLOWED)),
            HandshakeError::HttpVersion => (
                "handshake.http_version",
                Some(S::HTTP_VERSION_NOT_SUPPORTED),
            ),
            HandshakeError::Target => ("handshake.target", Some(S::BAD_REQUEST)),
            HandshakeError::MissingHeader(_) => ("handshake.missing_header", Some(S::BAD_REQUEST)),
            HandshakeError::InvalidHeader(_) => ("handshake.invalid_header", Some(S::BAD_REQUEST)),
            HandshakeError::DuplicateHeader(_) => {
                ("handshake.duplicate_header", Some(S::BAD_REQUEST))
            }
            HandshakeError::Body => ("handshake.body", Some(S::BAD_REQUEST)),
            HandshakeError::UpgradeRequired => {
                ("handshake.upgrade_required", Some(S::UPGRADE_REQUIRED))
            }
            HandshakeError::Version => ("handshake.version", Some(S::UPGRADE_REQUIRED)),
            HandshakeError::Status(_) => ("handshake.status", None),
            HandshakeError::Accept => ("handshake.accept", None),
            HandshakeError::Subprotocol => ("handshake.subprotocol", None),
            HandshakeError::Extension => ("handshake.extension", None),
            HandshakeError::Eof => ("handshake.eof", None),
            HandshakeError::Origin => ("handshake.origin", Some(S::FORBIDDEN)),
            HandshakeError::Rejected(status) => ("handshake.rejected", Some(*status)),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::NotHttp => write!(f, "what came is not HTTP"),
            HandshakeError::Syntax => write!(f, "the HTTP head is malformed"),
            HandshakeError::RequestLineTooLong => write!(f, "the request line is too long"),
            HandshakeError::LineTooLong => write!(f, "a line of the HTTP head is too long"),
            HandshakeError::HeadTooLarge => write!(f, "the HTTP head is too large"),
            HandshakeError::TooManyHeaders => write!(f, "there are too many headers"),
            HandshakeError::Method => write!(f, "the method is not GET"),
            HandshakeError::HttpVersion => write!(f, "the version of HTTP is not 1.1"),
            HandshakeError::Target => write!(f, "the target of the request is not a path"),
            HandshakeError::MissingHeader(name) => write!(f, "the header {name} is missing"),
            HandshakeError::InvalidHeader(name) => write!(f, "the header {name} is invalid"),
            HandshakeError::DuplicateHeader(name) => {
                write!(f, "the header {name} is there more than once")
            }
            HandshakeError::Body => write!(f, "a body where none may be"),
            HandshakeError::UpgradeRequired => write!(f, "the request is not one for a WebSocket"),
            HandshakeError::Version => write!(f, "the version of WebSocket is not 13"),
            HandshakeError::Status(response) => {
                write!(f, "the server answered {}", response.status())
            }
            HandshakeError::Accept => {
                write!(
                    f,
                    "the server's Sec-WebSocket-Accept does not answer the key"
                )
            }
            HandshakeError::Subprotocol => {
                write!(f, "the server chose a subprotocol that was not offered")
            }
            HandshakeError::Extension => {
                write!(f, "the server's extensions are not those that were offered")
            }
            HandshakeError::Eof => write!(f, "the connection ended before the handshake did"),
            HandshakeError::Origin => write!(f, "pages of this origin may not connect"),
            HandshakeError::Rejected(status) => write!(f, "the request was refused: {status}"),
        }
    }
}

/// The body and the headers of a response stay out of it: they may be large, and secret.
impl fmt::Debug for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandshakeError({}: {self})", self.kind())
    }
}

impl std::error::Error for HandshakeError {}

/// RFC 9110 sections 15.5.6 and 15.5.22, RFC 6455 section 4.4.
fn headers_of(status: StatusCode) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        StatusCode::UPGRADE_REQUIRED => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        _ => {}
    }
    headers
}

const TOO_LARGE: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
