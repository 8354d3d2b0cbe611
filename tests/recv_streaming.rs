//! `recv_streaming`: a message is read while it arrives.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, CONTINUATION, FIN, Ours, Peer, TEXT};
use common::{LATE, Scheme, eventually, pair_with, patient, pattern, spawn, watchdog};
use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use wsync::{Config, Error, MessageReader, ProtocolError, RecvTimeoutError, TryRecvError};
use wsync::{Timeout, WebSocket};

/// Messages go in pieces above so many bytes.
const ABOVE: usize = 100;

/// A read brings so much at most: a buffer of 128 KiB, and what TLS adds from the read before.
const READ: usize = 256 << 10;

const MOMENT: Duration = Duration::from_millis(30);

fn streaming(config: Config) -> Config {
    let mut config = patient(config);
    config.limits.message = 1 << 30;
    config.stream_above = Some(ABOVE);
    config
}

/// An end of ours that takes messages in pieces, and its peer, in every role and with every scheme.
fn with_each(body: impl Fn(WebSocket, Peer)) {
    with_each_of(streaming, body);
}

fn with_each_of(config: impl Fn(Config) -> Config, body: impl Fn(WebSocket, Peer)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            let (ws, peer) = peer::open(ours, scheme, config(ours.config()));
            body(ws, peer);
        }
    }
}

fn read_exact(reader: &mut MessageReader, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).unwrap();
    bytes
}

fn read_all(mut reader: MessageReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// What comes, and the error behind it.
fn read_to_error(mut reader: MessageReader) -> (Vec<u8>, Error) {
    let mut bytes = Vec::new();
    let error = reader.read_to_end(&mut bytes).unwrap_err();
    let again = reader.read(&mut [0; 10]).unwrap_err();
    assert_eq!(
        again.kind(),
        error.kind(),
        "nobody takes a part for the whole"
    );
    (bytes, unwrap(error))
}

fn unwrap(error: io::Error) -> Error {
    *error.into_inner().unwrap().downcast().unwrap()
}

/// The connection is as good as ever.
fn assert_usable(ws: &WebSocket, peer: &mut Peer) {
    peer.text("still there?");
    let message = ws.recv_timeout(LATE).unwrap();
    assert_eq!(message.as_text(), Some("still there?"));
    ws.send("yes").unwrap();
    assert_eq!(peer.read().payload, b"yes");
}

#[test]
fn a_message_above_the_bound_of_the_queue_is_read_with_bounded_memory() {
    const LENGTH: usize = 50 << 20;
    const BOUND: usize = 1 << 20;
    watchdog(120, || {
        for &scheme in Scheme::all() {
            for to_server in [false, true] {
                let mut config = streaming(Config::client());
                config.queue.bytes = BOUND;
                config.stream_above = Some(64 << 10);
                let (client, server) = pair_with(scheme, config.clone(), config);
                let (from, to) = match to_server {
                    true => (client, server),
                    false => (server, client),
                };
                let sending = spawn(move || {
                    from.send(pattern(1, LENGTH)).unwrap();
                    from
                });
                let expected = pattern(1, LENGTH);
                let mut reader = to.recv_streaming().unwrap();
                assert!(reader.kind() == wsync::MessageKind::Binary);
                let (mut buffer, mut came) = (vec![0; 100_000], 0);
                loop {
                    let n = reader.read(&mut buffer).unwrap();
                    if n == 0 {
                        break;
                    }
                    assert!(buffer[..n] == expected[came..came + n], "at {came}");
                    came += n;
                }
                assert_eq!(came, LENGTH);
                let high = to.queue().high_water().bytes;
                assert!(high <= BOUND + READ, "{high} bytes waited at once");
                sending.within(LATE, "the sender").send("next").unwrap();
                assert_eq!(to.recv().unwrap().as_text(), Some("next"));
            }
        }
    });
}

#[test]
fn reading_begins_before_the_message_has_ended() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            let bytes = pattern(2, 10_000);
            peer.frame(BINARY, &bytes[..4000]);
            let mut reader = ws.recv_streaming().unwrap();
            assert!(read_exact(&mut reader, 4000) == bytes[..4000]);
            // In the middle of a frame, too.
            let frame = peer::frame(FIN, peer.masks(), &bytes[4000..]);
            let (head, tail) = frame.split_at(3000);
            peer.bytes(head);
            assert!(read_exact(&mut reader, 2900) == bytes[4000..6900]);
            peer.bytes(tail);
            assert!(read_all(reader) == bytes[6900..]);
            assert_usable(&ws, &mut peer);
        });
    });
}

