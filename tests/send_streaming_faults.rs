//! Messages that are written piece by piece, when a piece cannot leave in time.

#![allow(clippy::unwrap_used)]

mod common;

use common::faulty::{self, Faults, Open};
use common::peer::{self, CONTINUATION, Frame, TEXT, everywhere};
use common::{LATE, Scheme, numbers, patient, pattern, spawn, watchdog};
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, MessageKind, Sender, Timeout};

fn is_send_timeout(error: &Error) -> bool {
    matches!(error, Error::Timeout(Timeout::Send))
}

#[test]
fn a_message_of_the_same_thread_within_its_own_times_out_and_harms_nothing() {
    let timeout = Duration::from_millis(60);
    watchdog(60, move || {
        everywhere(|ours, scheme| {
            let mut config = patient(ours.config());
            config.timeouts.send = Some(timeout);
            let (ws, mut peer) = peer::open(ours, scheme, config);
            let mut other = ws.send_streaming(MessageKind::Text).unwrap();
            let mut writer = peer.begin(&ws);
            let began = Instant::now();
            let error = ws.send("x").unwrap_err();
            assert!(began.elapsed() >= timeout);
            assert!(is_send_timeout(&error.error), "{error}");
            assert_eq!(error.message.unwrap().as_text(), Some("x"));
            let error = ws.send_streaming(MessageKind::Text).unwrap_err();
            assert!(is_send_timeout(&error), "{error}");
            other.write_all(b"other").unwrap();
            let error = other.flush().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(is_send_timeout(&error.into()));
            writer.write_all(b"b").unwrap();
            writer.finish().unwrap();
            assert_eq!(peer.read(), Frame::new(true, CONTINUATION, "b"));
            other.finish().unwrap();
            assert_eq!(peer.read(), Frame::new(true, TEXT, "other"));
            ws.send("y").unwrap();
            assert_eq!(peer.read(), Frame::new(true, TEXT, "y"));
        });
    });
}

/// A client over a stream whose kernel can be told to be full, with pieces of 1000 bytes.
fn open_faulty(send: Duration) -> Open {
    let mut config = patient(Config::client());
    config.fragment_size = Some(1000);
    config.timeouts.send = Some(send);
    faulty::open(Scheme::Ws, config)
}

fn fill(faults: &Faults, full: bool) {
    faults.full.store(full, Ordering::SeqCst);
}

#[test]
fn a_fragment_that_times_out_before_its_first_byte_is_tried_again() {
    watchdog(60, || {
        let open = open_faulty(Duration::from_millis(40));
        let (ws, mut peer, faults) = (open.ws, open.peer, open.faults);
        let message = pattern(3, 5000);
        let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
        let times_out = |result: io::Result<()>| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(is_send_timeout(&error.into()));
        };
        writer.write_all(&message[..1000]).unwrap();
        fill(&faults, true);
        times_out(writer.write(&message[1000..]).map(drop));
        times_out(writer.flush());
        fill(&faults, false);
        ws.send("no fragment has left, so that others may").unwrap();
        assert_eq!(peer.read().opcode, TEXT);
        writer.write_all(&message[1000..1500]).unwrap();
        writer.flush().unwrap();
        fill(&faults, true);
        writer.write_all(&message[1500..2500]).unwrap();
        times_out(writer.write(&message[2500..]).map(drop));
        times_out(writer.flush());
        assert!(is_send_timeout(&ws.send("behind it").unwrap_err().error));
        fill(&faults, false);
        writer.write_all(&message[2500..]).unwrap();
        writer.finish().unwrap();
        assert!(peer.read_message() == message);
        ws.send("behind it").unwrap();
        assert_eq!(peer.read(), Frame::new(true, TEXT, "behind it"));
    });
}

#[test]
fn a_finish_that_times_out_gives_the_message_up() {
    watchdog(60, || {
        let open = open_faulty(Duration::from_millis(40));
        let (ws, mut peer, faults) = (open.ws, open.peer, open.faults);
        let mut writer = ws.send_streaming(MessageKind::Text).unwrap();
        writer.write_all(b"lost").unwrap();
        fill(&faults, true);
        assert!(is_send_timeout(&writer.finish().unwrap_err()));
        fill(&faults, false);
        let writer = peer.begin(&ws);
        fill(&faults, true);
        assert!(is_send_timeout(&writer.finish().unwrap_err()));
        fill(&faults, false);
        assert_eq!(peer.read().code(), Some(1011), "nothing is between");
    });
}

#[test]
fn a_peer_that_never_reads_makes_a_writer_fail_at_its_deadline() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            let mut config = patient(ours.config());
            config.timeouts.send = Some(timeout);
            // Where the kernel's buffer is full, such a fragment is in two.
            config.fragment_size = Some(60_001);
            let (ws, _peer) = peer::open(ours, scheme, config);
            let mut writer = ws.send_streaming(MessageKind::Binary).unwrap();
            let error = io::copy(&mut io::repeat(1), &mut writer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            // A part of a fragment is on the wire: the connection is failed.
            assert!(is_send_timeout(&writer.write(b"x").unwrap_err().into()));
            assert!(is_send_timeout(&writer.finish().unwrap_err()));
            assert!(is_send_timeout(&ws.send("x").unwrap_err().error));
            assert!(ws.recv().is_err());
        });
    });
}

#[test]
fn a_close_frame_leaves_although_the_threads_that_wait_to_send_are_refused() {
    watchdog(120, || {
        let mut next = numbers(7);
        for _ in 0..400 {
            let open = open_faulty(LATE);
            let (ws, mut peer, faults) = (open.ws, open.peer, open.faults);
            let begun = peer.begin(&ws);
            let send = |body: fn(&Sender) -> bool| {
                let sender = ws.sender().clone();
                spawn(move || body(&sender))
            };
            let waiting: Vec<_> = (0..20).map(|_| send(|s| s.send("x").is_err())).collect();
            fill(&faults, true);
            let writing = send(|sender| sender.ping("").is_ok());
            faults.wait_for_a_wait();
            fill(&faults, false);
            // The writer comes back about now, finds threads that wait and the Close frame.
            thread::sleep(Duration::from_micros(next() % 2200));
            let closing = send(|sender| sender.close().unwrap().is_normal());
            assert_eq!(peer.read_close(), Some(1000));
            peer.close(1000);
            assert!(closing.within(LATE, "close"));
            assert!(writing.within(LATE, "the ping"));
            for task in waiting {
                assert!(task.within(LATE, "a sender"));
            }
            drop(begun);
        }
    });
}
