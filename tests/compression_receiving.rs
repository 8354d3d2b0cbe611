//! Compressed messages as they arrive: the context stays right whatever becomes of them, and no more is inflated
//! than there is room for.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::codec::{Codec, compressing, prose};
use common::delivery::Delivery;
use common::peer::{
    self, BINARY, CONTINUATION, FIN, Frame, Ours, PING, PONG, Peer, RSV1, everywhere,
};
use common::{LATE, Scheme, eventually, number_of, spawn, watchdog};
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;
use wsync::{CloseCode, Config, Error, Event, MessageKind, Overflow, WebSocket};

/// A read brings so much at most: a buffer of 128 KiB, and what TLS adds from the read before; and pieces are
/// handed on once there is so much of them.
const READ: usize = 256 << 10;

/// A numbered message that has much in common with those before it.
fn message(n: u64) -> Vec<u8> {
    let mut message = n.to_be_bytes().to_vec();
    message.extend(prose(n % 3, 200));
    message
}

/// Sends numbered messages, ten at a time, until all were taken in.
fn send(peer: &mut Peer, codec: &mut Codec, numbers: std::ops::Range<u64>) {
    let all: Vec<_> = numbers.collect();
    for some in all.chunks(10) {
        let mut bytes = Vec::new();
        for n in some {
            let payload = codec.pack(&message(*n));
            bytes.extend(peer::frame(FIN | RSV1 | BINARY, peer.masks(), &payload));
        }
        peer.bytes(&bytes);
    }
    peer.settle();
}

/// The numbers of the messages that are queued, each of which is as it was sent.
fn drained(ws: &WebSocket) -> Vec<u64> {
    let all = ws.drain(usize::MAX).into_iter().map(|received| {
        let n = number_of(&received);
        assert!(received.as_bytes() == message(n), "message {n}");
        n
    });
    all.collect()
}

#[test]
fn messages_that_are_dropped_leave_the_context_to_those_behind_them() {
    watchdog(120, || {
        for (overflow, kept) in [
            (Overflow::DropOldest, 300..400),
            (Overflow::DropNewest, 0..100),
            (Overflow::KeepLatest, 300..400),
        ] {
            everywhere(|ours, scheme| {
                for takeover in [true, false] {
                    let mut config = compressing(ours, takeover);
                    config.queue.messages = 100;
                    config.queue.overflow = overflow;
                    let (ws, mut peer) = peer::open(ours, scheme, config);
                    let mut codec = Codec::new(takeover);
                    send(&mut peer, &mut codec, 0..400);
                    assert!(drained(&ws).into_iter().eq(kept.clone()), "{overflow:?}");
                    let stats = ws.queue().stats();
                    assert_eq!((stats.received, stats.dropped), (400, 300));
                    assert_eq!(stats.dropped_bytes, 300 * 208, "inflated");
                    send(&mut peer, &mut codec, 400..410);
                    assert!(drained(&ws).into_iter().eq(400..410));
                }
            });
        }
    });
}

#[test]
fn overflow_close_fails_the_connection_after_what_was_queued() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let mut config = compressing(ours, true);
            config.queue.messages = 10;
            config.queue.overflow = Overflow::Close(CloseCode::from(4321));
            let (ws, mut peer) = peer::open(ours, scheme, config);
            let mut codec = Codec::new(true);
            send(&mut peer, &mut codec, 0..10);
            peer.send_packed(&mut codec, &message(10));
            assert_eq!(peer.read_close(), Some(4321));
            peer.close(4321);
            peer.read_end_and_leave();
            assert!(drained(&ws).into_iter().eq(0..10));
            assert!(matches!(ws.recv().unwrap_err().0, Error::Overflow(_)));
        });
    });
}

#[test]
fn callbacks_and_channels_get_what_was_compressed() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for takeover in [true, false] {
                let (events, received) = crossbeam_channel::bounded(5);
                let to_channel = Delivery::Channel(events, 1);
                let (results, callback) = crossbeam_channel::unbounded();
                let to_callback = Delivery::callback(move |_, message| {
                    results.send(message).unwrap();
                });
                let config = compressing(ours, takeover);
                let (_first, mut peer) = peer::open_with(ours, scheme, config.clone(), to_callback);
                send(&mut peer, &mut Codec::new(takeover), 0..200);
                for n in 0..200 {
                    assert!(callback.recv_timeout(LATE).unwrap().as_bytes() == message(n));
                }
                let (_second, mut peer) = peer::open_with(ours, scheme, config, to_channel);
                let sending = spawn(move || send(&mut peer, &mut Codec::new(takeover), 0..200));
                let mut next = 0;
                while next < 200 {
                    if let Event::Message { message: got, .. } =
                        received.recv_timeout(LATE).unwrap()
                    {
                        assert!(got.as_bytes() == message(next));
                        next += 1;
                    }
                }
                sending.within(LATE, "the peer");
            }
        });
    });
}

