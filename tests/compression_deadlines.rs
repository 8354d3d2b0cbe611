//! Compressed messages that cannot leave in time: what is taken back, no later message refers to.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::codec::{Codec, compressing, prose};
use common::delivery::Delivery;
use common::faulty::{self, Faults, Open};
use common::peer::{self, CLOSE, Ours, Peer};
use common::{LATE, Scheme, Task, eventually, numbers, pattern, spawn, watchdog};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use wsync::{Config, Error, MessageKind, SendError, SendOptions, Sender, Timeout, WebSocket};

const SHORT: Duration = Duration::from_millis(60);

fn is_send_timeout(error: &Error) -> bool {
    matches!(error, Error::Timeout(Timeout::Send))
}

/// A configuration in which only what is above 1000 bytes goes in fragments.
fn config(takeover: bool, send: Duration) -> Config {
    let mut config = compressing(Ours::Client, takeover);
    config.timeouts.send = Some(send);
    config.fragment_size = Some(1000);
    config
}

/// A client over a stream whose kernel can be told to be full.
fn open(takeover: bool, send: Duration) -> (WebSocket, Peer, Arc<Faults>) {
    let Open { ws, peer, faults } = faulty::open(Scheme::Ws, config(takeover, send));
    (ws, peer, faults)
}

fn fill(faults: &Faults, full: bool) {
    faults.waits_for_room.store(0, Ordering::SeqCst);
    faults.full.store(full, Ordering::SeqCst);
}

fn with_sender<T: Send + 'static>(
    ws: &WebSocket,
    body: impl FnOnce(&Sender) -> T + Send + 'static,
) -> Task<T> {
    let sender = ws.sender().clone();
    spawn(move || body(&sender))
}

/// Sends what has much in common with all the others, and expects it.
fn assert_goes_on(ws: &WebSocket, peer: &mut Peer, codec: &mut Codec) {
    for n in 0..3 {
        ws.send(prose(n, 600)).unwrap();
        assert!(peer.receive_packed(codec) == prose(n, 600));
    }
}

#[test]
fn a_message_that_times_out_unsent_is_handed_back_and_no_later_one_refers_to_it() {
    watchdog(60, || {
        for takeover in [true, false] {
            let (ws, mut peer, faults) = open(takeover, SHORT);
            let mut codec = Codec::new(takeover);
            for size in [600, 5000] {
                assert_goes_on(&ws, &mut peer, &mut codec);
                fill(&faults, true);
                for _ in 0..2 {
                    // The next message would refer to this one, which is not like those before.
                    let error = ws.send(pattern(1, size)).unwrap_err();
                    assert!(is_send_timeout(&error.error), "{error}");
                    assert!(error.message.unwrap().as_bytes() == pattern(1, size));
                }
                fill(&faults, false);
                ws.send(pattern(1, 600)).unwrap();
                assert!(peer.receive(&mut codec).message == pattern(1, 600));
            }
            assert_goes_on(&ws, &mut peer, &mut codec);
        }
    });
}

#[test]
fn what_others_have_sent_before_stays_when_a_message_is_taken_back() {
    watchdog(60, || {
        for takeover in [true, false] {
            let (ws, mut peer, faults) = open(takeover, SHORT);
            let mut codec = Codec::new(takeover);
            assert_goes_on(&ws, &mut peer, &mut codec);
            ws.feed(pattern(2, 600)).unwrap();
            fill(&faults, true);
            let error = ws.send(pattern(1, 700)).unwrap_err();
            assert!(is_send_timeout(&error.error) && error.message.is_some());
            fill(&faults, false);
            assert!(peer.receive(&mut codec).message == pattern(2, 600));
            ws.send(pattern(1, 700)).unwrap();
            assert!(peer.receive(&mut codec).message == pattern(1, 700));
            assert_goes_on(&ws, &mut peer, &mut codec);
        }
    });
}

/// Something that goes behind a message that waits for room.
type Behind = fn(&Sender) -> Result<(), Error>;

fn whole(sender: &Sender) -> Result<(), Error> {
    Ok(sender.send(prose(1, 700))?)
}

