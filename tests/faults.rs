//! Peers that vanish, break the protocol, never read or never stop, once the connection is open.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, CLOSE, CONTINUATION, FIN, Ours, PING, Peer, TEXT, everywhere};
use common::{LATE, Scheme, eventually, once_within, patient, spawn, watchdog};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Closed, Error, Initiator, ProtocolError as P, RecvError, Timeout, WebSocket};

fn io_kind(error: &Error) -> Option<ErrorKind> {
    match error {
        Error::Io(e) => Some(e.kind()),
        _ => None,
    }
}

/// Ends TCP in one of two ways, and tells the error that shows.
fn vanish(peer: Peer, reset: bool) -> ErrorKind {
    if reset {
        peer.reset();
        return ErrorKind::ConnectionReset;
    }
    peer.end();
    ErrorKind::UnexpectedEof
}

/// What a peer has sent of its next message when it vanishes.
fn stages(masks: bool) -> Vec<(&'static str, Vec<u8>)> {
    let whole = peer::frame(FIN | BINARY, masks, &[5; 1000]);
    let ping = peer::frame(FIN | PING, masks, b"ping");
    vec![
        ("idle", Vec::new()),
        ("one byte of a header", whole[..1].to_vec()),
        ("a part of the length", whole[..3].to_vec()),
        ("a header", whole[..if masks { 8 } else { 4 }].to_vec()),
        ("a part of the payload", whole[..500].to_vec()),
        ("all but one byte", whole[..whole.len() - 1].to_vec()),
        ("a fragment", peer::frame(BINARY, masks, &[5; 1000])),
        (
            "a fragment and a part of the next",
            [peer::frame(TEXT, masks, b"a"), whole[..1].to_vec()].concat(),
        ),
        ("a part of a ping", ping[..ping.len() - 1].to_vec()),
    ]
}

#[test]
fn a_peer_that_vanishes_ends_the_queue_with_the_loss_after_what_came_whole() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for (stage, bytes) in stages(ours == Ours::Server) {
                for reset in [false, true] {
                    let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                    peer.text("before");
                    peer.bytes(&bytes);
                    eventually("a message", || ws.len() == 1);
                    let kind = vanish(peer, reset);
                    assert_eq!(ws.recv().unwrap().as_text(), Some("before"));
                    for _ in 0..2 {
                        let RecvError(error) = ws.recv().unwrap_err();
                        assert_eq!(io_kind(&error), Some(kind), "{stage}: {error}");
                    }
                    assert_eq!(ws.closed(), Some(Closed::default()), "{stage}");
                    let error = ws.send("x").unwrap_err();
                    assert_eq!(io_kind(&error.error), Some(kind), "{stage}: {error}");
                    assert_eq!(error.message.unwrap().as_text(), Some("x"));
                    assert_eq!(io_kind(&ws.close().unwrap_err()), Some(kind));
                }
            }
        });
    });
}

#[test]
fn a_peer_that_vanishes_after_our_close_ends_close_at_once() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for reset in [false, true] {
                once_within(Duration::from_millis(200), || {
                    let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                    let vanishing = spawn(move || {
                        assert_eq!(peer.read_close(), Some(1000));
                        vanish(peer, reset)
                    });
                    let began = Instant::now();
                    let error = ws.close().unwrap_err();
                    let took = began.elapsed();
                    let kind = vanishing.within(LATE, "the peer");
                    assert_eq!(io_kind(&error), Some(kind), "{error}");
                    let closed = ws.closed().unwrap();
                    assert_eq!(closed.sent.unwrap().code, 1000.into());
                    assert_eq!(
                        (closed.received, closed.initiator),
                        (None, Some(Initiator::Local))
                    );
                    took
                });
            }
        });
    });
}

/// Bytes that break the protocol, the error for it and the code of the Close frame.
fn violations(masks: bool) -> Vec<(Vec<u8>, P, u16)> {
    let frame = |first: u8, payload: &[u8]| peer::frame(first, masks, payload);
    let long = |first: u8, form: u8, length: &[u8]| {
        let mut bytes = vec![first, if masks { 0x80 } else { 0 } | form];
        bytes.extend_from_slice(length);
        bytes.extend_from_slice(&[0; 200]);
        bytes
    };
    let mask = if masks { P::Unmasked } else { P::Masked };
    let two = |a: Vec<u8>, b: Vec<u8>| [a, b].concat();
    vec![
        (frame(0xc1, b"x"), P::ReservedBits, 1002),
        (frame(0xa1, b"x"), P::ReservedBits, 1002),
        (frame(0x91, b"x"), P::ReservedBits, 1002),
        (frame(0x83, b"x"), P::BadOpcode(3), 1002),
        (frame(0x8b, b"x"), P::BadOpcode(11), 1002),
        (peer::frame(FIN | TEXT, !masks, b"x"), mask, 1002),
        (frame(FIN | PING, &[0; 126]), P::ControlTooLong, 1002),
        (frame(PING, b"x"), P::FragmentedControl, 1002),
        (frame(CLOSE, b"\x03\xe8"), P::FragmentedControl, 1002),
        (long(0x82, 126, &[0, 125]), P::LengthForm, 1002),
        (
            long(0x82, 127, &[0, 0, 0, 0, 0, 0, 255, 255]),
            P::LengthForm,
            1002,
        ),
        (
            long(0x82, 127, &[128, 0, 0, 0, 0, 0, 0, 0]),
            P::LengthOverflow,
            1002,
        ),
        (
            frame(FIN | CONTINUATION, b"x"),
            P::UnexpectedContinuation,
            1002,
        ),
        (
            two(frame(TEXT, b"x"), frame(FIN | TEXT, b"y")),
            P::ExpectedContinuation,
            1002,
        ),
        (frame(FIN | CLOSE, b"x"), P::CloseLength, 1002),
        (frame(FIN | CLOSE, b"\x03\xed"), P::BadCloseCode(1005), 1002),
        (frame(FIN | CLOSE, b"\x03\xe8\xff"), P::Utf8, 1007),
        (frame(FIN | TEXT, b"\xff"), P::Utf8, 1007),
        (frame(FIN | TEXT, b"cut \xe2\x82"), P::Utf8, 1007),
        // Found before the message is whole.
        (frame(TEXT, b"\xc0\xaf"), P::Utf8, 1007),
    ]
}

