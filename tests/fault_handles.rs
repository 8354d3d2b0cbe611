//! Handles that are dropped with a full queue, or leaked. Reader threads are counted in the whole process, so
//! everything here is one test.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::peer::{self, FIN, Ours, Peer, TEXT, everywhere};
use common::{LATE, Scheme, eventually, once_within, patient, spawn, watchdog};
use std::mem;
use std::time::{Duration, Instant};
use wsync::{TryRecvError, WebSocket};

fn readers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim_end() == "ws-read")
        .count()
}

/// The only connection with a reader, which waits for room in the queue.
fn open_and_fill(ours: Ours, scheme: Scheme) -> (WebSocket, Peer) {
    eventually("no reader", || readers() == 0);
    let mut config = patient(ours.config());
    config.queue.messages = 2;
    config.direct_read = false;
    let (ws, mut peer) = peer::open(ours, scheme, config);
    peer.bytes(&peer::frame(FIN | TEXT, peer.masks(), b"x").repeat(1000));
    eventually("a full queue", || ws.len() == 2);
    assert_eq!(readers(), 1);
    (ws, peer)
}

/// The peer's part of a closing handshake, and how long the reader lives on.
fn until_the_reader_ends(mut peer: Peer, code: u16, began: Instant) -> Duration {
    let answering = spawn(move || {
        assert_eq!(peer.read_close(), Some(code));
        peer.close(code);
        peer.read_end_and_leave();
    });
    eventually("no reader", || readers() == 0);
    let took = began.elapsed();
    answering.within(LATE, "the peer");
    took
}

fn a_drop_with_a_full_queue(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_millis(200), || {
        let (ws, peer) = open_and_fill(ours, scheme);
        let began = Instant::now();
        drop(ws);
        until_the_reader_ends(peer, 1001, began)
    });
}

/// A receiver is a handle: leaked, it keeps the connection, but nothing waits for it.
fn a_leaked_receiver_and_a_close(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_secs(1), || {
        let (ws, peer) = open_and_fill(ours, scheme);
        let (sender, receiver) = ws.split();
        mem::forget(receiver);
        let began = Instant::now();
        let closing = spawn(move || sender.close().unwrap());
        let took = until_the_reader_ends(peer, 1000, began);
        assert!(closing.within(LATE, "close").is_normal());
        took
    });
}

fn a_leaked_receiver_and_a_peer_that_leaves(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_secs(1), || {
        eventually("no reader", || readers() == 0);
        let (ws, peer) = peer::open(ours, scheme, patient(ours.config()));
        let (sender, receiver) = ws.split();
        drop(sender);
        // The handle that is leaked is the last one. Who looks again and again gets the thread.
        eventually("a reader", || {
            assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
            readers() == 1
        });
        mem::forget(receiver);
        let began = Instant::now();
        peer.end();
        eventually("no reader", || readers() == 0);
        began.elapsed()
    });
}

#[test]
fn the_reader_ends_with_handles_that_are_dropped_or_leaked() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            a_drop_with_a_full_queue(ours, scheme);
            a_leaked_receiver_and_a_close(ours, scheme);
            a_leaked_receiver_and_a_peer_that_leaves(ours, scheme);
        });
    });
}
