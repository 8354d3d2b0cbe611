//! Real sockets, with a bound in time on everything.

use super::dial::{self, Dial};
use super::link::Link;
use super::tcp;
use super::transport::{Interest, Ready, Transport};
use crate::error::{Error, Timeout};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

type Socket = Arc<dyn Transport>;

fn prepared(stream: impl Transport) -> std::sync::Arc<dyn Transport> {
    stream.prepare().unwrap();
    std::sync::Arc::new(stream)
}

fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

fn sockets() -> (Socket, Socket) {
    let (one, other) = streams();
    (prepared(one), prepared(other))
}

#[cfg(unix)]
fn unix_sockets() -> (Socket, Socket) {
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    (prepared(one), prepared(other))
}

/// Of each kind.
fn pairs() -> Vec<(Socket, Socket)> {
    vec![
        sockets(),
        #[cfg(unix)]
        unix_sockets(),
    ]
}

fn within(timeout: Duration) -> Option<Instant> {
    Some(Instant::now() + timeout)
}

const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(20);

/// Writes until the kernel takes no more.
fn fill(socket: &Socket) {
    let bytes = vec![0; 1 << 20];
    loop {
        match socket.write(&bytes) {
            Ok(count) => assert!(count > 0),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if !socket.wait(Interest::WRITABLE, within(SOON)).unwrap().any() {
                    return;
                }
            }
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn reading_and_writing_never_block() {
    for (one, other) in pairs() {
        let mut buffer = [0; 16];
        let error = one.read(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let slices = [b"ab", b"".as_slice(), b"cd"].map(IoSlice::new);
        assert_eq!(other.write_vectored(&slices).unwrap(), 4);
        assert_eq!(other.write(b"ef").unwrap(), 2);
        let ready = one.wait(Interest::BOTH, within(LATE)).unwrap();
        assert!(ready.readable && ready.writable);
        assert_eq!(one.read(&mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"abcdef");
        fill(&one);
    }
}

#[test]
fn more_slices_than_one_call_takes_are_no_error() {
    for (one, _other) in pairs() {
        let slices = vec![IoSlice::new(b"x"); 5000];
        assert!(one.write_vectored(&slices).unwrap() > 0);
    }
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    for (one, _other) in pairs() {
        let start = Instant::now();
        let ready = one.wait(Interest::READABLE, Some(start + SOON)).unwrap();
        let took = start.elapsed();
        assert_eq!(ready, Ready::default());
        assert!(took >= SOON && took < SOON * 5, "{took:?}");
        // In the past: it just looks.
        let ready = one.wait(Interest::BOTH, Some(start)).unwrap();
        assert!(ready.writable && !ready.readable);
    }
}

#[test]
fn a_wait_ends_when_bytes_come() {
    for (one, other) in pairs() {
        let waiter = thread::spawn(move || one.wait(Interest::READABLE, within(LATE)));
        thread::sleep(SOON);
        let start = Instant::now();
        other.write(b"x").unwrap();
        assert!(waiter.join().unwrap().unwrap().readable);
        assert!(start.elapsed() < Duration::from_millis(200));
    }
}

#[test]
fn shutdown_in_another_thread_wakes_every_wait() {
    for (one, _other) in pairs() {
        fill(&one);
        let waiters: Vec<_> = [Interest::READABLE, Interest::WRITABLE, Interest::BOTH]
            .into_iter()
            .map(|interest| {
                let one = Arc::clone(&one);
                thread::spawn(move || one.wait(interest, None).unwrap())
            })
            .collect();
        thread::sleep(SOON);
        let start = Instant::now();
        one.shutdown(Shutdown::Both).unwrap();
        for waiter in waiters {
            assert!(waiter.join().unwrap().any());
        }
        assert!(start.elapsed() < Duration::from_millis(200));
        assert_eq!(one.read(&mut [0; 1]).unwrap(), 0);
        assert!(one.write(b"x").is_err());
    }
}

#[test]
fn the_end_and_a_reset_count_as_ready() {
    for (one, other) in pairs() {
        drop(other);
        assert!(one.wait(Interest::READABLE, within(LATE)).unwrap().readable);
        assert_eq!(one.read(&mut [0; 1]).unwrap(), 0);
    }
    let (one, other) = streams();
    socket2::SockRef::from(&other)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let one = prepared(one);
    drop(other);
    let ready = one.wait(Interest::BOTH, within(LATE)).unwrap();
    assert!(ready.readable && ready.writable);
    let error = one.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn nothing_is_lost_between_a_writer_and_a_reader_in_two_threads() {
    const TOTAL: usize = 8 << 20;
    for (one, other) in pairs() {
        let writer = thread::spawn(move || {
            let bytes = vec![1; 100_000];
            let mut left = TOTAL;
            while left > 0 {
                match one.write(&bytes[..left.min(bytes.len())]) {
                    Ok(count) => left -= count,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        assert!(one.wait(Interest::WRITABLE, within(LATE)).unwrap().any());
                    }
                    Err(e) => panic!("{e}"),
                }
            }
        });
        let mut buffer = vec![0; 65_536];
        let mut total = 0;
        loop {
            match other.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => total += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    assert!(other.wait(Interest::READABLE, within(LATE)).unwrap().any());
                }
                Err(e) => panic!("{e}"),
            }
        }
        writer.join().unwrap();
        assert_eq!(total, TOTAL);
    }
}

#[test]
fn addresses_are_those_of_the_socket() {
    let (one, other) = sockets();
    assert_eq!(one.peer_addr(), other.local_addr());
    assert!(one.peer_addr().is_some());
}

fn connect(host: &str, port: u16, deadline: Option<Instant>) -> Result<TcpStream, Error> {
    let addresses = tcp::resolve(host, port, None, deadline)?;
    dial::connect(addresses, &Dial::default(), &Default::default(), deadline)
}

#[test]
fn connect_takes_names_and_addresses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        for deadline in [None, within(LATE)] {
            connect(host, port, deadline).unwrap();
        }
    }
    if let Ok(listener) = TcpListener::bind("[::1]:0") {
        let port = listener.local_addr().unwrap().port();
        for host in ["::1", "[::1]"] {
            connect(host, port, within(LATE)).unwrap();
        }
    }
}