#[test]
fn a_timeout_loses_nothing() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            let bytes = pattern(3, 5000);
            let mut chunks = bytes.chunks(1000);
            peer.frame(BINARY, chunks.next().unwrap());
            let mut reader = ws.recv_streaming().unwrap();
            reader.set_timeout(Some(MOMENT));
            let mut came = Vec::new();
            for chunk in chunks.by_ref().take(2) {
                let error = reader.read_to_end(&mut came).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                assert!(matches!(unwrap(error), Error::Timeout(Timeout::Recv)));
                peer.frame(CONTINUATION, chunk);
            }
            let mut pieces = reader.pieces();
            let mut timeouts = 0;
            loop {
                match pieces.next() {
                    Some(Ok(piece)) => came.extend_from_slice(&piece),
                    Some(Err(Error::Timeout(Timeout::Recv))) => {
                        timeouts += 1;
                        match chunks.next() {
                            Some(chunk) => peer.frame(CONTINUATION, chunk),
                            None if timeouts == 3 => peer.frame(FIN, b""),
                            None => {}
                        }
                    }
                    Some(Err(error)) => panic!("{error}"),
                    None => break,
                }
            }
            assert!(came == bytes && timeouts >= 3);
            assert_usable(&ws, &mut peer);
        });
    });
}

#[test]
fn messages_of_every_size_and_kind_are_read() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            for length in [0, 1, ABOVE, ABOVE + 1, 5000, 100_000] {
                let words = "y".repeat(length);
                peer.frame(FIN | BINARY, words.as_bytes());
                peer.text(&words);
                let (head, tail) = words.as_bytes().split_at(length / 2);
                peer.frame(TEXT, head);
                peer.frame(FIN, tail);
                for text in [false, true, true] {
                    let reader = ws.recv_streaming().unwrap();
                    assert_eq!(reader.kind() == wsync::MessageKind::Text, text);
                    assert!(read_all(reader) == words.as_bytes());
                }
            }
            assert!(ws.is_empty() && ws.bytes() == 0);
        });
    });
}

#[test]
fn lines_and_pieces_of_a_text_are_read() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            let words = "caf\u{e9}\n".repeat(5000);
            for _ in 0..2 {
                let (head, tail) = words.as_bytes().split_at(4);
                peer.frame(TEXT, head);
                tail.chunks(1021)
                    .for_each(|chunk| peer.frame(CONTINUATION, chunk));
                peer.frame(FIN, b"");
            }
            let lines = ws.recv_streaming().unwrap().lines();
            assert_eq!(
                lines.filter(|l| l.as_ref().unwrap() == "caf\u{e9}").count(),
                5000
            );
            let pieces: Result<Vec<_>, _> = ws.recv_streaming().unwrap().pieces().collect();
            assert!(pieces.unwrap().concat() == words.as_bytes());
        });
    });
}

#[test]
fn a_reader_that_is_dropped_skips_only_its_message() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            for read in [0, 500, 1000] {
                peer.frame(BINARY, &pattern(4, 1000));
                let mut reader = ws.recv_streaming().unwrap();
                read_exact(&mut reader, read);
                drop(reader);
                assert!(matches!(ws.try_recv(), Err(TryRecvError::Empty)));
                peer.frame(CONTINUATION, &pattern(5, 2000));
                peer.frame(FIN, b"the end");
                peer.text("next");
                assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("next"));
                // With all of it there.
                peer.frame(BINARY, &pattern(4, 1000));
                let reader = ws.recv_streaming().unwrap();
                peer.frame(FIN, b"the end");
                peer.text("next");
                eventually("the next", || !ws.is_empty());
                drop(reader);
                let reader = ws.recv_streaming().unwrap();
                assert_eq!(read_all(reader), b"next");
            }
            assert_usable(&ws, &mut peer);
            assert!(ws.is_empty() && ws.bytes() == 0);
            let stats = ws.queue().stats();
            assert_eq!(
                (stats.received, stats.delivered, stats.dropped),
                (13, 13, 0)
            );
            let total = 3 * (1000 + 2000 + 7 + 4 + 1000 + 7 + 4) + 12;
            assert_eq!(stats.received_bytes, total);
            assert_eq!(stats.delivered_bytes + stats.dropped_bytes, total);
            assert!(stats.dropped_bytes >= 3 * (2000 + 7 + 7));
        });
    });
}

