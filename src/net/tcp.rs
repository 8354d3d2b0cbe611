//! Name resolution and TCP connects, under one deadline.

use crate::config::SocketOptions;
use crate::error::{Error, Timeout};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What an address is tried for at least, if the deadline leaves it, however many follow.
const LEAST_SHARE: Duration = Duration::from_millis(250);

/// Connects to a host: a name, or an IP address with or without brackets. Every address of a name is
/// tried in turn. The socket is a blocking one still.
pub(crate) fn connect(
    host: &str,
    port: u16,
    deadline: Option<Instant>,
) -> Result<TcpStream, Error> {
    connect_any(&resolve(host, port, deadline)?, deadline)
}

/// Sets what is asked for. What the system refuses is logged: the connection works without.
pub(crate) fn configure(stream: &TcpStream, options: &SocketOptions) {
    if *options == SocketOptions::default() {
        return;
    }
    let socket = SockRef::from(stream);
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

fn resolve(host: &str, port: u16, deadline: Option<Instant>) -> Result<Vec<SocketAddr>, Error> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let Some(deadline) = deadline else {
        return Ok((host, port).to_socket_addrs()?.collect());
    };
    // The resolver of the system cannot be interrupted: when the deadline passes, its thread is left
    // to end by itself.
    let (sender, receiver) = mpsc::sync_channel(1);
    let host = host.to_owned();
    thread::Builder::new()
        .name("ws-resolve".into())
        .spawn(move || {
            let found = (host.as_str(), port)
                .to_socket_addrs()
                .map(|found| found.collect::<Vec<_>>());
            let _ = sender.send(found);
        })?;
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(found) => Ok(found?),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Error::Timeout(Timeout::Open)),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(io::Error::other("the resolver of the system panicked").into())
        }
    }
}

/// Tries the addresses in turn, each for a fair share of the time left. The last error is returned.
fn connect_any(addresses: &[SocketAddr], deadline: Option<Instant>) -> Result<TcpStream, Error> {
    let mut last = Error::from(io::Error::new(
        io::ErrorKind::NotFound,
        "the host name has no address",
    ));
    for (tried, address) in addresses.iter().enumerate() {
        let attempt = match deadline {
            None => TcpStream::connect(address),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Error::Timeout(Timeout::Open));
                }
                let share = left / (addresses.len() - tried) as u32;
                TcpStream::connect_timeout(address, share.max(LEAST_SHARE).min(left))
            }
        };
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(e) => {
                log::debug!("connecting to {address}: {e}");
                last = e.into();
            }
        }
    }
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(Error::Timeout(Timeout::Open));
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn the_next_address_is_tried_when_one_refuses() {
        let (listener, refusing) = listening();
        drop(listener);
        let (_listener, taking) = listening();
        for deadline in [None, Some(Instant::now() + Duration::from_secs(20))] {
            let stream = connect_any(&[refusing, taking], deadline).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), taking);
        }
    }

    /// An address that does not answer: a listener whose backlog is full drops what comes.
    #[cfg(target_os = "linux")]
    fn silent() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
        use socket2::{Domain, Socket, Type};

        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            waiting.push(stream);
        }
        (socket, waiting, address)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_silent_address_takes_its_share_of_the_time_and_no_more() {
        let (_socket, _waiting, silent) = silent();
        let (_listener, taking) = listening();
        let start = Instant::now();
        let deadline = start + Duration::from_millis(1200);
        connect_any(&[silent, taking], Some(deadline)).unwrap();
        let took = start.elapsed().as_millis();
        assert!((550..1000).contains(&took), "{took} ms");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn silent_addresses_end_at_the_deadline() {
        let (_socket, _waiting, silent) = silent();
        let start = Instant::now();
        let deadline = start + Duration::from_millis(400);
        let error = connect_any(&[silent; 5], Some(deadline)).unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
