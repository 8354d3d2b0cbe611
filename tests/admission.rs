//! Who a server lets in, and how the others learn that it does not.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{Peer, REQUEST};
use common::{LATE, Scheme, Serving, client_builder, eventually, server_builder, spawn, watchdog};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use wsync::{Config, Error, HandshakeError, OriginPolicy, ServerLimits};

fn limits(set: impl FnOnce(&mut ServerLimits)) -> ServerLimits {
    let mut limits = ServerLimits::default();
    set(&mut limits);
    limits
}

/// The status with which a connect was refused.
fn status(error: &Error) -> Option<u16> {
    error.response().map(|response| response.status().as_u16())
}

#[test]
fn who_finds_no_place_is_answered_with_503_and_gets_in_when_somebody_has_left() {
    watchdog(60, || {
        for per_address in [false, true] {
            let limits = limits(|limits| match per_address {
                true => limits.per_address = Some(2),
                false => limits.connections = Some(2),
            });
            let serving = Serving::echo(server_builder(Scheme::Ws).limits(limits));
            let builder = client_builder(Scheme::Ws, serving.port);
            let first = builder.connect().unwrap();
            let second = builder.connect().unwrap();
            for _ in 0..3 {
                assert_eq!(status(&builder.connect().unwrap_err()), Some(503));
            }
            first.close().unwrap();
            eventually("a place", || {
                builder.connect().is_ok_and(|ws| ws.close().is_ok())
            });
            second.send("still here").unwrap();
            assert_eq!(second.recv().unwrap().as_text(), Some("still here"));
        }
    });
}

#[test]
#[cfg(any(feature = "native-tls", feature = "rustls"))]
fn over_tls_who_finds_no_place_is_not_let_as_far_as_a_handshake() {
    watchdog(60, || {
        let limits = limits(|limits| limits.connections = Some(1));
        let serving = Serving::echo(server_builder(Scheme::Wss).limits(limits));
        let builder = client_builder(Scheme::Wss, serving.port);
        let ws = builder.connect().unwrap();
        let error = builder.connect().unwrap_err();
        assert!(matches!(error, Error::Tls(_) | Error::Io(_)), "{error}");
        ws.send("x").unwrap();
        assert_eq!(ws.recv().unwrap().as_text(), Some("x"));
    });
}

/// Closing a socket with unread bytes resets it, and what it had sent may be lost.
#[test]
fn a_refused_client_that_still_writes_can_read_why() {
    watchdog(60, || {
        let limits = limits(|limits| limits.connections = Some(1));
        let serving = Serving::echo(server_builder(Scheme::Ws).limits(limits));
        let _ws = client_builder(Scheme::Ws, serving.port).connect().unwrap();
        for _ in 0..20 {
            let mut client = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
            client.write_all(REQUEST.as_bytes()).unwrap();
            // More than one read, and behind the answer.
            std::thread::sleep(Duration::from_millis(5));
            client.write_all(&[b'x'; 5000]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        }
    });
}

#[test]
fn a_handler_is_told_of_those_for_whom_there_is_no_place() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let limits = limits(|limits| limits.connections = Some(1));
            let server = server_builder(scheme).limits(limits).bind("127.0.0.1:0");
            let server = server.unwrap();
            let (port, (tell, told)) = (server.local_addr().port(), channel());
            let serving = server.clone();
            let serving = spawn(move || {
                serving.serve_upgrades(move |upgrade| match upgrade {
                    Ok(upgrade) => drop(upgrade.accept().unwrap().recv()),
                    Err(error) => {
                        tell.send(error.kind()).unwrap();
                        panic!("only this one is told");
                    }
                })
            });
            let ws = client_builder(scheme, port).connect().unwrap();
            for _ in 0..3 {
                client_builder(scheme, port).connect().unwrap_err();
                assert_eq!(told.recv_timeout(LATE), Ok("handshake.rejected"));
            }
            drop(ws);
            server.shutdown().unwrap();
            serving.within(LATE, "serving").unwrap();
        }
    });
}

#[test]
fn who_opens_many_connections_and_says_nothing_keeps_nobody_out() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let limits = limits(|limits| limits.opening = Some(4));
            let mut config = Config::server();
            config.timeouts.open = Some(10 * LATE);
            let serving = Serving::echo(server_builder(scheme).limits(limits).config(config));
            let mut silent: Vec<_> = (0..20)
                .map(|_| TcpStream::connect(("127.0.0.1", serving.port)).unwrap())
                .collect();
            let began = Instant::now();
            let ws = client_builder(scheme, serving.port).connect().unwrap();
            ws.send("x").unwrap();
            assert_eq!(ws.recv().unwrap().as_text(), Some("x"));
            assert!(began.elapsed() < LATE);
            // The oldest has been told, over TLS by the end alone.
            let mut answer = String::new();
            let _ = silent[0].read_to_string(&mut answer);
            if scheme == Scheme::Ws {
                assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            }
        }
    });
}

#[test]
fn a_burst_of_clients_beyond_the_limit_of_opening_handshakes_gets_in() {
    watchdog(60, || {
        let limits = limits(|limits| limits.opening = Some(2));
        let serving = Serving::echo(server_builder(Scheme::Ws).limits(limits));
        let port = serving.port;
        let clients: Vec<_> = (0..30)
            .map(|_| spawn(move || client_builder(Scheme::Ws, port).connect().map(drop)))
            .collect();
        for client in clients {
            client.within(LATE, "a client").unwrap();
        }
    });
}

