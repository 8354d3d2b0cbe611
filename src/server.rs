//! Serving (RFC 6455 section 4.2).

mod accept;
mod accepting;
mod auth;
mod cookies;
mod hub;
mod limits;
mod origin;
mod refusing;
mod respond;
mod shared;
mod upgrade;

pub use accept::Accept;
pub use hub::{BroadcastReport, ConnectionId, Hub, Slow};
pub use limits::ServerLimits;
pub use origin::OriginPolicy;
pub use upgrade::Upgrade;

use crate::close::CloseFrame;
use crate::compression::Compression;
use crate::config::{Config, deadline};
use crate::connection::is_in_callback;
use crate::error::Error;
use crate::net::TlsConfig;
use crate::sync::{AtomicBool, Condvar, Mutex};
use crate::websocket::WebSocket;
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use http::{Request, Response};
use limits::Places;
use refusing::{Bouncer, OnRequest};
use shared::Shared;
use std::net::{Shutdown, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A pause after the system refused a connection for want of something, such as descriptors.
const SHORTAGE: Duration = Duration::from_millis(50);

/// Connections whose handshake is done and which nobody has taken from [`Incoming`].
const READY: usize = 128;

/// Beyond the close timeout, how long handlers may take when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// A server's choices.
///
/// # Examples
///
/// ```no_run
/// use wsync::{Server, TlsConfig};
///
/// let tls = TlsConfig::server(&std::fs::read("cert.pem")?, &std::fs::read("key.pem")?)?;
/// let server = Server::builder().tls(tls).subprotocol("chat.v2").bind("0.0.0.0:9443")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    config: Config,
    tls: Option<TlsConfig>,
    subprotocols: Vec<String>,
    origins: OriginPolicy,
    on_request: OnRequest,
    limits: ServerLimits,
}

impl ServerBuilder {
    /// Sets limits, timeouts and the bounds of the queues. Defaults to [`Config::server`].
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Agrees to compression (RFC 7692) with clients that offer it: sets [`Config::compression`].
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.compression = Some(compression);
        self
    }

    /// Serves `wss` with this certificate and key.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Supports a subprotocol, after those named before (RFC 6455 section 1.9). The first of them that
    /// a client offers is agreed on.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocols.push(subprotocol.into());
        self
    }

    /// Sets from which sites browsers may connect. Defaults to [`OriginPolicy::SameHost`].
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
    /// ```no_run
    /// use wsync::Server;
    ///
    /// let server = Server::builder()
    ///     .on_request(|request| match request.uri().path() {
    ///         "/health" => Some(http::Response::new(b"ok\n".to_vec())),
    ///         _ => None,
    ///     })
    ///     .bind("0.0.0.0:9001")?;
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

    /// Sets how many clients there may be at a time.
    #[must_use]
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Listens. Port 0 lets the system choose: [`Server::local_addr`] tells which.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a configuration that cannot work, [`Error::Io`] when the address can't
    /// be had.
    pub fn bind(self, addr: impl ToSocketAddrs) -> Result<Server, Error> {
        self.config.check()?;
        self.origins.check()?;
        self.limits.check()?;
        let listener = TcpListener::bind(addr)?;
        Ok(Server {
            shared: Arc::new(Shared {
                addr: listener.local_addr()?,
                listener,
                config: Arc::new(self.config),
                tls: self.tls,
                subprotocols: self.subprotocols,
                origins: self.origins,
                on_request: self.on_request,
                most_opening: self.limits.opening.unwrap_or(usize::MAX),
                places: Arc::new(Places::new(self.limits)),
                bouncer: Bouncer::default(),
                stopping: AtomicBool::new(false),
                state: Mutex::default(),
                left: Condvar::new(),
            }),
        })
    }
}

