//! Sending and receiving at the same time, in both directions, from many threads.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, FIN, Ours, PING, PONG};
use common::{LATE, Scheme, numbered, pair, pair_with, patient, pattern, spawn, watchdog};
use std::collections::HashMap;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use wsync::{Config, Message, WebSocket};

const MIB: usize = 1 << 20;

/// For messages of 64 MiB, and with a queue that holds as much and more.
fn roomy(config: Config) -> Config {
    let mut config = patient(config);
    config.limits.message = 64 * MIB;
    config.queue.bytes = 256 * MIB;
    config
}

fn send_at_once_and_receive_later(scheme: Scheme, count: usize, size: usize) {
    let (client, server) = pair_with(scheme, roomy(Config::client()), roomy(Config::server()));
    let ends = [Arc::new(client), Arc::new(server)];
    let start = Arc::new(Barrier::new(2));
    let sending = [0, 1].map(|side: usize| {
        let (ws, start) = (Arc::clone(&ends[side]), Arc::clone(&start));
        spawn(move || {
            let payload = bytes::Bytes::from(pattern(side as u64, size + count));
            start.wait();
            (0..count).for_each(|n| ws.send(payload.slice(n..n + size)).unwrap());
        })
    });
    for task in sending {
        task.within(Duration::from_secs(120), "a side that sends");
    }
    for (side, ws) in ends.iter().enumerate() {
        let payload = pattern(1 - side as u64, size + count);
        for n in 0..count {
            let message = ws.recv_timeout(6 * LATE).unwrap();
            let equal = message.as_bytes() == &payload[n..n + size];
            assert!(equal && message.is_binary(), "{scheme:?}, message {n}");
        }
        assert!(ws.is_empty());
    }
    assert!(ends[0].close().unwrap().is_normal());
}

#[test]
fn both_sides_send_64_mib_in_messages_of_1_mib_while_nobody_receives() {
    watchdog(300, || {
        for &scheme in Scheme::all() {
            send_at_once_and_receive_later(scheme, 64, MIB);
        }
    });
}

#[test]
fn both_sides_send_one_message_of_64_mib_while_nobody_receives() {
    watchdog(300, || {
        for &scheme in Scheme::all() {
            send_at_once_and_receive_later(scheme, 1, 64 * MIB);
        }
    });
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

fn timed_send(ws: &WebSocket) -> Duration {
    let began = Instant::now();
    ws.send("a message").unwrap();
    began.elapsed()
}

#[test]
fn a_send_takes_no_longer_while_a_thread_waits_in_recv() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let (idle, idle_peer) = pair(scheme);
            let (busy, busy_peer) = pair(scheme);
            let busy = Arc::new(busy);
            let receiving = Arc::clone(&busy);
            let receiving = spawn(move || receiving.recv());
            let draining = [idle_peer, busy_peer].map(|ws| spawn(move || ws.iter().count()));
            std::thread::sleep(Duration::from_millis(50));
            // Taken in turn, so that a busy machine disturbs both.
            let pairs = (0..300).map(|_| (timed_send(&idle), timed_send(&busy)));
            let (without, beside): (Vec<_>, Vec<_>) = pairs.unzip();
            let (without, beside) = (median(without), median(beside));
            // A send that waited for the reader would wait until the peer sends: for ever, here.
            assert!(
                beside <= without * 5 + Duration::from_millis(5),
                "{scheme:?}: {beside:?} beside a recv, {without:?} without"
            );
            assert!(receiving.is_running());
            drop((idle.close().unwrap(), busy.close().unwrap()));
            assert!(receiving.within(LATE, "recv").is_err());
            assert_eq!(
                draining.map(|task| task.within(LATE, "draining")),
                [300, 300]
            );
        }
    });
}

/// Says who sent it, as which of how many, and is filled with what both give.
fn tagged(sender: u32, n: u32, length: usize) -> Vec<u8> {
    let mut message = [sender.to_be_bytes(), n.to_be_bytes()].concat();
    message.extend(pattern(u64::from(sender) << 32 | u64::from(n), length));
    message
}

/// Asserts that the message is whole, and the next one of its sender.
fn check_tagged(message: &Message, next: &mut HashMap<u32, u32>) {
    let bytes = message.as_bytes();
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let (sender, n) = (word(0), word(4));
    let expected = next.entry(sender).or_default();
    assert_eq!(n, *expected, "the order of sender {sender}");
    *expected += 1;
    let whole = bytes == tagged(sender, n, bytes.len() - 8);
    assert!(whole, "message {n} of sender {sender} is torn");
}

#[test]
fn messages_of_many_threads_arrive_whole_and_in_the_order_of_each() {
    const THREADS: u32 = 12;
    const EACH: u32 = 400;
    watchdog(180, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair(scheme);
            let start = Arc::new(Barrier::new(THREADS as usize));
            let sending: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (sender, start) = (client.sender().clone(), Arc::clone(&start));
                    spawn(move || {
                        start.wait();
                        for n in 0..EACH {
                            let length = (thread * 1009 + n * 97) as usize % 5000;
                            sender.send(tagged(thread, n, length)).unwrap();
                        }
                    })
                })
                .collect();
            let mut next = HashMap::new();
            for _ in 0..THREADS * EACH {
                check_tagged(&server.recv_timeout(3 * LATE).unwrap(), &mut next);
            }
            for task in sending {
                task.within(LATE, "a sender");
            }
            assert!(next.len() == THREADS as usize && next.values().all(|&n| n == EACH));
            assert!(server.is_empty());
        }
    });
}

