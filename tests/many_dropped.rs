//! Threads and memory come back when connections are dropped, however many they were and whatever was
//! left in their queues. Both are counted in the whole process.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::delivery::Delivery;
use common::peer::Ours;
use common::{LATE, Scheme, client_builder, eventually, patient, spawn, watchdog};
use crossbeam_channel::bounded;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use wsync::{Config, Server, WebSocket};

/// One test at a time.
static PROCESS: Mutex<()> = Mutex::new(());

/// A line of /proc/self/status: kilobytes, or a number.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn threads() -> usize {
    status("Threads:")
}

fn rss() -> usize {
    status("VmRSS:")
}

/// As many descriptors as the system allows.
fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    limit.maximum.unwrap_or(u64::MAX)
}

/// Connections, each with some messages unread at both ends.
fn open_many(server: &Server, count: usize) -> Vec<(WebSocket, WebSocket)> {
    let port = server.local_addr().port();
    let mut incoming = server.incoming().unwrap();
    let accepting = spawn(move || -> Vec<_> {
        let accepted = (0..count).map(|_| incoming.next().unwrap().accept().unwrap());
        accepted.collect()
    });
    let builder = client_builder(Scheme::Ws, port).config(patient(Config::client()));
    let clients: Vec<_> = (0..count).map(|_| builder.connect().unwrap()).collect();
    let accepted = accepting.within(4 * LATE, "accepting");
    let pairs: Vec<_> = clients.into_iter().zip(accepted).collect();
    for (client, server) in &pairs {
        for ws in [client, server] {
            ws.send_all((1..=5).map(|n| vec![7; 100 * n])).unwrap();
        }
    }
    for (client, server) in &pairs {
        eventually("unread messages", || client.len() == 5 && server.len() == 5);
    }
    pairs
}

#[test]
#[ignore = "10 000 connections: run it alone, in release"]
fn ten_thousand_connections_dropped_with_unread_queues_leave_nothing_behind() {
    watchdog(300, || {
        let _alone = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        // Two descriptors each, and some to spare.
        let wave = ((raise_limit() - 200) / 2).min(1000) as usize;
        let open = |count| {
            let server = Server::builder().config(patient(Config::server()));
            open_many(&server.bind("127.0.0.1:0").unwrap(), count)
        };
        // The timer's thread.
        drop(open(50));
        eventually("no thread but these", || threads() <= 4);
        let before = threads();
        println!("before: RSS {} KiB, {before} threads", rss());
        let (mut left, mut after) = (10_000, Vec::new());
        while left > 0 {
            let count = usize::min(left, wave);
            let pairs = open(count);
            let most = rss();
            println!("{count} open: RSS {most} KiB, {} threads", threads());
            left -= count;
            drop(pairs);
            eventually("the threads of before", || threads() <= before);
            println!("dropped: RSS {} KiB, {} threads", rss(), threads());
            after.push(rss());
            // The rest is with the allocator, and goes to the next wave.
            assert!(rss() < most * 2 / 3);
        }
        // What the allocator keeps varies by some MiB; 2 KiB for each connection would be more.
        let early = after[..after.len().min(3)].iter().max().unwrap();
        let late = after[after.len() - after.len().min(3)..].iter().min();
        assert!(*late.unwrap() < early + (10 << 10), "{after:?}");
    });
}

#[test]
fn connections_that_deliver_leave_no_thread_behind_whoever_is_dropped_first() {
    watchdog(120, || {
        let _alone = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let before = threads();
        for ours in Ours::BOTH {
            for inbox_first in [true, false] {
                let (events, inbox) = bounded(8);
                let config = patient(ours.config());
                let open = |n| {
                    let delivery = Delivery::Channel(events.clone(), n);
                    delivery.pair(ours, Scheme::Ws, config.clone(), config.clone())
                };
                let pairs: Vec<_> = (0..40).map(open).collect();
                drop(events);
                for (_, other) in &pairs {
                    other.send_all(["unread"; 10]).unwrap();
                }
                eventually("a full channel", || inbox.is_full());
                assert!(threads() >= before + 40, "a reader each");
                match inbox_first {
                    true => {
                        drop(inbox);
                        thread::sleep(Duration::from_millis(10));
                        drop(pairs);
                    }
                    false => {
                        drop(pairs);
                        thread::sleep(Duration::from_millis(10));
                        // The events that wait hold senders, and those keep connections open.
                        drop(inbox);
                    }
                }
                // And two more: `ws-timer` and `ws-monitor`.
                eventually("the threads of before", || threads() <= before + 2);
            }
        }
    });
}
