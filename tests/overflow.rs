//! The bounds of the receive queue, and what happens at them.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, FIN, Ours, Peer};
use common::{LATE, Scheme, eventually, number_of, once_within, patient, spawn, watchdog};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{CloseCode, Config, Error, Overflow, WebSocket};

fn config(ours: Ours, messages: usize, overflow: Overflow) -> Config {
    let mut config = patient(ours.config());
    config.queue.messages = messages;
    config.queue.overflow = overflow;
    config
}

/// One of ours with this queue and its peer, for both ends and both schemes.
fn each(messages: usize, overflow: Overflow, test: impl Fn(WebSocket, Peer)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            let (ws, peer) = peer::open(ours, scheme, config(ours, messages, overflow));
            test(ws, peer);
        }
    }
}

/// The numbers that are queued.
fn drained(ws: &WebSocket) -> Vec<u64> {
    ws.drain(usize::MAX).iter().map(number_of).collect()
}

/// The peer closes; how it ended for us.
fn close(ws: &WebSocket, mut peer: Peer) -> wsync::Closed {
    peer.close(1000);
    assert_eq!(peer.read_close(), Some(1000));
    peer.read_end_and_leave();
    eventually("the end", || ws.closed().is_some());
    ws.closed().unwrap()
}

#[test]
fn of_20_000_tiny_frames_in_one_write_no_more_are_queued_than_the_bound() {
    const COUNT: u64 = 20_000;
    watchdog(120, || {
        each(16, Overflow::Block, |ws, mut peer| {
            let view = ws.queue();
            let writing = spawn(move || {
                peer.numbers(0..COUNT);
                peer
            });
            eventually("a full queue", || ws.len() == 16);
            thread::sleep(Duration::from_millis(20));
            assert_eq!((view.len(), view.snapshot().len()), (16, 16));
            let mut most = 0;
            for n in 0..COUNT {
                most = most.max(view.len());
                assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), n);
            }
            let high = view.high_water();
            println!("{most} seen, high water {} messages", high.messages);
            assert!(most <= 16 && high.messages == 16 && high.bytes == 128);
            let stats = view.stats();
            assert_eq!((stats.received, stats.dropped), (COUNT, 0));
            assert_eq!(close(&ws, writing.within(LATE, "the peer")).dropped, 0);
        });
    });
}

#[test]
fn the_bound_in_bytes_holds_and_what_is_larger_passes_when_alone() {
    watchdog(60, || {
        for ours in Ours::BOTH {
            for &scheme in Scheme::all() {
                let mut config = config(ours, 1 << 20, Overflow::Block);
                config.queue.bytes = 1000;
                let (ws, mut peer) = peer::open(ours, scheme, config);
                let view = ws.queue();
                peer.numbers(0..500);
                eventually("a full queue", || view.bytes() >= 1000);
                assert_eq!((view.len(), view.bytes()), (125, 1000));
                for n in 0..500 {
                    assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), n);
                }
                assert_eq!(view.high_water().bytes, 1000);
                view.reset_high_water();
                for size in [5000, 60_000, 5001] {
                    peer.frame(FIN | BINARY, &vec![1; size]);
                    eventually("a message", || view.len() == 1);
                    assert_eq!(view.bytes(), size);
                    assert_eq!(ws.recv_timeout(LATE).unwrap().len(), size);
                }
                assert_eq!(view.high_water().bytes, 60_000);
            }
        }
    });
}

/// Messages, four times as many as there is room for, in many writes.
fn flood(peer: &mut Peer) -> Range<u64> {
    (0..40).for_each(|n| peer.numbers(n * 10..n * 10 + 10));
    peer.settle();
    0..400
}

/// What is left to receive calls is read 20 ms later at the earliest.
#[test]
fn with_a_policy_that_drops_all_is_read_at_once_whatever_the_application_does() {
    let soon = |ws: &WebSocket, peer: &mut Peer| {
        let began = Instant::now();
        peer.text("read at once");
        eventually("the message", || ws.queue().stats().received == 1);
        began.elapsed()
    };
    watchdog(60, move || {
        for overflow in [
            Overflow::DropOldest,
            Overflow::DropNewest,
            Overflow::KeepLatest,
            Overflow::Close(CloseCode::TRY_AGAIN_LATER),
        ] {
            once_within(Duration::from_millis(10), || {
                let config = config(Ours::Client, 1, overflow);
                let (ws, mut peer) = peer::open(Ours::Client, Scheme::Ws, config);
                soon(&ws, &mut peer)
            });
            once_within(Duration::from_millis(10), || {
                let block = config(Ours::Client, 1, Overflow::Block);
                let (ws, mut peer) = peer::open(Ours::Client, Scheme::Ws, block);
                let drops = config(Ours::Client, 1, overflow).queue;
                ws.configure_queue(&drops).unwrap();
                soon(&ws, &mut peer)
            });
        }
    });
}

#[test]
fn drop_oldest_keeps_the_newest_in_order() {
    watchdog(60, || {
        each(100, Overflow::DropOldest, |ws, mut peer| {
            let sent = flood(&mut peer);
            assert_eq!(ws.len(), 100);
            assert!(drained(&ws).into_iter().eq(300..sent.end));
            let stats = ws.queue().stats();
            assert_eq!((stats.received, stats.delivered), (400, 100));
            assert_eq!((stats.dropped, stats.dropped_bytes), (300, 2400));
            assert_eq!(stats.paused, Duration::ZERO);
            assert_eq!(ws.queue().high_water().messages, 100);
            assert_eq!(close(&ws, peer).dropped, 300);
        });
    });
}

