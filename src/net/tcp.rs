//! Name resolution under a deadline, and options of TCP sockets.

use crate::config::SocketOptions;
use crate::error::{Error, Timeout};
use rustix::fd::AsFd;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

/// Finds the addresses of a host.
pub(crate) type Resolver = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Sets what is asked for. What the system refuses is logged: the connection works without.
pub(crate) fn configure(socket: &impl AsFd, options: &SocketOptions) {
    if *options == SocketOptions::default() {
        return;
    }
    let socket = SockRef::from(socket);
    let keepalive = |after| socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(after));
    let set = [
        options.keepalive.map(keepalive),
        options.recv_buffer.map(|n| socket.set_recv_buffer_size(n)),
        options.send_buffer.map(|n| socket.set_send_buffer_size(n)),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        (options.user_timeout).map(|timeout| socket.set_tcp_user_timeout(Some(timeout))),
    ];
    for error in set.into_iter().flatten().filter_map(Result::err) {
        log::warn!("a socket option was refused: {error}");
    }
}

/// The addresses of a host: a name, or an IP address with or without brackets.
pub(crate) fn resolve(
    host: &str,
    port: u16,
    resolver: Option<&Resolver>,
    deadline: Option<Instant>,
) -> Result<Vec<SocketAddr>, Error> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let resolver = resolver
        .cloned()
        .unwrap_or_else(|| Arc::new(ask_the_system));
    let Some(deadline) = deadline else {
        return Ok(resolver(host, port)?);
    };
    // The resolver of the system cannot be interrupted: when the deadline passes, its thread is left
    // to end by itself.
    let (sender, receiver) = mpsc::sync_channel(1);
    let host = host.to_owned();
    thread::Builder::new()
        .name("ws-resolve".into())
        .spawn(move || drop(sender.send(resolver(&host, port))))?;
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(found) => Ok(found?),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Error::Timeout(Timeout::Open)),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(io::Error::other("the resolver panicked").into())
        }
    }
}

fn ask_the_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}
