//! Looking into the receive queue: it tells what waits, and changes nothing.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, FIN, Ours};
use common::{
    LATE, Scheme, client_builder, eventually, number_of, numbered, once_within, pair, patient,
    pattern, spawn, watchdog,
};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, Message, Overflow, QueueView, WebSocket};

/// One of ours and its peer, for both ends and both schemes.
fn each(test: impl Fn(WebSocket, peer::Peer)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            let (ws, peer) = peer::open(ours, scheme, patient(ours.config()));
            test(ws, peer);
        }
    }
}

fn numbers_of(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(number_of).collect()
}

#[test]
fn a_look_tells_what_waits_and_takes_nothing() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            assert_eq!((view.len(), view.bytes(), view.is_empty()), (0, 0, true));
            assert_eq!((view.peek(), view.oldest_age()), (None, None));
            assert!(view.peek_n(3).is_empty() && view.snapshot().is_empty());
            let all = ["one".into(), Message::from(vec![7; 1000]), "".into()];
            peer.text("one");
            peer.frame(FIN | BINARY, &[7; 1000]);
            peer.text("");
            peer.settle();
            for _ in 0..3 {
                assert_eq!((view.len(), view.bytes()), (3, 1003));
                assert_eq!(view.peek().unwrap(), all[0]);
                assert_eq!(view.peek_n(0), []);
                assert_eq!(view.peek_n(2), all[..2]);
                assert_eq!(view.peek_n(100), all);
                assert_eq!(view.snapshot(), all);
            }
            for n in 0..3 {
                assert_eq!(view.snapshot(), all[n..]);
                assert_eq!(ws.recv_timeout(LATE).unwrap(), all[n]);
            }
            assert_eq!((view.len(), view.bytes(), view.peek()), (0, 0, None));
        });
    });
}

#[test]
fn a_look_in_the_middle_of_a_burst_keeps_the_order_with_what_comes_later() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            peer.numbers(0..10);
            peer.settle();
            assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), 0);
            for begin in (10..100).step_by(10) {
                assert_eq!(number_of(&view.peek().unwrap()), begin - 9);
                peer.numbers(begin..begin + 10);
                peer.settle();
                let seen = numbers_of(&view.snapshot());
                assert!(seen.into_iter().eq(begin - 9..begin + 10));
                for n in begin - 9..=begin {
                    assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), n);
                }
            }
        });
    });
}

#[test]
fn the_capacity_is_that_of_the_configuration() {
    watchdog(60, || {
        let mut config = patient(Config::client());
        (config.queue.messages, config.queue.bytes) = (7, 1234);
        let (ws, _peer) = peer::open(Ours::Client, Scheme::Ws, config.clone());
        let capacity = ws.queue().capacity();
        assert_eq!((capacity.messages, capacity.bytes), (7, 1234));
        config.queue.messages = 9;
        ws.configure_queue(&config.queue).unwrap();
        assert_eq!(ws.queue().capacity().messages, 9);
    });
}

#[test]
fn the_age_is_that_of_the_next_message() {
    const APART: Duration = Duration::from_millis(60);
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            peer.text("old");
            peer.settle();
            thread::sleep(APART);
            let between = Instant::now();
            peer.text("young");
            peer.settle();
            let age = view.oldest_age().unwrap();
            assert!(age >= APART, "{age:?}");
            ws.recv_timeout(LATE).unwrap();
            let age = view.oldest_age().unwrap();
            assert!(age <= between.elapsed(), "{age:?}");
            ws.recv_timeout(LATE).unwrap();
            assert_eq!(view.oldest_age(), None);
        });
    });
}

#[test]
fn the_high_water_mark_stays_until_it_is_reset() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            let before = view.high_water();
            assert_eq!((before.messages, before.bytes), (0, 0));
            (0..5).for_each(|_| peer.frame(FIN | BINARY, &[1; 100]));
            peer.settle();
            (0..4).for_each(|_| drop(ws.recv_timeout(LATE).unwrap()));
            peer.frame(FIN | BINARY, &[1; 300]);
            peer.settle();
            let high = view.high_water();
            assert_eq!((high.messages, high.bytes), (5, 500));
            assert_eq!(high.since, before.since);
            view.reset_high_water();
            let high = view.high_water();
            assert_eq!((high.messages, high.bytes), (2, 400));
            assert!(high.since > before.since && high.since <= Instant::now());
            (0..2).for_each(|_| drop(ws.recv_timeout(LATE).unwrap()));
            view.reset_high_water();
            assert_eq!(view.high_water().messages, 0);
        });
    });
}

