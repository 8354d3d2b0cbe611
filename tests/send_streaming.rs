//! Messages that are written piece by piece.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{
    self, BINARY, CLOSE, CONTINUATION, FIN, Frame, Ours, PING, PONG, Peer, TEXT, everywhere,
};
use common::{LATE, Scheme, once_within, pair_with, patient, pattern};
use common::{spawn, watchdog};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, MessageKind, Misuse, WebSocket};

const PIECE: usize = 64 << 10;

fn open(ours: Ours, scheme: Scheme) -> (WebSocket, Peer) {
    peer::open(ours, scheme, patient(ours.config()))
}

fn open_in_pieces(ours: Ours, scheme: Scheme, size: usize) -> (WebSocket, Peer) {
    let mut config = patient(ours.config());
    config.fragment_size = Some(size);
    peer::open(ours, scheme, config)
}

#[test]
fn full_pieces_go_out_as_fragments_of_one_message() {
    watchdog(60, || {
        for (set, piece) in [(Some(1000), 1000), (Some(1 << 20), PIECE), (None, PIECE)] {
            for (kind, opcode) in [(MessageKind::Text, TEXT), (MessageKind::Binary, BINARY)] {
                everywhere(|ours, scheme| {
                    let mut config = patient(ours.config());
                    config.fragment_size = set;
                    let (ws, mut peer) = peer::open(ours, scheme, config);
                    let message: Vec<u8> = (b'a'..=b'w').cycle().take(3 * piece + 500).collect();
                    let sent = message.clone();
                    let sending = spawn(move || {
                        let mut writer = ws.send_streaming(kind).unwrap();
                        assert_eq!(writer.kind(), kind);
                        for chunk in sent.chunks(300) {
                            writer.write_all(chunk).unwrap();
                        }
                        writer.finish().unwrap();
                        ws
                    });
                    for (n, payload) in message.chunks(piece).enumerate() {
                        let opcode = if n == 0 { opcode } else { CONTINUATION };
                        let expected = Frame::new(n == 3, opcode, payload);
                        assert!(peer.read() == expected, "{ours:?} {scheme:?}, frame {n}");
                    }
                    let ws = sending.within(LATE, "the writer");
                    ws.send("another").unwrap();
                    assert_eq!(peer.read(), Frame::new(true, TEXT, "another"));
                });
            }
        }
    });
}

#[test]
fn a_message_that_fits_into_one_piece_is_one_frame() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open_in_pieces(ours, scheme, 1000);
            for size in [0, 1, 999, 1000] {
                let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
                let message = pattern(1, size);
                for chunk in message.chunks(7) {
                    writer.write_all(chunk).unwrap();
                }
                writer.finish().unwrap();
                assert_eq!(peer.read(), Frame::new(true, BINARY, message));
            }
        });
    });
}

#[test]
fn flush_sends_what_is_collected_and_finish_the_rest_even_if_it_is_empty() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme);
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            writer.flush().unwrap();
            assert_eq!(writer.write(b"").unwrap(), 0);
            for payload in ["one", "two"] {
                writer.write_all(payload.as_bytes()).unwrap();
                writer.flush().unwrap();
                writer.flush().unwrap();
            }
            writer.finish().unwrap();
            assert_eq!(peer.read(), Frame::new(false, BINARY, "one"));
            assert_eq!(peer.read(), Frame::new(false, CONTINUATION, "two"));
            assert_eq!(peer.read(), Frame::new(true, CONTINUATION, ""));
        });
    });
}

#[test]
fn control_frames_go_between_the_fragments() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme);
            let mut writer = peer.begin(&ws);
            ws.ping("ours").unwrap();
            assert_eq!(peer.read(), Frame::new(true, PING, "ours"));
            peer.frame(FIN | PING, b"theirs");
            assert_eq!(peer.read(), Frame::new(true, PONG, "theirs"));
            writer.write_all(b"b").unwrap();
            writer.finish().unwrap();
            assert_eq!(peer.read(), Frame::new(true, CONTINUATION, "b"));
        });
    });
}

