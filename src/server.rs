//! Serving (RFC 6455 section 4.2).

mod accept;
mod accepting;
mod auth;
mod builder;
mod cookies;
mod hub;
mod limits;
mod listener;
mod origin;
mod refusing;
mod respond;
#[cfg(feature = "router")]
mod routes;
mod shared;
mod stats;
mod stopping;
mod subprotocols;
mod upgrade;

pub use accept::Accept;
pub use builder::ServerBuilder;
pub use hub::{BroadcastReport, ConnectionId, Hub, Slow};
pub use limits::ServerLimits;
pub use listener::{ListenAddr, Listener, ListenerBuilder};
pub use origin::OriginPolicy;
#[cfg(feature = "router")]
pub use routes::{PathParams, Routes};
pub use stats::ServerStats;
pub use stopping::ShutdownReport;
pub use upgrade::Upgrade;

use crate::error::Error;
use crate::websocket::WebSocket;
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use shared::Shared;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A pause after the system refused a connection for want of something, such as descriptors.
const SHORTAGE: Duration = Duration::from_millis(50);

/// Connections whose handshake is done and which nobody has taken from [`Incoming`].
const READY: usize = 128;

/// A server that listens. Clones are handles of the same server.
///
/// # Examples
///
/// An echo server:
///
/// ```
/// let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # let stopper = server.clone();
/// # let visitor = std::thread::spawn(move || {
/// #     let answer = wsync::connect(&url).and_then(|ws| { ws.send("hello")?; Ok(ws.recv()?) });
/// #     stopper.shutdown().and(answer)
/// # });
/// server.serve(|ws| {
///     for message in &ws {
///         let Ok(message) = message else { break };
///         if ws.send(message).is_err() {
///             break;
///         }
///     }
/// })?;
/// # assert_eq!(visitor.join().expect("it does not panic")?.as_text(), Some("hello"));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// A server with the defaults. Port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::bind`].
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn bind(addr: impl ToSocketAddrs) -> Result<Self, Error> {
        Server::builder().bind(addr)
    }

    /// A server with choices.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Config, Server};
    ///
    /// let server = Server::builder().config(Config::server()).bind("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// The address that is listened on; of several, the first of TCP. Without TCP it is `0.0.0.0:0`.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// println!("listening on ws://{}/", server.local_addr());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn local_addr(&self) -> SocketAddr {
        let tcp = self.shared.addrs.iter().find_map(|addr| match addr {
            ListenAddr::Tcp(addr) => Some(*addr),
            ListenAddr::Unix(_) => None,
        });
        tcp.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// All addresses that are listened on, in the order in which they were given.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Listener, Server};
    ///
    /// let server = Server::builder()
    ///     .listen(Listener::tcp("127.0.0.1:0")?)
    ///     .listen(Listener::tcp("127.0.0.1:0")?)
    ///     .build()?;
    /// for address in server.local_addrs() {
    ///     println!("listening on {address}");
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn local_addrs(&self) -> &[ListenAddr] {
        &self.shared.addrs
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
    /// [`Error::Io`] when the socket that listens breaks. Of several, the others go on: that of the first to
    /// break is logged, and returned at the end. Refused handshakes are logged.
    ///
    /// # Blocking
    ///
    /// Until [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// let serving = server.clone();
    /// let serving = thread::spawn(move || serving.serve(|ws| drop(ws.send("welcome"))));
    /// # let ws = wsync::connect(&url)?;
    /// # assert_eq!(ws.recv()?.as_text(), Some("welcome"));
    /// // Until somebody says:
    /// server.shutdown()?;
    /// serving.join().expect("the server does not panic")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let stopper = server.clone();
    /// # let visitor = std::thread::spawn(move || {
    /// #     let answer = wsync::connect(&url).and_then(|ws| { Ok(ws.recv()?) });
    /// #     stopper.shutdown().and(answer)
    /// # });
    /// server.serve_upgrades(|upgrade| {
    ///     let Ok(upgrade) = upgrade else { return };
    ///     if upgrade.request().uri().path() != "/chat" {
    ///         return drop(upgrade.reject(http::StatusCode::NOT_FOUND, "no such room\n"));
    ///     }
    ///     if let Ok(ws) = upgrade.accept() {
    ///         let _ = ws.send("welcome");
    ///     }
    /// })?;
    /// # assert_eq!(visitor.join().expect("it does not panic")?.as_text(), Some("welcome"));
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
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// for upgrade in server.incoming()? {
    ///     let ws = upgrade.accept()?;
    ///     std::thread::spawn(move || ws.send("hello"));
    /// #     break; // One is enough to see that it works.
    /// }
    /// # assert_eq!(client.join().expect("it does not panic")?.recv()?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn incoming(&self) -> Result<Incoming, Error> {
        let (sender, ready) = bounded(READY);
        let server = self.clone();
        let accept = move || {
            // A listener that broke was logged.
            let _ = server.serve_upgrades(move |upgrade| {
                if let Ok(upgrade) = upgrade {
                    hand_over(upgrade, &sender);
                }
            });
        };
        let thread = thread::Builder::new().name("ws-accept".into());
        thread.stack_size(crate::connection::STACK).spawn(accept)?;
        Ok(Incoming {
            server: self.clone(),
            ready,
        })
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
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # let client = std::thread::spawn(move || wsync::connect(&url)?.recv().map_err(wsync::Error::from));
/// let mut incoming = server.incoming()?;
/// let upgrade = incoming.next().expect("the server goes on");
/// upgrade.accept()?.send("welcome")?;
/// # assert_eq!(client.join().expect("it does not panic")?.as_text(), Some("welcome"));
/// # Ok::<(), wsync::Error>(())
/// ```
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
        self.server.shared.stop_accepting(None);
    }
}
