//! A hub and a server with many connections: times, which are printed, and what everybody got.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::peer::{FIN, Peer, REQUEST, TEXT, frame};
use common::process::{Process, next_line, tell, told};
use common::{
    LATE, Scheme, client_builder, eventually, number_of, numbered, patient, server_builder, spawn,
    watchdog,
};
use crossbeam_channel::{Receiver, unbounded};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wsync::{Config, Event, Hub, Keepalive, Sender, Server};

fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// In KiB.
fn rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A server in the hands of a hub, and clients whose events come out of one channel.
fn open(count: usize) -> (Hub, Server, Receiver<Event<usize>>, Vec<Sender>) {
    raise_limit();
    let mut config = patient(Config::server());
    // Else the kernel takes megabytes for a peer that does not read.
    config.socket.send_buffer = Some(256 << 10);
    let server = server_builder(Scheme::Ws)
        .config(config)
        .bind("127.0.0.1:0")
        .unwrap();
    let hub = Hub::new(100_000);
    let (serving, served) = (hub.clone(), server.clone());
    spawn(move || serving.serve(&served));
    let (events, inbox) = unbounded();
    let builder = client_builder(Scheme::Ws, server.local_addr().port());
    let builder = builder.config(patient(Config::client()));
    let mut senders = Vec::new();
    for n in 0..count {
        drop(
            builder
                .clone()
                .deliver_to(events.clone(), n)
                .connect()
                .unwrap(),
        );
        match inbox.recv_timeout(LATE).unwrap() {
            Event::Opened { sender, .. } => senders.push(sender),
            event => panic!("{event:?}"),
        }
    }
    eventually("all clients", || hub.len() == count);
    (hub, server, inbox, senders)
}

#[test]
#[ignore = "1000 connections: run it alone, in release"]
fn ten_that_never_read_hold_up_none_of_a_thousand() {
    const ROUNDS: usize = 1000;
    watchdog(300, || {
        let (hub, server, inbox, _senders) = open(990);
        let port = server.local_addr().port();
        let stuck: Vec<_> = (0..10)
            .map(|_| {
                let mut peer = Peer::connect(port, Scheme::Ws);
                peer.request(None);
                peer
            })
            .collect();
        eventually("all clients", || hub.len() == 1000);
        let before = rss();
        let (mut times, mut skipped) = (Vec::new(), 0);
        let mut next = vec![0_u64; 990];
        for n in 0..ROUNDS {
            let mut message = numbered(n as u64);
            message.resize(1024, 0);
            let began = Instant::now();
            let report = hub.broadcast(message);
            times.push(began.elapsed());
            skipped += report.skipped.len();
            assert!(report.sent >= 990, "{report:?}");
            // Each of the others gets it, once and in order.
            for _ in 0..990 {
                let Event::Message { key, message } = inbox.recv_timeout(LATE).unwrap() else {
                    panic!("a message");
                };
                assert_eq!(number_of(&message), next[key]);
                next[key] += 1;
            }
        }
        assert!(next.iter().all(|count| *count == ROUNDS as u64));
        assert!(skipped > 0, "the ten are full at last");
        times.sort();
        let of = |share: usize| times[(times.len() - 1) * share / 100];
        println!(
            "a broadcast of 1 KiB to 1000: median {:?}, p99 {:?}, most {:?}; skipped {skipped}; {} KiB more",
            of(50),
            of(99),
            of(100),
            rss().saturating_sub(before),
        );
        drop(stuck);
    });
}

#[test]
#[ignore = "5000 connections: run it alone, in release"]
fn a_server_of_five_thousand_shuts_down_in_seconds() {
    watchdog(300, || {
        let (hub, server, inbox, senders) = open(5000);
        let began = Instant::now();
        server.shutdown().unwrap();
        let took = began.elapsed();
        println!("a shutdown of 5000 connections: {took:?}");
        assert!(took < Duration::from_secs(20));
        assert!(hub.is_empty());
        for _ in 0..5000 {
            match inbox.recv_timeout(LATE).unwrap() {
                Event::Closed { closed, error, .. } => {
                    assert_eq!(closed.received.unwrap().code, 1001.into());
                    assert!(error.is_none());
                }
                event => panic!("{event:?}"),
            }
        }
        drop(senders);
    });
}

