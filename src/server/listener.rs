//! Where clients come from: sockets that listen.

#[cfg(unix)]
mod socket_file;
#[cfg(all(unix, feature = "systemd"))]
mod systemd;

use crate::config::SocketOptions;
use crate::error::Error;
use crate::net::{TlsConfig, Transport, tcp};
use rustix::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use socket_file::SocketFile;
use socket2::{Domain, Protocol, Type};
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

/// Connections that may wait to be accepted, unless it is told otherwise. The system may allow fewer.
const BACKLOG: i32 = 1024;

/// A socket that listens, for a server of several: [`ServerBuilder::listen`](crate::ServerBuilder::listen).
///
/// Clones are handles of the same socket; it is closed with the last. A server gives its own back when it
/// stops.
///
/// # Examples
///
/// `ws` on one port and `wss` on another, and without TLS on a Unix socket:
///
/// ```no_run
/// use wsync::{Listener, Server, TlsConfig};
///
/// let tls = TlsConfig::server(&std::fs::read("cert.pem")?, &std::fs::read("key.pem")?)?;
/// let mut server = Server::builder()
///     .listen(Listener::tcp("0.0.0.0:80")?)
///     .listen(Listener::tcp("0.0.0.0:443")?.tls(tls));
/// # #[cfg(unix)] {
/// server = server.listen(Listener::unix("/run/app.sock")?);
/// # }
/// server.build()?.serve(|ws| drop(ws.send("hello")))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Listener {
    pub(super) socket: Arc<Socket>,
    /// Instead of that of the server.
    pub(super) tls: Option<Option<TlsConfig>>,
}

impl Listener {
    /// Listens on an address; of several, on the first that can be had. Port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the address can't be had.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Listener, Server};
    ///
    /// let server = Server::builder().listen(Listener::tcp("127.0.0.1:0")?).build()?;
    /// println!("port {}", server.local_addr().port());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn tcp(addr: impl ToSocketAddrs) -> Result<Self, Error> {
        Listener::builder().tcp(addr)
    }

    /// Listens on a Unix socket. A file that a socket has left there is replaced, if nobody answers on it;
    /// the file is removed when the socket is closed, unless it is another by then.
    ///
    /// Who may connect, the permissions of the file and its folder say.
    /// [`ServerLimits::per_address`](crate::ServerLimits::per_address) is not for these clients: they have no
    /// address.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the path can't be had: `AddrInUse` when somebody listens there, or when it is
    /// something else than a socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ListenAddr, Listener};
    ///
    /// let path = std::env::temp_dir().join(format!("app-{}.sock", std::process::id()));
    /// let listener = Listener::unix(&path)?;
    /// assert_eq!(listener.local_addr()?, ListenAddr::Unix(Some(path)));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<Path>) -> Result<Self, Error> {
        Listener::builder().unix(path)
    }

    /// The choices that have to be made before a socket listens.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Listener;
    ///
    /// let listener = Listener::builder().backlog(16).tcp("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn builder() -> ListenerBuilder {
        ListenerBuilder {
            backlog: BACKLOG,
            reuse_port: false,
            only_v6: None,
        }
    }

    /// Speaks TLS with those who come here, with this certificate and key; with `None`, no TLS. Defaults to
    /// what [`ServerBuilder::tls`](crate::ServerBuilder::tls) says.
    ///
    /// # Examples
    ///
    /// `wss` for all but those of this machine:
    ///
    /// ```
    /// use wsync::{Listener, Server, TlsConfig};
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::server(&std::fs::read("server.pem")?, &std::fs::read("server.key")?)?;
    /// let builder = Server::builder()
    ///     .tls(tls)
    ///     .listen(Listener::tcp("127.0.0.1:0")?.tls(None));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Option<TlsConfig>>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: the system does not know.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ListenAddr, Listener};
    ///
    /// let listener = Listener::tcp("127.0.0.1:0")?;
    /// assert!(matches!(listener.local_addr()?, ListenAddr::Tcp(address) if address.port() != 0));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn local_addr(&self) -> Result<ListenAddr, Error> {
        Ok(match &*self.socket {
            Socket::Tcp(listener) => ListenAddr::Tcp(listener.local_addr()?),
            #[cfg(unix)]
            Socket::Unix(listener, _) => {
                let address = listener.local_addr()?;
                ListenAddr::Unix(address.as_pathname().map(Path::to_owned))
            }
        })
    }

    fn new(socket: Socket) -> Self {
        Listener {
            socket: Arc::new(socket),
            tls: None,
        }
    }
}

/// A socket that was opened elsewhere, such as an inherited one. A server brings it into non-blocking mode,
/// which holds for all that share it.
impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener::new(Socket::Tcp(listener))
    }
}

/// As of a `TcpListener`. Its file is not removed.
#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Listener::new(Socket::Unix(listener, None))
    }
}

/// The choices of a [`Listener`].
///
/// # Examples
///
/// Several processes that share a port:
///
/// ```
/// use wsync::{Listener, Server};
///
/// # if cfg!(not(unix)) {
/// #     return Ok(());
/// # }
/// let listener = Listener::builder().reuse_port(true).backlog(64).tcp("127.0.0.1:0")?;
/// let server = Server::builder().listen(listener).build()?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ListenerBuilder {
    backlog: i32,
    reuse_port: bool,
    only_v6: Option<bool>,
}

