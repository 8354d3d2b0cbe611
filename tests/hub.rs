//! Many connections as one.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::Peer;
use common::{
    LATE, Scheme, Task, client_builder, eventually, number_of, numbered, server_builder, spawn,
    watchdog,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wsync::{
    ClientBuilder, Config, ConnectionId, Event, Hub, Limits, Message, Server, Slow, TrySendError,
    WebSocket,
};

/// A server in the hands of a hub.
fn start(scheme: Scheme, config: Config) -> (Hub, Server, u16) {
    let server = server_builder(scheme)
        .config(config)
        .bind("127.0.0.1:0")
        .unwrap();
    let port = server.local_addr().port();
    let hub = Hub::new(1000);
    let (serving, served) = (hub.clone(), server.clone());
    spawn(move || serving.serve(&served));
    (hub, server, port)
}

fn next(hub: &Hub) -> Event<ConnectionId> {
    hub.events().recv_timeout(LATE).unwrap()
}

/// So many clients, and the hub's names for them.
fn clients(hub: &Hub, builder: &ClientBuilder, count: usize) -> Vec<(ConnectionId, WebSocket)> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let ws = builder.connect().unwrap();
        let Event::Opened { key, .. } = next(hub) else {
            panic!("it opens first");
        };
        clients.push((key, ws));
    }
    clients
}

fn text(ws: &WebSocket) -> String {
    ws.recv_timeout(LATE).unwrap().as_text().unwrap().to_owned()
}

#[test]
fn a_broadcast_comes_to_all_in_order_and_events_of_all_come_out_of_one_channel() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (hub, server, port) = start(scheme, Config::server());
            let clients = clients(&hub, &client_builder(scheme, port), 20);
            assert_eq!(hub.len(), 20);
            for n in 0..50 {
                let report = hub.broadcast(numbered(n));
                assert_eq!((report.sent, report.skipped.len()), (20, 0));
            }
            for (_, ws) in &clients {
                for n in 0..50 {
                    assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), n);
                }
            }
            for (id, ws) in &clients {
                ws.send(format!("from {id}")).unwrap();
                let Event::Message { key, message } = next(&hub) else {
                    panic!("a message");
                };
                assert_eq!(
                    (key, message.as_text().unwrap()),
                    (*id, &*format!("from {id}"))
                );
                hub.send(*id, "back").unwrap();
                assert_eq!(text(ws), "back");
            }
            let id = clients[0].0;
            drop(clients);
            for _ in 0..20 {
                assert!(matches!(next(&hub), Event::Closed { .. }));
            }
            assert!(hub.is_empty() && hub.sender(id).is_none() && !hub.subscribe(id, "x"));
            let refused = hub.send(id, "too late").unwrap_err();
            assert_eq!(refused.message.unwrap().as_text(), Some("too late"));
            assert_eq!(hub.broadcast("nobody").sent, 0);
            server.shutdown().unwrap();
        }
    });
}

#[test]
fn topics_and_filters_choose_who_gets_a_message() {
    watchdog(60, || {
        let (hub, _server, port) = start(Scheme::Ws, Config::server());
        let clients = clients(&hub, &client_builder(Scheme::Ws, port), 4);
        let ids: Vec<_> = clients.iter().map(|(id, _)| *id).collect();
        assert!(hub.subscribe(ids[0], "news") && hub.subscribe(ids[1], "news"));
        assert!(hub.subscribe(ids[1], "sport") && hub.subscribe(ids[1], "sport"));
        assert_eq!(hub.publish("news", "news 1").sent, 2);
        assert_eq!(hub.publish("sport", "sport 1").sent, 1);
        assert_eq!(hub.publish("nothing", "x").sent, 0);
        assert!(hub.unsubscribe(ids[1], "news") && !hub.unsubscribe(ids[1], "news"));
        assert_eq!(hub.publish("news", "news 2").sent, 1);
        assert_eq!(
            hub.broadcast_to(|id| id != ids[3], "not for the last").sent,
            3
        );
        assert_eq!(hub.broadcast("end").sent, 4);
        let expected: [&[&str]; 4] = [
            &["news 1", "news 2", "not for the last", "end"],
            &["news 1", "sport 1", "not for the last", "end"],
            &["not for the last", "end"],
            &["end"],
        ];
        for ((_, ws), expected) in clients.iter().zip(expected) {
            expected
                .iter()
                .for_each(|expected| assert_eq!(text(ws), *expected));
        }
    });
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_broadcasts_and_sends_in_context_do_not_disturb_each_other() {
    use wsync::Compression;

    let news = |n: u64| {
        format!(
            "the same words again and again, and again, {n} {}",
            "and ".repeat(50)
        )
    };
    watchdog(60, move || {
        for takeover in [true, false] {
            let mut compression = Compression::server();
            compression.server_no_context_takeover = !takeover;
            compression.min_size = 0;
            let mut config = Config::server();
            config.compression = Some(compression);
            let (hub, _server, port) = start(Scheme::Ws, config);
            let builder = client_builder(Scheme::Ws, port).compression(Compression::client());
            let clients = clients(&hub, &builder, 3);
            for n in 0..100 {
                // In turn, and both.
                if n % 3 != 0 {
                    assert_eq!(hub.broadcast(news(n)).sent, 3);
                }
                if n % 3 != 1 {
                    clients
                        .iter()
                        .for_each(|(id, _)| hub.send(*id, news(n)).unwrap());
                }
            }
            for (_, ws) in &clients {
                let agreed = ws.compression().unwrap();
                assert_eq!(agreed.server_no_context_takeover, !takeover);
                for n in 0..100 {
                    for _ in 0..[1, 1, 2][n as usize % 3] {
                        assert_eq!(text(ws), news(n));
                    }
                }
            }
        }
    });
}

/// With little room, and pings off.
fn narrow() -> Config {
    let mut config = Config::server();
    config.limits = Limits::default();
    config.limits.outbox = 64 << 10;
    config.socket.send_buffer = Some(64 << 10);
    config.timeouts.close = Some(Duration::from_millis(300));
    config
}

/// Peers that read nothing.
fn stuck(hub: &Hub, scheme: Scheme, port: u16, count: usize) -> Vec<(ConnectionId, Peer)> {
    let mut stuck = Vec::new();
    for _ in 0..count {
        let mut peer = Peer::connect(port, scheme);
        peer.request(None);
        let Event::Opened { key, .. } = next(hub) else {
            panic!("it opens first");
        };
        stuck.push((key, peer));
    }
    stuck
}

/// Reads numbers up to this one, and tells how far it is.
fn count_up(ws: WebSocket, count: u64) -> (Arc<AtomicU64>, Task<()>) {
    let read = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&read);
    let reading = spawn(move || {
        for n in 0..count {
            assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), n);
            told.store(n + 1, Ordering::SeqCst);
        }
    });
    (read, reading)
}

