//! Connections whose opening handshake was somebody else's.

use super::WebSocket;
use crate::compression::DeflateParams;
use crate::config::Config;
use crate::connection::Opened;
use crate::delivery::OnPong;
use crate::error::{Error, Misuse};
use crate::handle::{Head, Heads};
use crate::handshake;
use crate::net::Transport;
use crate::protocol::Role;
use crate::server::Accept;
use http::{Request, Response, Version};
use std::sync::Arc;

/// What an opening handshake has agreed on that was not this crate's: for [`WebSocket::from_parts`].
///
/// # Examples
///
/// A server of one's own has read a request:
///
/// ```
/// use std::io::Write;
/// use std::net::TcpStream;
/// use wsync::{Accept, Negotiated, Role, WebSocket};
///
/// fn upgrade(
///     mut stream: TcpStream,
///     request: http::Request<()>,
///     leftover: Vec<u8>,
/// ) -> Result<WebSocket, wsync::Error> {
///     let (response, negotiated) = Negotiated::answer(&request, Accept::new())?;
///     write!(stream, "HTTP/1.1 101 Switching Protocols\r\n")?;
///     for (name, value) in response.headers() {
///         write!(stream, "{name}: {}\r\n", value.to_str().unwrap_or_default())?;
///     }
///     write!(stream, "\r\n")?;
///     WebSocket::from_parts(stream, Role::Server, leftover, negotiated)
/// }
/// # let request = http::Request::get("/")
/// #     .header("Host", "example.org")
/// #     .header("Upgrade", "websocket")
/// #     .header("Connection", "Upgrade")
/// #     .header("Sec-WebSocket-Version", "13")
/// #     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
/// #     .body(())?;
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = TcpStream::connect(listener.local_addr()?)?;
/// # let ws = upgrade(listener.accept()?.0, request, Vec::new())?;
/// # ws.send("welcome")?;
/// # let head = std::io::BufRead::lines(std::io::BufReader::new(client)).next();
/// # assert_eq!(head.ok_or("no head")??, "HTTP/1.1 101 Switching Protocols");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Negotiated {
    /// Limits, timeouts and the bounds of the queue.
    pub config: Config,
    /// The subprotocol.
    pub subprotocol: Option<String>,
    /// permessage-deflate, if it is to be used (RFC 7692).
    pub deflate: Option<DeflateParams>,
    /// What [`WebSocket::request`] tells.
    pub request: Request<()>,
    /// What [`WebSocket::response`] tells.
    pub response: Response<()>,
}

impl Negotiated {
    /// No subprotocol, no compression.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Config, Negotiated, Role, WebSocket};
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// let mut negotiated = Negotiated::new(Config::client());
    /// negotiated.subprotocol = Some("chat.v2".into());
    /// let ws = WebSocket::from_parts(stream, Role::Client, [], negotiated)?;
    /// assert_eq!(ws.subprotocol(), Some("chat.v2"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn new(config: Config) -> Self {
        Negotiated {
            config,
            subprotocol: None,
            deflate: None,
            request: Request::new(()),
            response: Response::new(()),
        }
    }

    /// What a server answers to a request that something else has read, and what is agreed on by that. The
    /// configuration is that of `accept`, or that of a server; without a path the request's target is `/`.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a request that RFC 6455 section 4.2.1 does not let pass:
    /// [`HandshakeError::status`](crate::HandshakeError::status) is the answer to it. [`Error::Misuse`] for
    /// what `accept` asks for.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Accept, Negotiated};
    ///
    /// let request = http::Request::get("/chat")
    ///     .header("Host", "example.org")
    ///     .header("Upgrade", "websocket")
    ///     .header("Connection", "Upgrade")
    ///     .header("Sec-WebSocket-Version", "13")
    ///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    ///     .body(())?;
    /// let (response, _) = Negotiated::answer(&request, Accept::new())?;
    /// assert_eq!(response.headers()["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer<B>(
        request: &Request<B>,
        accept: Accept,
    ) -> Result<(Response<()>, Negotiated), Error> {
        let mut bare = Request::new(());
        *bare.method_mut() = request.method().clone();
        *bare.uri_mut() = request.uri().clone();
        *bare.version_mut() = Version::HTTP_11;
        bare.headers_mut().clone_from(request.headers());
        handshake::check_request(&bare)?;
        let terms = accept.terms()?;
        let config = terms.config.unwrap_or_else(|| Arc::new(Config::server()));
        config.check()?;
        let (deflate, extensions) = (config.compression)
            .and_then(|ours| handshake::agree(bare.headers(), &ours))
            .unzip();
        let subprotocol = terms.subprotocol.as_deref();
        let response = handshake::accept(&bare, subprotocol, extensions.as_ref(), &terms.headers)?;
        let negotiated = Negotiated {
            config: Config::clone(&config),
            subprotocol: terms.subprotocol,
            deflate,
            request: bare,
            response: response.clone(),
        };
        Ok((response, negotiated))
    }
}

impl WebSocket {
    /// A connection over a stream on which the opening handshake is over: out of another HTTP server, or over
    /// something that has none. `leftover` is what was read behind the handshake; nothing else may read from
    /// the stream or write to it.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a configuration that cannot be, or compression in a build without it;
    /// [`Error::Io`] when the stream, or a thread, cannot be had.
    ///
    /// # Examples
    ///
    /// Two ends of one pair of sockets:
    ///
    /// ```
    /// use wsync::{Config, Negotiated, Role, WebSocket};
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let here = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (there, _) = listener.accept()?;
    /// let client = WebSocket::from_parts(here, Role::Client, [], Negotiated::new(Config::client()))?;
    /// let server = WebSocket::from_parts(there, Role::Server, [], Negotiated::new(Config::server()))?;
    /// client.send("hello")?;
    /// assert_eq!(server.recv()?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn from_parts(
        stream: impl Transport,
        role: Role,
        leftover: impl Into<Vec<u8>>,
        negotiated: Negotiated,
    ) -> Result<WebSocket, Error> {
        negotiated.config.check()?;
        if negotiated.deflate.is_some() && !cfg!(feature = "deflate") {
            return Err(Misuse::Config("compression, without the feature deflate").into());
        }
        stream.prepare()?;
        let mut opened = Opened {
            role,
            config: Arc::new(negotiated.config),
            transport: Arc::new(stream),
            tls: None,
            ended: false,
            rest: leftover.into(),
            deflate: negotiated.deflate,
            outlet: None,
            on_pong: OnPong::default(),
            place: None,
        };
        let heads = Heads {
            request: Box::new(negotiated.request),
            response: Head::parsed(Box::new(negotiated.response)),
        };
        let (ws, reader) = WebSocket::new(&mut opened, heads, negotiated.subprotocol);
        reader.start(ws.sender())?;
        Ok(ws)
    }
}