#[test]
fn a_violation_is_told_to_the_peer_with_its_code_and_to_the_application() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for (bytes, expected, code) in violations(ours == Ours::Server) {
                let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                peer.text("before");
                peer.bytes(&bytes);
                assert_eq!(ws.recv().unwrap().as_text(), Some("before"));
                match ws.recv().unwrap_err() {
                    RecvError(Error::Protocol(error)) => assert_eq!(error, expected),
                    RecvError(error) => panic!("{error:?} for {expected:?}"),
                }
                assert_eq!(peer.read_close(), Some(code), "{expected:?}");
                let closed = ws.closed().unwrap();
                assert_eq!(closed.sent.unwrap().code, code.into());
                assert_eq!(
                    (closed.received, closed.initiator),
                    (None, Some(Initiator::Local))
                );
                assert!(ws.send("x").is_err() && ws.close().is_err());
                if ours == Ours::Server {
                    // RFC 6455 section 7.1.1: the server ends TCP first.
                    peer.read_end();
                }
            }
        });
    });
}

#[test]
fn a_message_above_a_limit_is_failed_with_1009_before_it_came() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let masks = ours == Ours::Server;
            let fragment = peer::frame(BINARY, masks, &[0; 600]);
            let next = peer::frame(CONTINUATION, masks, &[0; 600]);
            let empty = peer::frame(CONTINUATION, masks, b"");
            let cases = [
                (peer::frame(FIN | BINARY, masks, &[0; 1001]), 1001, 1000),
                (
                    peer::frame(FIN | BINARY, masks, &[0; 70_000])[..14].to_vec(),
                    70_000,
                    1000,
                ),
                ([&fragment[..], &next[..14]].concat(), 1200, 1000),
                ([&fragment[..], &empty.repeat(10)].concat(), 11, 10),
            ];
            for (bytes, size, limit) in cases {
                let mut config = patient(ours.config());
                config.limits.message = 1000;
                config.limits.fragments = 10;
                let (ws, mut peer) = peer::open(ours, scheme, config);
                peer.bytes(&bytes);
                assert_eq!(peer.read_close(), Some(1009));
                let RecvError(error) = ws.recv().unwrap_err();
                let expected = Error::TooBig { size, limit }.to_string();
                assert_eq!(error.to_string(), expected);
            }
        });
    });
}

fn open_with_timeouts(
    ours: Ours,
    scheme: Scheme,
    set: impl FnOnce(&mut wsync::Timeouts),
) -> (WebSocket, Peer) {
    let mut config = patient(ours.config());
    set(&mut config.timeouts);
    peer::open(ours, scheme, config)
}

#[test]
fn a_peer_that_never_reads_makes_send_fail_at_its_deadline() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            once_within(timeout + Duration::from_millis(500), || {
                let (ws, _peer) =
                    open_with_timeouts(ours, scheme, |timeouts| timeouts.send = Some(timeout));
                let began = Instant::now();
                let error = ws.send(vec![0; 64 << 20]).unwrap_err();
                let took = began.elapsed();
                assert!(took >= timeout, "{took:?}");
                assert!(matches!(error.error, Error::Timeout(Timeout::Send)));
                // Part of it is on the wire: it is not handed back, and the connection is failed.
                assert!(error.message.is_none());
                let RecvError(error) = ws.recv().unwrap_err();
                assert!(matches!(error, Error::Timeout(Timeout::Send)), "{error}");
                assert!(ws.send("x").is_err() && ws.close().is_err());
                drop(ws);
                took
            });
        });
    });
}