/// A server that listens. Clones are handles of the same server.
///
/// # Examples
///
/// An echo server:
///
/// ```no_run
/// let server = wsync::Server::bind("127.0.0.1:9001")?;
/// server.serve(|ws| {
///     for message in &ws {
///         let Ok(message) = message else { break };
///         if ws.send(message).is_err() {
///             break;
///         }
///     }
/// })?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// A server with the defaults. Port 0 lets the system choose.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::bind`].
    pub fn bind(addr: impl ToSocketAddrs) -> Result<Self, Error> {
        Server::builder().bind(addr)
    }

    /// A server with choices.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            config: Config::server(),
            tls: None,
            subprotocols: Vec::new(),
            origins: OriginPolicy::default(),
            on_request: OnRequest::default(),
            limits: ServerLimits::default(),
        }
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Serves every client with `handler`, on a thread of its own, until [`shutdown`](Self::shutdown).
    ///
    /// The opening handshake runs on that thread too: a client that is slow at it holds up nobody.
    /// When the handler returns, the connection is closed with 1000, unless a handle of it lives on
    /// elsewhere: then when the last of them is dropped. When the handler panics, it is closed with
    /// 1011, and no other connection is harmed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the socket that listens breaks. Refused handshakes are logged.
    ///
    /// # Blocking
    ///
    /// Until [`shutdown`](Self::shutdown).
    pub fn serve(&self, handler: impl Fn(WebSocket) + Send + Sync + 'static) -> Result<(), Error> {
        self.serve_upgrades(move |upgrade| {
            if let Ok(ws) = upgrade.and_then(Upgrade::accept) {
                ws.close_normally_on_drop();
                handler(ws);
            }
        })
    }

    /// Like [`serve`](Self::serve), with the choice of what to do with each request: the handler
    /// gets an [`Upgrade`], or why there is none. Of those for whom there is no place
    /// ([`ServerLimits`]) it is told on one thread for all of them.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    ///
    /// # Blocking
    ///
    /// Until [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let server = wsync::Server::bind("127.0.0.1:9001")?;
    /// server.serve_upgrades(|upgrade| {
    ///     let Ok(upgrade) = upgrade else { return };
    ///     if upgrade.request().uri().path() != "/chat" {
    ///         return drop(upgrade.reject(http::StatusCode::NOT_FOUND, "no such room\n"));
    ///     }
    ///     if let Ok(ws) = upgrade.accept() {
    ///         let _ = ws.send("welcome");
    ///     }
    /// })?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn serve_upgrades(
        &self,
        handler: impl Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
    ) -> Result<(), Error> {
        accepting::accept_all(&self.shared, &Arc::new(handler))
    }

    /// Requests whose head has come, one after the other, until [`shutdown`](Self::shutdown). Each
    /// is read on a thread of its own; refused ones are logged and left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when no thread can be had.
    ///
    /// # Blocking
    ///
    /// Each step, until a request comes.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let server = wsync::Server::bind("127.0.0.1:9001")?;
    /// for upgrade in server.incoming()? {
    ///     let ws = upgrade.accept()?;
    ///     std::thread::spawn(move || ws.send("hello"));
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn incoming(&self) -> Result<Incoming, Error> {
        let (sender, ready) = bounded(READY);
        let server = self.clone();
        let accept = move || {
            let result = server.serve_upgrades(move |upgrade| {
                if let Ok(upgrade) = upgrade {
                    hand_over(upgrade, &sender);
                }
            });
            if let Err(error) = result {
                log::error!("the server stops: {error}");
            }
        };
        let thread = thread::Builder::new().name("ws-accept".into());
        thread.stack_size(crate::connection::STACK).spawn(accept)?;
        Ok(Incoming {
            server: self.clone(),
            ready,
        })
    }

    /// Stops: accepts nobody any more, refuses handshakes that are under way with 503, closes all
    /// connections with 1001, and waits for their threads. Called from a handler, it does not wait
    /// for that one; called from a callback ([`Upgrade::on_message`]), it does not wait at all.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when threads are still busy after
    /// [`Timeouts::close`](crate::Timeouts::close) and a second.
    ///
    /// # Blocking
    ///
    /// At most that long; without a close timeout until all threads are done.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// let serving = server.clone();
    /// let serving = std::thread::spawn(move || serving.serve(|ws| drop(ws.recv())));
    /// server.shutdown()?;
    /// serving.join().expect("the server does not panic")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn shutdown(&self) -> Result<(), Error> {
        let shared = &*self.shared;
        shared.stop_accepting();
        let timeout = shared.config.timeouts.close;
        let (connections, opening) = shared.take();
        for transport in opening {
            // Wakes the handshake, which then refuses the client.
            let _ = transport.shutdown(Shutdown::Read);
        }
        for connection in connections {
            connection.close_without_waiting(CloseFrame::going_away());
        }
        if is_in_callback() {
            // Handlers may wait for the end of the very connection that this would hold up.
            return Ok(());
        }
        let timeout = timeout.map(|timeout| timeout.saturating_add(GRACE));
        shared.wait_for_threads(deadline(Instant::now(), timeout))
    }
}

/// Waits until `Incoming` takes it. When the server stops or nobody takes any more, it is dropped,
/// and the client refused.
fn hand_over(upgrade: Upgrade, ready: &Sender<Upgrade>) {
    let mut waiting = upgrade;
    while let Err(SendTimeoutError::Timeout(upgrade)) = ready.send_timeout(waiting, SHORTAGE) {
        if upgrade.is_stopping() {
            return;
        }
        waiting = upgrade;
    }
}

/// The iterator of [`Server::incoming`]. Dropping it stops the server from accepting.
#[derive(Debug)]
pub struct Incoming {
    server: Server,
    ready: Receiver<Upgrade>,
}

impl Iterator for Incoming {
    type Item = Upgrade;

    fn next(&mut self) -> Option<Upgrade> {
        self.ready.recv().ok()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.server.shared.stop_accepting();
    }
}