#[test]
fn other_receive_calls_wait_until_the_reader_is_done() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            for is_dropped in [false, true] {
                peer.frame(BINARY, &[1; 500]);
                let mut reader = ws.recv_streaming().unwrap();
                let token = wsync::CancelToken::new();
                thread::scope(|scope| {
                    let recv = scope.spawn(|| ws.recv().unwrap().into_bytes().to_vec());
                    let or = scope.spawn(|| ws.recv_or(&token).unwrap().into_bytes().to_vec());
                    let reading = scope.spawn(|| read_all(ws.recv_streaming().unwrap()));
                    let result = ws.recv_timeout(MOMENT);
                    assert!(matches!(result, Err(RecvTimeoutError::Timeout)));
                    peer.frame(CONTINUATION, &[1; 500]);
                    peer.frame(FIN, &[1; 500]);
                    (2..5).for_each(|n| peer.frame(FIN | BINARY, &[n; 200]));
                    thread::sleep(MOMENT);
                    assert!(matches!(ws.try_recv(), Err(TryRecvError::Empty)));
                    assert!(ws.drain(9).is_empty() && ws.clear() == 0);
                    for waiting in [&recv, &or, &reading] {
                        assert!(!waiting.is_finished());
                    }
                    if is_dropped {
                        read_exact(&mut reader, 700);
                        drop(reader);
                    } else {
                        assert_eq!(read_all(reader), [1; 1500]);
                    }
                    let mut got = [recv, or, reading].map(|waiting| waiting.join().unwrap());
                    got.sort();
                    assert_eq!(got, [[2; 200], [3; 200], [4; 200]]);
                });
            }
            assert_usable(&ws, &mut peer);
        });
    });
}

#[test]
fn what_another_call_has_collected_goes_on_in_the_reader() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            let bytes = pattern(6, 3000);
            peer.frame(BINARY, &bytes[..1000]);
            eventually("a first piece", || ws.len() == 1);
            let result = ws.recv_timeout(MOMENT);
            assert!(matches!(result, Err(RecvTimeoutError::Timeout)));
            peer.frame(CONTINUATION, &bytes[1000..2000]);
            let mut reader = ws.recv_streaming().unwrap();
            assert!(read_exact(&mut reader, 1500) == bytes[..1500]);
            // And a receive call does not take it away.
            let result = ws.recv_timeout(MOMENT);
            assert!(matches!(result, Err(RecvTimeoutError::Timeout)));
            peer.frame(FIN, &bytes[2000..]);
            assert!(read_all(reader) == bytes[1500..]);
            assert_usable(&ws, &mut peer);
        });
    });
}

#[test]
fn a_slow_reader_holds_the_peer_up() {
    const LENGTH: usize = 40 << 20;
    let small = |config| {
        let mut config = streaming(config);
        config.queue.bytes = 100_000;
        config
    };
    watchdog(120, move || {
        with_each_of(small, |ws, mut peer| {
            let sent = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&sent);
            let sending = spawn(move || {
                peer.frame(BINARY, &pattern(0, 1 << 20));
                for n in 1..40 {
                    peer.frame(CONTINUATION, &pattern(n, 1 << 20));
                    counter.fetch_add(1, Ordering::SeqCst);
                }
                peer.frame(FIN, b"");
                peer
            });
            let mut reader = ws.recv_streaming().unwrap();
            let (mut last, mut stood) = (usize::MAX, 0);
            while stood < 30 {
                thread::sleep(Duration::from_millis(10));
                let now = sent.load(Ordering::SeqCst);
                stood = if now == last { stood + 1 } else { 0 };
                last = now;
            }
            assert!(last < 39, "the kernel cannot hold 40 MiB");
            assert!(ws.bytes() <= 100_000 + READ);
            assert!(ws.queue().stats().paused > Duration::ZERO);
            let mut came = 0;
            for n in 0..40 {
                assert!(read_exact(&mut reader, 1 << 20) == pattern(n, 1 << 20));
                came += 1 << 20;
            }
            assert_eq!((came, reader.read(&mut [0]).unwrap()), (LENGTH, 0));
            assert!(ws.queue().high_water().bytes <= 100_000 + READ);
            drop(reader);
            assert_usable(&ws, &mut sending.within(LATE, "the peer"));
        });
    });
}