#[test]
fn plain_messages_and_control_frames_go_between_compressed_ones() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            for takeover in [true, false] {
                let (ws, mut peer) = peer::open(ours, scheme, compressing(ours, takeover));
                let mut codec = Codec::new(takeover);
                for n in 0..5 {
                    peer.send_packed(&mut codec, &message(n));
                    peer.frame(FIN | BINARY, &message(n));
                    let payload = codec.pack(&message(n));
                    let (one, two) = payload.split_at(payload.len() / 2);
                    peer.frame(RSV1 | BINARY, one);
                    peer.frame(FIN | PING, b"between");
                    peer.frame(CONTINUATION, b"");
                    peer.frame(FIN | CONTINUATION, two);
                    assert_eq!(peer.read(), Frame::new(true, PONG, "between"));
                    for _ in 0..3 {
                        assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == message(n));
                    }
                }
            }
        });
    });
}

#[test]
fn after_a_quiet_time_the_context_is_still_there() {
    // After a second the reader gives memory back.
    let quiet = Duration::from_millis(1300);
    watchdog(60, move || {
        let ends: Vec<_> = Ours::BOTH
            .into_iter()
            .flat_map(|ours| Scheme::all().iter().map(move |scheme| (ours, *scheme)))
            .map(|(ours, scheme)| {
                spawn(move || {
                    let (ws, mut peer) = peer::open(ours, scheme, compressing(ours, true));
                    let mut codec = Codec::new(true);
                    send(&mut peer, &mut codec, 0..20);
                    thread::sleep(quiet);
                    send(&mut peer, &mut codec, 20..40);
                    let payload = codec.pack(&prose(1, 100_000));
                    let (one, two) = payload.split_at(payload.len() / 3);
                    peer.frame(RSV1 | BINARY, one);
                    thread::sleep(quiet);
                    peer.frame(FIN | CONTINUATION, two);
                    send(&mut peer, &mut codec, 40..60);
                    for n in 0..40 {
                        assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == message(n));
                    }
                    assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == prose(1, 100_000));
                    assert!(drained(&ws).into_iter().eq(40..60));
                })
            })
            .collect();
        for end in ends {
            end.within(LATE, "an end");
        }
    });
}

/// The payload of a message that is `block` so many times: cheap to make, since each but the first is deflated
/// to the same.
fn repeated(block: &[u8], times: usize) -> Vec<u8> {
    let mut codec = Codec::new(true);
    let mut payload = codec.deflate(block);
    payload.extend(codec.deflate(block).repeat(times - 1));
    payload.push(0);
    payload
}

/// An end that takes messages in pieces, with room for a little more than `bound` bytes of them.
fn streaming(ours: Ours, bound: usize) -> Config {
    let mut config = compressing(ours, true);
    config.limits.message = 1 << 30;
    config.stream_above = Some(64 << 10);
    config.queue.bytes = bound;
    config
}

#[test]
fn a_large_message_is_read_while_it_is_inflated_with_bounded_memory() {
    const BOUND: usize = 1 << 20;
    watchdog(240, || {
        let block = prose(1, 1 << 20);
        let payload = repeated(&block, 50);
        everywhere(|ours, scheme| {
            let (ws, mut peer) = peer::open(ours, scheme, streaming(ours, BOUND));
            let sent = payload.clone();
            let sending = spawn(move || {
                peer.frame(FIN | RSV1 | BINARY, &sent);
                peer
            });
            let mut reader = ws.recv_streaming().unwrap();
            let mut buffer = vec![0; block.len()];
            for n in 0..50 {
                reader.read_exact(&mut buffer).unwrap();
                assert!(buffer == block, "block {n}");
            }
            assert_eq!(reader.read(&mut buffer).unwrap(), 0);
            let high = ws.queue().high_water().bytes;
            assert!(high <= BOUND + READ, "{high} bytes waited at once");
            sending.within(LATE, "the peer").text("next");
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("next"));
        });
    });
}

/// Waits until there is room for no more, and asserts that it stays so.
fn assert_fills_up_to(ws: &WebSocket, bound: usize, beyond: usize) {
    eventually("a full queue", || ws.queue().bytes() >= bound);
    thread::sleep(Duration::from_millis(100));
    let high = ws.queue().high_water().bytes;
    assert!(high <= bound + beyond, "{high} bytes wait");
}