#[test]
fn every_message_that_came_was_delivered_or_dropped_or_waits() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            peer.numbers(0..10);
            peer.settle();
            let stats = view.stats();
            assert_eq!((stats.received, stats.received_bytes), (10, 80));
            assert_eq!((stats.delivered, stats.dropped), (0, 0));
            ws.recv_timeout(LATE).unwrap();
            assert_eq!(ws.drain(3).len(), 3);
            assert_eq!(ws.clear(), 6);
            let stats = view.stats();
            assert_eq!((stats.received, stats.received_bytes), (10, 80));
            assert_eq!((stats.delivered, stats.delivered_bytes), (4, 32));
            assert_eq!((stats.dropped, stats.dropped_bytes), (6, 48));
            assert_eq!((view.len(), stats.paused), (0, Duration::ZERO));
        });
    });
}

#[test]
fn the_time_that_the_reader_waits_for_room_is_counted_while_it_goes_on() {
    const PAUSE: Duration = Duration::from_millis(100);
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let mut config = patient(Config::client());
            config.queue.messages = 1;
            let (ws, mut peer) = peer::open(Ours::Client, scheme, config);
            let view = ws.queue();
            peer.numbers(0..2);
            eventually("a pause", || view.stats().paused > Duration::ZERO);
            let before = view.stats().paused;
            thread::sleep(PAUSE);
            let paused = view.stats().paused;
            assert!(paused >= before + PAUSE, "{before:?}, then {paused:?}");
            (0..2).for_each(|_| drop(ws.recv_timeout(LATE).unwrap()));
            peer.settle();
            let paused = view.stats().paused;
            thread::sleep(Duration::from_millis(10));
            assert_eq!(view.stats().paused, paused, "nothing waits any more");
        }
    });
}

#[test]
fn a_look_does_not_wait_for_a_thread_that_waits_in_recv() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            let waiting = spawn(move || (ws.recv().unwrap(), ws));
            thread::sleep(Duration::from_millis(20));
            let other = view.clone();
            let looking = spawn(move || {
                once_within(Duration::from_millis(50), || {
                    let began = Instant::now();
                    assert_eq!((other.len(), other.bytes(), other.peek()), (0, 0, None));
                    assert_eq!(other.oldest_age(), None);
                    assert!(other.snapshot().is_empty());
                    assert_eq!(other.stats().received, 0);
                    began.elapsed()
                });
            });
            looking.within(LATE, "looking");
            assert!(waiting.is_running());
            peer.text("here");
            let (message, _ws) = waiting.within(LATE, "recv");
            assert_eq!(message.as_text(), Some("here"));
            assert_eq!(view.stats().delivered, 1);
        });
    });
}

#[test]
fn what_was_queued_can_be_seen_after_the_end_and_is_still_received() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            peer.numbers(0..3);
            peer.close(1000);
            assert_eq!(peer.read_close(), Some(1000));
            peer.read_end_and_leave();
            eventually("the end", || ws.closed().is_some());
            assert_eq!((view.len(), view.bytes()), (3, 24));
            assert_eq!(numbers_of(&view.snapshot()), [0, 1, 2]);
            assert!(view.oldest_age().is_some());
            for n in 0..3 {
                assert_eq!(view.peek().as_ref().map(number_of), Some(n));
                assert_eq!(number_of(&ws.recv().unwrap()), n);
            }
            assert!(matches!(ws.recv().unwrap_err().0, Error::Closed(_)));
            assert_eq!(
                (view.len(), view.peek(), view.oldest_age()),
                (0, None, None)
            );
            assert_eq!(view.stats().delivered, 3);
        });
    });
}

#[test]
fn a_view_does_not_keep_the_connection_open_and_outlives_it() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let view = ws.queue();
            let other = view.clone();
            peer.numbers(0..3);
            peer.settle();
            drop(ws);
            assert_eq!(peer.read_close(), Some(1001));
            peer.close(1001);
            peer.read_end_and_leave();
            for view in [view, other] {
                assert_eq!((view.len(), view.bytes()), (3, 24));
                assert_eq!(numbers_of(&view.snapshot()), [0, 1, 2]);
                assert_eq!(view.stats().received, 3);
                assert!(view.oldest_age().is_some());
                assert!(format!("{view:?}").contains("len: 3"));
            }
        });
    });
}

