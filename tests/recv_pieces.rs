//! Messages that are queued in pieces: other receive calls than `recv_streaming` put them together,
//! and what a close does to them.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, CONTINUATION, FIN, Ours, Peer, TEXT};
use common::{LATE, Scheme, eventually, number_of, numbered, pair_with, patient, pattern, spawn};
use common::{client_builder, server_builder, watchdog};
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use wsync::{Config, Error, Message, Misuse, Overflow, Timeout, WebSocket};

const MOMENT: Duration = Duration::from_millis(30);

fn streaming(config: Config) -> Config {
    let mut config = patient(config);
    config.limits.message = 64 << 20;
    config.stream_above = Some(100);
    config.fragment_size = Some(1000);
    config
}

fn with_each(body: impl Fn(WebSocket, Peer)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            let (ws, peer) = peer::open(ours, scheme, streaming(ours.config()));
            body(ws, peer);
        }
    }
}

/// A number and a payload that goes with it: mostly short, now and then far longer than a read.
fn sample(n: u64) -> Vec<u8> {
    let length = [0, 50, 93, 500, 5000, 20, 100, 300_000][n as usize % 8];
    [numbered(n), pattern(n, length)].concat()
}

fn check(message: &Message) -> u64 {
    let n = number_of(message);
    assert!(message.as_bytes() == sample(n), "message {n} is another");
    n
}

/// All that comes until the end, in one way of receiving.
fn receive(ws: &WebSocket, way: usize) -> Vec<u64> {
    let mut got = Vec::new();
    loop {
        let result = match way % 6 {
            0 => ws.recv().map(|m| vec![m]).map_err(Error::from),
            1 => (ws.recv_timeout(Duration::from_micros(200)))
                .map(|m| vec![m])
                .map_err(Error::from),
            2 => ws.try_recv().map(|m| vec![m]).map_err(Error::from),
            3 => ws.recv_batch(3, MOMENT).map_err(Error::from),
            4 => match ws.iter().next() {
                Some(message) => message.map(|m| vec![m]),
                None => return got,
            },
            _ => match ws.recv_streaming() {
                Ok(mut reader) => {
                    let mut bytes = Vec::new();
                    let read = reader.read_to_end(&mut bytes);
                    read.map(|_| vec![bytes.into()]).map_err(Error::from)
                }
                Err(error) => Err(error.into()),
            },
        };
        match result {
            Ok(messages) => got.extend(messages.iter().map(check)),
            Err(Error::Timeout(Timeout::Recv)) => thread::yield_now(),
            Err(Error::Closed(closed)) if closed.is_normal() => return got,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn every_way_to_receive_gives_whole_messages_in_order() {
    const COUNT: u64 = 200;
    watchdog(120, || {
        for &scheme in Scheme::all() {
            for way in 0..6 {
                let mut config = streaming(Config::server());
                config.queue.bytes = 50_000;
                let (client, server) = pair_with(scheme, streaming(Config::client()), config);
                let sending = spawn(move || {
                    (0..COUNT).for_each(|n| client.send(sample(n)).unwrap());
                    client.close().unwrap()
                });
                assert!(receive(&server, way).into_iter().eq(0..COUNT), "way {way}");
                let closed = sending.within(LATE, "the sender");
                assert!(closed.is_normal());
                let stats = server.queue().stats();
                assert_eq!(
                    (stats.received, stats.delivered, stats.dropped),
                    (COUNT, COUNT, 0)
                );
                assert_eq!(stats.received_bytes, stats.delivered_bytes);
            }
        }
    });
}

#[test]
fn consumers_of_every_kind_share_the_messages() {
    const COUNT: u64 = 2000;
    watchdog(180, || {
        for &scheme in Scheme::all() {
            let config = streaming(Config::server());
            let (client, server) = pair_with(scheme, streaming(Config::client()), config);
            let server = Arc::new(server);
            let consumers: Vec<_> = (0..8)
                .map(|way| {
                    let server = Arc::clone(&server);
                    spawn(move || receive(&server, way))
                })
                .collect();
            let sending = spawn(move || {
                (0..COUNT).for_each(|n| client.feed(sample(n)).unwrap());
                client.close().unwrap()
            });
            let mut all = BTreeSet::new();
            for (way, consumer) in consumers.into_iter().enumerate() {
                let got = consumer.within(3 * LATE, "a consumer");
                assert!(got.is_sorted(), "way {way} sees them in order");
                assert!(got.into_iter().all(|n| all.insert(n)), "each comes once");
            }
            assert!(all.into_iter().eq(0..COUNT));
            sending.within(LATE, "the sender");
        }
    });
}

#[test]
fn a_timeout_in_the_middle_of_a_message_in_pieces_loses_nothing() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            let words = "na\u{ef}ve ".repeat(1000);
            let mut chunks = words.as_bytes().chunks(999);
            peer.frame(TEXT, chunks.next().unwrap());
            for (n, chunk) in chunks.enumerate() {
                let is_nothing = match n % 4 {
                    0 => ws.recv_timeout(Duration::from_millis(2)).is_err(),
                    1 => ws.try_recv().is_err(),
                    2 => ws.recv_batch(5, Duration::from_millis(2)).is_err(),
                    _ => ws.drain(5).is_empty() && ws.try_iter().next().is_none(),
                };
                assert!(is_nothing);
                peer.frame(CONTINUATION, chunk);
            }
            peer.frame(FIN, b"");
            let message = ws.recv_timeout(LATE).unwrap();
            assert!(message.as_text() == Some(&words));
            assert!(ws.is_empty() && ws.bytes() == 0);
        });
    });
}

