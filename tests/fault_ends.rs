//! Ends under faults: links that are black holes, handles that leak, sends beside a close.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, CLOSE, CONTINUATION, Peer, everywhere};
use common::relay::{Mode, linked};
use common::{LATE, once_within, patient, spawn, watchdog};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Error, Timeout};

#[test]
fn a_black_hole_holds_up_close_no_longer_than_its_timeout() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            once_within(timeout + Duration::from_millis(500), || {
                let mut config = patient(ours.config());
                config.timeouts.close = Some(timeout);
                let (ws, other, relay) = linked(ours, scheme, config);
                relay.set(Mode::Hold);
                let began = Instant::now();
                let error = ws.close().unwrap_err();
                let took = began.elapsed();
                assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
                assert!(took >= timeout, "{took:?}");
                // The socket has ended, which shows when the link is back.
                relay.set(Mode::Forward);
                assert!(other.recv_timeout(LATE).is_err() && other.closed().is_some());
                took
            });
        });
    });
}

#[test]
fn a_black_hole_fails_a_send_at_its_timeout_and_a_receive_call_then() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            once_within(timeout + Duration::from_millis(500), || {
                let mut config = patient(ours.config());
                config.timeouts.send = Some(timeout);
                let (ws, _other, relay) = linked(ours, scheme, config);
                relay.set(Mode::Hold);
                let ws = Arc::new(ws);
                let receiving = {
                    let ws = Arc::clone(&ws);
                    spawn(move || ws.recv().unwrap_err().0)
                };
                // As long as the kernel takes it nobody knows.
                let (error, took) = loop {
                    let began = Instant::now();
                    match ws.send(vec![0; 100_000]) {
                        Ok(()) => assert!(receiving.is_running()),
                        Err(error) => break (error.error, began.elapsed()),
                    }
                };
                assert!(matches!(error, Error::Timeout(Timeout::Send)), "{error}");
                if ws.closed().is_none() {
                    // No byte of it had left: the connection is as it was, and the next one fails, too.
                    assert!(ws.send(vec![0; 8 << 20]).is_err());
                }
                drop(ws.close());
                assert!(receiving.within(LATE, "recv").is_timeout());
                took
            });
        });
    });
}

#[test]
fn both_sides_close_at_once_with_one_frame_each_within_200_ms() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            once_within(Duration::from_millis(200), || {
                let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                let start = Arc::new(Barrier::new(2));
                let go = Arc::clone(&start);
                let closing = spawn(move || {
                    go.wait();
                    let began = Instant::now();
                    (ws.close().unwrap(), began.elapsed())
                });
                start.wait();
                peer.close(1000);
                assert_eq!(peer.read_close(), Some(1000));
                peer.read_end_and_leave();
                let (closed, took) = closing.within(LATE, "close");
                assert!(closed.is_normal(), "{closed}");
                took
            });
        });
    });
}

/// What the peer saw: whole messages of each thread, in order, and then a Close frame.
fn read_until_close(peer: &mut Peer, threads: usize, pause: Duration) -> Vec<u64> {
    let mut next = vec![0_u64; threads];
    let mut message: Option<Vec<u8>> = None;
    loop {
        let frame = peer.read();
        if frame.opcode == CLOSE {
            assert_eq!(frame.code(), Some(1000));
            return next;
        }
        match &mut message {
            None => {
                assert_eq!(frame.opcode, BINARY);
                message = Some(frame.payload);
            }
            Some(begun) => {
                assert_eq!(frame.opcode, CONTINUATION, "no other message within one");
                begun.extend(frame.payload);
            }
        }
        if frame.fin {
            let message = message.take().unwrap();
            let (thread, rest) = (message[0], &message[1..]);
            let n = u64::from_be_bytes(rest[..8].try_into().unwrap());
            assert!(rest[8..].iter().all(|&byte| byte == thread), "torn");
            assert_eq!(n, next[usize::from(thread)], "the order of thread {thread}");
            next[usize::from(thread)] += 1;
            thread::sleep(pause);
        }
    }
}

fn send_until_closed(sender: &wsync::Sender, thread: u8, length: usize) -> u64 {
    for n in 0_u64.. {
        let mut message = vec![thread];
        message.extend(n.to_be_bytes());
        message.resize(9 + length, thread);
        match sender.send(message) {
            Ok(()) => {}
            Err(error) => {
                assert!(matches!(error.error, Error::Closed(_)), "{error}");
                assert!(sender.send("later").is_err(), "nothing is Ok after the end");
                return n;
            }
        }
    }
    unreachable!()
}

#[test]
fn each_of_many_sends_beside_a_close_is_on_the_wire_before_the_close_frame_or_an_error() {
    const THREADS: usize = 6;
    watchdog(120, || {
        everywhere(|ours, scheme| {
            // Small ones, large ones in fragments, and a peer that is slow to read.
            for (length, pause) in [(10, 0), (30_000, 0), (30_000, 1)] {
                let mut config = patient(ours.config());
                config.fragment_size = Some(10_000);
                let (ws, mut peer) = peer::open(ours, scheme, config);
                let sending: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let sender = ws.sender().clone();
                        spawn(move || send_until_closed(&sender, thread as u8, length))
                    })
                    .collect();
                let reading = spawn(move || {
                    let seen = read_until_close(&mut peer, THREADS, Duration::from_millis(pause));
                    peer.close(1000);
                    peer.read_end_and_leave();
                    seen
                });
                thread::sleep(Duration::from_millis(20));
                let closed = ws.close().unwrap();
                let seen = reading.within(LATE, "the peer");
                let accepted: Vec<_> = sending
                    .into_iter()
                    .map(|task| task.within(LATE, "a thread that sends"))
                    .collect();
                assert_eq!((seen, closed.unsent), (accepted, 0));
            }
        });
    });
}
