//! Connections whose messages go to a channel, with both sides and both schemes.

#![allow(clippy::unwrap_used)]

mod common;

use common::delivery::Delivery;
use common::peer::{self, BINARY, CLOSE, FIN, Ours, PING, PONG, Peer, TEXT};
use common::{
    LATE, Scheme, client_builder, eventually, number_of, numbered, once_within, patient,
    server_builder, spawn, watchdog,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, unbounded};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{CloseCode, Closed, Config, Error, Event, Message, Overflow, Sender, WebSocket};

/// Runs `test` with both sides and both schemes.
fn for_all(test: impl Fn(Ours, Scheme) + Send + 'static) {
    watchdog(120, move || {
        for ours in Ours::BOTH {
            for &scheme in Scheme::all() {
                test(ours, scheme);
            }
        }
    });
}

/// Opens an end that delivers into a new channel.
fn open(
    ours: Ours,
    scheme: Scheme,
    config: Config,
    capacity: usize,
) -> (WebSocket, Peer, Receiver<Event<u32>>) {
    let (events, inbox) = bounded(capacity);
    let (ws, peer) = Delivery::Channel(events, 7).open(ours, scheme, config);
    (ws, peer, inbox)
}

fn next(inbox: &Receiver<Event<u32>>) -> Event<u32> {
    inbox.recv_timeout(LATE).unwrap()
}

fn opened(inbox: &Receiver<Event<u32>>) -> Sender {
    match next(inbox) {
        Event::Opened { key: 7, sender } => sender,
        other => panic!("not Opened: {other:?}"),
    }
}

fn message(inbox: &Receiver<Event<u32>>) -> Message {
    match next(inbox) {
        Event::Message { key: 7, message } => message,
        other => panic!("not a message: {other:?}"),
    }
}

/// All events up to the end of the channel.
fn until_the_end(inbox: &Receiver<Event<u32>>) -> Vec<Event<u32>> {
    let events = std::iter::from_fn(|| match inbox.recv_timeout(LATE) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("the channel does not end"),
    });
    events.collect()
}

/// The last event: nothing may follow, and nobody may be there to send anything.
fn closed(inbox: &Receiver<Event<u32>>) -> (Closed, Option<Error>) {
    let (closed, error) = match next(inbox) {
        Event::Closed {
            key: 7,
            closed,
            error,
        } => (closed, error),
        other => panic!("not Closed: {other:?}"),
    };
    let after = inbox.recv_timeout(LATE);
    assert!(
        matches!(
            after,
            Err(crossbeam_channel::RecvTimeoutError::Disconnected)
        ),
        "{after:?}"
    );
    (closed, error)
}

#[test]
fn opened_comes_first_then_messages_in_order_then_closed_once() {
    for_all(|ours, scheme| {
        for capacity in [0, 1, 3, 10_000] {
            let (events, inbox) = bounded(capacity);
            let config = patient(ours.config());
            let delivery = Delivery::Channel(events, 7);
            let sending = spawn(move || {
                let (ws, other) = delivery.pair(ours, scheme, config.clone(), config);
                other.send_all((0..2000).map(numbered)).unwrap();
                (ws, other.close().unwrap())
            });
            let sender = opened(&inbox);
            for n in 0..2000 {
                assert_eq!(number_of(&message(&inbox)), n);
            }
            let (end, error) = closed(&inbox);
            assert!(end.is_normal() && error.is_none(), "{end:?} {error:?}");
            let (ws, other) = sending.within(LATE, "sending");
            assert!(other.is_normal());
            assert!(sender.send("too late").is_err());
            assert!(matches!(ws.recv().unwrap_err().0, Error::Closed(_)));
            assert_eq!(ws.queue().stats().delivered, 2000);
        }
    });
}

#[test]
fn an_abnormal_end_is_told_with_its_error() {
    for_all(|ours, scheme| {
        for kind in ["io", "protocol.bad_opcode"] {
            let (_ws, mut peer, inbox) = open(ours, scheme, patient(ours.config()), 10);
            peer.text("before");
            match kind {
                "io" => peer.end(),
                _ => peer.frame(FIN | 0x3, b""),
            }
            let _sender = opened(&inbox);
            assert_eq!(message(&inbox).as_text(), Some("before"));
            let (closed, error) = closed(&inbox);
            assert!(!closed.is_normal());
            assert_eq!(error.unwrap().kind(), kind);
        }
    });
}

