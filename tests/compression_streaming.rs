//! Messages that are compressed while they are written piece by piece.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::codec::{Codec, TAIL, compressing, prose};
use common::peer::{
    self, BINARY, CONTINUATION, FIN, Frame, Ours, PING, PONG, Peer, TEXT, everywhere,
};
use common::{LATE, pattern, spawn, watchdog};
use std::io::{self, Write};
use wsync::{Error, MessageKind, MessageWriter, SendOptions, WebSocket};

/// Runs a test at both ends and with both schemes, with context takeover and without.
fn in_each_way(test: impl Fn(WebSocket, Peer, Codec)) {
    everywhere(|ours, scheme| {
        for takeover in [true, false] {
            let (ws, peer) = peer::open(ours, scheme, compressing(ours, takeover));
            test(ws, peer, Codec::new(takeover));
        }
    });
}

/// Another message, after which the context is as the peer has it.
fn assert_goes_on(ws: &WebSocket, peer: &mut Peer, codec: &mut Codec) {
    for n in 0..2 {
        ws.send(prose(n, 600)).unwrap();
        assert!(peer.receive_packed(codec) == prose(n, 600));
    }
}

fn flushed(writer: &mut MessageWriter<'_>, bytes: impl AsRef<[u8]>) {
    writer.write_all(bytes.as_ref()).unwrap();
    writer.flush().unwrap();
}

#[test]
fn a_message_in_pieces_is_one_compressed_message() {
    watchdog(120, || {
        in_each_way(|ws, mut peer, mut codec| {
            // The second fills fragments, the first gives little at a time.
            for message in [prose(1, 300_000), pattern(1, 150_000)] {
                let (sent, sender) = (message.clone(), ws.sender().clone());
                let sending = spawn(move || {
                    let mut writer = sender.send_streaming(MessageKind::Binary).unwrap();
                    for chunk in sent.chunks(7_000) {
                        writer.write_all(chunk).unwrap();
                    }
                    writer.finish().unwrap();
                });
                let received = peer.receive(&mut codec);
                assert!(received.packed && received.opcode == BINARY);
                assert!(received.message == message);
                assert!(received.frames > 1);
                sending.within(LATE, "the writer");
            }
            assert_goes_on(&ws, &mut peer, &mut codec);
        });
    });
}

#[test]
fn flush_makes_all_that_was_written_readable() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec| {
            let mut writer = ws.send_streaming(MessageKind::Text).unwrap();
            writer.flush().unwrap();
            for (n, piece) in ["one", "two", "three, three, three"].iter().enumerate() {
                flushed(&mut writer, piece);
                // There is no more to be flushed.
                writer.flush().unwrap();
                let frame = peer.read();
                assert!(frame.payload.ends_with(&TAIL), "{frame:?}");
                assert_eq!(codec.inflate(&frame.payload), piece.as_bytes());
                let first = n == 0;
                assert_eq!((frame.fin, frame.packed), (false, first));
                assert_eq!(frame.opcode, if first { TEXT } else { CONTINUATION });
            }
            peer.frame(FIN | PING, b"between");
            assert_eq!(peer.read(), Frame::new(true, PONG, "between"));
            writer.write_all(b"the end").unwrap();
            writer.finish().unwrap();
            let last = peer.read();
            assert_eq!(
                (last.fin, last.opcode, last.packed),
                (true, CONTINUATION, false)
            );
            assert_eq!(codec.unpack(&last.payload), b"the end");
            assert_goes_on(&ws, &mut peer, &mut codec);
        });
    });
}