fn fed(sender: &Sender) -> Result<(), Error> {
    Ok(sender.feed(prose(1, 700))?)
}

fn in_fragments(sender: &Sender) -> Result<(), Error> {
    Ok(sender.send(prose(1, 7000))?)
}

fn streamed(sender: &Sender) -> Result<(), Error> {
    let mut writer = sender.send_streaming(MessageKind::Binary)?;
    writer.write_all(&prose(1, 700))?;
    writer.finish()
}

fn streamed_in_fragments(sender: &Sender) -> Result<(), Error> {
    let mut writer = sender.send_streaming(MessageKind::Binary)?;
    writer.write_all(&prose(1, 700))?;
    writer.flush()?;
    writer.finish()
}

/// While a message waits for room, puts something behind it. How the message ends, and all the frames
/// that left after there was room again.
fn put_behind(takeover: bool, behind: Behind) -> (SendError, WebSocket, Peer, Codec) {
    let (ws, mut peer, faults) = open(takeover, Duration::from_millis(300));
    let mut codec = Codec::new(takeover);
    assert_goes_on(&ws, &mut peer, &mut codec);
    fill(&faults, true);
    let first = with_sender(&ws, |sender| sender.send(prose(1, 800)).unwrap_err());
    faults.wait_for_a_wait();
    behind(ws.sender()).unwrap();
    let error = first.within(LATE, "the first");
    assert!(is_send_timeout(&error.error), "{error}");
    fill(&faults, false);
    (error, ws, peer, codec)
}

#[test]
fn a_message_that_another_may_refer_to_is_not_taken_back_but_ends_the_connection() {
    watchdog(120, || {
        let all: [Behind; 5] = [whole, fed, in_fragments, streamed, streamed_in_fragments];
        for (n, behind) in all.into_iter().enumerate() {
            let (error, ws, mut peer, _) = put_behind(true, behind);
            assert!(error.message.is_none(), "behind {n} it was handed back");
            assert!(ws.send("x").is_err());
            let closed = ws.close().unwrap_err();
            assert!(is_send_timeout(&closed), "{closed}");
            peer.read_end();
        }
    });
}

#[test]
fn a_message_that_no_other_refers_to_is_taken_back_from_before_it() {
    watchdog(120, || {
        let plain: Behind = |sender| {
            let options = SendOptions::new().compress(false);
            Ok(sender.send_with(prose(1, 700), options)?)
        };
        let all: [Behind; 4] = [whole, in_fragments, streamed, streamed_in_fragments];
        let without_context = all.into_iter().map(|behind| (false, behind));
        for (takeover, behind) in without_context.chain([(true, plain)]) {
            let (error, ws, mut peer, mut codec) = put_behind(takeover, behind);
            assert!(error.message.unwrap().as_bytes() == prose(1, 800));
            let message = peer.receive(&mut codec).message;
            assert!(message == prose(1, message.len()) && message.len() != 800);
            assert_goes_on(&ws, &mut peer, &mut codec);
        }
    });
}

#[test]
fn a_writer_that_timed_out_before_its_first_fragment_may_be_flushed_again() {
    watchdog(60, || {
        for takeover in [true, false] {
            let (ws, mut peer, faults) = open(takeover, SHORT);
            let mut codec = Codec::new(takeover);
            let times_out = |result: io::Result<()>| {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                assert!(is_send_timeout(&error.into()));
            };
            for message in [pattern(3, 5000), prose(3, 9000)] {
                assert_goes_on(&ws, &mut peer, &mut codec);
                let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
                writer.write_all(&message[..900]).unwrap();
                fill(&faults, true);
                times_out(writer.flush());
                times_out(writer.flush());
                // There is room to collect, but not for a second piece.
                writer.write_all(&message[900..1800]).unwrap();
                times_out(writer.write_all(&message[1800..3000]));
                fill(&faults, false);
                // How much of it was taken shows when it ends.
                writer.flush().unwrap();
                writer.write_all(b"the end").unwrap();
                writer.finish().unwrap();
                let received = peer.receive_packed(&mut codec);
                let taken = received.strip_suffix(b"the end").unwrap();
                assert!((1800..3000).contains(&taken.len()), "{}", taken.len());
                assert!(taken == &message[..taken.len()]);
            }
            assert_goes_on(&ws, &mut peer, &mut codec);
        }
    });
}

