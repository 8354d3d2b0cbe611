//! How soon a fault is told of, and what slow streams cost. The faults themselves are in `faults` and
//! `transport`.

#![allow(clippy::unwrap_used)]

mod common;

use common::delivery::Delivery;
use common::faulty::{self, Open};
use common::peer::{self, BINARY, CONTINUATION, FIN, Ours, Peer, TEXT, everywhere};
use common::trickle::{Drops, Trickle};
use common::{
    LATE, Scheme, client_builder, eventually, once_within, patient, pattern, spawn, watchdog,
};
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wsync::{Config, Error, Misuse, ProtocolError, RecvError, Timeout, WebSocket};

const SOON: Duration = Duration::from_millis(100);

fn io_kind(error: &Error) -> Option<ErrorKind> {
    match error {
        Error::Io(e) => Some(e.kind()),
        _ => None,
    }
}

/// A receive call in a thread of its own, and when it was over.
fn receive(ws: &Arc<WebSocket>) -> common::Task<(Error, Instant)> {
    let ws = Arc::clone(ws);
    spawn(move || {
        let RecvError(error) = ws.recv().unwrap_err();
        (error, Instant::now())
    })
}

#[test]
fn a_loss_ends_a_receive_call_that_waits_within_100_ms() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let whole = peer::frame(FIN | BINARY, ours == Ours::Server, &[5; 1000]);
            let fragment = peer::frame(TEXT, ours == Ours::Server, b"frag");
            for bytes in [&[], &whole[..500], &fragment] {
                for reset in [false, true] {
                    once_within(SOON, || {
                        let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                        let ws = Arc::new(ws);
                        let receiving = receive(&ws);
                        peer.bytes(bytes);
                        std::thread::sleep(Duration::from_millis(5));
                        let began = Instant::now();
                        let kind = match reset {
                            true => {
                                peer.reset();
                                ErrorKind::ConnectionReset
                            }
                            false => {
                                peer.end();
                                ErrorKind::UnexpectedEof
                            }
                        };
                        let (error, end) = receiving.within(LATE, "recv");
                        assert_eq!(io_kind(&error), Some(kind));
                        end - began
                    });
                }
            }
        });
    });
}

#[test]
fn a_failed_write_is_told_of_at_once_and_leaves_what_still_comes() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            for kind in [
                ErrorKind::BrokenPipe,
                ErrorKind::ConnectionReset,
                ErrorKind::WriteZero,
            ] {
                let zero = kind == ErrorKind::WriteZero;
                let bound = if zero {
                    Duration::from_millis(10)
                } else {
                    SOON
                };
                once_within(bound, || {
                    let Open {
                        ws,
                        mut peer,
                        faults,
                    } = faulty::open(scheme, patient(Config::client()));
                    match zero {
                        true => faults.write_zero.store(true, Ordering::SeqCst),
                        false => *faults.write_error.lock().unwrap() = Some(kind),
                    }
                    let began = Instant::now();
                    let error = ws.send("x").unwrap_err();
                    let took = began.elapsed();
                    assert_eq!(io_kind(&error.error), Some(kind));
                    peer.text("after");
                    assert_eq!(ws.recv().unwrap().as_text(), Some("after"));
                    peer.end();
                    assert_eq!(io_kind(&ws.recv().unwrap_err().0), Some(kind));
                    took
                });
            }
        }
    });
}

/// The frames that came of a message, until they end.
fn read_until_the_end(peer: &mut Peer) -> Vec<peer::Frame> {
    std::iter::from_fn(|| peer.try_read().ok()).collect()
}

#[test]
fn a_connection_whose_send_timed_out_in_a_frame_never_goes_on_when_the_peer_reads_again() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            let mut config = patient(ours.config());
            config.timeouts.send = Some(timeout);
            let (ws, mut peer) = peer::open(ours, scheme, config);
            let error = ws.send(vec![0; 64 << 20]).unwrap_err();
            assert!(matches!(error.error, Error::Timeout(Timeout::Send)));
            let reading = spawn(move || read_until_the_end(&mut peer));
            assert!(ws.send("go on").is_err() && ws.ping("").is_err() && ws.flush().is_err());
            let frames = reading.within(LATE, "the peer");
            for (n, frame) in frames.iter().enumerate() {
                let opcode = if n == 0 { BINARY } else { CONTINUATION };
                assert_eq!((frame.opcode, frame.fin), (opcode, false), "frame {n}");
            }
            assert!(frames.len() < 64);
            assert!(ws.send("go on").is_err());
        });
    });
}