/// Messages may take so long from piece to piece.
fn impatient(config: Config) -> Config {
    let mut config = streaming(config);
    config.timeouts.message = Some(Duration::from_secs(1));
    config
}

#[test]
fn a_slow_consumer_does_not_use_up_the_time_of_the_message() {
    let small = |config| {
        let mut config = impatient(config);
        config.queue.bytes = 500;
        config
    };
    watchdog(60, move || {
        for ours in Ours::BOTH {
            let (ws, mut peer) = peer::open(ours, Scheme::Ws, small(ours.config()));
            peer.frame(BINARY, &[1; 1000]);
            let mut reader = ws.recv_streaming().unwrap();
            read_exact(&mut reader, 1000);
            for _ in 0..2 {
                peer.frame(CONTINUATION, &[1; 1000]);
                eventually("a full queue", || ws.bytes() >= 500);
                // Comes while the reader thread waits for room, and no piece with it.
                peer.frame(FIN | peer::PING, b"");
                thread::sleep(Duration::from_millis(1500));
                read_exact(&mut reader, 1000);
                assert_eq!(peer.read().opcode, peer::PONG);
            }
            peer.frame(FIN, b"end");
            assert_eq!(read_all(reader), b"end");
            assert_usable(&ws, &mut peer);
        }
    });
}

#[test]
fn a_peer_that_sends_no_more_of_a_message_is_given_up() {
    watchdog(60, || {
        with_each_of(impatient, |ws, mut peer| {
            peer.frame(BINARY, &[1; 1000]);
            let mut reader = ws.recv_streaming().unwrap();
            reader.set_timeout(Some(LATE));
            let (came, error) = read_to_error(reader);
            assert_eq!(came, [1; 1000]);
            assert!(
                matches!(error, Error::Timeout(Timeout::Message)),
                "{error:?}"
            );
            assert_eq!(peer.read_close(), Some(1008));
        });
    });
}

#[test]
fn the_end_in_the_middle_comes_behind_the_parts() {
    watchdog(120, || {
        for how in 0..4 {
            with_each(|ws, mut peer| {
                peer.frame(BINARY, &[1; 1000]);
                let reader = ws.recv_streaming().unwrap();
                let mut bytes = peer::frame(CONTINUATION, peer.masks(), &[1; 500]);
                match how {
                    0 => peer.bytes(&bytes),
                    1 => bytes.extend(peer::frame(
                        FIN | peer::CLOSE,
                        peer.masks(),
                        &3000_u16.to_be_bytes(),
                    )),
                    2 => bytes.extend(peer::frame(FIN | BINARY, peer.masks(), b"wrong")),
                    _ => bytes.extend(peer::frame(FIN | 0x40, peer.masks(), b"wrong")),
                }
                match how {
                    0 => peer.end(),
                    _ => peer.bytes(&bytes),
                }
                let (came, error) = read_to_error(reader);
                assert_eq!(came, [1; 1500]);
                let expected = match how {
                    0 => matches!(error, Error::Io(_) | Error::Tls(_)),
                    1 => matches!(&error, Error::Closed(closed) if !closed.is_normal()),
                    2 => matches!(error, Error::Protocol(ProtocolError::ExpectedContinuation)),
                    _ => matches!(error, Error::Protocol(_)),
                };
                assert!(expected, "{how}: {error:?}");
                // Everybody hears of it.
                assert!(ws.recv().is_err() && ws.recv_streaming().is_err());
                assert!(ws.is_empty() && ws.bytes() == 0);
            });
        }
    });
}

#[test]
fn wrong_utf_8_in_a_later_piece_is_told_behind_the_good_ones() {
    watchdog(60, || {
        with_each(|ws, mut peer| {
            peer.frame(TEXT, &[b'a'; 1000]);
            let reader = ws.recv_streaming().unwrap();
            peer.frame(CONTINUATION, b"b\xe2\x82");
            peer.frame(FIN, b"\x28");
            let (came, error) = read_to_error(reader);
            assert!(came.starts_with(&[b'a'; 1000]) && came.len() <= 1003);
            assert!(matches!(error, Error::Protocol(ProtocolError::Utf8)));
            assert_eq!(peer.read_close(), Some(1007));
        });
    });
}