#[test]
fn a_writer_that_timed_out_between_its_fragments_goes_on_where_it_was() {
    watchdog(60, || {
        for takeover in [true, false] {
            let (ws, mut peer, faults) = open(takeover, SHORT);
            let mut codec = Codec::new(takeover);
            let message = pattern(3, 6000);
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            for piece in message.chunks(1000) {
                writer.write_all(piece).unwrap();
                fill(&faults, true);
                assert_eq!(writer.flush().unwrap_err().kind(), ErrorKind::TimedOut);
                fill(&faults, false);
                writer.flush().unwrap();
            }
            writer.finish().unwrap();
            assert!(peer.receive_packed(&mut codec) == message);
            assert_goes_on(&ws, &mut peer, &mut codec);
        }
    });
}

#[test]
fn a_writer_that_is_given_up_after_a_timeout_leaves_the_context_good() {
    watchdog(60, || {
        for takeover in [true, false] {
            let (ws, mut peer, faults) = open(takeover, SHORT);
            let mut codec = Codec::new(takeover);
            for finish in [true, false] {
                assert_goes_on(&ws, &mut peer, &mut codec);
                let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
                writer.write_all(&pattern(4, 900)).unwrap();
                fill(&faults, true);
                match finish {
                    true => assert!(is_send_timeout(&writer.finish().unwrap_err())),
                    false => {
                        writer.flush().unwrap_err();
                        drop(writer);
                    }
                }
                fill(&faults, false);
                ws.send(pattern(4, 900)).unwrap();
                assert!(peer.receive(&mut codec).message == pattern(4, 900));
            }
            assert_goes_on(&ws, &mut peer, &mut codec);
        }
    });
}

#[test]
fn close_ends_all_who_wait_behind_a_compressed_message() {
    watchdog(60, || {
        for takeover in [true, false] {
            let (ws, mut peer, faults) = open(takeover, LATE);
            let mut codec = Codec::new(takeover);
            fill(&faults, true);
            let first = with_sender(&ws, |sender| sender.send(prose(1, 900)));
            faults.wait_for_a_wait();
            let waiting: Vec<_> = (0..10)
                .map(|n| {
                    let size = if n < 5 { 900 } else { 400_000 };
                    with_sender(&ws, move |sender| sender.send(pattern(n, size)))
                })
                .collect();
            thread::sleep(Duration::from_millis(20));
            let closing = with_sender(&ws, |sender| sender.close().unwrap());
            thread::sleep(Duration::from_millis(20));
            fill(&faults, false);
            let mut arrived = 0u64;
            let mut payload = Vec::new();
            let mut packed = false;
            let mut frame = peer.read();
            while frame.opcode != CLOSE {
                packed |= frame.packed;
                payload.append(&mut frame.payload);
                if frame.fin {
                    let payload = std::mem::take(&mut payload);
                    if std::mem::take(&mut packed) {
                        codec.unpack(&payload);
                    }
                    arrived += 1;
                }
                frame = peer.read();
            }
            peer.close(1000);
            assert!(closing.within(LATE, "close").is_normal());
            let mut sent = u64::from(first.within(LATE, "the first").is_ok());
            for task in waiting {
                match task.within(LATE, "a sender") {
                    Ok(()) => sent += 1,
                    Err(error) => assert!(matches!(error.error, Error::Closed(_)), "{error}"),
                }
            }
            assert_eq!(arrived, sent, "takeover: {takeover}");
        }
    });
}