/// Or the kernel would keep megabytes for it, for minutes.
#[test]
fn a_peer_that_did_not_read_is_reset_when_the_connection_is_dropped() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let mut config = patient(ours.config());
            config.timeouts.send = Some(Duration::from_millis(300));
            let (ws, peer) = peer::open(ours, scheme, config);
            ws.send(vec![0; 64 << 20]).unwrap_err();
            drop(ws);
            // Without reading anything: then more would be sent.
            eventually("a reset", || {
                let error = peer.tcp.take_error().unwrap();
                error.is_some_and(|e| e.kind() == ErrorKind::ConnectionReset)
            });
        });
    });
}

#[test]
fn a_violation_is_told_of_at_both_ends_within_500_ms() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let cases: [(u8, &[u8], u16); 4] = [
                (FIN | TEXT, b"\xff", 1007),
                (FIN | BINARY, &[0; 2000], 1009),
                (0xc1, b"x", 1002),
                (FIN | CONTINUATION, b"x", 1002),
            ];
            for (first, payload, code) in cases {
                once_within(Duration::from_millis(500), || {
                    let mut config = patient(ours.config());
                    config.limits.message = 1000;
                    let (ws, mut peer) = peer::open(ours, scheme, config);
                    let ws = Arc::new(ws);
                    let receiving = receive(&ws);
                    let began = Instant::now();
                    peer.frame(first, payload);
                    assert_eq!(peer.read_close(), Some(code));
                    let told = began.elapsed();
                    let (error, end) = receiving.within(LATE, "recv");
                    match error {
                        Error::TooBig { .. } => assert_eq!(code, 1009),
                        Error::Protocol(ProtocolError::Utf8) => assert_eq!(code, 1007),
                        Error::Protocol(_) => assert_eq!(code, 1002),
                        error => panic!("{error:?}"),
                    }
                    told.max(end - began)
                });
            }
        });
    });
}

#[test]
fn a_panic_in_a_callback_is_told_to_the_peer_within_100_ms() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            once_within(SOON, || {
                let callback = Delivery::callback(|_, _| panic!("as it was told"));
                let (ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
                let began = Instant::now();
                peer.text("panic");
                assert_eq!(peer.read_close(), Some(1011));
                let took = began.elapsed();
                drop(peer);
                let RecvError(error) = ws.recv().unwrap_err();
                assert!(matches!(error, Error::Misuse(Misuse::Panic)), "{error:?}");
                took
            });
        });
    });
}

