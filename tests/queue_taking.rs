//! Taking from the receive queue in other ways than one by one, and leaving off.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, Ours, Peer};
use common::{
    LATE, Scheme, Task, eventually, number_of, numbered, once_within, pair_with, patient, spawn,
    watchdog,
};
use crossbeam_channel::{bounded, unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{
    CancelToken, Config, Error, Message, RecvError, RecvOrError, RecvTimeoutError, Stop, Timeout,
    TryRecvError, WebSocket,
};

/// How long nothing may happen for it to count as nothing.
const NOTHING: Duration = Duration::from_millis(30);

/// One of ours and its peer, for both ends and both schemes.
fn each(test: impl Fn(Arc<WebSocket>, Peer)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            let (ws, peer) = peer::open(ours, scheme, patient(ours.config()));
            test(Arc::new(ws), peer);
        }
    }
}

fn numbers_of(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(number_of).collect()
}

/// The peer closes.
fn close(mut peer: Peer) {
    peer.close(1000);
    assert_eq!(peer.read_close(), Some(1000));
    peer.read_end_and_leave();
}

/// In a thread of its own, which is waiting by now.
fn waiting<T: Send + 'static>(
    ws: &Arc<WebSocket>,
    body: impl FnOnce(&WebSocket) -> T + Send + 'static,
) -> Task<T> {
    let ws = Arc::clone(ws);
    let task = spawn(move || body(&ws));
    thread::sleep(NOTHING);
    assert!(task.is_running());
    task
}

#[test]
fn drain_takes_what_is_there_up_to_a_number_and_does_not_wait() {
    watchdog(60, || {
        each(|ws, mut peer| {
            assert!(ws.drain(10).is_empty());
            peer.numbers(0..10);
            peer.settle();
            assert!(ws.drain(0).is_empty());
            assert_eq!(numbers_of(&ws.drain(3)), [0, 1, 2]);
            assert_eq!(ws.len(), 7);
            assert!(numbers_of(&ws.drain(usize::MAX)).into_iter().eq(3..10));
            assert!(ws.drain(1).is_empty());
            peer.numbers(10..12);
            close(peer);
            eventually("the end", || ws.closed().is_some());
            assert_eq!(numbers_of(&ws.drain(9)), [10, 11]);
            assert!(ws.drain(9).is_empty() && ws.recv().is_err());
        });
    });
}

#[test]
fn recv_batch_waits_for_one_and_takes_no_more_than_it_may() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let timeout = Duration::from_millis(50);
            let began = Instant::now();
            let nothing = ws.recv_batch(10, timeout);
            assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
            assert!(began.elapsed() >= timeout);
            once_within(timeout, || {
                let began = Instant::now();
                assert!(ws.recv_batch(10, Duration::ZERO).is_err());
                began.elapsed()
            });
            peer.numbers(0..10);
            peer.settle();
            assert_eq!(numbers_of(&ws.recv_batch(4, LATE).unwrap()), [0, 1, 2, 3]);
            assert_eq!(numbers_of(&ws.recv_batch(0, LATE).unwrap()), [4]);
            let rest = ws.recv_batch(usize::MAX, Duration::MAX).unwrap();
            assert!(numbers_of(&rest).into_iter().eq(5..10));
            let task = waiting(&ws, |ws| ws.recv_batch(10, Duration::MAX));
            peer.numbers(10..11);
            assert_eq!(numbers_of(&task.within(LATE, "a batch").unwrap()), [10]);
            let task = waiting(&ws, |ws| ws.recv_batch(10, Duration::MAX));
            close(peer);
            let end = task.within(LATE, "the end").unwrap_err();
            assert!(matches!(end, RecvTimeoutError::Closed(Error::Closed(_))));
        });
    });
}

#[test]
fn a_batch_before_the_end_comes_before_the_end() {
    watchdog(60, || {
        each(|ws, mut peer| {
            peer.numbers(0..5);
            close(peer);
            eventually("the end", || ws.closed().is_some());
            assert_eq!(numbers_of(&ws.recv_batch(3, LATE).unwrap()), [0, 1, 2]);
            assert_eq!(numbers_of(&ws.recv_batch(3, LATE).unwrap()), [3, 4]);
            let end = ws.recv_batch(3, LATE).unwrap_err();
            assert!(matches!(end, RecvTimeoutError::Closed(Error::Closed(_))));
        });
    });
}

