//! A client's request for a WebSocket, and the answer to it.

mod choices;

use super::accept::Accept;
use super::refusing::{receive_request, refusal_for, refuse};
use super::shared::{Opening, Shared};
use super::stats::Guest;
use crate::compression::{Compression, DeflateParams};
use crate::config::{Config, deadline};
use crate::connection::{Opened, Reader};
use crate::delivery::{Delivery, OnPong};
use crate::error::{Error, Misuse};
use crate::handle::{Head, Heads};
use crate::handshake::{self, HandshakeError, Received};
use crate::net::link::Link;
use crate::net::{TlsConfig, Transport};
use crate::protocol::Role;
use crate::websocket::WebSocket;
use http::{HeaderMap, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A valid request for a WebSocket: look at it, then accept or reject. Dropped, it is rejected with
/// 503.
///
/// # Examples
///
/// ```
/// use http::StatusCode;
/// use wsync::Upgrade;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/chat", server.local_addr());
/// # let client = std::thread::spawn(move || wsync::connect(&url));
/// # let mut incoming = server.incoming()?;
/// # let upgrade = incoming.next().expect("a client comes");
/// fn answer(upgrade: Upgrade) -> Result<(), wsync::Error> {
///     if upgrade.request().uri().path() != "/chat" {
///         return upgrade.reject(StatusCode::NOT_FOUND, "no such room\n");
///     }
///     upgrade.accept()?.send("welcome")?;
///     Ok(())
/// }
/// # answer(upgrade)?;
/// # assert_eq!(client.join().expect("it does not panic")?.recv()?.as_text(), Some("welcome"));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug)]
pub struct Upgrade {
    /// `None` once it was answered.
    pub(super) pending: Option<Box<Pending>>,
    request: Box<Request<()>>,
    pub(super) delivery: Delivery,
    on_pong: OnPong,
    /// Instead of that of the configuration.
    compression: Option<Option<Compression>>,
    server: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) link: Link,
    rest: Vec<u8>,
    deadline: Option<Instant>,
    guest: Guest,
}

/// A client that has just come.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) tls: Option<Arc<TlsConfig>>,
    pub(super) opening: Opening,
    pub(super) guest: Guest,
}

/// What the client is answered, and what was agreed on by that.
struct Answer {
    config: Arc<Config>,
    deflate: Option<DeflateParams>,
    subprotocol: Option<String>,
    bytes: Vec<u8>,
    /// If the bytes do not tell.
    parsed: Option<Box<Response<()>>>,
}

impl Upgrade {
    /// TLS and the request, under one deadline; a client that asks wrongly is told so. `None` for a request
    /// that was for something else, and was answered.
    #[inline(never)] // Its frame is not to stay, nor to lie below the others of the handshake.
    pub(super) fn receive(arrival: Arrival, server: Arc<Shared>) -> Result<Option<Self>, Error> {
        arrival.transport.prepare()?;
        let deadline = deadline(arrival.at, server.config.timeouts.open);
        let mut link = Link::new(arrival.transport);
        let received = receive(&mut link, &server, arrival.tls.as_deref(), deadline);
        let received = match arrival.opening.was_ended() || server.is_stopping() {
            // Whatever came of it: perhaps it was this that ended it.
            true => Err(HandshakeError::Rejected(StatusCode::SERVICE_UNAVAILABLE).into()),
            false => received,
        };
        match received {
            Ok(None) => {
                arrival.guest.leave_answered();
                Ok(None)
            }
            Ok(Some(received)) => Ok(Some(Upgrade {
                pending: Some(Box::new(Pending {
                    link,
                    rest: received.rest,
                    deadline,
                    guest: arrival.guest,
                })),
                request: received.request,
                delivery: Delivery::default(),
                on_pong: OnPong::default(),
                compression: None,
                server,
            })),
            Err(error) => {
                if let Some(refusal) = refusal_for(&error).filter(|_| link.can_speak()) {
                    refuse(&mut link, &refusal);
                }
                Err(error)
            }
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.server.is_stopping()
    }

    /// The request: path, query, headers.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// assert_eq!(upgrade.request().uri().path(), "/chat");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// The subprotocols that the client offers, the one it likes best first.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Accept;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let client = wsync::ClientBuilder::new(format!("ws://{}/", server.local_addr()));
    /// # let client = client.subprotocol("chat.v2").subprotocol("chat.v1");
    /// # let client = std::thread::spawn(move || client.connect());
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// assert_eq!(upgrade.subprotocols(), ["chat.v2", "chat.v1"]);
    /// let ws = upgrade.accept_with(Accept::new().subprotocol("chat.v1"))?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn subprotocols(&self) -> Vec<&str> {
        handshake::offered_subprotocols(&self.request)
    }