#[test]
fn a_send_behind_one_that_is_blocked_fails_at_its_own_deadline_and_gets_its_message_back() {
    let timeout = Duration::from_millis(400);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            let (ws, _peer) =
                open_with_timeouts(ours, scheme, |timeouts| timeouts.send = Some(timeout));
            let sending: Vec<_> = (0..4)
                .map(|_| {
                    let sender = ws.sender().clone();
                    spawn(move || sender.send(vec![1; 32 << 20]))
                })
                .collect();
            let mut handed_back = 0;
            for task in sending {
                let error = task.within(LATE, "a send").unwrap_err();
                assert!(matches!(error.error, Error::Timeout(Timeout::Send)));
                handed_back += usize::from(error.message.is_some_and(|m| m.len() == 32 << 20));
            }
            assert_eq!(handed_back, 3, "all but the one that is partly on the wire");
        });
    });
}

#[test]
fn a_peer_that_never_reads_does_not_hold_up_close() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            once_within(timeout + Duration::from_millis(500), || {
                let (ws, peer) =
                    open_with_timeouts(ours, scheme, |timeouts| timeouts.close = Some(timeout));
                let sender = ws.sender().clone();
                let sending = spawn(move || sender.send(vec![0; 64 << 20]));
                peer.wait_for_a_message();
                let began = Instant::now();
                assert!(ws.close().is_err());
                assert!(sending.within(LATE, "the send").is_err());
                began.elapsed()
            });
        });
    });
}

#[test]
fn a_message_that_takes_too_long_is_failed_with_1008_however_it_drips() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            for fragmented in [false, true] {
                once_within(timeout + Duration::from_millis(800), || {
                    let (ws, mut peer) = open_with_timeouts(ours, scheme, |timeouts| {
                        timeouts.message = Some(timeout);
                    });
                    peer.text("before");
                    let began = Instant::now();
                    let first = if fragmented { BINARY } else { FIN | BINARY };
                    peer.bytes(&peer::frame(first, peer.masks(), &[0; 1000])[..20]);
                    let over = Arc::new(AtomicBool::new(false));
                    let stop = Arc::clone(&over);
                    let dripping = spawn(move || {
                        // One byte now and then does not move the deadline.
                        while peer.try_bytes(&[0]).is_ok() && !stop.load(Ordering::SeqCst) {
                            thread::sleep(Duration::from_millis(20));
                        }
                        peer
                    });
                    assert_eq!(ws.recv().unwrap().as_text(), Some("before"));
                    let RecvError(error) = ws.recv().unwrap_err();
                    let took = began.elapsed();
                    over.store(true, Ordering::SeqCst);
                    assert!(matches!(error, Error::Timeout(Timeout::Message)), "{error}");
                    assert!(took >= timeout, "{took:?}");
                    let mut peer = dripping.within(LATE, "the peer");
                    if let Ok(frame) = peer.try_read() {
                        assert_eq!(frame.code(), Some(1008));
                    }
                    assert_eq!(ws.closed().unwrap().sent.unwrap().code, 1008.into());
                    took
                });
            }
        });
    });
}

#[test]
fn a_pause_between_messages_is_no_message_that_takes_too_long() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open_with_timeouts(ours, scheme, |timeouts| {
                timeouts.message = Some(Duration::from_millis(100));
            });
            for _ in 0..3 {
                peer.text("now and then");
                thread::sleep(Duration::from_millis(150));
            }
            assert!((0..3).all(|_| ws.recv_timeout(LATE).is_ok()));
            assert_eq!(ws.closed(), None);
        });
    });
}

#[test]
fn a_peer_that_goes_on_after_our_close_does_not_hold_it_up() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            for flood in [true, false] {
                once_within(timeout + Duration::from_millis(800), || {
                    let (ws, mut peer) =
                        open_with_timeouts(ours, scheme, |timeouts| timeouts.close = Some(timeout));
                    let bytes = peer::frame(FIN | BINARY, peer.masks(), &[0; 10_000]);
                    let going_on = spawn(move || {
                        if flood {
                            while peer.try_bytes(&bytes).is_ok() {}
                        } else {
                            let mut drops = bytes.chunks(1).cycle();
                            while peer.try_bytes(drops.next().unwrap()).is_ok() {
                                thread::sleep(Duration::from_millis(20));
                            }
                        }
                    });
                    let began = Instant::now();
                    let error = ws.close().unwrap_err();
                    let took = began.elapsed();
                    assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
                    assert!(took >= timeout, "{took:?}");
                    going_on.within(2 * LATE, "the peer sees the end");
                    took
                });
            }
        });
    });
}

#[test]
fn a_violation_by_a_peer_that_never_reads_ends_the_connection_soon() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            // 100 ms for the application's answer to what came before, and as much for the Close.
            once_within(Duration::from_secs(1), || {
                let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                let sender = ws.sender().clone();
                let sending = spawn(move || sender.send(vec![0; 64 << 20]));
                peer.wait_for_a_message();
                let began = Instant::now();
                peer.frame(0xc1, b"x");
                let RecvError(error) = ws.recv().unwrap_err();
                assert!(matches!(error, Error::Protocol(P::ReservedBits)), "{error}");
                let took = began.elapsed();
                // The thread that wrote ends within the second that the peer has to end TCP.
                assert!(sending.within(LATE, "the send").is_err());
                took
            });
        });
    });
}