#[test]
fn flush_makes_pieces_readable_that_left_before_it() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec| {
            // More than a piece, so that the compressor has some of it before the flush.
            let message = prose(4, 100_000);
            let sent = message.clone();
            let (sender, mut inflated) = (ws.sender().clone(), Vec::new());
            let sending = spawn(move || {
                let mut writer = sender.send_streaming(MessageKind::Binary).unwrap();
                flushed(&mut writer, sent);
                // Exactly one piece: it goes out with the next byte.
                writer.write_all(&[b'x'; 64 << 10]).unwrap();
                writer.write_all(b"y").unwrap();
                writer.flush().unwrap();
                writer.finish().unwrap();
            });
            while inflated.len() < message.len() {
                inflated.extend(codec.inflate(&peer.read().payload));
            }
            assert!(inflated == message);
            inflated.clear();
            while inflated.len() < (64 << 10) + 1 {
                inflated.extend(codec.inflate(&peer.read().payload));
            }
            assert_eq!(inflated.pop(), Some(b'y'));
            let last = peer.read();
            assert_eq!((last.fin, last.payload.as_slice()), (true, &[0][..]));
            assert_eq!(codec.unpack(&last.payload), b"");
            sending.within(LATE, "the writer");
            assert_goes_on(&ws, &mut peer, &mut codec);
        });
    });
}

#[test]
fn finish_after_a_flush_ends_the_message_with_an_empty_block() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec| {
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            flushed(&mut writer, "all");
            writer.finish().unwrap();
            assert_eq!(codec.inflate(&peer.read().payload), b"all");
            assert_eq!(peer.read(), Frame::new(true, CONTINUATION, [0]));
            assert_eq!(codec.unpack(&[0]), b"");
            assert_goes_on(&ws, &mut peer, &mut codec);
        });
    });
}

#[test]
fn messages_that_come_at_once_are_compressed_from_min_size_on() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            for takeover in [true, false] {
                let mut config = compressing(ours, takeover);
                if let Some(compression) = &mut config.compression {
                    compression.min_size = 100;
                }
                let (ws, mut peer) = peer::open(ours, scheme, config);
                let mut codec = Codec::new(takeover);
                let (by_size, all) = (SendOptions::new(), SendOptions::new().compress(true));
                let none = SendOptions::new().compress(false);
                for (size, options, packed) in [
                    (0, by_size, false),
                    (99, by_size, false),
                    (100, by_size, true),
                    (99, all, true),
                    (0, all, true),
                    (100, none, false),
                    (100, by_size, true),
                ] {
                    let sender = ws.sender();
                    let writer = sender.send_streaming_with(MessageKind::Binary, options);
                    let (mut writer, message) = (writer.unwrap(), prose(3, size));
                    message.chunks(9).for_each(|c| writer.write_all(c).unwrap());
                    writer.finish().unwrap();
                    let received = peer.receive(&mut codec);
                    assert!(received.message == message);
                    assert_eq!((received.frames, received.packed), (1, packed), "{size}");
                }
                // How long it will be is not known at a flush, so it is compressed.
                let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
                flushed(&mut writer, "a");
                writer.finish().unwrap();
                assert_eq!(peer.receive_packed(&mut codec), b"a");
            }
        });
    });
}

#[test]
fn an_empty_message_is_compressed_if_it_is_to_be() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec| {
            // The second has nothing to flush.
            for _ in 0..2 {
                ws.send_streaming(MessageKind::Text)
                    .unwrap()
                    .finish()
                    .unwrap();
                let frame = peer.read();
                assert_eq!((frame.packed, frame.payload.as_slice()), (true, &[0][..]));
                assert_eq!(codec.unpack(&frame.payload), b"");
            }
            assert_goes_on(&ws, &mut peer, &mut codec);
        });
    });
}

#[test]
fn a_writer_that_is_dropped_before_its_first_fragment_leaves_the_context_good() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec| {
            assert_goes_on(&ws, &mut peer, &mut codec);
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            writer.write_all(&prose(9, 5000)).unwrap();
            drop(writer);
            // The compressor gets so much of one letter, and gives nothing yet.
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            writer.write_all(&[b'x'; (64 << 10) + 1]).unwrap();
            drop(writer);
            ws.send(&[b'x'; 1000]).unwrap();
            assert_eq!(peer.receive_packed(&mut codec), [b'x'; 1000]);
            assert_goes_on(&ws, &mut peer, &mut codec);
        });
    });
}

