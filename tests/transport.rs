//! Connections over streams that do all that a stream may do, and some that are no sockets of ours.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, CLOSE, FIN, Peer, TEXT};
use common::{LATE, Scheme, client_builder, eventually, numbers, once_within, pattern};
use common::{patient, spawn, watchdog};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, Interest, Ready, RecvError, Timeout, Transport, WebSocket};

/// What goes wrong, or is done in another way than usual. All of it can be changed while it is used.
#[derive(Default)]
struct Faults {
    /// Every other read and every other write is interrupted.
    interrupt: AtomicBool,
    /// A read gives no more than so many bytes; 0 for no bound.
    read_at_most: AtomicUsize,
    /// A write takes no more than so many bytes; 0 for no bound.
    write_at_most: AtomicUsize,
    /// A write takes any number of bytes, or none for now.
    write_at_random: AtomicBool,
    /// The buffer of the kernel is full.
    full: AtomicBool,
    /// A write takes 0 bytes.
    write_zero: AtomicBool,
    read_error: Mutex<Option<ErrorKind>>,
    write_error: Mutex<Option<ErrorKind>>,
    calls: AtomicUsize,
}

struct Faulty {
    stream: TcpStream,
    faults: Arc<Faults>,
    random: Mutex<Box<dyn FnMut() -> u64 + Send>>,
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    fn is_interrupted(&self) -> bool {
        let call = self.faults.calls.fetch_add(1, Ordering::SeqCst);
        self.faults.interrupt.load(Ordering::SeqCst) && call % 2 == 0
    }

    fn is_full(&self) -> bool {
        self.faults.full.load(Ordering::SeqCst)
    }
}

fn at_most(length: usize, bound: &AtomicUsize) -> usize {
    match bound.load(Ordering::SeqCst) {
        0 => length,
        bound => bound.min(length),
    }
}

impl Transport for Faulty {
    fn prepare(&self) -> io::Result<()> {
        self.stream.prepare()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        if let Some(kind) = *self.faults.read_error.lock().unwrap() {
            return Err(kind.into());
        }
        let length = at_most(buffer.len(), &self.faults.read_at_most);
        Transport::read(&self.stream, &mut buffer[..length])
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        if let Some(kind) = *self.faults.write_error.lock().unwrap() {
            return Err(kind.into());
        }
        if self.faults.write_zero.load(Ordering::SeqCst) {
            return Ok(0);
        }
        if self.is_full() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut length = at_most(bytes.len(), &self.faults.write_at_most);
        if self.faults.write_at_random.load(Ordering::SeqCst) {
            let random = (self.random.lock().unwrap())() as usize;
            if random % 4 == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            length = length.min(1 + random % 3000);
        }
        Transport::write(&self.stream, &bytes[..length])
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        loop {
            if !interest.writable || !self.is_full() {
                return self.stream.wait(interest, deadline);
            }
            // Nothing can be written: look now and then for something to read, for the end and for room.
            let tick = Instant::now() + Duration::from_millis(2);
            let readable = Interest {
                writable: false,
                ..interest
            };
            let mut ready = self.stream.wait(readable, Some(tick))?;
            ready.writable |= interest.writable && self.stream.take_error()?.is_some();
            if ready.any() || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(ready);
            }
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            *self.faults.write_error.lock().unwrap() = Some(ErrorKind::BrokenPipe);
            self.faults.full.store(false, Ordering::SeqCst);
        }
        self.stream.shutdown(how)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }
}

/// A client over a faulty stream, without faults as yet, and the peer at the other end.
struct Open {
    ws: WebSocket,
    peer: Peer,
    faults: Arc<Faults>,
}

fn open(scheme: Scheme, config: Config) -> Open {
    open_with(scheme, config, |_| {})
}

fn open_with(scheme: Scheme, config: Config, prepare: impl FnOnce(&Faults)) -> Open {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = spawn(move || {
        let mut peer = Peer::accept(&listener, scheme);
        let request = peer.read_head();
        peer.bytes(&peer::response_to(&request));
        peer
    });
    let faults = Arc::new(Faults::default());
    prepare(&faults);
    let transport = Faulty {
        stream: TcpStream::connect(addr).unwrap(),
        faults: Arc::clone(&faults),
        random: Mutex::new(Box::new(numbers(1))),
    };
    let builder = client_builder(scheme, addr.port()).config(config);
    Open {
        ws: builder.connect_over(transport).unwrap(),
        peer: peer.within(LATE, "the peer's handshake"),
        faults,
    }
}

fn echo(peer: &mut Peer) {
    loop {
        let frame = peer.read();
        let fin = if frame.fin { FIN } else { 0 };
        peer.frame(fin | frame.opcode, &frame.payload);
        if frame.opcode == CLOSE {
            return;
        }
    }
}

