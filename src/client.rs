//! Connecting (RFC 6455 section 4.1).

#[cfg(feature = "cookies")]
mod cookies;
mod course;
mod opening;
mod reaching;
mod redirect;
mod route;

use crate::compression::Compression;
use crate::config::{Config, deadline};
#[cfg(feature = "digest")]
use crate::credentials::Credentials;
use crate::delivery::{Delivery, Event, OnPong};
use crate::error::{Error, Misuse, UriError};
use crate::keepalive::Pong;
use crate::message::Message;
use crate::net::{TlsConfig, Transport};
use crate::sender::Sender;
use crate::uri::Target;
use crate::websocket::WebSocket;
#[cfg(feature = "cookies")]
pub use cookies::CookieJar;
use course::Course;
use http::{HeaderMap, HeaderName, HeaderValue};
use route::{Route, prepared};
use std::time::Instant;

/// Connects to a `ws://` or `wss://` address with the defaults: [`ClientBuilder`] has the choices.
///
/// # Errors
///
/// As [`ClientBuilder::connect`].
///
/// # Blocking
///
/// Until the connection is open, at most 10 s.
///
/// # Examples
///
/// ```no_run
/// let ws = wsync::connect("wss://example.org/feed")?;
/// for message in &ws {
///     println!("{:?}", message?);
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
pub fn connect(uri: &str) -> Result<WebSocket, Error> {
    ClientBuilder::new(uri).connect()
}

/// A client's choices.
///
/// # Examples
///
/// ```
/// use wsync::ClientBuilder;
///
/// # let server = wsync::Server::builder().subprotocol("chat.v2").bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/chat", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
/// let ws = ClientBuilder::new(&url)
///     .header("X-Room", "7")
///     .subprotocol("chat.v2")
///     .connect()?;
/// assert_eq!(ws.subprotocol(), Some("chat.v2"));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    uri: String,
    headers: HeaderMap,
    origin: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    subprotocols: Vec<String>,
    config: Config,
    tls: TlsConfig,
    delivery: Delivery,
    on_pong: OnPong,
    route: Route,
    /// So many are followed.
    redirects: usize,
    #[cfg(feature = "cookies")]
    cookies: Option<CookieJar>,
    #[cfg(feature = "digest")]
    digest: Option<Credentials>,
    /// A value that HTTP does not allow; `connect` tells.
    misuse: Option<Misuse>,
}

