//! How a server's handlers, panics and shutdown look to its clients.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LATE, Scheme, Serving, client_builder, once_within, server_builder, spawn, watchdog};
use std::io::Read;
use std::net::TcpStream;
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Error, RecvError, Server, WebSocket};

fn connect(scheme: Scheme, port: u16) -> WebSocket {
    client_builder(scheme, port).connect().unwrap()
}

/// The code of the Close frame that ends the connection.
fn close_code(ws: &WebSocket) -> u16 {
    assert!(ws.recv_timeout(LATE).is_err());
    ws.closed().unwrap().received.unwrap().code.into()
}

#[test]
fn a_handler_that_returns_closes_with_1000() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = Serving::new(server_builder(scheme), |ws| ws.send("bye").unwrap());
            let ws = connect(scheme, serving.port);
            assert_eq!(ws.recv().unwrap().as_text(), Some("bye"));
            assert_eq!(close_code(&ws), 1000);
        }
    });
}

#[test]
fn a_handler_that_panics_closes_with_1011_and_harms_no_other() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = Serving::new(server_builder(scheme), |ws| {
                for message in &ws {
                    let message = message.unwrap();
                    assert_ne!(message.as_text(), Some("panic"), "as it was told");
                    ws.send(message).unwrap();
                }
            });
            let (other, ws) = (connect(scheme, serving.port), connect(scheme, serving.port));
            ws.send("panic").unwrap();
            assert_eq!(close_code(&ws), 1011);
            let later = connect(scheme, serving.port);
            for ws in [&other, &later] {
                ws.send("alive").unwrap();
                let message = ws.recv_timeout(LATE).unwrap();
                assert_eq!(message.as_text(), Some("alive"));
            }
        }
    });
}

#[test]
fn shutdown_closes_all_clients_with_1001_and_ends_serve() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let server = server_builder(scheme).bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().port();
            let serve = server.clone();
            let serving = spawn(move || serve.serve(|ws| assert!(ws.iter().next().is_none())));
            let clients: Vec<_> = (0..5).map(|_| connect(scheme, port)).collect();
            let closing = clients.into_iter().map(|ws| spawn(move || close_code(&ws)));
            let closing: Vec<_> = closing.collect();
            server.shutdown().unwrap();
            serving.within(LATE, "serve").unwrap();
            for task in closing {
                assert_eq!(task.within(LATE, "a client"), 1001);
            }
            assert!(client_builder(scheme, port).connect().is_err());
            // Once more does no harm.
            server.shutdown().unwrap();
        }
    });
}

#[test]
fn shutdown_of_idle_clients_takes_little_time() {
    watchdog(120, || {
        // The requirement is 3 s for 10 000 connections; nothing in it waits for a timeout.
        once_within(Duration::from_secs(1), || {
            let serving = Serving::echo(Server::builder());
            let clients: Vec<_> = (0..50).map(|_| connect(Scheme::Ws, serving.port)).collect();
            let began = Instant::now();
            serving.server.shutdown().unwrap();
            let took = began.elapsed();
            assert!(clients.iter().all(|ws| close_code(ws) == 1001));
            took
        });
    });
}

#[test]
fn a_client_that_is_silent_at_the_handshake_gets_503_when_the_server_stops() {
    watchdog(60, || {
        // It has a second to read the refusal.
        once_within(Duration::from_millis(1000 + 500), || {
            let serving = Serving::echo(Server::builder());
            let mut silent = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
            thread::sleep(Duration::from_millis(50));
            let began = Instant::now();
            serving.server.shutdown().unwrap();
            let took = began.elapsed();
            let mut refusal = String::new();
            silent.read_to_string(&mut refusal).unwrap();
            assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
            took
        });
    });
}

#[test]
fn shutdown_from_within_a_handler_does_not_wait_for_that_handler() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let server = server_builder(scheme).bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().port();
            let (serve, stop) = (server.clone(), server);
            let (sender, result) = mpsc::channel();
            let serving = spawn(move || {
                serve.serve(move |ws| {
                    if ws.recv().is_ok() {
                        sender.send(stop.shutdown()).unwrap();
                    }
                })
            });
            let (other, ws) = (connect(scheme, port), connect(scheme, port));
            let other = spawn(move || close_code(&other));
            ws.send("stop").unwrap();
            assert_eq!(close_code(&ws), 1001);
            assert_eq!(other.within(LATE, "the other client"), 1001);
            result.recv_timeout(LATE).unwrap().unwrap();
            serving.within(LATE, "serve").unwrap();
        }
    });
}