#[test]
fn a_burst_costs_one_wake_up() {
    watchdog(60, || {
        each(|ws, mut peer| {
            // That one read brings it all is likely, not certain.
            let at_once = (0..20).any(|_| {
                let task = waiting(&ws, |ws| ws.recv_batch(usize::MAX, LATE).unwrap().len());
                peer.numbers(0..1000);
                let first = task.within(LATE, "a batch");
                peer.settle();
                first + ws.drain(usize::MAX).len() == 1000 && first == 1000
            });
            assert!(at_once, "never 1000 messages at once");
        });
    });
}

#[test]
fn recv_latest_drops_what_is_older_and_counts_it() {
    watchdog(60, || {
        each(|ws, mut peer| {
            peer.numbers(0..10);
            peer.settle();
            assert_eq!(number_of(&ws.recv_latest().unwrap()), 9);
            assert!(ws.is_empty());
            let stats = ws.queue().stats();
            assert_eq!((stats.received, stats.delivered), (10, 1));
            assert_eq!((stats.dropped, stats.dropped_bytes), (9, 72));
            let task = waiting(&ws, |ws| number_of(&ws.recv_latest().unwrap()));
            peer.numbers(10..11);
            assert_eq!(task.within(LATE, "the latest"), 10);
            assert_eq!(ws.queue().stats().dropped, 9);
            let task = waiting(&ws, WebSocket::recv_latest);
            close(peer);
            let RecvError(end) = task.within(LATE, "the end").unwrap_err();
            assert!(matches!(end, Error::Closed(_)));
            assert_eq!(ws.closed().unwrap().dropped, 9);
        });
    });
}

#[test]
fn clear_drops_what_waits_and_counts_it() {
    watchdog(60, || {
        each(|ws, mut peer| {
            assert_eq!(ws.clear(), 0);
            peer.numbers(0..10);
            peer.settle();
            assert_eq!(number_of(&ws.recv().unwrap()), 0);
            let seen = ws.queue().snapshot();
            assert_eq!((seen.len(), ws.clear(), ws.clear()), (9, 9, 0));
            assert_eq!((ws.len(), ws.bytes(), ws.queue().peek()), (0, 0, None));
            peer.numbers(10..11);
            assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), 10);
            close(peer);
            eventually("the end", || ws.closed().is_some());
            assert_eq!(ws.closed().unwrap().dropped, 9);
            assert_eq!((ws.queue().stats().dropped, ws.clear()), (9, 0));
        });
    });
}

#[test]
fn a_stop_ends_recv_or_and_nothing_else() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let stop = CancelToken::new();
            let other = waiting(&ws, |ws| number_of(&ws.recv().unwrap()));
            let tasks: [_; 3] = [(); 3].map(|()| {
                let stop = stop.clone();
                waiting(&ws, move |ws| ws.recv_or(&stop))
            });
            assert!(!stop.is_cancelled());
            stop.cancel();
            for task in tasks {
                let error = task.within(LATE, "a stop").unwrap_err();
                assert!(matches!(error, RecvOrError::Stopped));
            }
            assert!(stop.is_cancelled() && other.is_running());
            peer.numbers(0..1);
            assert_eq!(other.within(LATE, "the other"), 0);
            assert!(ws.closed().is_none());
            // Cancelled already: nothing is taken, although something is there.
            peer.numbers(1..2);
            peer.settle();
            assert!(matches!(ws.recv_or(&stop), Err(RecvOrError::Stopped)));
            let fresh = CancelToken::new();
            assert_eq!(number_of(&ws.recv_or(&fresh).unwrap()), 1);
            close(peer);
        });
    });
}

#[test]
fn one_message_on_a_channel_stops_one_call_and_its_end_stops_all() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let (stopper, stop) = unbounded();
            let stopped = Arc::new(AtomicUsize::new(0));
            let tasks: [_; 3] = [(); 3].map(|()| {
                let (stop, stopped) = (stop.clone(), Arc::clone(&stopped));
                waiting(&ws, move |ws| {
                    let result = ws.recv_or(&stop);
                    stopped.fetch_add(1, Ordering::SeqCst);
                    result
                })
            });
            stopper.send(()).unwrap();
            eventually("one that stops", || stopped.load(Ordering::SeqCst) == 1);
            thread::sleep(NOTHING);
            assert_eq!(stopped.load(Ordering::SeqCst), 1);
            drop(stopper);
            for task in tasks {
                let error = task.within(LATE, "a stop").unwrap_err();
                assert!(matches!(error, RecvOrError::Stopped));
            }
            peer.numbers(0..1);
            assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), 0);
            close(peer);
        });
    });
}