#[test]
fn an_end_by_policy_comes_behind_what_was_queued() {
    for_all(|ours, scheme| {
        let mut config = patient(ours.config());
        config.queue.messages = 3;
        config.queue.overflow = Overflow::Close(CloseCode::POLICY_VIOLATION);
        // Opened and one message fill the channel, three more the queue.
        let (ws, mut peer, inbox) = open(ours, scheme, config, 2);
        let frames = peer::frame(FIN | TEXT, peer.masks(), b"x").repeat(10);
        peer.bytes(&frames);
        assert_eq!(peer.read_close(), Some(1008));
        peer.read_end_and_leave();
        eventually("the end", || ws.closed().is_some());
        let _sender = opened(&inbox);
        for _ in 0..4 {
            message(&inbox);
        }
        let (_, error) = closed(&inbox);
        assert!(matches!(error, Some(Error::Overflow(_))), "{error:?}");
    });
}

#[test]
fn a_full_channel_stops_the_peer_until_there_is_room() {
    for_all(|ours, scheme| {
        let (ws, peer, inbox) = open(ours, scheme, patient(ours.config()), 2);
        let frame = peer::frame(FIN | BINARY, peer.masks(), &[7; 64 << 10]);
        let (told, tell) = unbounded();
        let sending = spawn(move || {
            let mut peer = peer;
            for n in 0..1000 {
                peer.bytes(&frame);
                told.send(n).unwrap();
            }
            peer
        });
        // Until nothing goes any more.
        let mut last = 0;
        while let Ok(n) = tell.recv_timeout(Duration::from_millis(300)) {
            last = n;
        }
        assert!(last < 900, "{last} messages of 64 KiB found room");
        let paused = || ws.queue().stats().paused > Duration::ZERO;
        eventually("a pause", paused);
        let paused = ws.queue().stats().paused;
        eventually("a longer pause", || ws.queue().stats().paused > paused);
        let _sender = opened(&inbox);
        for _ in 0..1000 {
            assert_eq!(message(&inbox).len(), 64 << 10);
        }
        sending.within(LATE, "sending");
        eventually("no pause", || {
            let paused = ws.queue().stats().paused;
            thread::sleep(Duration::from_millis(5));
            ws.queue().stats().paused == paused
        });
    });
}

#[test]
fn what_the_peer_is_owed_does_not_wait_for_room_in_the_channel() {
    for_all(|ours, scheme| {
        let (_ws, mut peer, inbox) = open(ours, scheme, patient(ours.config()), 1);
        // Opened fills the channel; all this comes in one read.
        let mut bytes = peer::frame(FIN | TEXT, peer.masks(), b"x");
        bytes.extend(peer::frame(FIN | PING, peer.masks(), b"ping"));
        peer.bytes(&bytes);
        assert_eq!(peer.read().opcode, PONG);
        let _sender = opened(&inbox);
        eventually("a full channel", || inbox.is_full());
        let mut bytes = peer::frame(FIN | TEXT, peer.masks(), b"y").repeat(5);
        let code = 1000u16.to_be_bytes();
        bytes.extend(peer::frame(FIN | CLOSE, peer.masks(), &code));
        peer.bytes(&bytes);
        assert_eq!(peer.read_close(), Some(1000));
        peer.read_end_and_leave();
        for text in ["x", "y", "y", "y", "y", "y"] {
            assert_eq!(message(&inbox).as_text(), Some(text));
        }
        assert!(closed(&inbox).0.is_normal());
    });
}

#[test]
fn the_peer_is_told_of_a_failure_while_the_channel_is_full() {
    for_all(|ours, scheme| {
        let (_ws, mut peer, inbox) = open(ours, scheme, patient(ours.config()), 1);
        let sender = opened(&inbox);
        let mut bytes = peer::frame(FIN | TEXT, peer.masks(), b"x");
        bytes.extend(peer::frame(FIN | 0x3, peer.masks(), b""));
        peer.bytes(&bytes);
        assert_eq!(peer.read_close(), Some(1002));
        peer.read_end_and_leave();
        assert_eq!(message(&inbox).as_text(), Some("x"));
        assert!(closed(&inbox).1.is_some());
        assert!(sender.closed().is_some());
    });
}

