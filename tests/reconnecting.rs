//! Clients that connect again.

#![allow(clippy::unwrap_used)]

mod common;

use common::process::{Process, next_line, tell, told};
use common::{
    LATE, Scheme, Serving, client_builder, eventually, numbered, server_builder, spawn, watchdog,
};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::time::{Duration, Instant};
use wsync::{
    Error, Message, Persistent, PersistentEvent, ReconnectPolicy, RecvTimeoutError, WebSocket,
    WhileDown,
};

/// Without the seconds that are for servers of others.
fn quick() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(5);
    policy.base = Duration::from_millis(5);
    policy.most = Duration::from_millis(50);
    policy
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Says a number to each client and leaves.
fn counting(scheme: Scheme) -> Serving {
    let count = AtomicU64::new(0);
    Serving::new(server_builder(scheme), move |ws| {
        let _ = ws.send(numbered(count.fetch_add(1, Ordering::SeqCst)));
    })
}

#[test]
fn an_iteration_over_connections_goes_on_whenever_one_has_ended() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = counting(scheme);
            let connections = client_builder(scheme, serving.port).reconnect(quick());
            for (n, ws) in connections.take(5).enumerate() {
                let ws: WebSocket = ws.unwrap();
                let messages: Vec<_> = ws.iter().map(Result::unwrap).collect();
                assert_eq!(messages, [Message::from(numbered(n as u64))]);
            }
        }
    });
}

#[test]
fn an_error_that_does_not_pass_ends_the_iteration_and_one_that_may_does_not() {
    watchdog(60, || {
        let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let asked = AtomicU64::new(0);
        spawn(move || {
            server.serve_upgrades(move |upgrade| {
                let status = match asked.fetch_add(1, Ordering::SeqCst) {
                    0..3 => http::StatusCode::SERVICE_UNAVAILABLE,
                    _ => http::StatusCode::UNAUTHORIZED,
                };
                upgrade.unwrap().reject(status, "").unwrap();
            })
        });
        let mut connections = client_builder(Scheme::Ws, port).reconnect(quick());
        let error = connections.next().unwrap().unwrap_err();
        assert_eq!(error.response().unwrap().status(), 401);
        assert!(connections.next().is_none());
    });
}

#[test]
fn after_so_many_attempts_it_gives_up() {
    watchdog(60, || {
        let mut policy = quick();
        policy.attempts = Some(3);
        let mut connections = client_builder(Scheme::Ws, free_port()).reconnect(policy);
        assert!(matches!(connections.next().unwrap(), Err(Error::Io(_))));
        assert!(connections.next().is_none());
    });
}

#[test]
fn retry_after_is_waited_for() {
    watchdog(60, || {
        let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let asked = AtomicU64::new(0);
        spawn(move || {
            server.serve_upgrades(move |upgrade| {
                let upgrade = upgrade.unwrap();
                if asked.fetch_add(1, Ordering::SeqCst) > 0 {
                    return drop(upgrade.accept());
                }
                let response = http::Response::builder()
                    .status(503)
                    .header("Retry-After", "1");
                upgrade.respond(response.body("").unwrap()).unwrap();
            })
        });
        let began = Instant::now();
        let mut connections = client_builder(Scheme::Ws, port).reconnect(quick());
        connections.next().unwrap().unwrap();
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
    });
}

#[test]
fn a_stop_ends_a_delay_and_a_connect_at_once() {
    watchdog(60, || {
        // One that takes connections and says nothing, and one that is not there.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        for port in [silent.local_addr().unwrap().port(), free_port()] {
            let mut policy = ReconnectPolicy::default();
            policy.first = Duration::from_secs(3600);
            policy.most = policy.first;
            let mut connections = client_builder(Scheme::Ws, port).reconnect(policy);
            let stop = connections.stop_token();
            let waiting = spawn(move || connections.next().is_none());
            std::thread::sleep(Duration::from_millis(100));
            assert!(waiting.is_running());
            let began = Instant::now();
            stop.cancel();
            assert!(waiting.within(LATE, "the stop"));
            assert!(
                began.elapsed() < Duration::from_secs(2),
                "{:?}",
                began.elapsed()
            );
        }
    });
}