fn pass_by(scheme: Scheme, slow: Slow) {
    const COUNT: u64 = 1000;
    let (hub, _server, port) = start(scheme, narrow());
    let hub = hub.slow(slow);
    let readers = clients(&hub, &client_builder(scheme, port), 10);
    let stuck = stuck(&hub, scheme, port, 2);
    let ids: BTreeSet<_> = stuck.iter().map(|(id, _)| *id).collect();
    let readers: Vec<_> = readers
        .into_iter()
        .map(|(_, ws)| count_up(ws, COUNT))
        .collect();
    let (mut skipped, mut closed) = (BTreeSet::new(), Vec::new());
    for n in 0..COUNT {
        // Those that read keep up.
        eventually("the readers", || {
            readers
                .iter()
                .all(|(read, _)| read.load(Ordering::SeqCst) + 20 > n)
        });
        let mut message = numbered(n);
        message.resize(1000, 0);
        let report = hub.broadcast(message);
        assert!(report.sent >= 10);
        skipped.extend(report.skipped);
        closed.extend(report.closed);
    }
    for (_, reading) in readers {
        reading.within(LATE, "reading");
    }
    match slow {
        Slow::Close => {
            assert_eq!(closed.len(), 2, "each once");
            assert_eq!(closed.into_iter().collect::<BTreeSet<_>>(), ids);
            // They are reset when the close timeout has passed.
            eventually("their end", || {
                ids.iter().all(|id| hub.sender(*id).is_none())
            });
        }
        _ => {
            assert_eq!((skipped, closed.len()), (ids.clone(), 0));
            assert!(ids.iter().all(|id| hub.sender(*id).is_some()));
        }
    }
}

#[test]
fn who_does_not_read_is_skipped_and_holds_up_nobody() {
    watchdog(120, || {
        Scheme::all()
            .iter()
            .for_each(|scheme| pass_by(*scheme, Slow::Skip))
    });
}

#[test]
fn who_does_not_read_is_closed_if_it_is_to_be() {
    watchdog(120, || {
        Scheme::all()
            .iter()
            .for_each(|scheme| pass_by(*scheme, Slow::Close))
    });
}

#[test]
fn who_does_not_read_is_waited_for_no_longer_than_it_is_to_be() {
    watchdog(120, || {
        pass_by(Scheme::Ws, Slow::Wait(Duration::from_millis(3)))
    });
}

#[test]
fn a_try_send_finds_no_room_when_the_peer_does_not_read_and_room_when_it_does() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (hub, _server, port) = start(scheme, narrow());
            let ws = client_builder(scheme, port).connect().unwrap();
            let Event::Opened { sender, .. } = next(&hub) else {
                panic!("it opens first");
            };
            let mut sent = 0;
            let refused = loop {
                match sender.try_send(vec![7; 10_000]) {
                    Ok(()) => sent += 1,
                    Err(TrySendError::Full(message)) => break message,
                    Err(error) => panic!("{error}"),
                }
                assert!(sent < 10_000);
            };
            assert_eq!(refused, Message::from(vec![7; 10_000]));
            for _ in 0..sent {
                assert_eq!(ws.recv_timeout(LATE).unwrap().len(), 10_000);
            }
            eventually("room", || sender.try_send("again").is_ok());
            assert_eq!(text(&ws), "again");
            ws.close().unwrap();
            eventually(
                "the end",
                || matches!(sender.try_send("x"), Err(TrySendError::Closed(_, m)) if m.as_text() == Some("x")),
            );
        }
    });
}