#[test]
fn a_look_leaves_out_what_comes_in_pieces_and_disturbs_nothing() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            let queue = ws.queue();
            let bytes = pattern(1, 2000);
            peer.frame(BINARY, &bytes[..1000]);
            eventually("a first piece", || queue.len() == 1);
            assert_eq!((queue.bytes(), queue.is_empty()), (1000, false));
            assert!(queue.peek().is_none() && queue.snapshot().is_empty());
            // It is counted before it can be had.
            eventually("its age", || queue.oldest_age().is_some());
            peer.frame(FIN, &bytes[1000..]);
            peer.text("small");
            peer.text("second");
            eventually("what follows", || queue.len() == 3);
            for _ in 0..2 {
                let small = Message::from("small");
                assert_eq!(queue.peek(), Some(small.clone()));
                assert_eq!(queue.peek_n(1).len(), 1);
                assert_eq!(queue.snapshot(), [small, "second".into()]);
                assert_eq!((queue.len(), queue.bytes()), (3, 2011));
            }
            assert!(ws.recv().unwrap().as_bytes() == bytes);
            assert_eq!(ws.recv_batch(9, LATE).unwrap().len(), 2);
            assert_eq!((queue.len(), queue.bytes()), (0, 0));
        });
    });
}

#[test]
fn clear_drops_a_message_that_has_only_begun_to_arrive() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            for is_collected in [false, true] {
                peer.text("one");
                peer.frame(BINARY, &[1; 1000]);
                eventually("a first piece", || ws.len() == 2);
                if is_collected {
                    assert_eq!(ws.recv().unwrap().as_text(), Some("one"));
                    assert!(ws.recv_timeout(MOMENT).is_err());
                }
                assert_eq!(ws.clear(), if is_collected { 1 } else { 2 });
                assert!(ws.is_empty() && ws.bytes() == 0);
                peer.frame(CONTINUATION, &[1; 1000]);
                peer.frame(FIN, &[1; 1000]);
                peer.text("next");
                assert_eq!(ws.recv().unwrap().as_text(), Some("next"));
            }
            let stats = ws.queue().stats();
            assert_eq!((stats.received, stats.delivered, stats.dropped), (6, 3, 3));
            assert_eq!((stats.delivered_bytes, stats.dropped_bytes), (11, 6003));
        });
    });
}