#[test]
fn recv_or_tells_of_the_end_and_leaves_the_stop_alone() {
    watchdog(60, || {
        each(|ws, mut peer| {
            let (stopper, stop) = bounded(1);
            let token = CancelToken::new();
            let copy = stop.clone();
            let by_channel = waiting(&ws, move |ws| ws.recv_or(&copy));
            let by_token = waiting(&ws, move |ws| ws.recv_or(&token));
            peer.close(1000);
            assert_eq!(peer.read_close(), Some(1000));
            peer.read_end_and_leave();
            for task in [by_channel, by_token] {
                let error = task.within(LATE, "the end").unwrap_err();
                assert!(matches!(error, RecvOrError::Closed(Error::Closed(_))));
            }
            let error = ws.recv_or(&stop).unwrap_err();
            assert!(matches!(error, RecvOrError::Closed(Error::Closed(_))));
            stopper.try_send(()).unwrap();
            assert!(stop.try_recv().is_ok());
        });
    });
}

#[test]
fn what_is_queued_comes_from_recv_or_before_the_end() {
    watchdog(60, || {
        each(|ws, mut peer| {
            peer.numbers(0..2);
            close(peer);
            eventually("the end", || ws.closed().is_some());
            let stop = CancelToken::default();
            assert_eq!(number_of(&ws.recv_or(&stop).unwrap()), 0);
            assert_eq!(number_of(&ws.recv_or(&stop).unwrap()), 1);
            assert!(matches!(ws.recv_or(&stop), Err(RecvOrError::Closed(_))));
        });
    });
}

#[test]
fn errors_of_receiving_become_errors() {
    let kinds = [
        Error::from(RecvOrError::Stopped).kind(),
        Error::from(RecvTimeoutError::Timeout).kind(),
        Error::from(TryRecvError::Empty).kind(),
        Error::from(RecvOrError::Closed(Error::Timeout(Timeout::Close))).kind(),
        Error::from(RecvError(Error::Stopped)).kind(),
    ];
    let expected = [
        "stopped",
        "timeout.recv",
        "timeout.recv",
        "timeout.close",
        "stopped",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(RecvOrError::Stopped.to_string(), "told to stop");
    assert!(!Error::Stopped.is_timeout() && !Error::Stopped.is_peer());
}

/// Receives until the end, however often it is stopped. Returns what came and how often it was.
fn receive_between_stops(ws: &WebSocket, stop: &impl Stop) -> (Vec<u64>, usize) {
    let (mut got, mut stops) = (Vec::new(), 0);
    loop {
        match ws.recv_or(stop) {
            Ok(message) => got.push(number_of(&message)),
            Err(RecvOrError::Stopped) => stops += 1,
            Err(RecvOrError::Closed(_)) => return (got, stops),
        }
    }
}

#[test]
fn many_stops_and_messages_at_once_lose_nothing() {
    const COUNT: u64 = 5000;
    const STOPS: usize = 5000;
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let mut config = patient(Config::server());
            config.queue.messages = 16;
            let (client, server) = pair_with(scheme, patient(Config::client()), config);
            let server = Arc::new(server);
            let (stopper, stop) = unbounded();
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let (server, stop) = (Arc::clone(&server), stop.clone());
                    spawn(move || receive_between_stops(&server, &stop))
                })
                .collect();
            let stopping = spawn(move || {
                for n in 0..STOPS {
                    stopper.send(()).unwrap();
                    if n % 8 == 0 {
                        thread::sleep(Duration::from_micros(50));
                    }
                }
                stopper
            });
            for n in 0..COUNT {
                client.send(numbered(n)).unwrap();
            }
            let _stopper = stopping.within(LATE, "stopping");
            client.close().unwrap();
            let (mut all, mut stops) = (Vec::new(), 0);
            for task in tasks {
                let (got, stopped) = task.within(LATE, "a consumer");
                assert!(got.is_sorted());
                all.extend(got);
                stops += stopped;
            }
            all.sort_unstable();
            assert!(all.into_iter().eq(0..COUNT), "each came once");
            assert_eq!(stops + stop.len(), STOPS, "each stopped one call");
        }
    });
}

