//! Compressed messages as they leave (RFC 7692 section 7.2.1), seen by a peer that has zlib of its own.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::codec::{Codec, Received, compressing, prose};
use common::peer::{self, BINARY, CLOSE, FIN, Frame, Ours, PING, PONG, Peer, TEXT, everywhere};
use common::{LATE, Scheme, pattern, spawn, watchdog};
use std::thread;
use std::time::Duration;
use wsync::{Config, Error, Message, PreparedMessage, SendOptions, WebSocket};

/// Runs a test at both ends and with both schemes, with context takeover and without.
fn in_each_way(test: impl Fn(WebSocket, Peer, Codec, bool)) {
    everywhere(|ours, scheme| {
        for takeover in [true, false] {
            let (ws, peer) = peer::open(ours, scheme, compressing(ours, takeover));
            test(ws, peer, Codec::new(takeover), takeover);
        }
    });
}

fn in_one_frame(opcode: u8, packed: bool, message: impl AsRef<[u8]>) -> Received {
    Received {
        opcode,
        packed,
        frames: 1,
        message: message.as_ref().to_vec(),
    }
}

#[test]
fn messages_are_compressed_one_by_one_and_keep_their_kind() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec, takeover| {
            let mut sizes = Vec::new();
            for n in 0..5 {
                let text = String::from_utf8(prose(7, 1000)).unwrap();
                let wire = match n % 2 {
                    0 => ws.send(text.as_str()).map(|()| peer.read()),
                    _ => ws.send(text.as_bytes()).map(|()| peer.read()),
                };
                let frame = wire.unwrap();
                let opcode = [TEXT, BINARY][n % 2];
                assert_eq!(
                    (frame.fin, frame.opcode, frame.packed),
                    (true, opcode, true)
                );
                sizes.push(frame.payload.len());
                assert!(codec.unpack(&frame.payload) == text.as_bytes());
            }
            // A message that was there before is little more than a reference.
            let small = sizes[1..].iter().all(|size| *size < 100);
            assert_eq!(small, takeover, "{sizes:?}");
            assert!(sizes[0] < 500, "{sizes:?}");
        });
    });
}

#[test]
fn a_message_above_the_fragment_size_has_rsv1_on_its_first_frame_only() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for takeover in [true, false] {
                let mut config = compressing(ours, takeover);
                config.fragment_size = Some(20_000);
                let (ws, mut peer) = peer::open(ours, scheme, config);
                let mut codec = Codec::new(takeover);
                // Of the incompressible one each piece is a frame; of prose not each piece gives any bytes.
                for (n, message) in [pattern(1, 70_000), prose(2, 200_000)].iter().enumerate() {
                    let (sent, sender) = (message.clone(), ws.sender().clone());
                    let sending = spawn(move || sender.send(sent).unwrap());
                    let received = peer.receive(&mut codec);
                    assert!(received.message == *message && received.packed);
                    assert!(received.frames > 1, "{}", received.frames);
                    sending.within(LATE, "send");
                    ws.send(prose(n as u64, 500)).unwrap();
                    assert!(peer.receive_packed(&mut codec) == prose(n as u64, 500));
                }
                ws.send(vec![b'x'; 20_001]).unwrap();
                assert!(peer.receive_packed(&mut codec) == vec![b'x'; 20_001]);
            }
        });
    });
}

#[test]
fn messages_below_min_size_go_plain_unless_they_are_to_be_compressed() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            for takeover in [true, false] {
                let mut config = compressing(ours, takeover);
                if let Some(compression) = &mut config.compression {
                    compression.min_size = 100;
                }
                config.fragment_size = Some(10_000);
                let (ws, mut peer) = peer::open(ours, scheme, config);
                let mut codec = Codec::new(takeover);
                let with = |compress| SendOptions::new().compress(compress);
                for (size, options, packed) in [
                    (0, SendOptions::new(), false),
                    (99, SendOptions::new(), false),
                    (100, SendOptions::new(), true),
                    (99, with(true), true),
                    (100, with(false), false),
                    (25_000, with(false), false),
                    (25_000, with(true), true),
                    // Without context nothing is smaller than nothing.
                    (0, with(true), takeover),
                ] {
                    ws.sender().send_with(vec![b'x'; size], options).unwrap();
                    let received = peer.receive(&mut codec);
                    assert!(received.message == vec![b'x'; size]);
                    assert_eq!(received.packed, packed, "{size} bytes, {options:?}");
                }
            }
        });
    });
}

#[test]
fn what_does_not_get_smaller_goes_plain_unless_later_messages_may_refer_to_it() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec, takeover| {
            for _ in 0..2 {
                let message = pattern(5, 3000);
                ws.send(message.as_slice()).unwrap();
                let expected = in_one_frame(BINARY, takeover, message);
                assert!(peer.receive(&mut codec) == expected);
            }
        });
    });
}