#[test]
fn a_writer_that_is_dropped_after_a_fragment_fails_the_connection_with_1011() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec| {
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            flushed(&mut writer, "a");
            let senders: Vec<_> = (0..3)
                .map(|_| {
                    let sender = ws.sender().clone();
                    spawn(move || sender.send("behind it").unwrap_err())
                })
                .collect();
            drop(writer);
            assert_eq!(codec.inflate(&peer.read().payload), b"a");
            assert_eq!(peer.read().code(), Some(1011), "nothing is between");
            for task in senders {
                let error = task.within(LATE, "a sender");
                assert!(matches!(error.error, Error::Closed(_)), "{error}");
                assert_eq!(error.message.unwrap().as_text(), Some("behind it"));
            }
            assert!(ws.send_streaming(MessageKind::Text).is_err());
        });
    });
}

#[test]
fn other_messages_wait_for_a_compressed_one_from_its_first_fragment_on() {
    watchdog(60, || {
        in_each_way(|ws, mut peer, mut codec| {
            let mut first = ws.send_streaming(MessageKind::Binary).unwrap();
            let mut second = ws.send_streaming(MessageKind::Binary).unwrap();
            first.write_all(&prose(1, 500)).unwrap();
            second.write_all(&prose(2, 500)).unwrap();
            ws.send(prose(3, 500)).unwrap();
            assert!(peer.receive_packed(&mut codec) == prose(3, 500));
            second.flush().unwrap();
            let sender = ws.sender().clone();
            let sending = spawn(move || sender.send(prose(4, 500)).unwrap());
            second.finish().unwrap();
            assert!(peer.receive_packed(&mut codec) == prose(2, 500));
            assert!(peer.receive_packed(&mut codec) == prose(4, 500));
            sending.within(LATE, "the sender");
            first.finish().unwrap();
            assert!(peer.receive_packed(&mut codec) == prose(1, 500));
        });
    });
}

#[test]
fn messages_of_many_threads_whole_and_in_pieces_share_one_context() {
    const EACH: u64 = 40;
    let message = |thread: u64, n: u64| prose(thread << 32 | n, 3000 + 500 * n as usize);
    watchdog(240, move || {
        for (ours, takeover) in [
            (Ours::Client, true),
            (Ours::Server, true),
            (Ours::Server, false),
        ] {
            let mut config = compressing(ours, takeover);
            config.fragment_size = Some(4000);
            let (ws, mut peer) = peer::open(ours, common::Scheme::Ws, config);
            let sending: Vec<_> = (0..6)
                .map(|thread| {
                    let sender = ws.sender().clone();
                    spawn(move || {
                        for n in 0..EACH {
                            if thread < 3 {
                                sender.send(message(thread, n)).unwrap();
                                continue;
                            }
                            let mut writer = sender.send_streaming(MessageKind::Binary).unwrap();
                            if n % 5 == 4 {
                                // Given up, at times after the compressor has seen some of it.
                                let given_up = vec![b'x'; 100 * n as usize];
                                writer.write_all(&given_up).unwrap();
                                drop(writer);
                                writer = sender.send_streaming(MessageKind::Binary).unwrap();
                            }
                            io::copy(&mut &message(thread, n)[..], &mut writer).unwrap();
                            writer.finish().unwrap();
                        }
                    })
                })
                .collect();
            let mut next = [0; 6];
            let mut codec = Codec::new(takeover);
            for _ in 0..6 * EACH {
                let received = peer.receive_packed(&mut codec);
                let whole = (0..6).find(|&t| received == message(t, next[t as usize]));
                next[whole.expect("the next message of one of them") as usize] += 1;
            }
            for task in sending {
                task.within(LATE, "a sender");
            }
        }
    });
}
