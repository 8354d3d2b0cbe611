//! What a connection counts, to the last byte.

#![allow(clippy::unwrap_used)]

mod common;

use common::delivery::Delivery;
use common::peer::{BINARY, CONTINUATION, FIN, Ours, PING, PONG, Peer, TEXT, everywhere, frame};
use common::{LATE, Scheme, eventually, pair_with, patient, peer, watchdog};
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, ConnectionStats, Keepalive, MessageKind, Overflow, WebSocket};

const MS: Duration = Duration::from_millis(1);

/// Without pings that nobody asked for.
fn quiet(config: Config) -> Config {
    let mut config = patient(config);
    config.keepalive = Keepalive::off();
    config
}

fn open(ours: Ours, scheme: Scheme) -> (WebSocket, Peer) {
    peer::open(ours, scheme, quiet(ours.config()))
}

/// The bytes of frames that our end receives.
fn came<const N: usize>(peer: &Peer, lengths: [usize; N]) -> u64 {
    on_the_wire(peer.masks(), lengths)
}

/// The same of those that it sends.
fn went<const N: usize>(peer: &Peer, lengths: [usize; N]) -> u64 {
    on_the_wire(!peer.masks(), lengths)
}

fn on_the_wire<const N: usize>(masked: bool, lengths: [usize; N]) -> u64 {
    let frames = lengths.map(|length| frame(FIN, masked, &vec![0; length]).len() as u64);
    frames.iter().sum()
}

/// Messages and bytes.
fn received(stats: &ConnectionStats) -> (u64, u64) {
    (stats.queue.received, stats.queue.received_bytes)
}

fn sent(stats: &ConnectionStats) -> (u64, u64) {
    (stats.sent, stats.sent_bytes)
}

#[test]
fn messages_are_counted_with_their_payload_and_on_the_wire() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme);
            let before = ws.stats();
            let mut nothing = ConnectionStats::default();
            nothing.open_for = before.open_for;
            assert_eq!(before, nothing);
            peer.text("hello");
            peer.frame(FIN | BINARY, &[7; 300]);
            peer.text("");
            for length in [5, 300, 0] {
                assert_eq!(ws.recv_timeout(LATE).unwrap().len(), length);
            }
            ws.send("abc").unwrap();
            ws.send(vec![1; 20_000]).unwrap();
            ws.send_all(["f", "ed"]).unwrap();
            ws.sender().try_send("tried").unwrap();
            for length in [3, 20_000, 1, 2, 5] {
                assert_eq!(peer.read().payload.len(), length);
            }
            // What another thread writes is counted when it has returned.
            let written = went(&peer, [3, 20_000, 1, 2, 5]);
            eventually("all is counted", || ws.stats().wire_sent == written);
            let stats = ws.stats();
            assert_eq!(received(&stats), (3, 305));
            assert_eq!((stats.queue.delivered, stats.queue.dropped), (3, 0));
            assert_eq!(sent(&stats), (5, 20_011));
            assert_eq!(stats.wire_received, came(&peer, [5, 300, 0]));
            assert!(stats.open_for > before.open_for);
            assert_eq!(ws.sender().stats().wire_sent, stats.wire_sent);
            assert_eq!(ws.receiver().stats().wire_sent, stats.wire_sent);
        });
    });
}

#[test]
fn a_message_in_fragments_is_one_message() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let mut config = quiet(ours.config());
            config.fragment_size = Some(1000);
            let (ws, mut peer) = peer::open(ours, scheme, config);
            peer.frame(TEXT, b"one ");
            peer.frame(FIN | PING, b"between");
            peer.frame(CONTINUATION, b"message");
            peer.frame(FIN | CONTINUATION, b"");
            assert_eq!(ws.recv_timeout(LATE).unwrap().len(), 11);
            assert_eq!(peer.read().opcode, PONG);
            ws.send(vec![7; 2500]).unwrap();
            assert_eq!(peer.read_message().len(), 2500);
            let stats = ws.stats();
            assert_eq!((received(&stats), sent(&stats)), ((1, 11), (1, 2500)));
            assert_eq!((stats.pings_received, stats.pongs_sent), (1, 1));
            assert_eq!(stats.wire_received, came(&peer, [4, 7, 7, 0]));
            let all = went(&peer, [7, 1000, 1000, 500]);
            eventually("the pong is counted", || ws.stats().wire_sent == all);
        });
    });
}