/// A consumer that waits for good gets what came as another was stopped.
#[test]
fn a_message_that_comes_as_a_call_is_stopped_reaches_another() {
    watchdog(120, || {
        for ours in Ours::BOTH {
            let (ws, mut peer) = peer::open(ours, Scheme::Ws, patient(ours.config()));
            let ws = Arc::new(ws);
            for n in 0..300 {
                let token = CancelToken::new();
                let (copy, stopped) = (Arc::clone(&ws), token.clone());
                let stopped = spawn(move || copy.recv_or(&stopped));
                let copy = Arc::clone(&ws);
                let other = spawn(move || copy.recv_timeout(LATE));
                if n % 2 == 0 {
                    thread::sleep(Duration::from_micros(n * 2));
                }
                let stopping = spawn(move || token.cancel());
                peer.numbers(n..n + 1);
                stopping.within(LATE, "cancelling");
                let message = match stopped.within(LATE, "the stopped") {
                    Ok(message) => {
                        peer.numbers(1000..1001);
                        assert_eq!(number_of(&other.within(LATE, "the other").unwrap()), 1000);
                        message
                    }
                    Err(_) => other.within(LATE, "the other").unwrap(),
                };
                assert_eq!(number_of(&message), n);
            }
        }
    });
}

/// Takes until the end; the ways differ.
fn consume(ws: &WebSocket, way: usize) -> Vec<u64> {
    let mut got = Vec::new();
    let never = CancelToken::new();
    loop {
        let result: Result<Vec<_>, Error> = match way % 4 {
            0 => ws.recv().map(|message| vec![message]).map_err(Error::from),
            1 => ws.recv_batch(7, LATE).map_err(Error::from),
            2 => ws.recv_or(&never).map(|m| vec![m]).map_err(Error::from),
            _ => {
                got.extend(numbers_of(&ws.drain(5)));
                let next = ws.recv_timeout(Duration::from_micros(100));
                next.map(|message| vec![message]).map_err(Error::from)
            }
        };
        match result {
            Ok(messages) => got.extend(numbers_of(&messages)),
            Err(error) if error.is_timeout() => {}
            Err(_) => return got,
        }
    }
}

#[test]
fn consumers_of_all_kinds_share_a_small_queue() {
    const COUNT: u64 = 10_000;
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let mut config = patient(Config::server());
            config.queue.messages = 8;
            let (client, server) = pair_with(scheme, patient(Config::client()), config);
            let server = Arc::new(server);
            let consumers: Vec<_> = (0..8)
                .map(|way| {
                    let server = Arc::clone(&server);
                    spawn(move || consume(&server, way))
                })
                .collect();
            (0..COUNT).for_each(|n| client.feed(numbered(n)).unwrap());
            client.close().unwrap();
            let mut all = Vec::new();
            for consumer in consumers {
                let got = consumer.within(3 * LATE, "a consumer");
                assert!(got.is_sorted(), "each consumer sees them in order");
                all.extend(got);
            }
            all.sort_unstable();
            assert!(all.into_iter().eq(0..COUNT), "each came once");
            assert!(server.queue().high_water().messages <= 8);
        }
    });
}

/// Nobody who waits tells the reader that there is room: the taking itself has to.
#[test]
fn a_consumer_that_never_waits_gets_everything_from_the_smallest_queue() {
    const COUNT: u64 = 3000;
    watchdog(120, || {
        let mut config = patient(Config::client());
        config.queue.messages = 1;
        let (ws, mut peer) = peer::open(Ours::Client, Scheme::Ws, config);
        let writing = spawn(move || {
            peer.numbers(0..COUNT);
            peer
        });
        let mut next = common::numbers(3);
        for n in 0..COUNT {
            // About as long as the reader gives way before it says that it waits.
            let pause = Duration::from_micros(next() % 120);
            let began = Instant::now();
            while began.elapsed() < pause {
                std::hint::spin_loop();
            }
            eventually("a message", || match n % 3 {
                0 => ws.try_recv().is_ok_and(|m| number_of(&m) == n),
                1 => numbers_of(&ws.drain(1)) == [n],
                _ => ws.recv_batch(1, Duration::ZERO).is_ok(),
            });
        }
        writing.within(LATE, "the peer");
    });
}