#[test]
fn the_latest_message_is_the_latest_whole_one() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            peer.text("first");
            peer.frame(BINARY, &[1; 1000]);
            peer.frame(FIN, &[2; 1000]);
            peer.frame(BINARY, &[3; 1000]);
            eventually("a third", || ws.len() == 3);
            let latest = ws.recv_latest().unwrap();
            assert_eq!(latest.as_bytes(), [[1; 1000], [2; 1000]].concat());
            peer.frame(FIN, &[4; 1000]);
            let latest = ws.recv_latest().unwrap();
            assert_eq!(latest.as_bytes(), [[3; 1000], [4; 1000]].concat());
            assert_eq!(ws.queue().stats().dropped, 1);
        });
    });
}

#[test]
fn a_message_that_never_ends_counts_as_dropped() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            peer.text("whole");
            peer.frame(BINARY, &[1; 1000]);
            eventually("both", || ws.len() == 2);
            peer.end();
            assert_eq!(ws.recv().unwrap().as_text(), Some("whole"));
            assert!(ws.recv().is_err());
            let stats = ws.queue().stats();
            assert_eq!((stats.received, stats.delivered, stats.dropped), (2, 1, 1));
            assert_eq!((stats.delivered_bytes, stats.dropped_bytes), (5, 1000));
            assert!(ws.is_empty() && ws.bytes() == 0);
        });
    });
}

#[test]
fn a_close_of_ours_lets_a_reader_read_what_fits() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            peer.frame(BINARY, &[1; 1000]);
            let mut reader = ws.recv_streaming().unwrap();
            thread::scope(|scope| {
                let closing = scope.spawn(|| ws.close());
                assert_eq!(peer.read_close(), Some(1000));
                peer.frame(CONTINUATION, &[1; 1000]);
                let mut bytes = vec![0; 2000];
                reader.read_exact(&mut bytes).unwrap();
                peer.frame(FIN, &[1; 1000]);
                peer.close(1000);
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).unwrap();
                assert_eq!(rest, [1; 1000]);
                peer.read_end_and_leave();
                let closed = closing.join().unwrap().unwrap();
                assert_eq!((closed.is_normal(), closed.dropped), (true, 0));
            });
            assert!(matches!(
                ws.recv_streaming().unwrap_err().0,
                Error::Closed(_)
            ));
        });
    });
}

#[test]
fn a_message_that_a_close_of_ours_tears_ends_with_that_close() {
    watchdog(60, || {
        for way in [0, 1] {
            for ours in Ours::BOTH {
                let mut config = streaming(ours.config());
                config.queue.bytes = 500;
                let (ws, mut peer) = peer::open(ours, Scheme::Ws, config);
                peer.frame(BINARY, &[1; 1000]);
                let mut reader = ws.recv_streaming().unwrap();
                peer.frame(CONTINUATION, &[1; 1000]);
                eventually("a full queue", || ws.bytes() == 1000);
                thread::scope(|scope| {
                    let closing = scope.spawn(|| ws.close());
                    assert_eq!(peer.read_close(), Some(1000));
                    peer.frame(CONTINUATION, &[1; 1000]);
                    // Nothing has been taken until this comes.
                    peer.frame(FIN | peer::PING, b"");
                    eventually("a torn message", || {
                        ws.queue().stats().dropped_bytes == 1000
                    });
                    reader.set_timeout(Some(MOMENT));
                    let mut bytes = Vec::new();
                    let error = reader.read_to_end(&mut bytes).unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
                    assert_eq!(bytes, [1; 2000]);
                    peer.frame(FIN, &[1; 1000]);
                    peer.close(1000);
                    peer.read_end_and_leave();
                    if way == 0 {
                        reader.set_timeout(None);
                        let error = reader.pieces().next().unwrap().unwrap_err();
                        assert!(matches!(error, Error::Closed(_)), "{error:?}");
                    } else {
                        drop(reader);
                    }
                    assert!(closing.join().unwrap().unwrap().is_normal());
                });
                assert!(matches!(ws.recv().unwrap_err().0, Error::Closed(_)));
                let stats = ws.queue().stats();
                assert_eq!((stats.received_bytes, stats.delivered_bytes), (4000, 2000));
                assert_eq!((stats.received, stats.delivered, stats.dropped), (1, 1, 0));
            }
        }
    });
}

