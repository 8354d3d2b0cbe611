//! The receive queue: what waits can be seen, taken by several, and holds the peer up when it is full.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, FIN, Ours, TEXT};
use common::{
    LATE, Scheme, eventually, number_of, numbered, once_within, pair, pair_with, patient, pattern,
    spawn, watchdog,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, Message, RecvTimeoutError, Timeout, TryRecvError, WebSocket};

#[test]
fn what_waits_is_counted_in_messages_and_bytes() {
    watchdog(60, || {
        let (client, server) = pair(Scheme::Ws);
        assert_eq!(
            (server.len(), server.bytes(), server.is_empty()),
            (0, 0, true)
        );
        client.send("four").unwrap();
        client.send(vec![0; 1000]).unwrap();
        client.send("").unwrap();
        eventually("three messages", || server.len() == 3);
        assert_eq!((server.bytes(), server.is_empty()), (1004, false));
        assert_eq!(server.recv().unwrap().as_text(), Some("four"));
        assert_eq!((server.len(), server.bytes()), (2, 1000));
        assert_eq!(server.recv().unwrap().len(), 1000);
        assert_eq!((server.len(), server.bytes()), (1, 0));
        assert_eq!(server.recv().unwrap().as_text(), Some(""));
        assert!(server.is_empty());
    });
}

#[test]
fn try_calls_take_what_is_there_and_do_not_wait() {
    watchdog(60, || {
        let (client, server) = pair(Scheme::Ws);
        assert!(matches!(server.try_recv(), Err(TryRecvError::Empty)));
        assert!(server.try_iter().next().is_none());
        (0..10).for_each(|n| client.send(numbered(n)).unwrap());
        eventually("ten messages", || server.len() == 10);
        assert_eq!(number_of(&server.try_recv().unwrap()), 0);
        let rest: Vec<_> = server.try_iter().map(|m| number_of(&m.unwrap())).collect();
        assert_eq!(rest, (1..10).collect::<Vec<_>>());
        assert!(matches!(server.try_recv(), Err(TryRecvError::Empty)));
        let closing = spawn(move || client.close_with(3000, "").unwrap());
        eventually("the end", || server.closed().is_some());
        closing.within(LATE, "close");
        eventually("the end of the queue", || {
            matches!(
                server.try_recv(),
                Err(TryRecvError::Closed(Error::Closed(_)))
            )
        });
        // The abnormal end is the last item.
        let rest: Vec<_> = server.try_iter().collect();
        assert!(matches!(rest[..], [Err(Error::Closed(_))]));
    });
}

#[test]
fn recv_timeout_keeps_its_deadline_beside_a_recv_that_waits() {
    let timeout = Duration::from_millis(100);
    watchdog(60, move || {
        let (client, server) = pair(Scheme::Ws);
        let server = Arc::new(server);
        let waiting: [_; 3] = [(); 3].map(|()| {
            let server = Arc::clone(&server);
            spawn(move || server.recv())
        });
        thread::sleep(Duration::from_millis(50));
        once_within(timeout + Duration::from_millis(100), || {
            let began = Instant::now();
            let result = server.recv_timeout(timeout);
            assert!(matches!(result, Err(RecvTimeoutError::Timeout)));
            assert!(began.elapsed() >= timeout);
            began.elapsed()
        });
        once_within(Duration::from_millis(50), || {
            let began = Instant::now();
            assert!(server.recv_timeout(Duration::ZERO).is_err());
            assert!(matches!(server.try_recv(), Err(TryRecvError::Empty)));
            began.elapsed()
        });
        (0..3).for_each(|n| client.send(numbered(n)).unwrap());
        let got = waiting.map(|task| number_of(&task.within(LATE, "recv").unwrap()));
        assert_eq!(BTreeSet::from(got), BTreeSet::from([0, 1, 2]));
    });
}

#[test]
fn several_consumers_share_the_messages_each_in_order() {
    const COUNT: u64 = 20_000;
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair(scheme);
            let server = Arc::new(server);
            let consumers: Vec<_> = (0..6)
                .map(|n| {
                    let server = Arc::clone(&server);
                    spawn(move || consume(&server, n))
                })
                .collect();
            for n in 0..COUNT {
                client.feed(numbered(n)).unwrap();
                if n % 100 == 0 {
                    client.flush().unwrap();
                }
            }
            client.close().unwrap();
            let mut all = Vec::new();
            for consumer in consumers {
                let got = consumer.within(3 * LATE, "a consumer");
                assert!(got.is_sorted(), "each consumer sees them in order");
                all.extend(got);
            }
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..COUNT), "each came once");
        }
    });
}

/// Takes in different ways until the end.
fn consume(ws: &WebSocket, way: usize) -> Vec<u64> {
    let mut got = Vec::new();
    loop {
        let result = match way % 3 {
            0 => ws.recv().map_err(Error::from),
            1 => ws
                .recv_timeout(Duration::from_millis(1))
                .map_err(Error::from),
            _ => ws.try_recv().map_err(Error::from),
        };
        match result {
            Ok(message) => got.push(number_of(&message)),
            Err(Error::Timeout(Timeout::Recv)) => thread::yield_now(),
            Err(_) => return got,
        }
    }
}