/// Messages of some threads through a stream that is full now and then. The connection may fail of it, but all
/// that arrives is whole.
fn send_through_a_stream_that_is_full_at_times(seed: u64) {
    let (ws, mut peer, faults) = open(true, Duration::from_millis(3));
    let over = Arc::new(AtomicBool::new(false));
    let filling = {
        let (faults, over) = (Arc::clone(&faults), Arc::clone(&over));
        let mut next = numbers(seed);
        spawn(move || {
            while !over.load(Ordering::SeqCst) {
                faults.full.store(next() % 2 == 0, Ordering::SeqCst);
                thread::sleep(Duration::from_micros(next() % 4000));
            }
            faults.full.store(false, Ordering::SeqCst);
        })
    };
    let sending: Vec<_> = (0..=seed % 4)
        .map(|thread| {
            with_sender(&ws, move |sender| {
                let mut sent = Vec::new();
                for n in 0..20 {
                    let message = prose(thread << 8 | n, if n % 6 == 5 { 4000 } else { 300 });
                    match sender.send(message.as_slice()) {
                        Ok(()) => sent.push(message),
                        Err(error) if error.message.is_some() => {}
                        Err(_) => break,
                    }
                }
                sent
            })
        })
        .collect();
    let receiving = spawn(move || {
        let mut codec = Codec::new(true);
        let mut received = Vec::new();
        let mut payload = Vec::new();
        while let Ok(mut frame) = peer.try_read() {
            if frame.opcode == CLOSE {
                peer.close(1000);
                break;
            }
            payload.append(&mut frame.payload);
            if frame.fin {
                received.push(codec.unpack(&std::mem::take(&mut payload)));
            }
        }
        received
    });
    let mut sent = Vec::new();
    for task in sending {
        sent.extend(task.within(LATE, "a sender"));
    }
    over.store(true, Ordering::SeqCst);
    filling.within(LATE, "the filler");
    let survived = ws.close().is_ok();
    let received = receiving.within(LATE, "the peer");
    assert!(received.iter().all(|message| sent.contains(message)) || !survived);
    if survived {
        assert_eq!(received.len(), sent.len());
    }
}

#[test]
fn whatever_is_taken_back_the_peer_can_inflate_what_arrives() {
    watchdog(240, || {
        (0..30).for_each(send_through_a_stream_that_is_full_at_times);
    });
}

#[test]
fn a_callback_may_send_while_other_threads_compress() {
    const EACH: u64 = 30;
    watchdog(240, || {
        for takeover in [true, false] {
            for ours in Ours::BOTH {
                let mut config = compressing(ours, takeover);
                config.fragment_size = Some(50_000);
                let echo = Delivery::callback(|sender, message| sender.send(message).unwrap());
                let (ws, mut peer) = peer::open_with(ours, Scheme::Ws, config, echo);
                let mut codec = Codec::new(takeover);
                let sending: Vec<_> = [20_000, 120_000]
                    .map(|size| {
                        with_sender(&ws, move |sender| {
                            (0..EACH).for_each(|n| sender.send(prose(n, size)).unwrap());
                        })
                    })
                    .into();
                for n in 0..EACH {
                    peer.send_packed(&mut codec, &prose(n, 1000));
                }
                let mut next = [(1000, 0), (20_000, 0), (120_000, 0)];
                for _ in 0..3 * EACH {
                    let message = peer.receive_packed(&mut codec);
                    let from = next.iter_mut().find(|(size, _)| *size == message.len());
                    let (size, n) = from.unwrap();
                    assert!(message == prose(*n, *size));
                    *n += 1;
                }
                for task in sending {
                    task.within(LATE, "a sender");
                }
            }
        }
    });
}

#[test]
fn a_peer_that_never_reads_fails_a_compressed_send_at_its_deadline() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            for takeover in [true, false] {
                let mut config = compressing(Ours::Server, takeover);
                config.timeouts.send = Some(Duration::from_millis(300));
                let (ws, _peer) = peer::open(Ours::Server, scheme, config);
                let senders: Vec<_> = (0..4)
                    .map(|n| {
                        with_sender(&ws, move |sender| {
                            loop {
                                if let Err(error) = sender.send(pattern(n, 300_000)) {
                                    return error;
                                }
                            }
                        })
                    })
                    .collect();
                for task in senders {
                    let error = task.within(LATE, "a sender");
                    assert!(is_send_timeout(&error.error), "{error}");
                }
                eventually("the end", || ws.send("x").is_err());
            }
        }
    });
}
