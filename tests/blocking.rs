//! Connections over streams whose calls wait.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, FIN, TEXT};
use common::{LATE, Scheme, Serving, client_builder, eventually, patient, pattern};
use common::{server_builder, spawn, watchdog};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use wsync::{BlockingTransport, Config, Error, Interest, Negotiated, Role, Timeout};
use wsync::{Transport, WebSocket};

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (stream, listener.accept().unwrap().0)
}

/// One half of a stream, and something that is gone when this is.
struct Half(TcpStream, #[expect(dead_code)] Arc<()>);

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.0, buffer)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.0, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What its threads hold is gone when they are.
fn pumped(stream: TcpStream) -> (BlockingTransport, Weak<()>) {
    let token = Arc::new(());
    let threads = Arc::downgrade(&token);
    let half = || Half(stream.try_clone().unwrap(), Arc::clone(&token));
    let (reader, writer) = (half(), half());
    let transport = BlockingTransport::new(reader, writer, move |how| stream.shutdown(how));
    (transport.unwrap(), threads)
}

fn threads_end(threads: &Weak<()>) {
    eventually("both threads end", || threads.strong_count() == 0);
}

fn open(transport: impl Transport, role: Role) -> WebSocket {
    let config = match role {
        Role::Client => Config::client(),
        Role::Server => Config::server(),
    };
    let mut config = patient(config);
    config.limits.message = 64 << 20;
    WebSocket::from_parts(transport, role, [], Negotiated::new(config)).unwrap()
}

/// Large messages in both directions at once.
fn exchange(client: WebSocket, server: WebSocket) {
    let ends = [(client, 1, 2), (server, 2, 1)].map(|(ws, own, others)| {
        spawn(move || {
            let sender = ws.sender().clone();
            let sending = spawn(move || {
                for n in 0..8 {
                    sender.send(pattern(10 * own + n, 1_000_000)).unwrap();
                }
            });
            for n in 0..8 {
                let message = ws.recv_timeout(LATE).unwrap();
                assert!(
                    message.as_bytes() == pattern(10 * others + n, 1_000_000),
                    "{n}"
                );
            }
            sending.within(LATE, "sending");
            ws
        })
    });
    let [client, server] = ends.map(|end| end.within(LATE, "one end"));
    let served = spawn(move || drop(server.recv()));
    assert!(client.close().unwrap().is_normal());
    served.within(LATE, "the server");
}

#[test]
fn large_messages_go_both_ways_at_once() {
    watchdog(60, || {
        let (one, other) = tcp();
        let ((one, threads), (other, others)) = (pumped(one), pumped(other));
        exchange(open(one, Role::Client), open(other, Role::Server));
        threads_end(&threads);
        threads_end(&others);
    });
}

#[test]
fn a_client_opens_and_closes_over_one_with_and_without_tls() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = Serving::echo(server_builder(scheme));
            let stream = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
            let (transport, threads) = pumped(stream);
            let ws = client_builder(scheme, serving.port)
                .connect_over(transport)
                .unwrap();
            for size in [0, 1, 70_000, 300_000] {
                ws.send(pattern(1, size)).unwrap();
                assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == pattern(1, size));
            }
            assert!(ws.close().unwrap().is_normal());
            drop(ws);
            threads_end(&threads);
        }
    });
}

/// A process that passes on what it reads, and what ends it.
#[cfg(unix)]
fn relay(
    program: &str,
    arguments: &[&str],
) -> (
    std::process::ChildStdin,
    std::process::ChildStdout,
    Arc<std::sync::Mutex<std::process::Child>>,
) {
    use std::process::{Command, Stdio};

    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (stdin, stdout, Arc::new(std::sync::Mutex::new(child)))
}