#[test]
fn drop_newest_keeps_the_oldest_in_order() {
    watchdog(60, || {
        each(100, Overflow::DropNewest, |ws, mut peer| {
            let sent = flood(&mut peer);
            assert!(drained(&ws).into_iter().eq(0..100));
            peer.numbers(sent.end..sent.end + 3);
            peer.settle();
            assert_eq!(drained(&ws), [400, 401, 402]);
            let stats = ws.queue().stats();
            assert_eq!((stats.received, stats.delivered), (403, 103));
            assert_eq!((stats.dropped, stats.dropped_bytes), (300, 2400));
            assert_eq!(close(&ws, peer).dropped, 300);
        });
    });
}

#[test]
fn keep_latest_drops_all_that_wait_when_the_queue_is_full() {
    watchdog(60, || {
        each(100, Overflow::KeepLatest, |ws, mut peer| {
            peer.numbers(0..100);
            peer.settle();
            assert_eq!(ws.len(), 100);
            peer.numbers(100..101);
            peer.settle();
            assert_eq!(
                ws.queue()
                    .peek_n(9)
                    .iter()
                    .map(number_of)
                    .collect::<Vec<_>>(),
                [100]
            );
            peer.numbers(101..150);
            peer.settle();
            assert!(drained(&ws).into_iter().eq(100..150));
            let stats = ws.queue().stats();
            assert_eq!(
                (stats.received, stats.delivered, stats.dropped),
                (150, 50, 100)
            );
            assert_eq!(close(&ws, peer).dropped, 100);
        });
        each(1, Overflow::KeepLatest, |ws, mut peer| {
            let sent = flood(&mut peer);
            assert_eq!(drained(&ws), [sent.end - 1]);
            assert_eq!(close(&ws, peer).dropped, 399);
        });
    });
}

#[test]
fn overflow_close_fails_the_connection_after_what_was_queued() {
    watchdog(60, || {
        let code = CloseCode::from(4321);
        each(10, Overflow::Close(code), |ws, mut peer| {
            peer.numbers(0..10);
            peer.settle();
            assert!(ws.closed().is_none(), "full, and nothing more came");
            peer.numbers(10..14);
            assert_eq!(peer.read_close(), Some(4321));
            peer.close(4321);
            peer.read_end_and_leave();
            for n in 0..10 {
                assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), n);
            }
            let error = ws.recv().unwrap_err().0;
            assert!(matches!(error, Error::Overflow(c) if c == code), "{error}");
            assert_eq!(error.kind(), "overflow");
            let closed = ws.closed().unwrap();
            assert_eq!((closed.dropped, closed.sent.unwrap().code), (1, code));
            assert_eq!(ws.queue().stats().dropped, 1);
            assert!(matches!(
                ws.send("x").unwrap_err().error,
                Error::Overflow(_)
            ));
        });
    });
}

#[test]
fn overflow_close_fails_the_connection_at_once_for_a_large_message_too() {
    watchdog(60, || {
        each(
            1,
            Overflow::Close(CloseCode::TRY_AGAIN_LATER),
            |ws, mut peer| {
                peer.numbers(0..1);
                peer.settle();
                let large = peer::frame(FIN | BINARY, peer.masks(), &[0; 500_000]);
                let (begin, rest) = large.split_at(200_000);
                peer.bytes(begin);
                thread::sleep(Duration::from_millis(10));
                peer.bytes(rest);
                assert_eq!(peer.read_close(), Some(1013));
                peer.close(1013);
                peer.read_end_and_leave();
                assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), 0);
                assert!(matches!(ws.recv().unwrap_err().0, Error::Overflow(_)));
            },
        );
    });
}

/// What a consumer gets that comes now and then while a peer floods.
fn consume_a_flood(ws: &WebSocket, mut peer: Peer, count: u64) -> Vec<u64> {
    let flooding = spawn(move || {
        let step = 500;
        (0..count / step).for_each(|n| peer.numbers(n * step..(n + 1) * step));
        peer.settle();
        peer
    });
    let mut got = Vec::new();
    while flooding.is_running() {
        got.extend(ws.drain(5).iter().map(number_of));
        thread::sleep(Duration::from_micros(50));
    }
    got.extend(drained(ws));
    got
}

#[test]
fn under_a_flood_every_policy_keeps_the_order_and_counts_what_it_drops() {
    const COUNT: u64 = 20_000;
    watchdog(120, || {
        for overflow in [
            Overflow::DropOldest,
            Overflow::DropNewest,
            Overflow::KeepLatest,
        ] {
            each(64, overflow, |ws, peer| {
                let got = consume_a_flood(&ws, peer, COUNT);
                assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{overflow:?}");
                let first_or_last = match overflow {
                    Overflow::DropNewest => got.first() == Some(&0),
                    _ => got.last() == Some(&(COUNT - 1)),
                };
                assert!(first_or_last, "{overflow:?}");
                let stats = ws.queue().stats();
                assert_eq!(stats.received, COUNT);
                assert_eq!(stats.delivered, got.len() as u64);
                assert_eq!(stats.dropped, COUNT - stats.delivered, "{overflow:?}");
                assert_eq!(stats.paused, Duration::ZERO);
                assert!(ws.queue().high_water().messages <= 64);
            });
        }
    });
}