#[test]
fn shutdown_from_two_handlers_at_once_is_bounded() {
    watchdog(60, || {
        let mut config = wsync::Config::server();
        config.timeouts.close = Some(Duration::from_millis(300));
        let server = Server::builder()
            .config(config)
            .bind("127.0.0.1:0")
            .unwrap();
        let port = server.local_addr().port();
        let (serve, stop) = (server.clone(), server);
        let both = Barrier::new(2);
        let serving = spawn(move || {
            serve.serve(move |_ws| {
                both.wait();
                let _ = stop.shutdown();
            })
        });
        let clients = [(); 2].map(|()| connect(Scheme::Ws, port));
        clients
            .iter()
            .for_each(|ws| assert_eq!(close_code(ws), 1001));
        serving.within(LATE, "serve").unwrap();
    });
}

#[test]
fn dropping_incoming_stops_the_server_from_accepting() {
    watchdog(60, || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let mut incoming = server.incoming().unwrap();
        let client = spawn(move || connect(Scheme::Ws, port));
        let ws = incoming.next().unwrap().accept().unwrap();
        let client = client.within(LATE, "the client");
        drop(incoming);
        assert!(client_builder(Scheme::Ws, port).connect().is_err());
        // What was open stays so.
        client.send("still here").unwrap();
        assert_eq!(ws.recv().unwrap().as_text(), Some("still here"));
    });
}

#[test]
fn a_request_that_is_accepted_after_shutdown_is_refused_or_closed_with_1001() {
    watchdog(60, || {
        let mut config = wsync::Config::server();
        config.timeouts.close = Some(Duration::from_secs(2));
        let server = Server::builder()
            .config(config)
            .bind("127.0.0.1:0")
            .unwrap();
        let port = server.local_addr().port();
        let (come, came) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = std::sync::Mutex::new(gone);
        let serve = server.clone();
        let serving = spawn(move || {
            serve.serve_upgrades(move |upgrade| {
                come.send(()).unwrap();
                gone.lock().unwrap().recv().unwrap();
                if let Ok(ws) = upgrade.unwrap().accept() {
                    assert!(matches!(ws.recv(), Err(RecvError(Error::Closed(_)))));
                }
            })
        });
        let client = spawn(move || match client_builder(Scheme::Ws, port).connect() {
            Ok(ws) => close_code(&ws),
            Err(error) => error.response().unwrap().status().as_u16(),
        });
        came.recv_timeout(LATE).unwrap();
        let stopping = spawn(move || server.shutdown());
        serving.within(LATE, "serve").unwrap();
        thread::sleep(Duration::from_millis(100));
        go.send(()).unwrap();
        let answer = client.within(LATE, "the client");
        assert!(matches!(answer, 503 | 1001), "{answer}");
        stopping.within(LATE, "shutdown").unwrap();
    });
}

#[test]
fn the_subprotocol_may_be_chosen_by_the_request() {
    watchdog(60, || {
        let builder = Server::builder().choose_subprotocol(|request, offered| {
            let wanted = request.uri().path().trim_start_matches('/');
            match wanted {
                "other" => Some("not offered".into()),
                wanted => (offered.contains(&wanted)).then(|| wanted.into()),
            }
        });
        // Not asked for.
        let serving = Serving::echo(builder.subprotocol("one"));
        let connect = |path: &str| {
            let address = format!("ws://127.0.0.1:{}/{path}", serving.port);
            let client = wsync::ClientBuilder::new(address);
            client.subprotocol("one").subprotocol("two").connect()
        };
        for (path, agreed) in [("one", Some("one")), ("two", Some("two")), ("three", None)] {
            assert_eq!(connect(path).unwrap().subprotocol(), agreed);
        }
        let error = connect("other").unwrap_err();
        assert_eq!(error.response().unwrap().status(), 500);
    });
}