fn next(client: &Persistent) -> PersistentEvent {
    client.recv_timeout(LATE).unwrap()
}

#[test]
fn a_persistent_client_tells_of_connections_and_their_ends_between_messages() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = counting(scheme);
            let builder = client_builder(scheme, serving.port);
            let client = builder.persistent(quick()).start().unwrap();
            for n in 0..4 {
                let connected = next(&client);
                assert!(
                    matches!(connected, PersistentEvent::Connected { reconnects } if reconnects == n),
                    "{connected:?}"
                );
                let PersistentEvent::Message(message) = next(&client) else {
                    panic!("no message");
                };
                assert_eq!(message, Message::from(numbered(n)));
                let PersistentEvent::Disconnected { closed, error } = next(&client) else {
                    panic!("no end");
                };
                assert!(closed.is_normal() && error.is_none(), "{closed} {error:?}");
            }
            assert_eq!(client.stop(), []);
            while client.recv_timeout(LATE).is_ok() {}
            let over = client.recv_timeout(LATE).unwrap_err();
            assert!(
                matches!(over, RecvTimeoutError::Closed(Error::Stopped)),
                "{over}"
            );
            let refused = client.send("late").unwrap_err();
            assert!(matches!(refused.error, Error::Stopped));
            assert_eq!(refused.message.unwrap().as_text(), Some("late"));
        }
    });
}

#[test]
fn the_hook_is_called_before_anything_else_is_sent() {
    watchdog(60, || {
        let (tell, first) = channel();
        let serving = Serving::new(server_builder(Scheme::Ws), move |ws| {
            let messages: Vec<_> = ws.iter().take(2).flatten().collect();
            let _ = tell.send(messages);
        });
        let builder = client_builder(Scheme::Ws, serving.port);
        let client = builder
            .persistent(quick())
            .while_down(WhileDown::hold())
            .on_open(|sender| Ok(sender.send("subscribe")?))
            .start()
            .unwrap();
        for n in 0..4 {
            client.send(numbered(n)).unwrap();
            let got = first.recv_timeout(LATE).unwrap();
            assert_eq!(
                got,
                [Message::from("subscribe"), Message::from(numbered(n))]
            );
            while !matches!(next(&client), PersistentEvent::Disconnected { .. }) {}
        }
    });
}

#[test]
fn who_has_heard_of_a_connection_can_send_on_it() {
    watchdog(60, || {
        let (tell, first) = channel();
        let serving = Serving::new(server_builder(Scheme::Ws), move |ws| {
            let _ = tell.send(ws.recv().unwrap());
        });
        let builder = client_builder(Scheme::Ws, serving.port);
        let slow = |_: &wsync::Sender| {
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        };
        let client = builder.persistent(quick()).on_open(slow).start().unwrap();
        assert!(matches!(next(&client), PersistentEvent::Connected { .. }));
        client.send("hello").unwrap();
        assert_eq!(first.recv_timeout(LATE).unwrap(), Message::from("hello"));
    });
}

#[test]
fn without_a_connection_messages_come_back_or_wait_as_far_as_there_is_room() {
    watchdog(60, || {
        let port = free_port();
        let builder = client_builder(Scheme::Ws, port);
        let client = builder.persistent(quick()).start().unwrap();
        let refused = client.send("x").unwrap_err();
        assert_eq!(
            (refused.error.kind(), refused.message.unwrap().as_text()),
            ("io", Some("x"))
        );
        drop(client);
        let client = builder.persistent(quick()).while_down(WhileDown::Hold {
            messages: 2,
            bytes: 100,
        });
        let client = client.start().unwrap();
        client.send("1").unwrap();
        client.send("2").unwrap();
        assert_eq!(
            client.send("3").unwrap_err().message.unwrap().as_text(),
            Some("3")
        );
        assert_eq!(client.unsent(), 2);
        let server = server_builder(Scheme::Ws)
            .bind(("127.0.0.1", port))
            .unwrap();
        let ws = server.incoming().unwrap().next().unwrap().accept().unwrap();
        for expected in ["1", "2"] {
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some(expected));
        }
        eventually("nothing left", || client.unsent() == 0);
        client.send("4").unwrap();
        assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("4"));
    });
}