/// Sends messages of many sizes, gets them back and closes.
fn talk(ws: &WebSocket, most: usize) {
    let sizes = [
        0, 1, 2, 125, 126, 127, 1000, 4096, 65_535, 65_536, 200_000, 1_500_000,
    ];
    for (n, size) in sizes.into_iter().enumerate() {
        let message = pattern(n as u64, size.min(most));
        ws.send(message.clone()).unwrap();
        let echo = ws.recv_timeout(LATE).unwrap();
        assert!(echo.as_bytes() == message, "the message of {size} bytes");
    }
    assert!(ws.close().unwrap().is_normal());
}

fn talk_under(most: usize, prepare: fn(&Faults)) {
    for &scheme in Scheme::all() {
        let mut config = patient(Config::client());
        config.fragment_size = Some(300_000);
        let Open { ws, mut peer, .. } = open_with(scheme, config, prepare);
        let echoing = spawn(move || echo(&mut peer));
        talk(&ws, most);
        echoing.within(LATE, "the echo");
    }
}

#[test]
fn interrupted_calls_are_repeated() {
    watchdog(60, || {
        talk_under(usize::MAX, |faults| {
            faults.interrupt.store(true, Ordering::SeqCst)
        });
    });
}

#[test]
fn one_byte_per_read_makes_the_same_messages() {
    watchdog(120, || {
        talk_under(70_000, |faults| {
            faults.read_at_most.store(1, Ordering::SeqCst)
        });
    });
}

#[test]
fn one_byte_per_write_makes_the_same_messages() {
    watchdog(120, || {
        talk_under(70_000, |faults| {
            faults.write_at_most.store(1, Ordering::SeqCst)
        });
    });
}

#[test]
fn partial_writes_of_any_size_make_the_same_messages() {
    watchdog(120, || {
        talk_under(usize::MAX, |faults| {
            faults.write_at_random.store(true, Ordering::SeqCst);
        });
    });
}

#[test]
fn a_write_of_zero_bytes_ends_the_connection() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let Open { ws, peer, faults } = open(scheme, patient(Config::client()));
            faults.write_zero.store(true, Ordering::SeqCst);
            let error = ws.send("x").unwrap_err();
            assert!(matches!(&error.error, Error::Io(e) if e.kind() == ErrorKind::WriteZero));
            let again = ws.send("y").unwrap_err();
            assert!(matches!(&again.error, Error::Io(e) if e.kind() == ErrorKind::WriteZero));
            let RecvError(error) = ws.recv().unwrap_err();
            assert!(matches!(&error, Error::Io(e) if e.kind() == ErrorKind::WriteZero));
            assert!(ws.close().is_err());
            drop(peer);
        }
    });
}

#[test]
fn a_read_error_comes_after_the_messages_before_it() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let Open {
                ws,
                mut peer,
                faults,
            } = open(scheme, patient(Config::client()));
            peer.text("before");
            eventually("a message", || ws.len() == 1);
            *faults.read_error.lock().unwrap() = Some(ErrorKind::ConnectionReset);
            // Something to wake up for.
            peer.text("never read");
            assert_eq!(ws.recv().unwrap().as_text(), Some("before"));
            let RecvError(error) = ws.recv().unwrap_err();
            assert!(matches!(&error, Error::Io(e) if e.kind() == ErrorKind::ConnectionReset));
            let error = ws.send("x").unwrap_err();
            assert!(matches!(&error.error, Error::Io(e) if e.kind() == ErrorKind::ConnectionReset));
        }
    });
}

#[test]
fn a_write_error_leaves_the_messages_that_still_come() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let Open {
                ws,
                mut peer,
                faults,
            } = open(scheme, patient(Config::client()));
            peer.text("before");
            *faults.write_error.lock().unwrap() = Some(ErrorKind::ConnectionReset);
            let error = ws.send("x").unwrap_err();
            assert!(matches!(&error.error, Error::Io(e) if e.kind() == ErrorKind::ConnectionReset));
            assert_eq!(error.message.unwrap().as_text(), Some("x"));
            peer.text("after");
            peer.frame(TEXT, b"half a mess");
            peer.end();
            let texts: Vec<_> = ws.iter().map_while(Result::ok).collect();
            assert_eq!(texts, ["before".into(), "after".into()]);
            let RecvError(error) = ws.recv().unwrap_err();
            assert!(matches!(&error, Error::Io(e) if e.kind() == ErrorKind::ConnectionReset));
        }
    });
}

#[test]
fn what_was_accepted_and_not_written_is_counted() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            for ping in [false, true] {
                let Open {
                    ws, peer, faults, ..
                } = open(scheme, patient(Config::client()));
                (0..3).for_each(|_| ws.feed("accepted").unwrap());
                *faults.write_error.lock().unwrap() = Some(ErrorKind::ConnectionReset);
                // Neither is accepted.
                if ping {
                    assert!(ws.ping("").is_err());
                } else {
                    assert!(ws.send("handed back").unwrap_err().message.is_some());
                }
                peer.end();
                assert!(ws.recv().is_err());
                assert_eq!(ws.closed().unwrap().unsent, 3, "{scheme:?}, ping: {ping}");
            }
        }
    });
}