#[test]
fn a_close_while_the_channel_is_full_is_bounded_and_loses_nothing() {
    for_all(|ours, scheme| {
        once_within(Duration::from_secs(1), || {
            let (ws, mut peer, inbox) = open(ours, scheme, patient(ours.config()), 3);
            let frames = peer::frame(FIN | TEXT, peer.masks(), b"x").repeat(100);
            peer.bytes(&frames);
            eventually("a full channel", || inbox.is_full());
            let answering = spawn(move || {
                assert_eq!(peer.read_close(), Some(1000));
                peer.close(1000);
                peer.read_end_and_leave();
            });
            let began = Instant::now();
            assert!(ws.close().unwrap().is_normal());
            let took = began.elapsed();
            answering.within(LATE, "the peer");
            let _sender = opened(&inbox);
            (0..100).for_each(|_| drop(message(&inbox)));
            assert!(closed(&inbox).0.is_normal());
            took
        });
    });
}

#[test]
fn a_shutdown_while_the_channel_is_full_is_bounded_and_loses_nothing() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            once_within(Duration::from_secs(2), || {
                let (events, inbox) = bounded::<Event<u32>>(3);
                let server = server_builder(scheme).bind("127.0.0.1:0").unwrap();
                let port = server.local_addr().port();
                let serving = server.clone();
                let serving = spawn(move || {
                    serving.serve_upgrades(move |upgrade| {
                        let upgrade = upgrade.unwrap().deliver_to(events.clone(), 7);
                        let _ = upgrade.accept().unwrap().recv();
                    })
                });
                let client = client_builder(scheme, port).connect().unwrap();
                client.send_all((0..100).map(numbered)).unwrap();
                eventually("a full channel", || inbox.is_full());
                let began = Instant::now();
                server.shutdown().unwrap();
                let took = began.elapsed();
                serving.within(LATE, "serve").unwrap();
                drop(server);
                assert!(client.recv_timeout(LATE).is_err());
                let _sender = opened(&inbox);
                (0..100).for_each(|n| assert_eq!(number_of(&message(&inbox)), n));
                assert!(closed(&inbox).1.is_none());
                took
            });
        }
    });
}