#[test]
fn a_hundred_thousand_messages_come_out_in_order() {
    const COUNT: u64 = 100_000;
    watchdog(180, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair(scheme);
            let sending = spawn(move || {
                (0..COUNT).for_each(|n| client.feed(numbered(n)).unwrap());
                client.close().unwrap()
            });
            let mut expected = 0;
            for message in &server {
                assert_eq!(number_of(&message.unwrap()), expected);
                expected += 1;
            }
            assert_eq!(expected, COUNT);
            let closed = sending.within(LATE, "the sender");
            assert_eq!((closed.unsent, closed.dropped), (0, 0));
        }
    });
}

fn bounded(config: Config, messages: usize, bytes: usize) -> Config {
    let mut config = patient(config);
    config.queue.messages = messages;
    config.queue.bytes = bytes;
    config
}

#[test]
fn a_full_queue_holds_the_sender_up_until_it_is_drained() {
    const SIZE: usize = 64 << 10;
    const COUNT: u64 = 600;
    watchdog(180, || {
        for &scheme in Scheme::all() {
            for (messages, bytes) in [(8, 1 << 30), (1 << 20, 8 * SIZE)] {
                let server = bounded(Config::server(), messages, bytes);
                let (client, server) = pair_with(scheme, patient(Config::client()), server);
                let sent = Arc::new(AtomicU64::new(0));
                let counter = Arc::clone(&sent);
                let sending = spawn(move || {
                    for n in 0..COUNT {
                        let mut message = numbered(n);
                        message.extend(pattern(n, SIZE - 8));
                        client.send(message).unwrap();
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                    client
                });
                // 37 MiB are more than the kernel's buffers hold.
                let stands = stand_still(&sent);
                assert!(stands < COUNT && server.len() <= 8 && server.bytes() <= 8 * SIZE);
                for n in 0..COUNT {
                    let message = server.recv_timeout(LATE).unwrap();
                    assert_eq!(number_of(&message), n);
                    assert!(message.as_bytes()[8..] == pattern(n, SIZE - 8));
                    assert!(server.len() <= 8 && server.bytes() <= 8 * SIZE);
                }
                let client = sending.within(LATE, "the sender");
                let closing = spawn(move || client.close().unwrap());
                assert!(server.iter().next().is_none());
                assert!(closing.within(LATE, "close").is_normal());
            }
        }
    });
}

/// The count at which it does not go on for a while.
fn stand_still(count: &AtomicU64) -> u64 {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(500) || last == 0 {
        thread::sleep(Duration::from_millis(10));
        let now = count.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn a_message_above_the_bound_in_bytes_passes_alone() {
    watchdog(60, || {
        let server = bounded(Config::server(), 100, 10);
        let (client, server) = pair_with(Scheme::Ws, patient(Config::client()), server);
        let sending = spawn(move || {
            (0..20).for_each(|n| client.send(pattern(n, 100_000)).unwrap());
            client
        });
        for n in 0..20 {
            let message = server.recv_timeout(LATE).unwrap();
            assert!(message.as_bytes() == pattern(n, 100_000));
        }
        sending.within(LATE, "the sender");
    });
}

#[test]
fn a_timeout_in_the_middle_of_a_message_loses_nothing() {
    watchdog(60, || {
        for ours in Ours::BOTH {
            for &scheme in Scheme::all() {
                let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                let mut bytes = peer::frame(TEXT, peer.masks(), b"in fra");
                bytes.extend(peer::frame(FIN, peer.masks(), b"gments"));
                bytes.extend(peer::frame(FIN | BINARY, peer.masks(), &[9; 300]));
                let mut got = Vec::new();
                for piece in bytes.chunks(7) {
                    peer.bytes(piece);
                    match ws.recv_timeout(Duration::from_micros(300)) {
                        Ok(message) => got.push(message),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
                while got.len() < 2 {
                    got.push(ws.recv_timeout(LATE).unwrap());
                }
                assert_eq!(got, ["in fragments".into(), Message::from(&[9; 300])]);
                assert!(ws.is_empty());
            }
        }
    });
}

#[test]
fn a_dropped_receiver_does_not_stop_the_sender_that_lives_on() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let client = bounded(Config::client(), 2, 1 << 20);
            let (client, server) = pair_with(scheme, client, patient(Config::server()));
            let (sender, receiver) = client.split();
            drop(receiver);
            let flooding = spawn(move || {
                (0..5000).for_each(|_| server.send(vec![0; 10_000]).unwrap());
                server
            });
            let server = flooding.within(2 * LATE, "sending to nobody");
            sender.send("still here").unwrap();
            let message = server.recv_timeout(LATE).unwrap();
            assert_eq!(message.as_text(), Some("still here"));
            let answering = spawn(move || server.iter().count());
            let closed = sender.close().unwrap();
            assert!(closed.is_normal() && closed.dropped > 0);
            answering.within(LATE, "the peer");
        }
    });
}

#[test]
fn an_iterator_and_a_receive_call_share_the_queue() {
    watchdog(60, || {
        let (client, server) = pair(Scheme::Ws);
        (0..100).for_each(|n| client.send(numbered(n)).unwrap());
        let taken = Mutex::new(Vec::new());
        let mut iter = server.iter();
        for n in 0..100 {
            let message = if n % 2 == 0 {
                server.recv_timeout(LATE).unwrap()
            } else {
                iter.next().unwrap().unwrap()
            };
            taken.lock().unwrap().push(number_of(&message));
        }
        assert!(taken.into_inner().unwrap().into_iter().eq(0..100));
    });
}