#[test]
fn fed_messages_wait_for_the_flush_and_arrive_in_order() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec, _| {
            let messages: Vec<_> = (0..50).map(|n| prose(n, 300)).collect();
            for message in &messages {
                ws.feed(message.as_slice()).unwrap();
            }
            peer.frame(FIN | PING, b"nothing is before its answer");
            // The reader writes all that waits when it answers.
            ws.flush().unwrap();
            let mut arrived = 0;
            while arrived < messages.len() {
                let frame = peer.read();
                if frame.opcode != PONG {
                    assert!(frame.packed);
                    assert!(codec.unpack(&frame.payload) == messages[arrived]);
                    arrived += 1;
                }
            }
            ws.send_all(messages.iter().map(Vec::as_slice)).unwrap();
            let mut pong = false;
            for message in &messages {
                let mut frame = peer.read();
                if frame.opcode == PONG {
                    assert!(!std::mem::replace(&mut pong, true));
                    frame = peer.read();
                }
                assert!(frame.packed && codec.unpack(&frame.payload) == *message);
            }
        });
    });
}

/// What thread `thread` sends as its message `n`: text of any length, some of it long.
fn tagged(thread: u64, n: u64) -> Vec<u8> {
    let mut message = vec![thread as u8];
    message.extend_from_slice(&n.to_be_bytes());
    let length = if n % 100 == 99 { 30_000 } else { 20 + n % 80 };
    message.extend(prose(n % 7, length as usize));
    message
}

#[test]
fn messages_of_many_threads_are_compressed_in_the_order_in_which_they_leave() {
    const THREADS: u64 = 8;
    const EACH: u64 = 1000;
    watchdog(240, || {
        let last = Scheme::all()[Scheme::all().len() - 1];
        for (ours, scheme, takeover) in [
            (Ours::Client, Scheme::Ws, true),
            (Ours::Server, last, true),
            (Ours::Server, Scheme::Ws, false),
        ] {
            let (ws, mut peer) = peer::open(ours, scheme, compressing(ours, takeover));
            let mut codec = Codec::new(takeover);
            let sending: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let sender = ws.sender().clone();
                    spawn(move || {
                        for n in 0..EACH {
                            match n % 10 {
                                0 => sender.feed(tagged(thread, n)).unwrap(),
                                _ => sender.send(tagged(thread, n)).unwrap(),
                            }
                        }
                    })
                })
                .collect();
            let mut next = [0; THREADS as usize];
            for _ in 0..THREADS * EACH {
                let message = peer.receive(&mut codec).message;
                let thread = message[0];
                let n = &mut next[usize::from(thread)];
                assert!(
                    message == tagged(thread.into(), *n),
                    "message {n} of {thread}"
                );
                *n += 1;
            }
            for task in sending {
                task.within(LATE, "a sender");
            }
        }
    });
}

/// An end whose messages take long to compress, and one such message.
fn slow(ours: Ours, scheme: Scheme, takeover: bool) -> (WebSocket, Peer, Message) {
    let mut config = compressing(ours, takeover);
    config.fragment_size = None;
    if let Some(compression) = &mut config.compression {
        compression.level = 9;
    }
    let (ws, peer) = peer::open(ours, scheme, config);
    // Nearly the same at short distances, so that there is much to compare.
    let message: Vec<u8> = prose(1, 50_000)
        .into_iter()
        .cycle()
        .take(20_000_000)
        .collect();
    (ws, peer, message.into())
}

#[test]
fn control_frames_pass_while_another_thread_compresses() {
    watchdog(240, || {
        for (ours, takeover) in [(Ours::Client, true), (Ours::Server, false)] {
            let (ws, mut peer, message) = slow(ours, Scheme::Ws, takeover);
            let (sender, large) = (ws.sender().clone(), message.clone());
            let sending = spawn(move || sender.send(large).unwrap());
            thread::sleep(Duration::from_millis(20));
            peer.frame(FIN | PING, b"theirs");
            assert_eq!(peer.read(), Frame::new(true, PONG, "theirs"));
            ws.ping("ours").unwrap();
            assert_eq!(peer.read(), Frame::new(true, PING, "ours"));
            let received = peer.receive(&mut Codec::new(takeover));
            assert!(received.packed && received.message == message.as_bytes());
            sending.within(LATE, "send");
        }
    });
}