#[test]
fn a_send_that_times_out_before_its_first_byte_hands_the_message_back_and_harms_nothing() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let mut config = patient(Config::client());
            config.timeouts.send = Some(Duration::from_millis(100));
            let Open {
                ws,
                mut peer,
                faults,
            } = open(scheme, config);
            faults.full.store(true, Ordering::SeqCst);
            for _ in 0..2 {
                let began = Instant::now();
                let error = ws.send("first").unwrap_err();
                assert!(began.elapsed() >= Duration::from_millis(100));
                assert!(matches!(error.error, Error::Timeout(Timeout::Send)));
                assert_eq!(error.message.unwrap().as_text(), Some("first"));
                if scheme == Scheme::Wss {
                    // What is encrypted cannot be taken back: the connection is lost.
                    break;
                }
            }
            faults.full.store(false, Ordering::SeqCst);
            if scheme == Scheme::Ws {
                ws.send("second").unwrap();
                assert_eq!(peer.read().payload, b"second");
            } else {
                assert!(ws.send("second").is_err() && ws.recv().is_err());
            }
        }
    });
}

#[test]
fn a_pong_that_a_blocked_send_was_to_take_along_leaves_although_the_send_times_out() {
    watchdog(60, || {
        once_within(Duration::from_secs(2), || {
            let mut config = patient(Config::client());
            config.timeouts.send = Some(Duration::from_millis(200));
            let Open {
                ws,
                mut peer,
                faults,
            } = open(Scheme::Ws, config);
            faults.full.store(true, Ordering::SeqCst);
            let sending = spawn(move || (ws.send("x").unwrap_err(), ws));
            thread::sleep(Duration::from_millis(50));
            peer.frame(FIN | peer::PING, b"ping");
            peer.text("behind the ping");
            let (error, ws) = sending.within(LATE, "the send");
            assert_eq!(error.message.unwrap().as_text(), Some("x"));
            ws.recv_timeout(LATE).unwrap();
            let began = Instant::now();
            faults.full.store(false, Ordering::SeqCst);
            assert_eq!(peer.read().payload, b"ping");
            began.elapsed()
        });
    });
}

/// What is fed waits in the outbox, and the kernel takes none of it: then the last handle goes.
fn drop_with_a_full_kernel(close: Duration) -> (Peer, Arc<Faults>, Weak<Faults>) {
    let mut config = patient(Config::client());
    config.timeouts.close = Some(close);
    let Open { ws, peer, faults } = open(Scheme::Ws, config);
    ws.feed("fed").unwrap();
    faults.full.store(true, Ordering::SeqCst);
    drop(ws);
    let alive = Arc::downgrade(&faults);
    (peer, faults, alive)
}

#[test]
fn a_dropped_connection_that_cannot_be_written_to_is_let_go_at_the_close_timeout() {
    watchdog(60, || {
        once_within(Duration::from_millis(300 + 500), || {
            let began = Instant::now();
            let (_peer, faults, alive) = drop_with_a_full_kernel(Duration::from_millis(300));
            drop(faults);
            // The thread that reads is the last to hold the stream.
            eventually("the end", || alive.strong_count() == 0);
            began.elapsed()
        });
    });
}

#[test]
fn what_was_sent_before_a_drop_leaves_as_soon_as_the_kernel_takes_it() {
    watchdog(60, || {
        once_within(Duration::from_secs(2), || {
            let (mut peer, faults, _) = drop_with_a_full_kernel(Duration::from_secs(8));
            thread::sleep(Duration::from_millis(50));
            let began = Instant::now();
            faults.full.store(false, Ordering::SeqCst);
            assert_eq!(peer.read().payload, b"fed");
            assert_eq!(peer.read_close(), Some(1001));
            began.elapsed()
        });
    });
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::net::UnixStream;
    use tungstenite::{Message, accept};
    use wsync::ClientBuilder;

    #[test]
    fn a_client_speaks_over_a_unix_socket_with_tungstenites_server() {
        watchdog(60, || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let echoing = spawn(move || {
                let mut socket = accept(theirs).unwrap();
                loop {
                    match socket.read() {
                        Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                            socket.send(message).unwrap();
                        }
                        Ok(_) => {}
                        Err(tungstenite::Error::ConnectionClosed) => return,
                        Err(e) => panic!("{e}"),
                    }
                }
            });
            let builder = ClientBuilder::new("ws://localhost/").config(patient(Config::client()));
            let ws = builder.connect_over(ours).unwrap();
            assert_eq!(ws.peer_addr(), None);
            ws.send("héllo").unwrap();
            assert_eq!(ws.recv().unwrap().as_text(), Some("héllo"));
            talk(&ws, usize::MAX);
            echoing.within(LATE, "tungstenite");
        });
    }

    #[test]
    fn a_unix_socket_whose_peer_leaves_tells_of_the_loss() {
        watchdog(60, || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let leaving = spawn(move || drop(accept(theirs).unwrap()));
            let ws = ClientBuilder::new("ws://localhost/")
                .connect_over(ours)
                .unwrap();
            leaving.within(LATE, "the peer");
            let RecvError(error) = ws.recv().unwrap_err();
            assert!(matches!(&error, Error::Io(e) if e.kind() == ErrorKind::UnexpectedEof));
        });
    }
}