#[test]
fn looks_share_the_payloads() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let sizes = [9, 5000, 200_000];
            for size in sizes {
                peer.frame(FIN | BINARY, &pattern(1, size));
            }
            peer.settle();
            let view = ws.queue();
            let pointers = |messages: &[Message]| -> Vec<_> {
                let pointer = |message: &Message| message.as_bytes().as_ptr();
                messages.iter().map(pointer).collect()
            };
            let (first, second) = (view.snapshot(), view.peek_n(3));
            assert_eq!(pointers(&first), pointers(&second));
            assert_eq!(
                pointers(&first)[0],
                view.peek().unwrap().as_bytes().as_ptr()
            );
            let received = sizes.map(|_| ws.recv_timeout(LATE).unwrap());
            assert_eq!(pointers(&first), pointers(&received));
            assert!(received[2].as_bytes() == pattern(1, 200_000));
        });
    });
}

/// Looks in all ways until told to stop; counts what it sees.
fn look(view: &QueueView, stop: &AtomicBool, seen: &AtomicUsize) {
    let mut before = 0;
    while !stop.load(Ordering::SeqCst) {
        let looks = [
            view.peek_n(7),
            view.snapshot(),
            view.peek().into_iter().collect(),
        ];
        for numbers in looks.map(|look| numbers_of(&look)) {
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            if let Some(&next) = numbers.first() {
                assert!(before <= next, "{next} was seen after {before}");
                before = next;
            }
            seen.fetch_add(numbers.len(), Ordering::SeqCst);
        }
        let stats = view.stats();
        assert!(stats.received >= stats.delivered + stats.dropped);
        let _ = (view.oldest_age(), view.high_water(), view.len());
        thread::yield_now();
    }
}

#[test]
fn looks_lose_double_and_reorder_nothing_while_messages_flow() {
    const COUNT: u64 = 20_000;
    watchdog(180, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair(scheme);
            let stop = Arc::new(AtomicBool::new(false));
            let seen = Arc::new(AtomicUsize::new(0));
            let lookers: [_; 2] = [(); 2].map(|()| {
                let (view, stop, seen) = (server.queue(), Arc::clone(&stop), Arc::clone(&seen));
                spawn(move || look(&view, &stop, &seen))
            });
            let sending = spawn(move || {
                (0..COUNT).for_each(|n| client.feed(numbered(n)).unwrap());
                client.close().unwrap()
            });
            eventually("a look", || seen.load(Ordering::SeqCst) > 0);
            let mut expected = 0;
            let mut check = |message: &Message| {
                assert_eq!(number_of(message), expected);
                expected += 1;
            };
            while let Ok(message) = server.recv() {
                check(&message);
                server.drain(3).iter().for_each(&mut check);
                if let Ok(batch) = server.recv_batch(50, Duration::from_micros(100)) {
                    batch.iter().for_each(&mut check);
                }
            }
            assert_eq!(expected, COUNT);
            sending.within(LATE, "the sender");
            stop.store(true, Ordering::SeqCst);
            for looker in lookers {
                looker.within(LATE, "looking");
            }
            assert_eq!(server.queue().stats().delivered, COUNT);
        }
    });
}

#[test]
fn looks_lose_nothing_that_a_callback_is_about_to_get() {
    // Two batches of two, in the end.
    const COUNT: u64 = 102;
    watchdog(60, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let opening = spawn(move || {
            let mut peer = peer::Peer::accept(&listener, Scheme::Ws);
            let request = peer.read_head();
            peer.bytes(&peer::response_to(&request));
            peer
        });
        let mut config = patient(Config::client());
        (config.queue.messages, config.queue.overflow) = (4, Overflow::DropOldest);
        let (view_sender, views) = mpsc::channel::<QueueView>();
        let (numbers, got) = mpsc::channel();
        let (views, view) = (Mutex::new(views), OnceLock::new());
        let callback = move |_: &wsync::Sender, message: Message| {
            let view = view.get_or_init(|| views.lock().unwrap().recv().unwrap());
            // As often as another thread may.
            let _ = (view.oldest_age(), view.peek(), view.snapshot());
            numbers.send(number_of(&message)).unwrap();
        };
        let client = client_builder(Scheme::Ws, port).config(config);
        let ws = client.on_message(callback).connect().unwrap();
        view_sender.send(ws.queue()).unwrap();
        let mut peer = opening.within(LATE, "the handshake");
        peer.numbers(0..COUNT);
        peer.settle();
        let stats = ws.queue().stats();
        let got: Vec<_> = got.try_iter().collect();
        assert!(
            got.is_sorted() && got.last() == Some(&(COUNT - 1)),
            "{got:?}"
        );
        assert_eq!(stats.delivered, got.len() as u64);
        assert_eq!(stats.delivered + stats.dropped, COUNT);
        assert_eq!(ws.len(), 0);
    });
}