#[test]
fn a_wrong_response_is_refused_within_100_ms_and_no_frame_is_sent() {
    let right = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let wrong = [
        format!("{right}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
        right.replace("101", "200") + "Content-Length: 0\r\n\r\n",
        format!("{right}Sec-WebSocket-Protocol: none\r\n\r\n"),
        format!("{right}Sec-WebSocket-Extensions: none\r\n\r\n"),
    ];
    watchdog(60, move || {
        for &scheme in Scheme::all() {
            for response in &wrong {
                once_within(SOON, || {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let port = listener.local_addr().unwrap().port();
                    let response = response.clone();
                    let peer = spawn(move || {
                        let mut peer = Peer::accept(&listener, scheme);
                        peer.read_head();
                        let began = Instant::now();
                        peer.bytes(response.as_bytes());
                        assert!(peer.try_read().is_err(), "no frame");
                        began
                    });
                    let error = client_builder(scheme, port).connect().unwrap_err();
                    let end = Instant::now();
                    assert!(matches!(error, Error::Handshake(_)), "{error}");
                    end - peer.within(LATE, "the peer")
                });
            }
        }
    });
}

fn trickle() -> (WebSocket, Peer, Arc<Drops>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = spawn(move || {
        let mut peer = Peer::accept(&listener, Scheme::Ws);
        peer.respond(None);
        peer
    });
    let drops = Arc::new(Drops::default());
    let stream = Trickle::new(TcpStream::connect(addr).unwrap(), Arc::clone(&drops));
    let builder = client_builder(Scheme::Ws, addr.port()).config(patient(Config::client()));
    let ws = builder.connect_over(stream).unwrap();
    (ws, peer.within(LATE, "the peer's handshake"), drops)
}

/// The time that this thread has had of a processor.
#[cfg(target_os = "linux")]
fn thread_time() -> Duration {
    let mut stat = String::new();
    let mut file = std::fs::File::open("/proc/thread-self/schedstat").unwrap();
    file.read_to_string(&mut stat).unwrap();
    let nanoseconds = stat.split(' ').next().unwrap().parse().unwrap();
    Duration::from_nanos(nanoseconds)
}

/// Without optimization everything takes longer.
const SLOWER: u32 = if cfg!(debug_assertions) { 10 } else { 1 };

#[test]
#[cfg(target_os = "linux")]
fn a_stream_that_takes_a_byte_at_a_time_costs_20_ms_of_a_processor_per_mib_and_no_square() {
    watchdog(120, || {
        for mib in [1, 4] {
            once_within(20 * mib * SLOWER * Duration::from_millis(1), || {
                let (ws, _peer, drops) = trickle();
                drops.writing.store(true, Ordering::SeqCst);
                let length = (mib as usize) << 20;
                let began = thread_time();
                ws.send(vec![7; length]).unwrap();
                let took = thread_time() - began;
                println!("{mib} MiB, a byte per write: {took:?}");
                assert!(drops.written.load(Ordering::SeqCst) > length);
                took
            });
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_stream_that_gives_a_byte_at_a_time_costs_the_same_for_each_byte() {
    watchdog(120, || {
        for mib in [1_usize, 4] {
            // A system call for each byte would cost more than this.
            let bound = mib as u32 * SLOWER * Duration::from_millis(500);
            once_within(bound, || {
                let (ws, mut peer, drops) = trickle();
                drops.reading.store(true, Ordering::SeqCst);
                let message = pattern(1, mib << 20);
                let expected = message.clone();
                let sending = spawn(move || {
                    peer.frame(FIN | BINARY, &message);
                    peer
                });
                let began = thread_time();
                let received = ws.recv().unwrap();
                let took = thread_time() - began;
                println!("{mib} MiB, a byte per read: {took:?}");
                assert!(received.as_bytes() == expected);
                sending.within(LATE, "the peer");
                took
            });
        }
    });
}

/// The gaps between the messages that a side receives while both send all the time: the one that 1 in 100 is
/// longer than.
fn p99_of_gaps(ws: &WebSocket, end: Instant) -> Duration {
    let began = Instant::now();
    let (mut gaps, mut last) = (Vec::new(), began);
    while Instant::now() < end {
        ws.recv_timeout(LATE).unwrap();
        let now = Instant::now();
        gaps.push(now - last);
        last = now;
    }
    gaps.sort();
    // A machine that had time for so few was busy.
    match gaps.len() > 100 {
        true => gaps[gaps.len() * 99 / 100],
        false => end - began,
    }
}

#[test]
fn both_sides_receive_all_the_time_while_both_send_with_gaps_below_50_ms() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            once_within(Duration::from_millis(50), || {
                let (client, server) = common::pair(scheme);
                let ends = [Arc::new(client), Arc::new(server)];
                let stop = Arc::new(AtomicBool::new(false));
                let sending = ends.clone().map(|ws| {
                    let stop = Arc::clone(&stop);
                    spawn(move || {
                        // More than the kernel takes at once, so that writes block.
                        while !stop.load(Ordering::SeqCst) {
                            ws.send(vec![7; 10_000]).unwrap();
                        }
                    })
                });
                let end = Instant::now() + Duration::from_secs(1);
                let receiving = ends.clone().map(|ws| spawn(move || p99_of_gaps(&ws, end)));
                let gaps = receiving.map(|task| task.within(LATE, "receiving"));
                stop.store(true, Ordering::SeqCst);
                let draining = ends.map(|ws| spawn(move || while ws.recv().is_ok() {}));
                for task in sending {
                    task.within(LATE, "sending");
                }
                drop(draining);
                gaps.into_iter().max().unwrap()
            });
        }
    });
}

fn check_sources(folder: &Path, count: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("src/bin") {
            // The command shows the time of day.
        } else if path.is_dir() {
            check_sources(&path, count);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            assert!(!source.contains("SystemTime"), "{}", path.display());
            *count += 1;
        }
    }
}

#[test]
fn no_source_asks_for_the_time_of_day_which_may_jump() {
    let mut count = 0;
    check_sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut count,
    );
    assert!(count > 50, "{count} files");
}
