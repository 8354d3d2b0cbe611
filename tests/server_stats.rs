//! What a server counts: its clients, and their connections together.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{Peer, REQUEST};
use common::{LATE, Scheme, Serving, client_builder, eventually, server_builder, spawn, watchdog};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use wsync::{Server, ServerLimits, ServerStats};

/// What must hold between any two looks.
fn assert_no_less(before: &ServerStats, after: &ServerStats) {
    let settled = after.answered + after.refused + after.opened;
    assert_eq!(after.accepted, settled + after.opening, "{after:?}");
    assert!(after.open <= after.opened && after.no_place <= after.refused);
    let all = |stats: &ServerStats| {
        let (total, queue) = (stats.total, stats.total.queue);
        [
            stats.accepted,
            stats.answered,
            stats.refused,
            stats.no_place,
            stats.opened,
            total.open_for.as_nanos() as u64,
            total.sent,
            total.sent_bytes,
            total.wire_received,
            total.wire_sent,
            total.pings_received,
            total.pongs_sent,
            queue.received,
            queue.received_bytes,
            queue.delivered,
            queue.dropped,
            queue.paused.as_nanos() as u64,
            total.high_water.messages as u64,
            total.high_water.bytes as u64,
        ]
    };
    let (was, is) = (all(before), all(after));
    let less = was.iter().zip(&is).position(|(was, is)| is < was);
    assert_eq!(less, None, "{before:?} {after:?}");
}

#[test]
fn connections_that_come_and_go_beside_looks_are_counted_once_each() {
    const THREADS: u64 = 4;
    const EACH: u64 = 50;
    for &scheme in Scheme::all() {
        watchdog(60, move || {
            let serving = Serving::echo(server_builder(scheme));
            let (server, port) = (serving.server.clone(), serving.port);
            let done = Arc::new(AtomicBool::new(false));
            let lookers = [(); 2].map(|()| {
                let (server, done) = (server.clone(), Arc::clone(&done));
                spawn(move || {
                    let (mut before, mut looks) = (server.stats(), 0_u64);
                    while !done.load(Ordering::SeqCst) {
                        let now = server.stats();
                        assert_no_less(&before, &now);
                        (before, looks) = (now, looks + 1);
                    }
                    looks
                })
            });
            let clients = (0..THREADS).map(|thread| {
                spawn(move || {
                    for n in 0..EACH {
                        let ws = client_builder(scheme, port).connect().unwrap();
                        for message in ["hello", "to you"] {
                            ws.send(message).unwrap();
                            ws.recv_timeout(LATE).unwrap();
                        }
                        // Some leave without a word.
                        if (n + thread) % 2 == 0 {
                            ws.close().unwrap();
                        }
                    }
                })
            });
            let clients: Vec<_> = clients.collect();
            for client in clients {
                client.within(LATE, "a client");
            }
            eventually("all are gone", || server.stats().open == 0);
            done.store(true, Ordering::SeqCst);
            for looker in lookers {
                assert!(looker.within(LATE, "a look") > 0);
            }
            let (stats, count) = (server.stats(), THREADS * EACH);
            assert_eq!((stats.accepted, stats.opened), (count, count));
            assert_eq!((stats.refused, stats.opening), (0, 0));
            let (total, queue) = (stats.total, stats.total.queue);
            assert_eq!((total.sent, total.sent_bytes), (2 * count, 11 * count));
            assert_eq!(
                (queue.received, queue.received_bytes),
                (2 * count, 11 * count)
            );
            assert_eq!(queue.delivered, 2 * count);
            assert_eq!((total.high_water.messages, total.high_water.bytes), (1, 6));
            assert!(total.wire_received >= (2 * 6 + 11) * count);
            server.shutdown().unwrap();
            assert_eq!(server.stats().total.queue, queue);
        });
    }
}

#[test]
fn what_is_taken_after_the_end_and_the_drop_of_a_connection_are_no_loss() {
    watchdog(60, || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let mut incoming = server.incoming().unwrap();
        let accepting = spawn(move || (incoming.next().unwrap().accept().unwrap(), incoming));
        let port = server.local_addr().port();
        let client = client_builder(Scheme::Ws, port).connect().unwrap();
        let (ws, _incoming) = accepting.within(LATE, "accepting");
        assert_eq!((server.stats().open, server.stats().opened), (1, 1));
        client.send_all(["one", "two"]).unwrap();
        client.close().unwrap();
        eventually("the end", || server.stats().open == 0);
        let total = server.stats().total;
        assert_eq!((total.queue.received, total.queue.delivered), (2, 0));
        assert_eq!(total, ws.stats());
        ws.recv_timeout(LATE).unwrap();
        assert_eq!(server.stats().total.queue.delivered, 1);
        let last = ws.stats();
        drop(ws);
        assert_eq!(server.stats().total, last);
        assert_eq!((server.stats().open, server.stats().opened), (0, 1));
    });
}

#[test]
fn clients_that_get_no_connection_are_counted_by_what_became_of_them() {
    watchdog(60, || {
        let mut limits = ServerLimits::default();
        limits.connections = Some(1);
        let health = |request: &http::Request<()>| {
            let asked = request.uri().path() == "/health";
            asked.then(|| http::Response::new(b"ok".to_vec()))
        };
        let server = Server::builder().limits(limits).on_request(health);
        let server = server.bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let serving = server.clone();
        thread::spawn(move || {
            serving.serve_upgrades(|upgrade| {
                let upgrade = upgrade.and_then(|upgrade| match upgrade.request().uri().path() {
                    "/no" => upgrade
                        .reject(http::StatusCode::FORBIDDEN, "")
                        .map(|()| None),
                    _ => upgrade.accept().map(Some),
                });
                if let Ok(Some(ws)) = upgrade {
                    ws.iter().for_each(drop);
                }
            })
        });
        let ask = |request: &str| {
            let mut peer = Peer::connect(port, Scheme::Ws);
            peer.bytes(request.as_bytes());
            String::from_utf8(peer.read_to_end()).unwrap()
        };
        // So long is there one client.
        let alone = |opened| {
            eventually("the place is free", || {
                let stats = server.stats();
                stats.opening == 0 && stats.opened == opened
            });
        };
        assert!(ask("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").contains(" 200 "));
        alone(0);
        assert_eq!(server.stats().answered, 1);
        assert!(ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").contains(" 426 "));
        alone(0);
        assert_eq!(server.stats().refused, 1);
        assert!(ask(&REQUEST.replace("GET / ", "GET /no ")).contains(" 403 "));
        alone(0);
        drop(Peer::connect(port, Scheme::Ws));
        eventually("who left is refused", || server.stats().refused == 3);
        let silent = Peer::connect(port, Scheme::Ws);
        eventually("a handshake is under way", || server.stats().opening == 1);
        assert!(ask(REQUEST).contains(" 503 "));
        drop(silent);
        alone(0);
        let mut peer = Peer::connect(port, Scheme::Ws);
        peer.request(None);
        alone(1);
        let stats = server.stats();
        assert_eq!((stats.accepted, stats.opened, stats.open), (7, 1, 1));
        assert_eq!((stats.refused, stats.no_place, stats.answered), (5, 1, 1));
        peer.close(1000);
        server.shutdown().unwrap();
    });
}
