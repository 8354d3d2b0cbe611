//! What a server is made of.

use super::Server;
use super::limits::{Places, ServerLimits};
use super::listener::Listener;
use super::origin::OriginPolicy;
use super::refusing::{Bouncer, OnRequest};
use super::shared::{Listening, Shared, State};
use super::subprotocols::Subprotocols;
use crate::compression::Compression;
use crate::config::{Config, check_rules};
use crate::connection::STACK;
use crate::error::{Error, Misuse};
use crate::net::TlsConfig;
use crate::net::waker::Waker;
use crate::sync::{AtomicBool, Condvar, Mutex};
use http::{Request, Response};
use std::net::ToSocketAddrs;
use std::sync::Arc;

/// A server's choices.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::{Config, Server};
///
/// let mut config = Config::server();
/// config.keepalive.interval = Some(Duration::from_secs(60));
/// let server = Server::builder().config(config).subprotocol("chat.v2").bind("127.0.0.1:0")?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    config: Config,
    tls: Option<TlsConfig>,
    listeners: Vec<Listener>,
    subprotocols: Subprotocols,
    origins: OriginPolicy,
    on_request: OnRequest,
    limits: ServerLimits,
    stack_size: Option<usize>,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        ServerBuilder {
            config: Config::server(),
            tls: None,
            listeners: Vec::new(),
            subprotocols: Subprotocols::default(),
            origins: OriginPolicy::default(),
            on_request: OnRequest::default(),
            limits: ServerLimits::default(),
            stack_size: None,
        }
    }

    /// Sets limits, timeouts and the bounds of the queues. Defaults to [`Config::server`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wsync::{Config, Server};
    ///
    /// let mut config = Config::server();
    /// config.timeouts.open = Some(Duration::from_secs(3));
    /// let server = Server::builder().config(config).bind("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Agrees to compression (RFC 7692) with clients that offer it: sets [`Config::compression`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Compression, Server};
    ///
    /// let builder = Server::builder().compression(Compression::server());
    /// ```
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.compression = Some(compression);
        self
    }

    /// Serves `wss` with this certificate and key, on all listeners that do not say otherwise
    /// ([`Listener::tls`]).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Server, TlsConfig};
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::server(&std::fs::read("server.pem")?, &std::fs::read("server.key")?)?;
    /// let server = Server::builder().tls(tls).bind("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Supports a subprotocol, after those named before (RFC 6455 section 1.9). The first of them that
    /// a client offers is agreed on.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, Server};
    ///
    /// let server = Server::builder().subprotocol("chat.v2").subprotocol("chat.v1").bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
    /// let old = ClientBuilder::new(&url).subprotocol("chat.v1").connect()?;
    /// assert_eq!(old.subprotocol(), Some("chat.v1"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocols.ours.push(subprotocol.into());
        self
    }

    /// Chooses the subprotocol by the request, instead of the first that is supported: `choose` gets what the
    /// client offers, too, and returns one of it or none. Something else is answered with 500. What
    /// [`Accept`](crate::Accept) says goes before.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Server;
    ///
    /// let server = Server::builder()
    ///     .choose_subprotocol(|request, offered| {
    ///         let wanted = if request.uri().path() == "/admin" { "admin." } else { "chat." };
    ///         offered.iter().find(|name| name.starts_with(wanted)).map(|name| name.to_string())
    ///     })
    ///     .bind("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn choose_subprotocol(
        mut self,
        choose: impl Fn(&Request<()>, &[&str]) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.subprotocols.choose = Some(Arc::new(choose));
        self
    }

    /// Sets from which sites browsers may connect. Defaults to [`OriginPolicy::SameHost`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, OriginPolicy, Server};
    ///
    /// let ours = OriginPolicy::Only(vec!["https://example.org".into()]);
    /// let server = Server::builder().origins(ours).bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
    /// assert!(ClientBuilder::new(&url).origin("https://example.com").connect().is_err());
    /// assert!(ClientBuilder::new(&url).origin("https://example.org").connect().is_ok());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.origins = origins;
        self
    }

    /// Answers HTTP requests that are for something else than a WebSocket: a health check, a page. What
    /// `answer` returns is sent, and the connection ended; with `None` the request goes on its way. It is asked
    /// about every request, in the thread of its client; requests with a body do not come that far.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Server;
    ///
    /// let server = Server::builder()
    ///     .on_request(|request| match request.uri().path() {
    ///         "/health" => Some(http::Response::new(b"ok\n".to_vec())),
    ///         _ => None,
    ///     })
    ///     .bind("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn on_request(
        mut self,
        answer: impl Fn(&Request<()>) -> Option<Response<Vec<u8>>> + Send + Sync + 'static,
    ) -> Self {
        self.on_request = OnRequest(Some(Arc::new(answer)));
        self
    }

    /// Sets how many clients there may be at a time. Defaults to [`ServerLimits::default`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Server, ServerLimits};
    ///
    /// let mut limits = ServerLimits::default();
    /// limits.connections = Some(1);
    /// let server = Server::builder().limits(limits).bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
    /// let first = wsync::connect(&url)?;
    /// assert!(wsync::connect(&url).is_err());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The stack of each thread that serves a client, in bytes: opening handshake, handler, and the callback of
    /// [`Upgrade::run`](crate::Upgrade::run). At least 128 KiB. Defaults to that of any thread: 2 MiB, or
    /// what `RUST_MIN_STACK` says. Memory is taken as far as it was used.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Server;
    ///
    /// let server = Server::builder().stack_size(256 << 10).bind("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Adds a socket that clients come from. [`build`](Self::build) makes a server of all of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Listener, Server};
    ///
    /// let server = Server::builder().listen(Listener::tcp("127.0.0.1:0")?).build()?;
    /// assert_eq!(server.local_addrs().len(), 1);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn listen(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Listens on an address of TCP, beside what [`listen`](Self::listen) has added. Port 0 lets the system
    /// choose: [`Server::local_addr`] tells which.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a configuration that cannot work, [`Error::Io`] when the address can't
    /// be had.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::builder().bind("127.0.0.1:0")?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn bind(self, addr: impl ToSocketAddrs) -> Result<Server, Error> {
        self.check()?;
        self.listen(Listener::tcp(addr)?).build()
    }

    /// A server of the listeners that were added.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a configuration that cannot work, or when there is no listener;
    /// [`Error::Io`] when the system lacks something, such as descriptors.
    ///
    /// # Examples
    ///
    /// On both versions of IP:
    ///
    /// ```no_run
    /// use wsync::{Listener, Server};
    ///
    /// let server = Server::builder()
    ///     .listen(Listener::tcp("0.0.0.0:9001")?)
    ///     .listen(Listener::builder().only_v6(true).tcp("[::]:9001")?)
    ///     .build()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn build(self) -> Result<Server, Error> {
        self.check()?;
        if self.listeners.is_empty() {
            return Err(Misuse::Config("a server without a listener").into());
        }
        let tls = self.tls.map(Arc::new);
        let listening = |listener: Listener| {
            listener.socket.set_nonblocking()?;
            Ok(Listening {
                addr: listener.local_addr()?,
                socket: listener.socket,
                tls: match listener.tls {
                    None => tls.clone(),
                    Some(own) => own.map(Arc::new),
                },
            })
        };
        let listeners = self.listeners.into_iter().map(listening);
        let listeners: Vec<_> = listeners.collect::<Result<_, Error>>()?;
        Ok(Server {
            shared: Arc::new(Shared {
                addrs: listeners.iter().map(|l| l.addr.clone()).collect(),
                waker: Waker::new()?,
                config: Arc::new(self.config),
                subprotocols: self.subprotocols,
                origins: self.origins,
                on_request: self.on_request,
                most_opening: self.limits.opening.unwrap_or(usize::MAX),
                places: Arc::new(Places::new(self.limits)),
                census: Arc::default(),
                stack_size: self.stack_size,
                bouncer: Bouncer::default(),
                stopping: AtomicBool::new(false),
                state: Mutex::new(State::new(listeners)),
                left: Condvar::new(),
            }),
        })
    }

    fn check(&self) -> Result<(), Misuse> {
        self.config.check()?;
        self.origins.check()?;
        self.limits.check()?;
        check_rules(&[(
            self.stack_size.is_none_or(|bytes| bytes >= STACK),
            "a stack of less than 128 KiB",
        )])
    }
}