#[test]
fn messages_of_other_threads_wait_for_the_last_fragment() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open_in_pieces(ours, scheme, 1000);
            let mut writer = peer.begin(&ws);
            let send = |length: usize| {
                let sender = ws.sender().clone();
                spawn(move || sender.send(vec![1; length]).unwrap())
            };
            let stream = || {
                let sender = ws.sender().clone();
                spawn(move || {
                    let mut writer = sender.send_streaming(MessageKind::Binary).unwrap();
                    writer.write_all(&[1; 2500]).unwrap();
                    writer.finish().unwrap();
                })
            };
            let waiting = [send(0), send(10), send(2500), stream(), stream()];
            thread::sleep(Duration::from_millis(30));
            assert!(waiting.iter().all(|task| task.is_running()));
            writer.write_all(b"b").unwrap();
            writer.flush().unwrap();
            writer.finish().unwrap();
            assert_eq!(peer.read(), Frame::new(false, CONTINUATION, "b"));
            assert_eq!(peer.read(), Frame::new(true, CONTINUATION, ""));
            let mut sizes: Vec<_> = (0..5).map(|_| peer.read_message().len()).collect();
            sizes.sort_unstable();
            assert_eq!(sizes, [0, 10, 2500, 2500, 2500]);
            for task in waiting {
                task.within(LATE, "a sender");
            }
        });
    });
}

#[test]
fn a_writer_holds_up_no_message_before_its_first_fragment() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme);
            let mut first = ws.send_streaming(MessageKind::Binary).unwrap();
            let mut second = ws.send_streaming(MessageKind::Text).unwrap();
            first.write_all(b"first").unwrap();
            second.write_all(b"second").unwrap();
            ws.send("whole").unwrap();
            second.finish().unwrap();
            first.finish().unwrap();
            assert_eq!(peer.read(), Frame::new(true, TEXT, "whole"));
            assert_eq!(peer.read(), Frame::new(true, TEXT, "second"));
            assert_eq!(peer.read(), Frame::new(true, BINARY, "first"));
        });
    });
}

fn assert_is_utf8_misuse(error: io::Error) {
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    assert!(matches!(error.into(), Error::Misuse(Misuse::Utf8)));
}

#[test]
fn bytes_that_are_no_text_are_refused_at_every_cut_and_not_taken() {
    let text = "aé€😀z".as_bytes();
    watchdog(60, move || {
        let (ws, mut peer) = open(Ours::Client, Scheme::Ws);
        for cut in 0..=text.len() {
            for flush in [false, true] {
                let mut writer = ws.send_streaming(MessageKind::Text).unwrap();
                writer.write_all(&text[..cut]).unwrap();
                if flush {
                    writer.flush().unwrap();
                }
                for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90"] {
                    assert_is_utf8_misuse(writer.write(bad).unwrap_err());
                }
                assert_is_utf8_misuse(
                    writer
                        .write(&[&text[cut..], b"b\xff"].concat())
                        .unwrap_err(),
                );
                writer.write_all(&text[cut..]).unwrap();
                writer.finish().unwrap();
                assert_eq!(peer.read_message(), text, "cut at {cut}");
            }
        }
        let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
        writer.write_all(b"\xff").unwrap();
        writer.finish().unwrap();
        assert_eq!(peer.read(), Frame::new(true, BINARY, b"\xff"));
    });
}

#[test]
fn text_that_ends_within_a_character_is_refused_by_finish() {
    watchdog(60, || {
        let misuse = |error| matches!(error, Error::Misuse(Misuse::Utf8));
        let (ws, mut peer) = open(Ours::Client, Scheme::Ws);
        let mut writer = ws.send_streaming(MessageKind::Text).unwrap();
        writer.write_all(&"é".as_bytes()[..1]).unwrap();
        assert!(misuse(writer.finish().unwrap_err()));
        // Nothing of it had left, so that the connection is as it was.
        let mut writer = peer.begin(&ws);
        writer.write_all(&"é".as_bytes()[..1]).unwrap();
        assert!(misuse(writer.finish().unwrap_err()));
        assert_eq!(peer.read_close(), Some(1011));
    });
}

#[test]
fn a_writer_that_is_dropped_before_its_first_fragment_leaves_no_trace() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme);
            let mut writer = ws.send_streaming(MessageKind::Text).unwrap();
            writer.write_all(b"a").unwrap();
            drop(writer);
            ws.send("b").unwrap();
            assert_eq!(peer.read(), Frame::new(true, TEXT, "b"));
        });
    });
}