#[test]
fn a_browser_with_a_page_of_another_site_is_answered_with_403() {
    watchdog(60, || {
        let only = OriginPolicy::Only(vec!["https://good.example".into()]);
        for (policy, origin, welcome) in [
            (OriginPolicy::SameHost, "http://127.0.0.1:PORT", true),
            (OriginPolicy::SameHost, "http://evil.example", false),
            (OriginPolicy::SameHost, "null", false),
            (OriginPolicy::Any, "http://evil.example", true),
            (only.clone(), "https://good.example", true),
            (only, "https://good.example.evil.example", false),
        ] {
            let serving = Serving::echo(server_builder(Scheme::Ws).origins(policy));
            let origin = origin.replace("PORT", &serving.port.to_string());
            let builder = client_builder(Scheme::Ws, serving.port);
            builder.connect().unwrap();
            match builder.origin(&origin).connect() {
                Ok(_) => assert!(welcome, "{origin}"),
                Err(error) => {
                    assert!(!welcome, "{origin}: {error}");
                    assert_eq!(status(&error), Some(403));
                }
            }
        }
    });
}

#[test]
fn a_handler_is_told_why_there_is_no_request() {
    watchdog(60, || {
        let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let (sender, errors) = std::sync::mpsc::channel();
        let serving = server.clone();
        let serving = spawn(move || {
            serving.serve_upgrades(move |upgrade| sender.send(upgrade.err()).unwrap())
        });
        let mut peer = Peer::connect(server.local_addr().port(), Scheme::Ws);
        let request = REQUEST.replace("Upgrade: w", "Origin: http://evil.example\r\nUpgrade: w");
        peer.bytes(request.as_bytes());
        assert!(peer.read_head().starts_with("HTTP/1.1 403 "));
        match errors.recv_timeout(LATE).unwrap() {
            Some(Error::Handshake(error)) => {
                assert!(matches!(*error, HandshakeError::Origin));
                assert_eq!(error.kind(), "handshake.origin");
            }
            other => panic!("{other:?}"),
        }
        drop(peer);
        server.shutdown().unwrap();
        serving.within(LATE, "serving").unwrap();
    });
}

#[test]
fn requests_for_something_else_are_answered_beside_websockets() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let builder = server_builder(scheme).on_request(|request| {
                let page = |status, body: &str| {
                    let response = http::Response::builder().status(status);
                    Some(response.header("X-From", "hook").body(body.into()).unwrap())
                };
                match request.uri().path() {
                    "/health" => page(200, "ok\n"),
                    "/old" => page(410, ""),
                    "/nothing" => page(204, "which no 204 has"),
                    _ => None,
                }
            });
            let serving = Serving::echo(builder);
            let ask = |request: &str| {
                let mut client = Peer::connect(serving.port, scheme);
                client.bytes(request.as_bytes());
                String::from_utf8(client.read_to_end()).unwrap()
            };
            let health = ask("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
            assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nok\n"));
            assert!(health.contains("\r\nX-From: hook\r\n"), "{health}");
            let head = ask("HEAD /health HTTP/1.0\r\n\r\n");
            assert!(
                head.contains("\r\nContent-Length: 3\r\n") && head.ends_with("\r\n\r\n"),
                "{head}"
            );
            for method in ["GET", "HEAD"] {
                let nothing = ask(&format!("{method} /nothing HTTP/1.1\r\nHost: x\r\n\r\n"));
                assert!(nothing.starts_with("HTTP/1.1 204 ") && nothing.ends_with("\r\n\r\n"));
                assert!(nothing.contains("\r\nConnection: close\r\n"), "{nothing}");
            }
            assert!(ask("GET /old HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 410 "));
            let body = "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
            assert!(ask(body).starts_with("HTTP/1.1 405 "));
            assert!(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 426 "));
            let ws = client_builder(scheme, serving.port).connect().unwrap();
            ws.send("and this").unwrap();
            assert_eq!(ws.recv().unwrap().as_text(), Some("and this"));
        }
    });
}

#[test]
fn only_the_right_credentials_let_a_client_in_where_they_are_asked_for() {
    watchdog(60, || {
        let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        spawn(move || {
            server.serve_upgrades(|upgrade| {
                let upgrade = upgrade.unwrap();
                match upgrade.has_basic_auth("admin", "secret") {
                    true => drop(upgrade.accept().unwrap().recv()),
                    false => upgrade.demand_basic_auth("a \"room\"").unwrap(),
                }
            })
        });
        let builder = || client_builder(Scheme::Ws, port);
        builder().basic_auth("admin", "secret").connect().unwrap();
        let address = format!("ws://admin:secret@127.0.0.1:{port}/");
        wsync::connect(&address).unwrap();
        for wrong in [
            builder(),
            builder().basic_auth("admin", "secre"),
            builder().basic_auth("admin", "secret2"),
            builder().basic_auth("Admin", "secret"),
            builder().bearer_auth("secret"),
        ] {
            let error = wrong.connect().unwrap_err();
            let response = error.response().unwrap();
            assert_eq!(response.status(), 401);
            let challenge = &response.headers()["www-authenticate"];
            assert_eq!(
                challenge,
                "Basic realm=\"a \\\"room\\\"\", charset=\"UTF-8\""
            );
        }
    });
}