#[cfg(unix)]
#[test]
fn the_pipes_of_other_processes_will_do() {
    watchdog(60, || {
        let (to_server, at_server, there) = relay("cat", &[]);
        let (to_client, at_client, back) = relay("cat", &[]);
        let ends = |how: Shutdown, relay: &Arc<std::sync::Mutex<std::process::Child>>| match how {
            Shutdown::Both => relay.lock().unwrap().kill(),
            _ => Ok(()),
        };
        // A relay that ends ends the pipe it writes to, which is the other end's input.
        let (killed, other) = (Arc::clone(&back), Arc::clone(&there));
        let client = BlockingTransport::new(at_client, to_server, move |how| ends(how, &killed));
        let server = BlockingTransport::new(at_server, to_client, move |how| ends(how, &other));
        exchange(
            open(client.unwrap(), Role::Client),
            open(server.unwrap(), Role::Server),
        );
        for relay in [there, back] {
            relay.lock().unwrap().wait().unwrap();
        }
    });
}

#[cfg(unix)]
#[test]
fn a_process_that_ends_in_the_middle_is_a_lost_peer() {
    watchdog(60, || {
        let (mut stdin, stdout, child) = relay("head", &["-c", "10"]);
        let nowhere = io::sink();
        let transport =
            BlockingTransport::new(stdout, nowhere, move |_| child.lock().unwrap().kill());
        let ws = open(transport.unwrap(), Role::Client);
        for text in ["one", "more"] {
            stdin
                .write_all(&peer::frame(FIN | TEXT, false, text.as_bytes()))
                .unwrap();
        }
        drop(stdin);
        assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("one"));
        let error = Error::from(ws.recv_timeout(LATE).unwrap_err());
        assert!(
            matches!(&error, Error::Io(e) if e.kind() == ErrorKind::UnexpectedEof),
            "{error}"
        );
    });
}

/// Gives these bytes, then fails.
struct Failing(io::Cursor<Vec<u8>>, fn() -> io::Error);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err((self.1)()),
            count => Ok(count),
        }
    }
}

#[test]
fn an_error_comes_with_its_kind_behind_what_came_before() {
    watchdog(60, || {
        let errors: [(fn() -> io::Error, ErrorKind); 4] = [
            (
                || ErrorKind::ConnectionReset.into(),
                ErrorKind::ConnectionReset,
            ),
            (
                || io::Error::from_raw_os_error(5),
                io::Error::from_raw_os_error(5).kind(),
            ),
            (|| ErrorKind::WouldBlock.into(), ErrorKind::TimedOut),
            (|| panic!("as streams do"), ErrorKind::Other),
        ];
        for (error, kind) in errors {
            let bytes = peer::frame(FIN | TEXT, false, b"before");
            let reader = Failing(io::Cursor::new(bytes), error);
            let transport = BlockingTransport::new(reader, io::sink(), |_| Ok(())).unwrap();
            let ws = open(transport, Role::Client);
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("before"));
            let error = Error::from(ws.recv_timeout(LATE).unwrap_err());
            assert!(
                matches!(&error, Error::Io(e) if e.kind() == kind),
                "{error}"
            );
        }
    });
}

#[test]
fn a_write_that_fails_is_told_to_who_writes_next() {
    watchdog(60, || {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let transport = BlockingTransport::new(io::empty(), Full, |_| Ok(())).unwrap();
        transport.write(b"lost").unwrap();
        eventually("the write has failed", || {
            transport
                .write(b"")
                .is_err_and(|e| e.kind() == ErrorKind::StorageFull)
        });
        assert!(transport.wait(Interest::WRITABLE, None).unwrap().writable);
        assert!(
            transport
                .write(b"more")
                .is_err_and(|e| e.kind() == ErrorKind::StorageFull)
        );
    });
}