#[test]
fn the_last_handle_closes_the_connection() {
    watchdog(60, || {
        let (tell, ended) = channel();
        let serving = Serving::new(server_builder(Scheme::Ws), move |ws| {
            drop(ws.recv());
            tell.send(ws.closed().unwrap()).unwrap();
        });
        let builder = client_builder(Scheme::Ws, serving.port);
        let client = builder.persistent(quick()).start().unwrap();
        assert!(matches!(next(&client), PersistentEvent::Connected { .. }));
        let clone = client.clone();
        drop(client);
        assert!(ended.recv_timeout(Duration::from_millis(100)).is_err());
        drop(clone);
        assert!(ended.recv_timeout(LATE).unwrap().is_normal());
    });
}

/// Tells of each message before it answers a ping that came behind it.
#[test]
#[ignore = "is started by another as a process of its own"]
fn serve_and_tell_of_messages() {
    let Some(port) = told() else {
        return;
    };
    let server = server_builder(Scheme::Ws)
        .bind(format!("127.0.0.1:{port}"))
        .unwrap();
    spawn(move || {
        server.serve_upgrades(|upgrade| {
            let upgrade = upgrade.unwrap().on_message(|_, message| {
                let bytes = message.as_bytes().first_chunk().unwrap();
                tell("got", u64::from_be_bytes(*bytes));
            });
            let _ = upgrade.run();
        })
    });
    tell("listening", port);
    next_line();
}

/// The server is killed and started again 50 times while messages are sent all the time.
#[test]
fn a_server_that_is_killed_again_and_again_gets_every_message_that_is_promised() {
    watchdog(600, || {
        let port = free_port();
        let start = || {
            let process = Process::start("serve_and_tell_of_messages", &port.to_string());
            process.hear("listening");
            process
        };
        let mut server = start();
        let builder = client_builder(Scheme::Ws, port);
        let client = builder.persistent(quick()).while_down(WhileDown::resend());
        let client = Arc::new(client.start().unwrap());
        let sent = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = channel::<()>();
        let sending = {
            let (client, sent) = (Arc::clone(&client), Arc::clone(&sent));
            spawn(move || {
                let mut n = 0_u64;
                while stopped.try_recv() == Err(TryRecvError::Empty) {
                    // It may be down, and full.
                    match client.send(n.to_be_bytes().to_vec()) {
                        Ok(()) => n += 1,
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                    sent.store(n, Ordering::SeqCst);
                }
                n
            })
        };
        let reading = Arc::clone(&client);
        spawn(move || while reading.recv().is_ok() {});
        let mut got = Vec::new();
        for _ in 0..50 {
            let goal = sent.load(Ordering::SeqCst) + 50;
            eventually("messages", || sent.load(Ordering::SeqCst) > goal);
            got.extend(server.killed("got"));
            server = start();
        }
        drop(stop);
        let sent = sending.within(LATE, "sending");
        eventually("all confirmed", || client.unsent() == 0);
        got.extend(server.killed("got"));
        let got: Vec<u64> = got.iter().map(|n| n.parse().unwrap()).collect();
        let different: BTreeSet<_> = got.iter().copied().collect();
        assert_eq!(different.len() as u64, sent, "none is lost");
        assert_eq!(different.last(), Some(&(sent - 1)));
        // Each connection begins where the last was confirmed, and goes on without a gap.
        assert!(got.windows(2).all(|pair| pair[1] <= pair[0] + 1));
        println!("{sent} messages, {} came again", got.len() as u64 - sent);
    });
}