impl ClientBuilder {
    /// A client of the server at `uri`. With the feature `url` its host may be in other scripts than ASCII;
    /// it is then turned into what DNS knows it as, `xn--…` (UTS 46). An `url::Url` will do, too.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url).connect()?;
    /// ws.send("hello")?;
    /// assert_eq!(ws.recv()?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn new(uri: impl Into<String>) -> Self {
        ClientBuilder {
            uri: uri.into(),
            headers: HeaderMap::new(),
            origin: None,
            user_agent: Some(HeaderValue::from_static(concat!(
                "wsync/",
                env!("CARGO_PKG_VERSION")
            ))),
            subprotocols: Vec::new(),
            config: Config::client(),
            tls: TlsConfig::client(),
            delivery: Delivery::default(),
            on_pong: OnPong::default(),
            route: Route::default(),
            redirects: 0,
            #[cfg(feature = "cookies")]
            cookies: None,
            #[cfg(feature = "digest")]
            digest: None,
            misuse: None,
        }
    }

    /// Adds a header to the request. With one that HTTP does not allow, or one of the handshake's own,
    /// [`connect`](Self::connect) fails with [`Misuse::Header`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url).header("X-Room", "7").connect()?;
    /// assert_eq!(ws.request().headers()["X-Room"], "7");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let name = HeaderName::try_from(name.as_ref());
        match (name, self.value(value)) {
            (Ok(name), Some(value)) => {
                self.headers.append(name, value);
            }
            _ => self.misuse = Some(Misuse::Header),
        }
        self
    }

    /// Sets the Origin (RFC 6454). Browsers send one; some servers ask for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::builder().origins(wsync::OriginPolicy::Any).bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
    /// let ws = ClientBuilder::new(&url).origin("https://example.org").connect()?;
    /// assert_eq!(ws.request().headers()["Origin"], "https://example.org");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn origin(mut self, origin: impl AsRef<str>) -> Self {
        self.origin = self.value(origin);
        self
    }

    /// Sets the User-Agent; `None` sends none. Defaults to `wsync/` and the version.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url).user_agent("weather-station/2.1").connect()?;
    /// assert_eq!(ws.request().headers()["User-Agent"], "weather-station/2.1");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn user_agent<'a>(mut self, user_agent: impl Into<Option<&'a str>>) -> Self {
        self.user_agent = user_agent.into().and_then(|value| self.value(value));
        self
    }

    /// Offers a subprotocol, after those offered before (RFC 6455 section 1.9).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::builder().subprotocol("chat.v1").bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
    /// let ws = ClientBuilder::new(&url).subprotocol("chat.v2").subprotocol("chat.v1").connect()?;
    /// assert_eq!(ws.subprotocol(), Some("chat.v1"), "the server knows no other");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocols.push(subprotocol.into());
        self
    }

    /// Sets limits, timeouts and the bounds of the queue. Defaults to [`Config::client`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wsync::{ClientBuilder, Config};
    ///
    /// let mut config = Config::client();
    /// config.timeouts.open = Some(Duration::from_secs(3));
    /// let builder = ClientBuilder::new("ws://localhost:9001/").config(config);
    /// ```
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Offers compression (RFC 7692): sets [`Config::compression`]. Whether the server has agreed tells
    /// [`WebSocket::compression`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{ClientBuilder, Compression};
    ///
    /// let ws = ClientBuilder::new("wss://example.org/").compression(Compression::client()).connect()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.compression = Some(compression);
        self
    }

    /// Sets the TLS of `wss`. Defaults to [`TlsConfig::client`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{ClientBuilder, TlsConfig};
    ///
    /// let tls = TlsConfig::client().add_root_certificate_pem(&std::fs::read("root.pem")?)?;
    /// let ws = ClientBuilder::new("wss://intranet.example/").tls(tls).connect()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// Lets messages go to `events`, with `key` to tell the connection: one thread can then serve many
    /// connections, or wait for messages, timers and a stop signal at once with
    /// `crossbeam_channel::select!`. Receive calls on the handle then only tell of the end.
    ///
    /// With a bounded channel that is full the reader waits, so that the peer feels it; with a policy
    /// other than [`Overflow::Block`](crate::Overflow) it reads on, and the queue of the connection
    /// takes what finds no room. When nobody can receive events any more, the next event closes the
    /// connection with 1001. Its thread lives until its last event is in the channel. A peer that does
    /// not read can hold up the one thread that answers, as any send, until the send timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, Event};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.send("it rains"))));
    /// let (events, inbox) = crossbeam_channel::bounded(1000);
    /// for city in ["oslo", "lima"] {
    ///     ClientBuilder::new(format!("{url}{city}"))
    ///         .deliver_to(events.clone(), city)
    ///         .connect()?;
    /// }
    /// drop(events);
    /// // The senders in `Opened` keep the connections open.
    /// let mut senders = Vec::new();
    /// for event in inbox {
    ///     match event {
    ///         Event::Opened { sender, .. } => senders.push(sender),
    ///         Event::Message { key, message } => println!("{key}: {message:?}"),
    ///         Event::Closed { key, closed, .. } => println!("{key}: {closed}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn deliver_to<K>(mut self, events: crossbeam_channel::Sender<Event<K>>, key: K) -> Self
    where
        K: Clone + Send + Sync + 'static,
    {
        self.delivery = Delivery::to_channel(events, key);
        self
    }

    /// Calls `handler` with each message, on the reader thread. Receive calls on the handle then only
    /// tell of the end.
    ///
    /// What the handler sends on its connection is written when all that one read brought has been
    /// handled, or when another thread writes. These sends do not wait, unless the outbox holds
    /// [`QueueConfig::bytes`](crate::QueueConfig::bytes) more than its limit, or another thread is
    /// sending a message in fragments; `flush` writes what the system takes, and `close` returns at
    /// once, with what is known by then. Sends on other connections wait as ever.
    ///
    /// Nothing is read and no ping answered while the handler runs, so it must not wait for its own
    /// connection in any other way. If it panics, the connection is failed with 1011.
    ///
    /// The first call may come before `connect` has returned. Calls go on after a close, for what came
    /// until the peer's Close frame. A receive call on the same connection fails in it with
    /// [`Misuse::InCallback`]; a send on another connection waits as it does anywhere.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url)
    ///     .on_message(|_sender, message| println!("{message:?}"))
    ///     .connect()?;
    /// ws.send("hello")?;
    /// ws.close()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn on_message(
        mut self,
        handler: impl Fn(&Sender, Message) + Send + Sync + 'static,
    ) -> Self {
        self.delivery = Delivery::to_callback(handler);
        self
    }

    /// Calls `handler` with each pong that comes, in the thread that reads. What it sends on the connection
    /// is written when it has returned; otherwise what [`on_message`](Self::on_message) says holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url)
    ///     .on_pong(|pong| println!("{:?} took {:?}", pong.payload, pong.latency))
    ///     .connect()?;
    /// ws.ping("are you there?")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn on_pong(mut self, handler: impl Fn(Pong) + Send + Sync + 'static) -> Self {
        self.on_pong = OnPong::calling(handler);
        self
    }

    /// Connects: TCP to the first address of the host that answers, TLS for `wss`, the opening handshake.
    ///
    /// # Errors
    ///
    /// [`Error::Uri`] and [`Error::Misuse`] before anything is sent; [`Error::Io`], [`Error::Tls`];
    /// [`Error::Proxy`] when there is one to pass, and it refuses;
    /// [`Error::Handshake`] when the server refuses or does not speak WebSocket, with its response;
    /// [`Error::Timeout`] after [`Timeouts::open`](crate::Timeouts::open).
    ///
    /// # Blocking
    ///
    /// Until the connection is open, at most [`Timeouts::open`](crate::Timeouts::open).
    ///
    /// # Examples
    ///
    /// A refusal comes with the server's answer:
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let reject = |upgrade: wsync::Upgrade| upgrade.reject(http::StatusCode::FORBIDDEN, "members only\n");
    /// # std::thread::spawn(move || server.serve_upgrades(move |upgrade| drop(upgrade.and_then(reject))));
    /// match ClientBuilder::new(&url).connect() {
    ///     Ok(ws) => ws.send("hello")?,
    ///     Err(error) => match error.response() {
    ///         Some(response) => println!("{}: {:?}", response.status(), response.body()),
    ///         None => println!("{error}"),
    ///     },
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn connect(&self) -> Result<WebSocket, Error> {
        let (target, deadline) = self.start()?;
        let mut course = Course::new(self, target);
        loop {
            let link = (self.route).link(course.target(), &self.config.socket, deadline)?;
            match self.open(link, &mut course, deadline) {
                Err(error) => course.go_on(error)?,
                opened => return opened,
            }
        }
    }

    /// Connects over a stream that leads to the server already: TLS for `wss`, then the opening
    /// handshake. [`BlockingTransport`](crate::BlockingTransport) makes one of anything that reads and writes.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Blocking
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpStream;
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let address = server.local_addr();
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
    /// let stream = TcpStream::connect(address)?;
    /// let ws = ClientBuilder::new("ws://example.org/feed").connect_over(stream)?;
    /// assert_eq!(ws.request().headers()["Host"], "example.org");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn connect_over(&self, stream: impl Transport) -> Result<WebSocket, Error> {
        let (target, deadline) = self.start()?;
        self.open(prepared(stream)?, &mut Course::new(self, target), deadline)
    }

    fn value(&mut self, value: impl AsRef<str>) -> Option<HeaderValue> {
        let value = HeaderValue::from_str(value.as_ref());
        value
            .inspect_err(|_| self.misuse = Some(Misuse::Header))
            .ok()
    }

    fn start(&self) -> Result<(Target, Option<Instant>), Error> {
        if let Some(misuse) = self.misuse {
            return Err(misuse.into());
        }
        self.config.check()?;
        let target = Target::parse(&self.uri)?;
        if target.is_secure() && !self.tls.is_available() {
            return Err(UriError::TlsUnavailable.into());
        }
        let deadline = deadline(Instant::now(), self.config.timeouts.open);
        Ok((target, deadline))
    }
}