/// Writes as much as is taken.
fn write_all(transport: &impl Transport, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match transport.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let ready = transport.wait(Interest::WRITABLE, Some(Instant::now() + LATE));
                assert!(ready.unwrap().writable);
            }
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn what_was_accepted_is_written_in_order_before_either_end() {
    watchdog(60, || {
        for how in [Shutdown::Write, Shutdown::Both] {
            let (one, mut other) = tcp();
            let (transport, threads) = pumped(one);
            let sent = pattern(3, 20_000_000);
            let expected = sent.clone();
            let writing = spawn(move || {
                write_all(&transport, &sent);
                transport.shutdown(how).unwrap();
                transport.shutdown(how).unwrap();
                assert!(
                    transport
                        .write(b"x")
                        .is_err_and(|e| e.kind() == ErrorKind::BrokenPipe)
                );
                transport
            });
            // Slower than it is written.
            let (mut came, mut chunk) = (Vec::new(), vec![0; 1 << 20]);
            loop {
                match Read::read(&mut other, &mut chunk).unwrap() {
                    0 => break,
                    count => came.extend_from_slice(&chunk[..count]),
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(came == expected, "{how:?}: {} bytes", came.len());
            let transport = writing.within(LATE, "writing");
            if how == Shutdown::Write {
                // The other half goes on.
                other.write_all(b"still here").unwrap();
                let deadline = Some(Instant::now() + LATE);
                assert!(
                    transport
                        .wait(Interest::READABLE, deadline)
                        .unwrap()
                        .readable
                );
                let mut buffer = [0; 64];
                let count = Transport::read(&transport, &mut buffer).unwrap();
                assert!(b"still here".starts_with(&buffer[..count]));
            }
            drop(transport);
            threads_end(&threads);
        }
    });
}

#[test]
fn waits_keep_their_deadlines_and_a_shutdown_ends_them() {
    watchdog(60, || {
        let (one, _other) = tcp();
        let (transport, _) = pumped(one);
        assert!(transport.wait(Interest::BOTH, None).unwrap().writable);
        let began = Instant::now();
        for interest in [Interest::READABLE, Interest::default()] {
            let soon = Instant::now() + Duration::from_millis(50);
            assert!(!transport.wait(interest, Some(soon)).unwrap().any());
            assert!(!transport.wait(interest, Some(began)).unwrap().any());
        }
        assert!(began.elapsed() >= Duration::from_millis(100));
        let transport = Arc::new(transport);
        let waiting = [Interest::READABLE, Interest::default()].map(|interest| {
            let transport = Arc::clone(&transport);
            spawn(move || transport.wait(interest, None).unwrap().readable)
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(waiting.iter().all(common::Task::is_running));
        transport.shutdown(Shutdown::Both).unwrap();
        let woken = waiting.map(|waiting| waiting.within(LATE, "a wait"));
        assert_eq!(woken, [true, false]);
        assert_eq!(Transport::read(&*transport, &mut [0; 9]).unwrap(), 0);
    });
}

#[test]
fn a_peer_that_does_not_read_makes_a_send_time_out_and_a_drop_ends_the_threads() {
    watchdog(60, || {
        let (one, _other) = tcp();
        let (transport, threads) = pumped(one);
        let mut config = Config::client();
        config.timeouts.send = Some(Duration::from_millis(200));
        let ws =
            WebSocket::from_parts(transport, Role::Client, [], Negotiated::new(config)).unwrap();
        let error = ws.send(vec![0; 60_000_000]).unwrap_err();
        assert_eq!(Error::from(error).kind(), Timeout::Send.kind());
        drop(ws);
        threads_end(&threads);
    });
}

/// Writes until nothing is taken any more.
fn fill(transport: &impl Transport) {
    let soon = || Some(Instant::now() + Duration::from_millis(200));
    while transport.wait(Interest::WRITABLE, soon()).unwrap().writable {
        let _ = transport.write(&[0; 100_000]);
    }
}

#[test]
fn a_drop_ends_the_threads_whatever_they_wait_for() {
    watchdog(60, || {
        // Idle; with bytes that nobody takes on either side.
        for (inbound, outbound) in [(0, 0), (10_000_000, 0), (0, 60_000_000)] {
            let (one, mut other) = tcp();
            let (transport, threads) = pumped(one);
            other.set_nonblocking(true).unwrap();
            let _ = Write::write(&mut other, &vec![0; inbound]);
            if outbound > 0 {
                fill(&transport);
            }
            assert_eq!(threads.strong_count(), 2);
            drop(transport);
            threads_end(&threads);
        }
    });
}

#[test]
fn what_need_not_arrive_is_not_waited_for() {
    watchdog(60, || {
        let (one, _other) = tcp();
        let (transport, threads) = pumped(one);
        fill(&transport);
        transport.discard_on_drop();
        let began = Instant::now();
        drop(transport);
        threads_end(&threads);
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
    });
}