#[test]
fn a_refused_connect_is_an_io_error() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for deadline in [None, within(LATE)] {
        match connect("127.0.0.1", port, deadline) {
            Err(Error::Io(e)) => assert_eq!(e.kind(), ErrorKind::ConnectionRefused),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_deadline_in_the_past_is_a_timeout() {
    for host in ["127.0.0.1", "localhost"] {
        let error = connect(host, 9, Some(Instant::now())).unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
    }
}

/// A link, and the bare socket of its peer.
fn link() -> (Link, TcpStream) {
    let (one, other) = streams();
    other.set_read_timeout(Some(LATE)).unwrap();
    (Link::new(prepared(one)), other)
}

#[test]
fn a_link_reads_what_there_is_and_then_the_end() {
    let (mut link, mut peer) = link();
    peer.write_all(b"hello").unwrap();
    let mut buffer = b"> ".to_vec();
    assert_eq!(link.read(&mut buffer, within(LATE)).unwrap(), 5);
    assert_eq!(buffer, b"> hello");
    drop(peer);
    assert_eq!(link.read(&mut buffer, within(LATE)).unwrap(), 0);
    assert_eq!(buffer, b"> hello");
}

#[test]
fn a_link_keeps_its_deadline_reading_and_writing() {
    let (mut link, _peer) = link();
    for write in [false, true] {
        let start = Instant::now();
        let error = match write {
            false => link.read(&mut Vec::new(), within(SOON)).unwrap_err(),
            true => link
                .write_all(&vec![0; 64 << 20], within(SOON * 2))
                .unwrap_err(),
        };
        assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn a_byte_now_and_then_does_not_move_the_deadline() {
    let (mut link, mut peer) = link();
    let dripping = thread::spawn(move || while peer.write_all(b"x").is_ok() {});
    let deadline = within(SOON * 2);
    let mut buffer = Vec::new();
    let error = loop {
        buffer.clear();
        if let Err(e) = link.read(&mut buffer, deadline) {
            break e;
        }
    };
    assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
    drop(link);
    dripping.join().unwrap();
}

/// A stream whose writes take nothing.
#[derive(Debug)]
struct Stuck;

impl Transport for Stuck {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
    fn write(&self, _: &[u8]) -> io::Result<usize> {
        Ok(0)
    }
    fn wait(&self, _: Interest, _: Option<Instant>) -> io::Result<Ready> {
        Ok(Ready::default())
    }
    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_write_that_takes_nothing_is_an_error() {
    let mut link = Link::new(Arc::new(Stuck));
    match link.write_all(b"x", None) {
        Err(Error::Io(e)) => assert_eq!(e.kind(), ErrorKind::WriteZero),
        other => panic!("{other:?}"),
    }
    let error = link.read(&mut Vec::new(), within(SOON)).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
    assert_eq!(Stuck.write_vectored(&[]).unwrap(), 0);
}

#[cfg(feature = "native-tls")]
mod tls {
    use super::*;
    use crate::net::TlsConfig;

    const CA: &[u8] = include_bytes!("../../tests/certs/ca.pem");
    const CHAIN: &[u8] = include_bytes!("../../tests/certs/server.pem");
    const KEY: &[u8] = include_bytes!("../../tests/certs/server.key");

    fn client_config() -> TlsConfig {
        TlsConfig::client().add_root_certificate_pem(CA).unwrap()
    }

    fn server_config() -> TlsConfig {
        TlsConfig::server(CHAIN, KEY).unwrap()
    }

    /// Client and server, with TLS on.
    fn links() -> (Link, Link) {
        let (one, other) = sockets();
        let server = thread::spawn(move || {
            let mut link = Link::new(other);
            link.start_tls_server(&server_config(), within(LATE))
                .unwrap();
            link
        });
        let mut link = Link::new(one);
        link.start_tls_client(&client_config(), "localhost", within(LATE))
            .unwrap();
        (link, server.join().unwrap())
    }

    #[test]
    fn links_talk_over_tls_and_a_close_notify_is_the_end() {
        let (mut client, server) = links();
        assert!(server.transport().peer_addr().is_some());
        let server = server.into_parts();
        let (socket, mut session) = (server.transport, server.tls.unwrap());
        assert!(server.pending.is_empty());

        client.write_all(&[5; 100_000], within(LATE)).unwrap();
        let (mut plaintext, mut chunk) = (Vec::new(), [0; 5000]);
        while plaintext.len() < 100_000 {
            assert!(socket.wait(Interest::READABLE, within(LATE)).unwrap().any());
            let count = socket.read(&mut chunk).unwrap();
            assert!(!session.receive(&chunk[..count], &mut plaintext).unwrap());
        }
        assert!(plaintext == [5; 100_000]);

        let mut output = Vec::new();
        session.send(b"bye").unwrap();
        session.close();
        session.take_output(&mut output);
        assert_eq!(socket.write(&output).unwrap(), output.len());
        let mut buffer = Vec::new();
        assert_eq!(client.read(&mut buffer, within(LATE)).unwrap(), 3);
        assert_eq!(client.read(&mut buffer, within(LATE)).unwrap(), 0);
        assert_eq!(client.read(&mut buffer, within(LATE)).unwrap(), 0);
        assert_eq!(buffer, b"bye");
    }

    #[test]
    fn a_tls_stream_cut_off_is_an_error() {
        let (mut client, server) = links();
        drop(server);
        match client.read(&mut Vec::new(), within(LATE)) {
            Err(Error::Io(e)) => assert_eq!(e.kind(), ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_silent_peer_ends_at_the_deadline() {
        for server in [false, true] {
            let (mut link, _peer) = link();
            let start = Instant::now();
            let result = match server {
                false => link.start_tls_client(&client_config(), "localhost", within(SOON)),
                true => link.start_tls_server(&server_config(), within(SOON)),
            };
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
            assert!(start.elapsed() < Duration::from_secs(2));
        }
    }

    #[test]
    fn a_peer_that_leaves_during_the_handshake_is_a_tls_error() {
        let (mut link, peer) = link();
        peer.shutdown(Shutdown::Write).unwrap();
        let error = link
            .start_tls_client(&client_config(), "localhost", within(LATE))
            .unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
    }

    #[test]
    fn a_refused_certificate_is_an_error_on_both_sides() {
        let (one, other) = sockets();
        let server = thread::spawn(move || {
            Link::new(other).start_tls_server(&server_config(), within(LATE))
        });
        let mut client = Link::new(one);
        let error = client
            .start_tls_client(&client_config(), "example.com", within(LATE))
            .unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
        let error = server.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("alert"), "{error}");
    }
}