#[test]
fn a_message_in_fragments_does_not_mix_with_those_of_other_threads() {
    const SMALL: u32 = 4;
    watchdog(180, || {
        for &scheme in Scheme::all() {
            let mut config = patient(Config::client());
            config.fragment_size = Some(4096);
            let (client, server) = pair_with(scheme, config, patient(Config::server()));
            let sending: Vec<_> = (0..SMALL + 2)
                .map(|thread| {
                    let sender = client.sender().clone();
                    // Two of them send messages in 50 to 100 fragments.
                    let (count, length) = match thread {
                        SMALL.. => (20, 200_000 + 200_000 * (thread - SMALL) as usize),
                        _ => (500, 100),
                    };
                    let send = move || {
                        (0..count).for_each(|n| sender.send(tagged(thread, n, length)).unwrap());
                    };
                    spawn(send)
                })
                .collect();
            let mut next = HashMap::new();
            for _ in 0..SMALL * 500 + 2 * 20 {
                check_tagged(&server.recv_timeout(3 * LATE).unwrap(), &mut next);
            }
            for task in sending {
                task.within(LATE, "a sender");
            }
        }
    });
}

#[test]
fn a_ping_is_answered_between_the_fragments_of_a_message_of_64_mib() {
    watchdog(300, || {
        for (ours, &scheme) in Ours::BOTH
            .into_iter()
            .flat_map(|ours| Scheme::all().iter().map(move |scheme| (ours, scheme)))
        {
            let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
            let payload = bytes::Bytes::from(pattern(7, 64 * MIB));
            let sent = payload.clone();
            let sending = spawn(move || (ws.send(sent), ws));
            let mut received = peer.read().payload;
            peer.frame(FIN | PING, b"are you there");
            let mut answered_at = None;
            loop {
                let frame = peer.read();
                if frame.opcode == PONG {
                    assert_eq!(frame.payload, b"are you there");
                    answered_at = Some(received.len());
                    continue;
                }
                received.extend_from_slice(&frame.payload);
                if frame.fin {
                    break;
                }
            }
            assert!(received == payload, "the message is as it was sent");
            // What the kernel held when the ping came is before the pong, and not much more.
            let at = answered_at.expect("the pong comes before the end of the message");
            assert!(at < 40 * MIB, "{ours:?} {scheme:?}: after {at} bytes");
            sending.within(LATE, "the send").0.unwrap();
        }
    });
}

#[test]
fn reading_goes_on_while_the_peer_sends_pings_and_reads_no_pong() {
    watchdog(120, || {
        for ours in Ours::BOTH {
            for &scheme in Scheme::all() {
                let (ws, mut peer) = peer::open(ours, scheme, patient(ours.config()));
                let ping = peer::frame(FIN | PING, peer.masks(), &[7; 125]);
                let many = ping.repeat(8000);
                // More than the buffers of the kernel hold, in either direction.
                for _ in 0..32 {
                    peer.bytes(&many);
                }
                peer.text("the end");
                let message = ws.recv_timeout(LATE).unwrap();
                assert_eq!(message.as_text(), Some("the end"));
                peer.frame(FIN | PING, b"last");
                // The newest ping is answered even though older ones were not.
                while peer.read().payload != b"last" {}
            }
        }
    });
}

#[test]
fn two_echoes_with_queues_that_are_full_do_not_stop_each_other_for_ever() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let small = |config| {
                let mut config = patient(config);
                config.queue.messages = 4;
                config
            };
            let (client, server) =
                pair_with(scheme, small(Config::client()), small(Config::server()));
            let echoing = spawn(move || {
                for message in &server {
                    server.send(message.unwrap()).unwrap();
                }
            });
            let (sender, receiver) = client.split();
            let sending = spawn(move || {
                (0..2000).for_each(|n| {
                    let mut message = numbered(n);
                    message.resize(10_000, 0);
                    sender.send(message).unwrap();
                });
                sender
            });
            for n in 0..2000 {
                let message = receiver.recv_timeout(3 * LATE).unwrap();
                assert_eq!(common::number_of(&message), n);
            }
            let sender = sending.within(LATE, "sending");
            assert!(sender.close().unwrap().is_normal());
            echoing.within(LATE, "the echo");
        }
    });
}

#[test]
fn a_large_message_from_a_raw_peer_in_one_frame_arrives_whole() {
    watchdog(120, || {
        for ours in Ours::BOTH {
            let (ws, mut peer) = peer::open(ours, Scheme::Ws, roomy(ours.config()));
            let payload = pattern(3, 16 * MIB);
            peer.frame(FIN | BINARY, &payload);
            assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == payload);
        }
    });
}