impl ListenerBuilder {
    /// Connections that may wait to be accepted. Defaults to 1024; the system may allow fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Listener;
    ///
    /// let listener = Listener::builder().backlog(16).tcp("127.0.0.1:0")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = i32::try_from(connections).unwrap_or(i32::MAX);
        self
    }

    /// Lets other processes of the same user listen on the same port, if they ask for this too: the system
    /// shares the clients out (SO_REUSEPORT). Where there is no such thing, as on Windows, listening fails with
    /// `Unsupported`. Defaults to false; of no effect on Unix sockets.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ListenAddr, Listener};
    ///
    /// # if cfg!(not(unix)) {
    /// #     return Ok(());
    /// # }
    /// let first = Listener::builder().reuse_port(true).tcp("127.0.0.1:0")?;
    /// let ListenAddr::Tcp(address) = first.local_addr()? else { unreachable!() };
    /// let second = Listener::builder().reuse_port(true).tcp(address)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 address is for IPv6 only, so that IPv4 may have a listener of its own on the same
    /// port (IPV6_V6ONLY). Defaults to what the system does.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::Listener;
    ///
    /// let v6 = Listener::builder().only_v6(true).tcp("[::]:9001")?;
    /// let v4 = Listener::tcp("0.0.0.0:9001")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = Some(only);
        self
    }

    /// Listens on an address.
    ///
    /// # Errors
    ///
    /// As [`Listener::tcp`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Listener;
    ///
    /// let listener = Listener::builder().tcp("127.0.0.1:0")?;
    /// println!("listening on {}", listener.local_addr()?);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn tcp(self, addr: impl ToSocketAddrs) -> Result<Listener, Error> {
        let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
        for address in addr.to_socket_addrs()? {
            match self.bind(address) {
                Ok(listener) => return Ok(listener.into()),
                Err(error) => refused = error,
            }
        }
        Err(refused.into())
    }

    fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        // So that a server may start again at once. On Windows it would let anybody take the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if self.reuse_port {
            share_port(&socket)?;
        }
        if let Some(only) = self.only_v6.filter(|_| address.is_ipv6()) {
            socket.set_only_v6(only)?;
        }
        socket.bind(&address.into())?;
        socket.listen(self.backlog)?;
        Ok(socket.into())
    }

    /// Listens on a Unix socket.
    ///
    /// # Errors
    ///
    /// As [`Listener::unix`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Listener;
    ///
    /// let path = std::env::temp_dir().join(format!("app-{}.sock", std::process::id()));
    /// let listener = Listener::builder().backlog(16).unix(&path)?;
    /// assert!(path.exists());
    /// drop(listener);
    /// assert!(!path.exists());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[cfg(unix)]
    pub fn unix(self, path: impl AsRef<Path>) -> Result<Listener, Error> {
        let path = std::path::absolute(path)?;
        let address = socket2::SockAddr::unix(&path)?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        match socket.bind(&address) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && socket_file::is_stale(&path) => {
                std::fs::remove_file(&path)?;
                socket.bind(&address)?;
            }
            bound => bound?,
        }
        let file = SocketFile::at(path)?;
        socket.listen(self.backlog)?;
        Ok(Listener::new(Socket::Unix(socket.into(), Some(file))))
    }
}

#[cfg(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))
))]
fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(any(
    not(unix),
    target_os = "solaris",
    target_os = "illumos",
    target_os = "cygwin"
))]
fn share_port(_: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where a server listens.
///
/// # Examples
///
/// ```
/// use wsync::{ListenAddr, Listener};
///
/// match Listener::tcp("127.0.0.1:0")?.local_addr()? {
///     ListenAddr::Tcp(address) => println!("ws://{address}/"),
///     other => println!("{other}"),
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddr {
    /// On TCP.
    Tcp(SocketAddr),
    /// On a Unix socket; `None` for one that has no path.
    Unix(Option<PathBuf>),
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddr::Tcp(address) => address.fmt(f),
            ListenAddr::Unix(Some(path)) => path.display().fmt(f),
            ListenAddr::Unix(None) => f.write_str("a socket without a path"),
        }
    }
}

/// A client, and its address if it has one.
pub(super) type Client = (Arc<dyn Transport>, Option<IpAddr>);

/// What listens.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "is removed with it")] Option<SocketFile>,
    ),
}

impl Socket {
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(listener) => listener.set_nonblocking(true),
            #[cfg(unix)]
            Socket::Unix(listener, _) => listener.set_nonblocking(true),
        }
    }

    pub(super) fn accept(&self, options: &SocketOptions) -> io::Result<Client> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                tcp::configure(&stream, options);
                Ok((Arc::new(stream), Some(address.ip())))
            }
            #[cfg(unix)]
            Socket::Unix(listener, _) => Ok((Arc::new(listener.accept()?.0), None)),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(listener) => listener.as_fd(),
            #[cfg(unix)]
            Socket::Unix(listener, _) => listener.as_fd(),
        }
    }
}