/// A message of this size goes to all.
const BROADCAST: usize = 1024;

/// The other process of the next tests: a server in the hands of one thread, which answers.
#[test]
#[ignore = "started by another"]
fn one_thread_that_answers() {
    if told().is_none() {
        return;
    }
    raise_limit();
    let mut config = patient(Config::server());
    // The clients answer no pings.
    config.keepalive = Keepalive::off();
    let server = server_builder(Scheme::Ws).config(config);
    let server = server.bind("127.0.0.1:0").unwrap();
    let hub = Hub::new(100_000);
    let (serving, served, events) = (hub.clone(), server.clone(), hub.events().clone());
    spawn(move || serving.serve(&served));
    let answering = hub.clone();
    spawn(move || {
        for event in events {
            let Event::Message { key, message } = event else {
                continue;
            };
            match message.len() {
                BROADCAST => drop(answering.broadcast(message)),
                _ => answering.send(key, message).unwrap(),
            }
        }
    });
    tell("port", server.local_addr().port());
    next_line();
    tell("open", format!("{} {}", hub.len(), rss()));
    next_line();
}

#[test]
#[ignore = "10 000 connections: run it alone, in release"]
fn one_thread_of_a_hub_answers_ten_thousand_connections() {
    const COUNT: usize = 10_000;
    watchdog(300, || {
        raise_limit();
        let mut process = Process::start("one_thread_that_answers", "server");
        let port: u16 = process.hear("port").parse().unwrap();
        let began = Instant::now();
        let mut clients: Vec<_> = (0..COUNT).map(|_| open_by_hand(port)).collect();
        let opening = began.elapsed();
        let mut rounds = Vec::new();
        for round in 0..5 {
            let began = Instant::now();
            for (n, client) in clients.iter_mut().enumerate() {
                let text = format!("{n:06} {round}");
                let bytes = frame(FIN | TEXT, true, text.as_bytes());
                client.write_all(&bytes).unwrap();
            }
            for (n, client) in clients.iter_mut().enumerate() {
                let mut answer = [0; 10];
                client.read_exact(&mut answer).unwrap();
                assert_eq!(&answer[2..], format!("{n:06} {round}").as_bytes());
            }
            rounds.push(began.elapsed());
        }
        process.say("look");
        let seen = process.hear("open");
        println!(
            "10 000 opened in {opening:?}; a message of each and its answer: {rounds:?}; open, KiB: {seen}"
        );
        assert!(seen.starts_with("10000 "), "{seen}");
        process.say("end");
    });
}

#[test]
#[ignore = "10 000 connections: run it alone, in release"]
fn a_message_of_one_reaches_ten_thousand() {
    const ROUNDS: usize = 21;
    watchdog(300, || {
        raise_limit();
        for count in [1000, 10_000] {
            let mut process = Process::start("one_thread_that_answers", "server");
            let port: u16 = process.hear("port").parse().unwrap();
            let mut clients: Vec<_> = (0..count).map(|_| open_by_hand(port)).collect();
            let bytes = frame(FIN | TEXT, true, &[b'x'; BROADCAST]);
            let mut times: Vec<_> = (0..ROUNDS)
                .map(|_| {
                    let began = Instant::now();
                    clients[0].write_all(&bytes).unwrap();
                    for client in &mut clients {
                        let mut message = [0; 4 + BROADCAST];
                        client.read_exact(&mut message).unwrap();
                        assert_eq!(message[4..], [b'x'; BROADCAST]);
                    }
                    began.elapsed()
                })
                .collect();
            times.sort();
            let (median, most) = (times[ROUNDS / 2], times[ROUNDS - 1]);
            println!("1 KiB of one is with all {count}: median {median:?}, most {most:?}");
            process.say("look");
            process.hear("open");
            process.say("end");
        }
    });
}

/// With one descriptor.
fn open_by_hand(port: u16) -> TcpStream {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(LATE)).unwrap();
    tcp.write_all(REQUEST.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    tcp
}