#[test]
fn a_message_that_is_streamed_counts_once_it_is_complete() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let mut config = quiet(ours.config());
            config.stream_above = Some(1000);
            let (ws, mut peer) = peer::open(ours, scheme, config);
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            for _ in 0..2 {
                writer.write_all(&[7; 300]).unwrap();
                writer.flush().unwrap();
                assert_eq!(peer.read().payload.len(), 300);
                assert_eq!(sent(&ws.stats()), (0, 0));
            }
            writer.finish().unwrap();
            assert_eq!(peer.read().payload.len(), 0);
            let stats = ws.stats();
            assert_eq!(sent(&stats), (1, 600));
            assert_eq!(stats.wire_sent, went(&peer, [300, 300, 0]));

            peer.frame(FIN | BINARY, &vec![7; 50_000]);
            let mut all = Vec::new();
            let mut reader = ws.recv_streaming().unwrap();
            reader.read_to_end(&mut all).unwrap();
            let stats = ws.stats();
            assert_eq!((all.len(), received(&stats)), (50_000, (1, 50_000)));
            assert_eq!(stats.wire_received, came(&peer, [50_000]));

            drop(peer.begin(&ws));
            assert_eq!(sent(&ws.stats()), (1, 600), "an abandoned one never is");
        });
    });
}

#[test]
fn pings_and_pongs_are_counted_both_ways() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme);
            ws.ping("ours").unwrap();
            ws.pong("unasked").unwrap();
            assert_eq!((peer.read().opcode, peer.read().opcode), (PING, PONG));
            let stats = ws.stats();
            assert_eq!((stats.pings_sent, stats.pongs_sent), (1, 1));
            assert_eq!(stats.wire_sent, went(&peer, [4, 7]));
            peer.frame(FIN | PONG, b"ours");
            peer.frame(FIN | PONG, b"unasked too");
            peer.frame(FIN | PING, b"theirs");
            peer.settle();
            let stats = ws.stats();
            assert_eq!((stats.pings_received, stats.pongs_received), (2, 2));
            assert_eq!(stats.pongs_sent, 3, "each ping has had its answer");
            assert_eq!(stats.wire_received, came(&peer, [4, 11, 6, 6]));
            let waiting = {
                let sender = ws.sender().clone();
                common::spawn(move || sender.ping_wait(LATE).unwrap())
            };
            let ping = peer.read();
            peer.frame(FIN | PONG, &ping.payload);
            waiting.within(LATE, "the pong");
            let mut keepalive = Keepalive::off();
            keepalive.interval = Some(20 * MS);
            ws.set_keepalive(keepalive).unwrap();
            (0..3).for_each(|_| assert_eq!(peer.read().opcode, PING));
            let stats = ws.stats();
            assert!(stats.pings_sent >= 5, "{}", stats.pings_sent);
            assert_eq!(stats.pongs_received, 3);
            assert_eq!((received(&stats), sent(&stats)), ((0, 0), (0, 0)));
        });
    });
}

#[test]
fn messages_that_go_elsewhere_than_to_receive_calls_are_counted_alike() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let config = || quiet(ours.config());
            let echo = Delivery::callback(|sender, message| sender.send(message).unwrap());
            let (ws, mut peer) = echo.open(ours, scheme, config());
            peer.text("one");
            peer.text("three");
            assert_eq!(
                (peer.read().payload.len(), peer.read().payload.len()),
                (3, 5)
            );
            let stats = ws.stats();
            assert_eq!((received(&stats), sent(&stats)), ((2, 8), (2, 8)));
            assert_eq!(stats.wire_received, came(&peer, [3, 5]));
            let all = went(&peer, [3, 5]);
            eventually("the echoes are counted", || ws.stats().wire_sent == all);

            let (events, inbox) = crossbeam_channel::bounded(10);
            let (ws, mut peer) = Delivery::Channel(events, 7).open(ours, scheme, config());
            peer.text("one");
            peer.text("three");
            (0..3).for_each(|_| drop(inbox.recv_timeout(LATE).unwrap()));
            let stats = ws.stats();
            assert_eq!((received(&stats), sent(&stats)), ((2, 8), (0, 0)));
            assert_eq!(stats.wire_received, came(&peer, [3, 5]));
            eventually("both are delivered", || ws.stats().queue.delivered == 2);
        });
    });
}

#[test]
fn what_a_policy_drops_is_counted_as_received_and_dropped() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
                let mut config = quiet(ours.config());
                (config.queue.messages, config.queue.overflow) = (3, overflow);
                let (ws, mut peer) = peer::open(ours, scheme, config);
                peer.numbers(0..10);
                peer.settle();
                let stats = ws.stats();
                assert_eq!(received(&stats), (10, 80));
                assert_eq!((stats.queue.dropped, stats.queue.dropped_bytes), (7, 56));
                assert_eq!((stats.high_water.messages, stats.high_water.bytes), (3, 24));
                assert_eq!(stats.queue.paused, Duration::ZERO);
            }
        });
    });
}

