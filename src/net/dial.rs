//! TCP connects to whichever address of a host answers first (RFC 8305), under one deadline.

use super::tcp::configure;
use crate::config::{SocketOptions, deadline as after};
use crate::error::{Error, Timeout};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// From the start of one attempt to that of the next (RFC 8305 section 5).
const DELAY: Duration = Duration::from_millis(250);

/// How a client's sockets are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dial {
    /// What one address may take.
    pub(crate) timeout: Option<Duration>,
    /// The address to connect from.
    pub(crate) source: Option<IpAddr>,
}

/// Connects to one of the addresses. The socket is a blocking one. When all fail, the error is the last.
pub(crate) fn connect(
    addresses: Vec<SocketAddr>,
    dial: &Dial,
    options: &SocketOptions,
    deadline: Option<Instant>,
) -> Result<TcpStream, Error> {
    let usable = |address: &SocketAddr| match dial.source {
        Some(source) => source.is_ipv6() == address.is_ipv6(),
        None => true,
    };
    let addresses = addresses.into_iter().filter(usable).collect();
    let mut race = Race {
        dial,
        options,
        deadline,
        waiting: interleaved(addresses).into_iter(),
        attempts: Vec::new(),
        next_at: Instant::now(),
        last: io::Error::new(io::ErrorKind::NotFound, "the host name has no address").into(),
    };
    let stream = race.run()?;
    stream.set_nonblocking(false)?;
    Ok(stream.into())
}

/// The families in turn, that of the first address first (RFC 8305 section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first);
    let longest = one.len().max(other.len());
    (0..longest)
        .flat_map(|n| [one.get(n), other.get(n)])
        .flatten()
        .copied()
        .collect()
}

/// Attempts that are under way, and addresses that were not tried yet.
struct Race<'a> {
    dial: &'a Dial,
    options: &'a SocketOptions,
    deadline: Option<Instant>,
    waiting: std::vec::IntoIter<SocketAddr>,
    attempts: Vec<Attempt>,
    /// When the next attempt begins, if none has succeeded.
    next_at: Instant,
    last: Error,
}

struct Attempt {
    socket: Socket,
    address: SocketAddr,
    until: Option<Instant>,
}

impl Race<'_> {
    fn run(&mut self) -> Result<Socket, Error> {
        loop {
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                return Err(Error::Timeout(Timeout::Open));
            }
            if self.attempts.is_empty() || self.next_at <= now {
                self.begin_next(now);
            }
            if self.attempts.is_empty() {
                return Err(self.last.clone());
            }
            let ready = self.wait()?;
            if let Some(socket) = self.take(&ready) {
                return Ok(socket);
            }
        }
    }

    /// Begins with the next address that does not fail at once.
    fn begin_next(&mut self, now: Instant) {
        self.next_at = now + DELAY;
        for address in self.waiting.by_ref() {
            match begin(address, self.dial.source, self.options) {
                Ok(socket) => {
                    let until = after(now, self.dial.timeout);
                    return self.attempts.push(Attempt {
                        socket,
                        address,
                        until,
                    });
                }
                Err(e) => {
                    log::debug!("connecting to {address}: {e}");
                    self.last = e.into();
                }
            }
        }
    }

    /// Waits until something has come of an attempt, or something else is due: which have ended.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let next = (self.waiting.len() > 0).then_some(self.next_at);
        let ends = self.attempts.iter().filter_map(|attempt| attempt.until);
        let until = ends.chain(next).chain(self.deadline).min();
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as _,
            tv_nsec: timeout.subsec_nanos() as _,
        });
        let sockets = self.attempts.iter().map(|attempt| &attempt.socket);
        let mut sockets: Vec<_> = sockets
            .map(|socket| PollFd::new(socket, PollFlags::OUT))
            .collect();
        match poll(&mut sockets, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(sockets.iter().map(|fd| !fd.revents().is_empty()).collect())
    }

    /// The first socket that is connected. Failed attempts end, and make way for the next.
    fn take(&mut self, ready: &[bool]) -> Option<Socket> {
        let now = Instant::now();
        for (attempt, ready) in std::mem::take(&mut self.attempts).into_iter().zip(ready) {
            let error = match attempt.socket.take_error() {
                Ok(None) if *ready => return Some(attempt.socket),
                Ok(None) if attempt.until.is_none_or(|until| now < until) => {
                    self.attempts.push(attempt);
                    continue;
                }
                Ok(None) => Error::Timeout(Timeout::Connect),
                Ok(Some(e)) | Err(e) => e.into(),
            };
            log::debug!("connecting to {}: {error}", attempt.address);
            self.last = error;
            self.next_at = now;
        }
        None
    }
}