    /// The site whose script asks (RFC 6454). Browsers always tell it; other programs need not.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// match upgrade.origin() {
    ///     Some(site) => println!("a page of {site} asks"),
    ///     None => println!("no browser asks"),
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn origin(&self) -> Option<&str> {
        handshake::origin(&self.request)?.to_str().ok()
    }

    /// The client's address.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// assert!(upgrade.peer_addr().is_some_and(|address| address.ip().is_loopback()));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.pending.as_ref()?.link.transport().peer_addr()
    }

    /// Accepts, with the first subprotocol of the server's that the client offers, or the one that
    /// [`ServerBuilder::choose_subprotocol`](crate::ServerBuilder::choose_subprotocol) says.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the client is gone or no thread can be had, [`Error::Timeout`] when it does
    /// not read, [`Error::Misuse`] for a [`compression`](Self::compression) that cannot work: the client
    /// is rejected with 500 then.
    ///
    /// # Blocking
    ///
    /// Until the response is with the operating system, at most
    /// [`Timeouts::open`](crate::Timeouts::open) after the client came.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let ws = upgrade.accept()?;
    /// ws.send("welcome")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn accept(self) -> Result<WebSocket, Error> {
        let (ws, reader) = self.open(None)?;
        start(reader, &ws)?;
        Ok(ws)
    }

    /// Accepts with a subprotocol, headers or settings of this connection's own.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a subprotocol that was not offered, a header that cannot be set or a
    /// configuration that cannot work: the client is rejected with 500 then. Else as
    /// [`accept`](Self::accept).
    ///
    /// # Blocking
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Accept;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let ws = upgrade.accept_with(Accept::new().header("X-Room", "7"))?;
    /// ws.send("welcome to room 7")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn accept_with(self, accept: Accept) -> Result<WebSocket, Error> {
        let (ws, reader) = self.open(Some(&accept))?;
        start(reader, &ws)?;
        Ok(ws)
    }

    /// Accepts as [`accept`](Self::accept) does, and reads in this thread until the connection has
    /// ended: the callback of [`on_message`](Self::on_message), or the channel of
    /// [`deliver_to`](Self::deliver_to), needs no thread beside that of the handler. What it returns
    /// tells how it ended: [`closed`](WebSocket::closed), and the error of any receive call.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] when there is neither callback nor channel, and those of
    /// [`accept`](Self::accept): the connection was not opened.
    ///
    /// # Blocking
    ///
    /// Until the connection has ended, and TCP with it or a second later.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let stopper = server.clone();
    /// # let visitor = std::thread::spawn(move || {
    /// #     let answer = wsync::connect(&url).and_then(|ws| { ws.send("hello")?; Ok(ws.recv()?) });
    /// #     stopper.shutdown().and(answer)
    /// # });
    /// server.serve_upgrades(|upgrade| {
    ///     let echo = |sender: &wsync::Sender, message| drop(sender.send(message));
    ///     match upgrade.and_then(|upgrade| upgrade.on_message(echo).run()) {
    ///         Ok(ended) => println!("{:?}", ended.closed()),
    ///         Err(error) => eprintln!("not opened: {error}"),
    ///     }
    /// })?;
    /// # assert_eq!(visitor.join().expect("it does not panic")?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn run(self) -> Result<WebSocket, Error> {
        self.run_as(None)
    }

    /// Accepts as [`run`](Self::run) does, with a subprotocol, headers or settings of this connection's own.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run) and [`accept_with`](Self::accept_with).
    ///
    /// # Blocking
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Accept;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url)?.close());
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let echo = |sender: &wsync::Sender, message| drop(sender.send(message));
    /// let ended = upgrade.on_message(echo).run_with(Accept::new().header("X-Room", "7"))?;
    /// assert!(ended.closed().is_some());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn run_with(self, accept: Accept) -> Result<WebSocket, Error> {
        self.run_as(Some(&accept))
    }

    fn run_as(mut self, accept: Option<&Accept>) -> Result<WebSocket, Error> {
        if self.delivery.is_none() {
            self.refuse(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), b"");
            return Err(Misuse::NoDelivery.into());
        }
        let (ws, reader) = self.open(accept)?;
        run(reader, &ws);
        Ok(ws)
    }

    #[inline(never)] // As `receive`.
    fn open(mut self, accept: Option<&Accept>) -> Result<(WebSocket, Box<Reader>), Error> {
        let answer = match self.answer(accept) {
            Ok(answer) => answer,
            Err(misuse) => {
                self.refuse(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), b"");
                return Err(misuse.into());
            }
        };
        let Some(mut pending) = self.pending.take() else {
            return Err(Error::eof());
        };
        pending.link.write_all(&answer.bytes, pending.deadline)?;
        Ok(self.connect(pending, answer))
    }

    #[inline(never)] // As `receive`.
    fn answer(&self, accept: Option<&Accept>) -> Result<Box<Answer>, Misuse> {
        if let Some(misuse) = accept.and_then(|accept| accept.misuse) {
            return Err(misuse);
        }
        let config = accept.and_then(|accept| accept.config.as_ref());
        let mut config = Arc::clone(config.unwrap_or(&self.server.config));
        if let Some(compression) = self.compression {
            Arc::make_mut(&mut config).compression = compression;
        }
        config.check()?;
        let (deflate, extensions) = config
            .compression
            .and_then(|ours| handshake::agree(self.request.headers(), &ours))
            .unzip();
        let subprotocol = match accept {
            Some(accept) => accept.subprotocol.clone(),
            None => self.server.subprotocols.choose(&self.request),
        };
        let agreed = subprotocol.as_deref();
        let extensions = extensions.as_ref();
        let extra = accept.map(|accept| &accept.headers);
        let (bytes, parsed) = match extra.filter(|extra| !extra.is_empty()) {
            None => {
                let bytes = handshake::accept_plainly(&self.request, agreed, extensions)?;
                (bytes, None)
            }
            Some(extra) => {
                let parsed = handshake::accept(&self.request, agreed, extensions, extra)?;
                // Parsing the application's headers need not give the same.
                (handshake::render_response(&parsed), Some(parsed))
            }
        };
        Ok(Box::new(Answer {
            config,
            deflate,
            subprotocol,
            bytes,
            parsed: parsed.map(Box::new),
        }))
    }

    #[inline(never)] // As `receive`.
    #[expect(clippy::boxed_local)] // By value it would be on the stack twice.
    fn hand_over(&mut self, mut pending: Box<Pending>, answer: &Answer) -> Box<Opened> {
        let parts = pending.link.into_parts();
        pending.rest.extend_from_slice(&parts.pending);
        Box::new(Opened {
            role: Role::Server,
            config: Arc::clone(&answer.config),
            transport: parts.transport,
            tls: parts.tls,
            ended: parts.ended,
            rest: pending.rest,
            deflate: answer.deflate,
            outlet: self.delivery.outlet(),
            on_pong: std::mem::take(&mut self.on_pong),
            place: Some(pending.guest.stay()),
        })
    }

    #[inline(never)] // As `receive`.
    fn connect(mut self, pending: Box<Pending>, answer: Box<Answer>) -> (WebSocket, Box<Reader>) {
        let mut opened = self.hand_over(pending, &answer);
        let heads = Heads {
            request: std::mem::take(&mut self.request),
            response: match answer.parsed {
                None => Head::from_bytes(answer.bytes),
                Some(parsed) => Head::parsed(parsed),
            },
        };
        let (ws, reader) = WebSocket::new(&mut opened, heads, answer.subprotocol);
        self.server.enlist(&ws);
        (ws, reader)
    }
}

/// A function of its own, or what it takes off the stack would lie below the opening handshake.
#[inline(never)]
fn start(reader: Box<Reader>, ws: &WebSocket) -> Result<(), Error> {
    reader.start(ws.sender())
}

/// As [`start`].
#[inline(never)]
fn run(reader: Box<Reader>, ws: &WebSocket) {
    reader.run(ws.sender());
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        self.refuse(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new(), b"");
    }
}

fn receive(
    link: &mut Link,
    server: &Shared,
    tls: Option<&TlsConfig>,
    deadline: Option<Instant>,
) -> Result<Option<Received>, Error> {
    if let Some(tls) = tls {
        link.start_tls_server(tls, deadline)?;
    }
    let received = receive_request(link, server, deadline)?;
    let refused = |received: &Received| !server.origins.allows(&received.request);
    match received.as_ref().is_some_and(refused) {
        true => Err(HandshakeError::Origin.into()),
        false => Ok(received),
    }
}
