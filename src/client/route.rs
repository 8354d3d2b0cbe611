//! The way to a server: its addresses, or a proxy.

use crate::config::SocketOptions;
use crate::error::{Error, Timeout};
use crate::net::Transport;
use crate::net::dial::{self, Dial};
use crate::net::link::Link;
use crate::net::tcp::{self, Resolver};
use crate::proxy::Proxy;
use crate::uri::Target;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Default)]
pub(super) struct Route {
    pub(super) dial: Dial,
    /// In place of that of the system.
    pub(super) resolver: Option<Resolver>,
    pub(super) via: Via,
}

/// Which proxy.
#[derive(Debug, Clone, Default)]
pub(super) enum Via {
    #[default]
    Nothing,
    Proxy(Box<Proxy>),
    /// What the environment names.
    Environment,
}

impl Route {
    /// A link to the server, on which nothing was said to it.
    pub(super) fn link(
        &self,
        target: &Target,
        options: &SocketOptions,
        deadline: Option<Instant>,
    ) -> Result<Link, Error> {
        if let Some(path) = target.path() {
            return unix(path, deadline);
        }
        let server = (target.host(), target.port());
        let Some(proxy) = self.proxy(target)? else {
            return self.reach(server, options, deadline);
        };
        let mut link = self.reach((proxy.host(), proxy.port()), options, deadline)?;
        proxy.open(&mut link, server, deadline)?;
        Ok(match target.is_secure() {
            true => link.within(),
            false => link,
        })
    }

    fn proxy(&self, target: &Target) -> Result<Option<Proxy>, Error> {
        match &self.via {
            Via::Nothing => Ok(None),
            Via::Proxy(proxy) => Ok(Some(Proxy::clone(proxy))),
            Via::Environment => Proxy::for_target(target),
        }
    }

    fn reach(
        &self,
        (host, port): (&str, u16),
        options: &SocketOptions,
        deadline: Option<Instant>,
    ) -> Result<Link, Error> {
        let addresses = tcp::resolve(host, port, self.resolver.as_ref(), deadline)?;
        let stream = dial::connect(addresses, &self.dial, options, deadline)?;
        prepared(stream)
    }
}

pub(super) fn prepared(transport: impl Transport) -> Result<Link, Error> {
    transport.prepare()?;
    Ok(Link::new(Arc::new(transport)))
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("dial", &self.dial)
            .field("via", &self.via)
            .finish_non_exhaustive()
    }
}

/// A listener whose backlog is full has no way to tell when there is room.
#[cfg(unix)]
fn unix(path: &str, deadline: Option<Instant>) -> Result<Link, Error> {
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::io::ErrorKind;
    use std::time::Duration;

    const AGAIN: Duration = Duration::from_millis(10);

    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    while let Err(e) = socket.connect(&address) {
        if e.kind() != ErrorKind::WouldBlock {
            return Err(e.into());
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Error::Timeout(Timeout::Open));
        }
        std::thread::sleep(AGAIN);
    }
    prepared(std::os::unix::net::UnixStream::from(socket))
}

#[cfg(not(unix))]
fn unix(_: &str, _: Option<Instant>) -> Result<Link, Error> {
    let _ = Timeout::Open;
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
}