#[test]
fn pieces_need_a_queue_that_blocks() {
    let mut config = streaming(Config::client());
    config.queue.overflow = Overflow::DropOldest;
    let result = client_builder(Scheme::Ws, 1)
        .config(config.clone())
        .connect();
    assert!(matches!(result, Err(Error::Misuse(Misuse::Config(_)))));
    let result = server_builder(Scheme::Ws)
        .config(config.clone())
        .bind("127.0.0.1:0");
    assert!(matches!(result, Err(Error::Misuse(Misuse::Config(_)))));
    let (ws, _peer) = peer::open(Ours::Client, Scheme::Ws, streaming(Config::client()));
    assert!(matches!(
        ws.configure_queue(&config.queue),
        Err(Misuse::Config(_))
    ));
}

#[test]
fn a_callback_gets_whole_messages_and_may_take_its_time() {
    watchdog(60, || {
        let (sender, receiver) = std::sync::mpsc::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = spawn(move || {
            let mut peer = Peer::accept(&listener, Scheme::Ws);
            let request = peer.read_head();
            peer.bytes(&peer::response_to(&request));
            peer
        });
        let mut config = streaming(Config::client());
        config.timeouts.message = Some(Duration::from_secs(1));
        let _ws = client_builder(Scheme::Ws, port)
            .config(config)
            .on_message(move |_, message| {
                thread::sleep(Duration::from_millis(1500));
                sender.send(message).unwrap();
            })
            .connect()
            .unwrap();
        let mut peer = peer.within(LATE, "the peer");
        // The begin of the second is there while the callback has the first.
        let mut bytes = peer::frame(FIN | TEXT, false, b"first");
        bytes.extend(peer::frame(BINARY, false, &[1; 1000]));
        peer.bytes(&bytes);
        let first = receiver.recv_timeout(LATE).unwrap();
        assert_eq!(first.as_text(), Some("first"));
        thread::sleep(MOMENT);
        peer.frame(FIN, &[1; 1000]);
        let second = receiver.recv_timeout(LATE).unwrap();
        assert_eq!(second.as_bytes(), [1; 2000]);
    });
}

#[test]
fn the_rest_of_a_message_that_is_skipped_needs_no_consumer() {
    watchdog(60, || {
        for is_cleared in [false, true] {
            for ours in Ours::BOTH {
                let mut config = streaming(ours.config());
                config.queue.bytes = 5000;
                let (ws, mut peer) = peer::open(ours, Scheme::Ws, config);
                peer.frame(BINARY, &[1; 3000]);
                eventually("a first piece", || ws.len() == 1);
                if is_cleared {
                    assert!(ws.recv_timeout(MOMENT).is_err());
                    assert_eq!(ws.clear(), 1);
                } else {
                    let reader = ws.recv_streaming().unwrap();
                    peer.frame(CONTINUATION, &[1; 8000]);
                    eventually("a full queue", || ws.bytes() >= 5000);
                    drop(reader);
                    eventually("an empty queue", || ws.bytes() == 0);
                }
                (0..50).for_each(|_| peer.frame(CONTINUATION, &[1; 100_000]));
                peer.frame(FIN | peer::PING, b"");
                peer.frame(FIN, b"");
                peer.text("next");
                assert_eq!(peer.read().opcode, peer::PONG);
                eventually("the next", || ws.len() == 1);
                assert_eq!(ws.recv().unwrap().as_text(), Some("next"));
                assert_eq!((ws.len(), ws.bytes()), (0, 0));
            }
        }
    });
}