#[test]
fn inflating_stops_while_the_queue_is_full() {
    const BOUND: usize = 512 << 10;
    watchdog(240, || {
        // 100 MiB in 100 KiB.
        let zeros = vec![0; 1 << 20];
        let payload = repeated(&zeros, 100);
        assert!(payload.len() < 150_000);
        for (ours, scheme) in [(Ours::Client, Scheme::Ws), (Ours::Server, Scheme::Ws)] {
            let (ws, mut peer) = peer::open(ours, scheme, streaming(ours, BOUND));
            peer.frame(FIN | RSV1 | BINARY, &payload);
            peer.text("next");
            assert_fills_up_to(&ws, BOUND, READ);
            let mut reader = ws.recv_streaming().unwrap();
            let mut buffer = vec![1; 1 << 20];
            for n in 0..100 {
                reader.read_exact(&mut buffer).unwrap();
                assert!(buffer == zeros, "block {n}");
                if n == 50 {
                    assert_fills_up_to(&ws, BOUND / 4, BOUND);
                }
                buffer.fill(1);
            }
            assert_eq!(reader.read(&mut buffer).unwrap(), 0);
            drop(reader);
            let high = ws.queue().high_water().bytes;
            assert!(high <= BOUND + READ, "{high} bytes waited at once");
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("next"));
        }
    });
}

#[test]
fn whole_messages_are_inflated_as_long_as_there_is_room_in_the_queue() {
    const SIZE: usize = 1 << 20;
    watchdog(240, || {
        for (ours, scheme) in [(Ours::Client, Scheme::Ws), (Ours::Server, Scheme::Ws)] {
            let mut config = compressing(ours, true);
            config.queue.bytes = 4 * SIZE;
            let (ws, mut peer) = peer::open(ours, scheme, config);
            let mut codec = Codec::new(true);
            for _ in 0..60 {
                peer.send_packed(&mut codec, &vec![0; SIZE]);
            }
            assert_fills_up_to(&ws, 4 * SIZE, SIZE);
            for _ in 0..60 {
                assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == vec![0; SIZE]);
            }
            let high = ws.queue().high_water().bytes;
            assert!(high <= 5 * SIZE, "{high} bytes waited at once");
        }
    });
}

#[test]
fn a_reader_that_is_dropped_leaves_the_context_to_the_next_message() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = peer::open(ours, scheme, streaming(ours, 256 << 10));
            let mut codec = Codec::new(true);
            for n in 0..3 {
                let payload = codec.pack(&prose(n, 500_000));
                let sending = spawn(move || {
                    peer.frame(FIN | RSV1 | BINARY, &payload);
                    peer
                });
                let mut reader = ws.recv_streaming().unwrap();
                reader.read_exact(&mut [0; 1000]).unwrap();
                drop(reader);
                peer = sending.within(LATE, "the peer");
                peer.send_packed(&mut codec, &message(n));
                assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == message(n));
            }
        });
    });
}

#[test]
fn the_limit_is_that_of_the_inflated_message() {
    const LIMIT: usize = 100_000;
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let mut config = compressing(ours, true);
            config.limits.message = LIMIT;
            let (ws, mut peer) = peer::open(ours, scheme, config);
            let mut codec = Codec::new(true);
            for message in [prose(1, LIMIT), common::pattern(1, LIMIT)] {
                peer.send_packed(&mut codec, &message);
                assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == message);
            }
            peer.send_packed(&mut codec, &prose(1, LIMIT + 1));
            assert_eq!(peer.read_close(), Some(1009));
            let error = ws.recv().unwrap_err().0;
            assert!(matches!(error, Error::TooBig { limit, .. } if limit == LIMIT as u64));
        });
    });
}

#[test]
fn two_of_our_own_understand_each_other_whatever_is_sent() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            for takeover in [true, false] {
                let mut configs = Ours::BOTH.map(|ours| compressing(ours, takeover));
                configs[0].fragment_size = Some(3000);
                let [client, server] = configs;
                let (client, server) = common::pair_with(scheme, client, server);
                let agreed = client.compression().unwrap();
                assert_eq!(server.compression(), Some(agreed));
                assert_eq!(agreed.client_no_context_takeover, !takeover);
                let sizes = [0, 1, 10, 500, 2999, 3000, 3001, 10_000, 100_000];
                let one_way = |from: &WebSocket, to: &WebSocket| {
                    for (n, size) in sizes.into_iter().cycle().take(30).enumerate() {
                        let (n, sender) = (n as u64, from.sender().clone());
                        let sending = spawn(move || {
                            sender.send(prose(n, size)).unwrap();
                            sender.send(common::pattern(n, size)).unwrap();
                            let mut writer = sender.send_streaming(MessageKind::Text).unwrap();
                            writer.write_all(&prose(n, size)).unwrap();
                            writer.finish().unwrap();
                        });
                        for expected in [prose(n, size), common::pattern(n, size), prose(n, size)] {
                            assert!(to.recv_timeout(LATE).unwrap().as_bytes() == expected);
                        }
                        sending.within(LATE, "the sender");
                    }
                };
                one_way(&client, &server);
                one_way(&server, &client);
                assert!(client.close().unwrap().is_normal());
            }
        }
    });
}
