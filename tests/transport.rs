//! Connections over streams that do all that a stream may do, and some that are no sockets of ours.

#![allow(clippy::unwrap_used)]

mod common;

use common::faulty::{Faults, Open, open, open_with};
use common::peer::{self, CLOSE, FIN, Peer, TEXT};
use common::{LATE, Scheme, eventually, once_within, pattern};
use common::{patient, spawn, watchdog};
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, RecvError, Timeout, WebSocket};

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
            faults.wait_for_a_wait();
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

#[test]
fn a_send_that_times_out_behind_a_pong_that_has_not_left_harms_nothing() {
    watchdog(60, || {
        let mut config = patient(Config::client());
        config.timeouts.send = Some(Duration::from_millis(100));
        let Open {
            ws,
            mut peer,
            faults,
        } = open(Scheme::Ws, config);
        faults.full.store(true, Ordering::SeqCst);
        peer.frame(FIN | peer::PING, b"ping");
        // The reader, with the pong.
        faults.wait_for_a_wait();
        let error = ws.send("first").unwrap_err();
        assert!(matches!(error.error, Error::Timeout(Timeout::Send)));
        assert_eq!(error.message.unwrap().as_text(), Some("first"));
        faults.full.store(false, Ordering::SeqCst);
        assert_eq!(peer.read().payload, b"ping");
        ws.send("second").unwrap();
        assert_eq!(peer.read().payload, b"second");
    });
}

#[test]
fn sends_that_time_out_one_after_the_other_take_back_no_more_than_themselves() {
    watchdog(60, || {
        let mut config = patient(Config::client());
        config.timeouts.send = Some(Duration::from_millis(200));
        let Open {
            ws,
            mut peer,
            faults,
        } = open(Scheme::Ws, config);
        faults.full.store(true, Ordering::SeqCst);
        let sending = spawn(move || {
            // A pong becomes due while the first waits, so it waits beside the second.
            let errors = [
                ws.send("first").unwrap_err(),
                ws.send("second").unwrap_err(),
            ];
            (errors, ws)
        });
        faults.wait_for_a_wait();
        peer.frame(FIN | peer::PING, b"ping");
        let (errors, ws) = sending.within(LATE, "the sends");
        for (error, text) in errors.into_iter().zip(["first", "second"]) {
            assert_eq!(error.message.unwrap().as_text(), Some(text));
        }
        faults.full.store(false, Ordering::SeqCst);
        assert_eq!(peer.read().payload, b"ping");
        ws.send("third").unwrap();
        assert_eq!(peer.read().payload, b"third");
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