#[test]
fn a_writer_that_is_dropped_after_a_fragment_fails_the_connection_with_1011() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            once_within(Duration::from_millis(200), || {
                let (ws, mut peer) = open(ours, scheme);
                let writer = peer.begin(&ws);
                let waiting: Vec<_> = (0..3)
                    .map(|_| {
                        let sender = ws.sender().clone();
                        spawn(move || (sender.send("x").unwrap_err(), Instant::now()))
                    })
                    .collect();
                thread::sleep(Duration::from_millis(20));
                let began = Instant::now();
                drop(writer);
                let mut last = began.elapsed();
                for task in waiting {
                    let (error, end) = task.within(LATE, "a sender");
                    assert!(matches!(error.error, Error::Closed(_)), "{error}");
                    assert_eq!(error.message.unwrap().as_text(), Some("x"));
                    last = last.max(end - began);
                }
                assert!(ws.send_streaming(MessageKind::Text).is_err());
                let close = Frame::new(true, CLOSE, b"\x03\xf3message abandoned");
                assert_eq!(peer.read(), close);
                peer.close(1011);
                let closed = ws.close().unwrap();
                assert_eq!(closed.sent.unwrap().code, 1011.into());
                last
            });
        });
    });
}

#[test]
fn the_close_frame_goes_between_the_fragments_and_ends_the_writer() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            for by_peer in [false, true] {
                let (ws, mut peer) = open(ours, scheme);
                let mut writer = peer.begin(&ws);
                let sender = ws.sender().clone();
                let closing = match by_peer {
                    true => {
                        peer.close(1000);
                        None
                    }
                    false => Some(spawn(move || sender.close().unwrap())),
                };
                assert_eq!(peer.read_close(), Some(1000));
                for error in [writer.write(b"b"), writer.flush().map(|()| 0)] {
                    let error = error.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::NotConnected);
                    assert!(matches!(error.into(), Error::Closed(_)));
                }
                let error = writer.finish().unwrap_err();
                assert!(matches!(error, Error::Closed(_)), "{error}");
                if let Some(closing) = closing {
                    peer.close(1000);
                    assert!(closing.within(LATE, "close").is_normal());
                }
                peer.read_end_and_leave();
                assert!(ws.close().unwrap().is_normal(), "nothing was abandoned");
            }
        });
    });
}

#[test]
fn twenty_megabytes_reach_tungstenite_as_they_were() {
    watchdog(120, || {
        let message = Arc::new(pattern(20, 20_000_000));
        everywhere(|ours, scheme| {
            let (ws, peer) = open(ours, scheme);
            let sent = Arc::clone(&message);
            let sending = spawn(move || {
                let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
                let copied = io::copy(&mut &sent[..], &mut writer).unwrap();
                writer.finish().unwrap();
                (ws, copied)
            });
            let mut peer = peer.into_tungstenite();
            let received = peer.read().unwrap();
            assert!(received.is_binary() && received.into_data() == message[..]);
            let (_ws, copied) = sending.within(LATE, "the writer");
            assert_eq!(copied, 20_000_000);
        });
    });
}

#[test]
fn messages_of_many_threads_whole_and_in_pieces_arrive_whole_and_in_order() {
    const EACH: u64 = 60;
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let mut config = patient(Config::client());
            config.fragment_size = Some(2000);
            let (client, server) = pair_with(scheme, config, patient(Config::server()));
            let sending: Vec<_> = (0..6)
                .map(|thread: u64| {
                    let sender = client.sender().clone();
                    spawn(move || {
                        for n in 0..EACH {
                            let message = tagged(thread, n);
                            if thread < 3 {
                                sender.send(message).unwrap();
                                continue;
                            }
                            let mut writer = sender.send_streaming(MessageKind::Binary).unwrap();
                            writer.write_all(&message).unwrap();
                            sender.ping("").unwrap();
                            writer.finish().unwrap();
                        }
                    })
                })
                .collect();
            let mut next = [0; 6];
            for _ in 0..6 * EACH {
                let message = server.recv_timeout(LATE).unwrap();
                let thread = usize::from(message.as_bytes()[0]);
                let whole = message.as_bytes() == tagged(thread as u64, next[thread]);
                assert!(whole, "message {} of {thread}", next[thread]);
                next[thread] += 1;
            }
            for task in sending {
                task.within(LATE, "a sender");
            }
        }
    });
}

fn tagged(thread: u64, n: u64) -> Vec<u8> {
    let mut message = vec![thread as u8];
    message.extend(pattern(
        thread << 32 | n,
        37 * n as usize + 1500 * thread as usize,
    ));
    message
}
