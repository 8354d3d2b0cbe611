//! The reader thread ends with the last handle, whatever the peer does. Threads are counted by name in
//! the whole process, so everything here is one test.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::peer::{self, FIN, Ours, Peer, TEXT};
use common::{LATE, Scheme, eventually, once_within, patient, spawn, watchdog};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, WebSocket};

/// How many threads of this process read for a connection.
fn readers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim_end() == "ws-read")
        .count()
}

/// The only connection in the process that has a reader.
fn open(ours: Ours, scheme: Scheme, config: Config) -> (WebSocket, Peer) {
    eventually("no reader", || readers() == 0);
    let opened = peer::open(ours, scheme, config);
    // The thread gives itself its name.
    eventually("a reader", || readers() == 1);
    opened
}

/// Lets `last` do away with a connection, and `peer` answer. The peer goes when the reader
/// has. Returns how long that lived on.
fn survives<R: Send + 'static>(
    ours: Ours,
    scheme: Scheme,
    config: Config,
    prepare: impl FnOnce(&WebSocket, &mut Peer),
    last: impl FnOnce(WebSocket),
    answer: impl FnOnce(Peer) -> R + Send + 'static,
) -> Duration {
    let (ws, mut peer) = open(ours, scheme, config);
    prepare(&ws, &mut peer);
    assert_eq!(readers(), 1);
    let began = Instant::now();
    last(ws);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "a drop does not wait"
    );
    let answering = spawn(move || answer(peer));
    eventually("no reader", || readers() == 0);
    let took = began.elapsed();
    answering.within(LATE, "the peer");
    took
}

fn with_close_timeout(ours: Ours, milliseconds: u64) -> Config {
    let mut config = patient(ours.config());
    config.timeouts.close = Some(Duration::from_millis(milliseconds));
    config
}

/// The peer's part of a closing handshake that began with this code.
fn answers(code: u16) -> impl FnOnce(Peer) + Send + 'static {
    move |mut peer| {
        assert_eq!(peer.read_close(), Some(code));
        peer.close(code);
        peer.read_end_and_leave();
    }
}

fn a_dropped_handle(ours: Ours, scheme: Scheme) {
    // The requirement is 1 s; with a peer that answers and ends TCP it takes no time.
    let drops: [fn(WebSocket); 4] = [
        drop,
        |ws| drop(ws.split()),
        |ws| {
            let (sender, receiver) = ws.split();
            drop(sender);
            assert!(receiver.try_recv().is_err() && readers() == 1);
        },
        |ws| {
            let (sender, receiver) = ws.split();
            let other = sender.clone();
            drop((sender, receiver));
            other.send("the last handle lives").unwrap();
        },
    ];
    for last in drops {
        once_within(Duration::from_secs(1), || {
            let config = with_close_timeout(ours, 10_000);
            survives(ours, scheme, config, |_, _| {}, last, answers(1001))
        });
    }
}

fn a_drop_while_the_queue_is_full_and_the_reader_paused(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_secs(1), || {
        let mut config = with_close_timeout(ours, 10_000);
        config.queue.messages = 2;
        let flood = |ws: &WebSocket, peer: &mut Peer| {
            let text = peer::frame(FIN | TEXT, peer.masks(), b"x");
            peer.bytes(&text.repeat(1000));
            eventually("a full queue", || ws.len() >= 2);
            thread::sleep(Duration::from_millis(20));
        };
        survives(ours, scheme, config, flood, drop, answers(1001))
    });
}

fn a_drop_with_a_peer_that_does_not_answer(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_millis(800), || {
        let config = with_close_timeout(ours, 300);
        survives(ours, scheme, config, |_, _| {}, drop, |peer| peer)
    });
}

fn a_drop_with_a_peer_that_never_reads(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_millis(1500), || {
        let mut config = with_close_timeout(ours, 300);
        config.timeouts.send = Some(Duration::from_millis(100));
        let (ws, _peer) = open(ours, scheme, config);
        // More than the kernel takes: this fails the connection, and may end the reader already.
        assert!(ws.send(vec![0; 32 << 20]).is_err());
        let began = Instant::now();
        drop(ws);
        eventually("no reader", || readers() == 0);
        began.elapsed()
    });
}

fn a_drop_beside_a_send_that_is_blocked(ours: Ours, scheme: Scheme) {
    // The thread that sends has a handle until its send timeout.
    let timeout = Duration::from_millis(300);
    once_within(timeout + Duration::from_millis(1500), || {
        let mut config = with_close_timeout(ours, 300);
        config.timeouts.send = Some(timeout);
        let last = |ws: WebSocket| {
            let (sender, receiver) = ws.split();
            spawn(move || sender.send(vec![0; 32 << 20]));
            drop(receiver);
        };
        survives(ours, scheme, config, |_, _| {}, last, |peer| peer)
    });
}

fn a_lost_connection(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_secs(1), || {
        let config = with_close_timeout(ours, 10_000);
        let (ws, peer) = open(ours, scheme, config);
        let began = Instant::now();
        peer.end();
        eventually("no reader", || readers() == 0);
        assert!(ws.recv().is_err());
        began.elapsed()
    });
}

fn a_closed_connection(ours: Ours, scheme: Scheme) {
    once_within(Duration::from_secs(1), || {
        let config = with_close_timeout(ours, 10_000);
        let (ws, peer) = open(ours, scheme, config);
        let answering = spawn(move || answers(1000)(peer));
        let began = Instant::now();
        ws.close().unwrap();
        // The handle is there still.
        eventually("no reader", || readers() == 0);
        answering.within(LATE, "the peer");
        began.elapsed()
    });
}

#[test]
fn the_reader_thread_ends_with_the_last_handle_or_the_connection() {
    watchdog(300, || {
        for ours in Ours::BOTH {
            for &scheme in Scheme::all() {
                a_dropped_handle(ours, scheme);
                a_drop_while_the_queue_is_full_and_the_reader_paused(ours, scheme);
                a_drop_with_a_peer_that_does_not_answer(ours, scheme);
                a_drop_with_a_peer_that_never_reads(ours, scheme);
                a_drop_beside_a_send_that_is_blocked(ours, scheme);
                a_lost_connection(ours, scheme);
                a_closed_connection(ours, scheme);
            }
        }
    });
}
