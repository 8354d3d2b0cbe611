//! What comes, whole or in fragments, before and after the end; and what is sent.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, CLOSE, CONTINUATION, FIN, Ours, PING, PONG, Peer, TEXT};
use common::{LATE, Scheme, eventually, once_within, patient, spawn, watchdog};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Closed, Error, Initiator, Message, RecvTimeoutError, WebSocket};

/// One of ours and its peer, for both ends and both schemes.
fn each(test: impl Fn(WebSocket, Peer)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            let (ws, peer) = peer::open(ours, scheme, patient(ours.config()));
            test(ws, peer);
        }
    }
}

const SMILE: &str = "a smile: \u{1f600}";

/// Fragments of [`SMILE`], cut within the last character.
fn fragments(peer: &Peer) -> [Vec<u8>; 3] {
    let (begin, rest) = SMILE.as_bytes().split_at(SMILE.len() - 3);
    let (middle, end) = rest.split_at(1);
    [
        peer::frame(TEXT, peer.masks(), begin),
        peer::frame(CONTINUATION, peer.masks(), middle),
        peer::frame(FIN | CONTINUATION, peer.masks(), end),
    ]
}

fn is_timeout(result: Result<Message, RecvTimeoutError>) -> bool {
    matches!(result, Err(RecvTimeoutError::Timeout))
}

#[test]
fn fragments_are_one_message_whenever_they_come() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let pieces = fragments(&peer);
            // All are there.
            peer.bytes(&pieces.concat());
            peer.settle();
            assert_eq!(ws.recv().unwrap(), SMILE.into());
            // None are, and some are.
            let receiving = spawn(move || {
                assert_eq!(ws.recv().unwrap(), SMILE.into());
                ws
            });
            thread::sleep(Duration::from_millis(5));
            for piece in &pieces {
                assert!(receiving.is_running());
                peer.bytes(piece);
                thread::sleep(Duration::from_millis(2));
            }
            let ws = receiving.within(LATE, "recv");
            peer.bytes(&peer::frame(BINARY, peer.masks(), &[1, 2]));
            peer.frame(FIN | PING, b"between");
            peer.bytes(&peer::frame(FIN | CONTINUATION, peer.masks(), &[3]));
            let message = ws.recv_timeout(LATE).unwrap();
            assert!(message.is_binary() && message.as_bytes() == [1, 2, 3]);
            assert_eq!(peer.read().opcode, PONG);
        });
    });
}

#[test]
fn a_timeout_of_zero_takes_what_is_whole_and_keeps_what_is_not() {
    watchdog(60, || {
        each(|ws, mut peer| {
            assert!(is_timeout(ws.recv_timeout(Duration::ZERO)));
            let pieces = fragments(&peer);
            for piece in &pieces {
                assert!(is_timeout(ws.recv_timeout(Duration::ZERO)));
                peer.bytes(piece);
                peer.settle();
            }
            assert_eq!(ws.recv_timeout(Duration::ZERO).unwrap(), SMILE.into());
            peer.text("whole");
            peer.settle();
            assert_eq!(ws.recv_timeout(Duration::ZERO).unwrap(), "whole".into());
            peer.bytes(&pieces[0]);
            peer.settle();
            assert!(is_timeout(ws.recv_timeout(Duration::from_millis(20))));
            peer.bytes(&pieces[1..].concat());
            assert_eq!(ws.recv_timeout(LATE).unwrap(), SMILE.into());
        });
    });
}

#[test]
fn either_kind_can_be_had_as_bytes_and_binary_as_text_if_it_is() {
    watchdog(60, || {
        each(|ws, mut peer| {
            peer.text(SMILE);
            peer.frame(FIN | BINARY, SMILE.as_bytes());
            let (text, binary) = (ws.recv().unwrap(), ws.recv().unwrap());
            assert!(text.is_text() && binary.is_binary());
            assert_eq!((text.as_text(), binary.as_text()), (Some(SMILE), None));
            assert_eq!(text.as_bytes(), binary.as_bytes());
            assert_eq!(std::str::from_utf8(binary.as_bytes()), Ok(SMILE));
            assert_eq!(text.into_bytes(), binary.into_bytes());
        });
    });
}