/// Sizes of buffers count for the window scale, so options come before the connect.
fn begin(
    address: SocketAddr,
    source: Option<IpAddr>,
    options: &SocketOptions,
) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    configure(&socket, options);
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Err(e) if !is_under_way(&e) => Err(e),
        _ => Ok(socket),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    let under_way = rustix::io::Errno::INPROGRESS.raw_os_error();
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(under_way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn connect(addresses: &[SocketAddr], dial: &Dial, within: u64) -> Result<TcpStream, Error> {
        let deadline = Instant::now() + Duration::from_millis(within);
        let options = SocketOptions::default();
        super::connect(addresses.to_vec(), dial, &options, Some(deadline))
    }

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn families_take_turns_and_keep_their_order() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let [a, b, c] = ["[::1]:1", "[::2]:1", "[::3]:1"].map(address);
        let [x, y] = ["1.1.1.1:1", "2.2.2.2:1"].map(address);
        assert_eq!(interleaved(vec![a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(interleaved(vec![x, a, b, y, c]), [x, a, y, b, c]);
        assert_eq!(interleaved(vec![a, b]), [a, b]);
        assert_eq!(interleaved(vec![]), []);
    }

    #[test]
    fn the_next_address_is_tried_at_once_when_one_refuses() {
        let (listener, refusing) = listening();
        drop(listener);
        let (_listener, taking) = listening();
        let began = Instant::now();
        let stream = connect(&[refusing, refusing, taking], &Dial::default(), 20_000).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), taking);
        assert!(began.elapsed() < DELAY, "{:?}", began.elapsed());
    }

    #[test]
    fn when_all_refuse_the_error_says_so() {
        let (listener, refusing) = listening();
        drop(listener);
        let error = connect(&[refusing, refusing], &Dial::default(), 20_000).unwrap_err();
        let Error::Io(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = connect(&[], &Dial::default(), 20_000).unwrap_err();
        assert!(matches!(error, Error::Io(e) if e.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn it_connects_from_the_source_address_and_to_addresses_of_its_family_only() {
        let (_listener, taking) = listening();
        let dial = Dial {
            source: Some(IpAddr::from([127, 0, 0, 9])),
            ..Dial::default()
        };
        let other = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], taking.port()));
        if cfg!(target_os = "linux") {
            let stream = connect(&[other, taking], &dial, 20_000).unwrap();
            let from = stream.local_addr().unwrap();
            assert_eq!(from.ip(), IpAddr::from([127, 0, 0, 9]));
        }
        let error = connect(&[other], &dial, 20_000).unwrap_err();
        assert!(matches!(error, Error::Io(e) if e.kind() == io::ErrorKind::NotFound));
    }

    /// An address that does not answer: a listener whose backlog is full drops what comes.
    #[cfg(target_os = "linux")]
    fn silent() -> (Socket, Vec<TcpStream>, SocketAddr) {
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
    fn beside_a_silent_address_the_next_is_tried_after_the_delay() {
        let (_socket, _waiting, silent) = silent();
        let (_listener, taking) = listening();
        let began = Instant::now();
        let stream = connect(&[silent, silent, taking], &Dial::default(), 20_000).unwrap();
        let took = began.elapsed();
        assert_eq!(stream.peer_addr().unwrap(), taking);
        assert!(took >= 2 * DELAY && took < 8 * DELAY, "{took:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_may_take_the_timeout_of_an_attempt_and_all_together_the_deadline() {
        let (_socket, _waiting, silent) = silent();
        let dial = Dial {
            timeout: Some(Duration::from_millis(100)),
            ..Dial::default()
        };
        let began = Instant::now();
        let error = connect(&[silent; 3], &dial, 20_000).unwrap_err();
        let took = began.elapsed();
        assert!(matches!(error, Error::Timeout(Timeout::Connect)), "{error}");
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5));
        let began = Instant::now();
        let error = connect(&[silent; 3], &Dial::default(), 400).unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