#[test]
fn a_pause_for_a_full_queue_is_reported_while_it_lasts_and_afterwards() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let mut config = quiet(ours.config());
            config.queue.messages = 4;
            let (ws, mut peer) = peer::open(ours, scheme, config);
            peer.numbers(0..20);
            eventually("a pause", || !ws.stats().queue.paused.is_zero());
            let (began, before) = (Instant::now(), ws.stats().queue.paused);
            thread::sleep(200 * MS);
            let lasted = began.elapsed();
            let stats = ws.stats();
            assert!(stats.queue.paused >= before + 200 * MS, "{stats:?}");
            assert!(stats.queue.paused <= stats.open_for);
            for _ in 0..20 {
                ws.recv_timeout(LATE).unwrap();
            }
            peer.settle();
            let after = ws.stats().queue.paused;
            assert!(after >= lasted, "{after:?}");
            thread::sleep(5 * MS);
            assert_eq!(ws.stats().queue.paused, after, "it is over");
        });
    });
}

#[test]
fn a_message_that_is_handed_back_is_not_counted_as_sent() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let mut config = quiet(ours.config());
            config.timeouts.send = Some(100 * MS);
            let (ws, _peer) = peer::open(ours, scheme, config);
            let mut accepted = 0;
            while ws.send(vec![7; 60_000]).is_ok() {
                accepted += 1;
            }
            let stats = ws.stats();
            assert_eq!(sent(&stats), (accepted, accepted * 60_000));
            assert!(stats.wire_sent >= stats.sent_bytes, "{stats:?}");
        });
    });
}

#[test]
fn the_last_values_stay_after_the_end() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (a, b) = pair_with(scheme, quiet(Config::client()), quiet(Config::server()));
            b.send("left in the queue").unwrap();
            eventually("it has come", || a.len() == 1);
            a.send("hello").unwrap();
            let closing = common::spawn(move || b.close().map(|_| b));
            a.close().unwrap();
            let b = closing.within(LATE, "closing").unwrap();
            let (ours, theirs) = (a.stats(), b.stats());
            assert_eq!((received(&ours), sent(&ours)), ((1, 17), (1, 5)));
            assert_eq!((ours.queue.delivered, theirs.queue.received), (0, 1));
            assert_eq!(ours.wire_received, theirs.wire_sent);
            assert_eq!(theirs.wire_received, ours.wire_sent);
            thread::sleep(5 * MS);
            assert_eq!((a.stats(), b.stats()), (ours, theirs));
            let (sender, receiver) = a.split();
            assert_eq!(receiver.recv().unwrap().len(), 17);
            assert_eq!(sender.stats().queue.delivered, 1);
            assert_eq!(receiver.stats().open_for, ours.open_for);
        }
    });
}

#[cfg(feature = "deflate")]
mod compressed {
    use super::*;
    use wsync::{Compression, PreparedMessage};

    /// What goes one way and how much of it was on the wire.
    fn sends(
        takeover: bool,
        fragment_size: Option<usize>,
        length: usize,
        send: impl Fn(&WebSocket, String),
    ) {
        let mut compression = Compression::client();
        compression.client_no_context_takeover = !takeover;
        let mut config = quiet(Config::client());
        (config.compression, config.fragment_size) = (Some(compression), fragment_size);
        let mut server = quiet(Config::server());
        server.compression = Some(Compression::server());
        let (ws, other) = pair_with(Scheme::Ws, config, server);
        assert!(ws.compression().is_some());
        let mut next = common::numbers(1);
        let text: String = (0..length / 4)
            .map(|_| format!("{:04}", next() % 10_000))
            .collect();
        for n in 1..=3 {
            send(&ws, text.clone());
            assert_eq!(other.recv_timeout(LATE).unwrap().as_text(), Some(&*text));
            let (ours, theirs) = (ws.stats(), other.stats());
            assert_eq!(sent(&ours), (n, n * text.len() as u64));
            assert_eq!(received(&theirs), sent(&ours));
            assert_eq!(ours.wire_sent, theirs.wire_received);
            assert!(ours.wire_sent < ours.sent_bytes * 2 / 3, "{ours:?}");
        }
    }

    #[test]
    fn payload_is_counted_as_it_is_and_the_wire_as_it_was_compressed() {
        watchdog(60, || {
            for takeover in [true, false] {
                // In one frame; in fragments, even when it is compressed.
                for (fragment_size, length) in [(None, 1000), (Some(1000), 10_000)] {
                    let sends = |send: fn(&WebSocket, String)| {
                        sends(takeover, fragment_size, length, send);
                    };
                    sends(|ws, text| ws.send(text).unwrap());
                    sends(|ws, text| ws.send_all([text]).unwrap());
                    sends(|ws, text| ws.sender().try_send(text).unwrap());
                    sends(|ws, text| ws.send_prepared(&PreparedMessage::new(text)).unwrap());
                    sends(|ws, text| {
                        let mut writer = ws.send_streaming(MessageKind::Text).unwrap();
                        for piece in text.as_bytes().chunks(300) {
                            writer.write_all(piece).unwrap();
                        }
                        writer.finish().unwrap();
                    });
                }
            }
        });
    }
}