#[test]
fn what_came_whole_is_received_after_the_end_and_the_begin_of_a_message_is_not() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let pieces = fragments(&peer);
            peer.text("whole");
            peer.bytes(&pieces.concat());
            peer.bytes(&pieces[0]);
            peer.close(1000);
            assert_eq!(peer.read_close(), Some(1000));
            peer.read_end_and_leave();
            eventually("the end", || ws.closed().is_some());
            assert_eq!(ws.recv().unwrap(), "whole".into());
            assert_eq!(ws.recv().unwrap(), SMILE.into());
            for _ in 0..3 {
                assert!(matches!(ws.recv().unwrap_err().0, Error::Closed(_)));
            }
            assert!(ws.iter().next().is_none(), "the end was normal");
        });
    });
}

#[test]
fn each_kind_of_message_is_sent_as_what_it_is() {
    watchdog(60, || {
        each(|ws, mut peer| {
            ws.send_all([] as [Message; 0]).unwrap();
            ws.send(SMILE).unwrap();
            ws.send(SMILE.as_bytes()).unwrap();
            ws.send("").unwrap();
            for opcode in [TEXT, BINARY] {
                let frame = peer.read();
                assert_eq!((frame.opcode, frame.fin), (opcode, true));
                assert_eq!(frame.payload, SMILE.as_bytes());
            }
            assert_eq!(peer.read().payload, b"");
        });
    });
}

#[test]
fn a_close_frame_carries_the_code_and_the_reason() {
    watchdog(60, || {
        for reason in ["", "why, in words: \u{fc}"] {
            each(|ws, mut peer| {
                let closing = spawn(move || ws.close_with(4001, reason));
                let frame = peer.read();
                assert_eq!((frame.opcode, frame.code()), (CLOSE, Some(4001)));
                assert_eq!(&frame.payload[2..], reason.as_bytes());
                peer.frame(FIN | CLOSE, &frame.payload);
                let closed = closing.within(LATE, "close").unwrap();
                assert_eq!(closed.initiator, Some(Initiator::Local));
                assert_eq!(closed.sent, closed.received);
                assert_eq!(closed.sent.unwrap().reason.as_str(), reason);
            });
        }
    });
}

#[test]
fn close_returns_after_the_peers_close_frame_and_not_before() {
    watchdog(60, || {
        each(|ws, mut peer| {
            assert_eq!(ws.closed(), None);
            let closing = spawn(move || (ws.close(), ws));
            assert_eq!(peer.read_close(), Some(1000));
            peer.text("meanwhile");
            thread::sleep(Duration::from_millis(20));
            assert!(closing.is_running());
            peer.close(1000);
            let (closed, ws) = closing.within(LATE, "close");
            let expected = "sent 1000 (normal closure); then received 1000 (normal closure)";
            assert_eq!(closed.unwrap().to_string(), expected);
            assert_eq!(ws.recv().unwrap(), "meanwhile".into());
            let error = ws.recv().unwrap_err().0;
            assert_eq!(error.to_string(), format!("closed: {expected}"));
        });
    });
}

#[test]
fn a_peer_that_does_not_end_tcp_after_its_close_frame_holds_up_close_for_a_moment_only() {
    watchdog(60, || {
        for ours in Ours::BOTH {
            for &scheme in Scheme::all() {
                once_within(Duration::from_millis(1500), || {
                    let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                    let began = Instant::now();
                    let closing = spawn(move || ws.close().unwrap());
                    assert_eq!(peer.read_close(), Some(1000));
                    peer.close(1000);
                    assert!(closing.within(LATE, "close").is_normal());
                    let took = began.elapsed();
                    peer.read_end();
                    took
                });
            }
        }
    });
}

/// How it ended, once the peer has sent this code.
fn after_close(ws: &WebSocket, mut peer: Peer, code: u16) -> Closed {
    peer.close(code);
    assert_eq!(peer.read_close(), Some(code));
    peer.read_end_and_leave();
    eventually("the end", || ws.closed().is_some());
    ws.closed().unwrap()
}

#[test]
fn after_the_peers_close_every_call_tells_of_it() {
    watchdog(60, || {
        for (code, normal) in [(1000, true), (1001, true), (1011, false)] {
            each(|ws, peer| {
                let closed = after_close(&ws, peer, code);
                assert_eq!(
                    (closed.is_normal(), closed.initiator),
                    (normal, Some(Initiator::Remote))
                );
                let errors = [
                    ws.recv().unwrap_err().0,
                    ws.recv_latest().unwrap_err().0,
                    ws.send("late").unwrap_err().error,
                    ws.ping("").unwrap_err(),
                ];
                for error in errors {
                    assert!(matches!(error, Error::Closed(c) if *c == closed));
                }
                let ends: Vec<_> = ws.iter().collect();
                assert_eq!(ends.len(), usize::from(!normal));
                assert_eq!(ws.close().unwrap(), closed);
            });
        }
    });
}