#[test]
fn a_close_passes_a_message_that_is_being_compressed_and_gives_it_back() {
    watchdog(240, || {
        for (ours, takeover) in [(Ours::Client, true), (Ours::Server, false)] {
            let (ws, mut peer, message) = slow(ours, Scheme::Ws, takeover);
            let (sender, large) = (ws.sender().clone(), message.clone());
            let sending = spawn(move || sender.send(large).unwrap_err());
            thread::sleep(Duration::from_millis(20));
            let sender = ws.sender().clone();
            let closing = spawn(move || sender.close().unwrap());
            assert_eq!(peer.read(), Frame::new(true, CLOSE, 1000u16.to_be_bytes()));
            let error = sending.within(LATE, "send");
            assert!(matches!(error.error, Error::Closed(_)), "{error}");
            assert!(error.message.unwrap() == message);
            peer.close(1000);
            assert!(closing.within(LATE, "close").is_normal());
            peer.read_end_and_leave();
        }
    });
}

#[test]
fn a_prepared_message_is_the_same_bytes_for_all_without_takeover() {
    watchdog(60, || {
        let message = PreparedMessage::new(prose(3, 1000));
        let send = |ours: Ours, scheme: Scheme, takeover: bool| {
            let (ws, mut peer) = peer::open(ours, scheme, compressing(ours, takeover));
            let mut codec = Codec::new(takeover);
            let mut payloads = Vec::new();
            for _ in 0..2 {
                ws.sender().send_prepared(&message).unwrap();
                let frame = peer.read();
                assert_eq!(
                    (frame.fin, frame.opcode, frame.packed),
                    (true, BINARY, true)
                );
                assert!(codec.unpack(&frame.payload) == message.message().as_bytes());
                payloads.push(frame.payload);
            }
            payloads
        };
        for ours in Ours::BOTH {
            let mut payloads = Vec::new();
            for _ in 0..10 {
                for &scheme in Scheme::all() {
                    payloads.extend(send(ours, scheme, false));
                }
            }
            assert!(payloads.windows(2).all(|pair| pair[0] == pair[1]));
            let in_context = send(ours, Scheme::Ws, true);
            assert!(in_context[1].len() < 100, "it refers to the first");
        }
    });
}

#[test]
fn a_prepared_message_may_be_large_small_or_incompressible() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec, takeover| {
            let large: Vec<_> = prose(1, 10_000).into_iter().cycle().take(1 << 21).collect();
            // Still in fragments when it is compressed.
            let mixed = [pattern(2, 3 << 19), large.clone()].concat();
            for (message, packed) in [
                (large, true),
                (mixed, true),
                (Vec::new(), takeover),
                (pattern(1, 1000), takeover),
            ] {
                let (sender, prepared) = (ws.sender().clone(), message.clone());
                let sending = spawn(move || sender.send_prepared(&PreparedMessage::new(prepared)));
                let received = peer.receive(&mut codec);
                assert!(received.message == message);
                assert_eq!(received.packed, packed, "{} bytes", message.len());
                sending.within(LATE, "send").unwrap();
            }
        });
    });
}

#[test]
fn one_prepared_message_may_be_sent_by_many_threads_at_once() {
    watchdog(60, || {
        let message = PreparedMessage::new(prose(3, 100_000));
        let sending: Vec<_> = (0..12)
            .map(|n| {
                let (ours, message) = (Ours::BOTH[n % 2], message.clone());
                spawn(move || {
                    let (ws, mut peer) = peer::open(ours, Scheme::Ws, compressing(ours, false));
                    ws.sender().send_prepared(&message).unwrap();
                    let payload = peer.read().payload;
                    assert!(Codec::new(false).unpack(&payload) == message.message().as_bytes());
                    (n % 2, payload)
                })
            })
            .collect();
        let mut payloads = [Vec::new(), Vec::new()];
        for task in sending {
            let (end, payload) = task.within(LATE, "a sender");
            payloads[end].push(payload);
        }
        for same in payloads {
            assert!(same.windows(2).all(|pair| pair[0] == pair[1]));
        }
    });
}

#[test]
fn nothing_is_compressed_with_a_peer_that_does_not_agree() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (client, server) = match ours {
                Ours::Client => (compressing(Ours::Client, true), Config::server()),
                Ours::Server => (Config::client(), compressing(Ours::Server, true)),
            };
            let (client, server) = common::pair_with(scheme, client, server);
            assert!(client.compression().is_none() && server.compression().is_none());
            client.send(prose(1, 3000)).unwrap();
            assert!(server.recv_timeout(LATE).unwrap().as_bytes() == prose(1, 3000));
            let all = SendOptions::new().compress(true);
            server.sender().send_with(prose(2, 3000), all).unwrap();
            assert!(client.recv_timeout(LATE).unwrap().as_bytes() == prose(2, 3000));
        });
    });
}