#[test]
fn with_another_policy_a_full_channel_stops_nobody_and_drops_are_counted() {
    for_all(|ours, scheme| {
        for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
            let mut config = patient(ours.config());
            (config.queue.messages, config.queue.overflow) = (10, overflow);
            let (ws, mut peer, inbox) = open(ours, scheme, config, 3);
            eventually("Opened", || inbox.len() == 1);
            for n in 0..1000 {
                let payload = numbered(n);
                peer.frame(FIN | BINARY, &payload);
            }
            peer.frame(FIN | PING, b"are you there?");
            assert_eq!(peer.read().payload, b"are you there?");
            let _sender = opened(&inbox);
            let mut numbers = vec![number_of(&message(&inbox))];
            peer.frame(FIN | BINARY, &numbered(1000));
            peer.close(1000);
            peer.read_close();
            peer.read_end_and_leave();
            let rest: Vec<_> = until_the_end(&inbox);
            let (last, more) = rest.split_last().unwrap();
            assert!(matches!(last, Event::Closed { .. }), "{last:?}");
            numbers.extend(more.iter().map(|event| match event {
                Event::Message { message, .. } => number_of(message),
                other => panic!("not a message: {other:?}"),
            }));
            assert!(numbers.is_sorted());
            assert_eq!(numbers[..2], [0, 1]);
            let stats = ws.queue().stats();
            assert_eq!(stats.received, 1001);
            assert_eq!(stats.delivered, numbers.len() as u64);
            assert_eq!(stats.dropped, 1001 - stats.delivered);
            match overflow {
                Overflow::DropOldest => assert_eq!(numbers.last(), Some(&1000)),
                _ => assert_eq!(numbers[..11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            }
            assert_eq!(ws.queue().stats().paused, Duration::ZERO);
        }
    });
}

#[test]
fn a_look_at_the_queue_while_the_reader_waits_for_room_loses_nothing() {
    for_all(|ours, scheme| {
        let mut config = patient(ours.config());
        config.queue.overflow = Overflow::DropNewest;
        // Opened fills the channel.
        let (ws, mut peer, inbox) = open(ours, scheme, config, 1);
        for n in 0..5 {
            // Each comes with a read of its own.
            peer.frame(FIN | BINARY, &numbered(n));
            eventually("one more", || ws.len() as u64 == n + 1);
        }
        peer.close(1000);
        peer.read_close();
        peer.read_end_and_leave();
        eventually("the end", || ws.closed().is_some());
        for _ in 0..20 {
            assert!(ws.queue().oldest_age().is_some() || ws.len() == 5);
            thread::sleep(Duration::from_millis(2));
        }
        let _sender = opened(&inbox);
        for n in 0..5 {
            assert_eq!(number_of(&message(&inbox)), n);
        }
        assert!(closed(&inbox).0.is_normal());
    });
}

#[test]
fn when_nobody_can_receive_any_more_the_connection_is_closed_with_1001() {
    for_all(|ours, scheme| {
        // While the reader waits for room, and when the next message comes.
        for waits in [true, false] {
            let (ws, mut peer, inbox) = open(ours, scheme, patient(ours.config()), 2);
            let sender = opened(&inbox);
            if waits {
                let frames = peer::frame(FIN | TEXT, peer.masks(), b"x").repeat(50);
                peer.bytes(&frames);
                eventually("a full channel", || inbox.is_full());
            }
            drop(inbox);
            if !waits {
                peer.text("one more");
            }
            assert_eq!(peer.read_close(), Some(1001));
            peer.close(1001);
            peer.read_end_and_leave();
            assert!(matches!(ws.recv().unwrap_err().0, Error::Closed(_)));
            let stats = ws.queue().stats();
            assert_eq!(stats.received, stats.delivered + stats.dropped);
            assert!(ws.is_empty() && stats.dropped > 0);
            assert!(sender.send("too late").is_err());
        }
    });
}

#[test]
fn a_key_may_be_anything_that_can_be_cloned() {
    watchdog(30, || {
        #[derive(Debug, Clone, PartialEq)]
        struct Key(String, Option<std::sync::Arc<[u8]>>);
        let server = common::Serving::echo(server_builder(Scheme::Ws));
        let key = Key("lima".into(), Some(vec![1, 2].into()));
        let (events, inbox) = unbounded();
        let ws = client_builder(Scheme::Ws, server.port)
            .deliver_to(events, key.clone())
            .connect()
            .unwrap();
        ws.send("hello").unwrap();
        for _ in 0..2 {
            assert_eq!(inbox.recv_timeout(LATE).unwrap().key(), &key);
        }
        let (events, inbox) = unbounded();
        let plain = client_builder(Scheme::Ws, server.port).deliver_to(events, ());
        // Each connection of a builder comes with an Opened of its own.
        let _both = [plain.connect().unwrap(), plain.connect().unwrap()];
        for _ in 0..2 {
            let event = inbox.recv_timeout(LATE).unwrap();
            assert!(matches!(event, Event::Opened { key: (), .. }));
        }
    });
}

#[test]
fn many_connections_into_a_small_channel_with_a_slow_consumer_lose_nothing() {
    watchdog(120, || {
        const CONNECTIONS: u64 = 200;
        const EACH: u64 = 50;
        let (events, inbox) = bounded(8);
        let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let incoming = server.incoming().unwrap();
        let accepting = spawn(move || {
            for (key, upgrade) in incoming.take(CONNECTIONS as usize).enumerate() {
                upgrade.deliver_to(events.clone(), key).accept().unwrap();
            }
        });
        let sending = spawn(move || {
            let clients = (0..CONNECTIONS).map(|_| client_builder(Scheme::Ws, port).connect());
            let clients: Vec<_> = clients.map(Result::unwrap).collect();
            for n in 0..EACH {
                clients.iter().for_each(|ws| ws.send(numbered(n)).unwrap());
            }
            let ends = clients.iter().map(|ws| ws.close().unwrap());
            assert!(ends.into_iter().all(|closed| closed.is_normal()));
        });
        let mut open = HashMap::new();
        let mut ended = 0;
        for (n, event) in inbox.iter().enumerate() {
            if n % 50 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            match event {
                Event::Opened { key, sender } => assert!(open.insert(key, (sender, 0)).is_none()),
                Event::Message { key, message } => {
                    let next = &mut open.get_mut(&key).unwrap().1;
                    assert_eq!(number_of(&message), *next);
                    *next += 1;
                }
                Event::Closed { key, closed, .. } => {
                    assert!(closed.is_normal());
                    assert_eq!(open.remove(&key).unwrap().1, EACH);
                    ended += 1;
                }
                _ => {}
            }
        }
        assert_eq!((ended, open.len()), (CONNECTIONS, 0));
        accepting.within(LATE, "accepting");
        sending.within(LATE, "sending");
    });
}
