//! What clients and servers do beside messages, with Python's `websockets` at the other end: credentials,
//! refusals, other answers of HTTP, redirects, hubs, shutdowns, connecting again. Here Python is the client, in
//! `interop/features_server.rs` the server.
//!
//! `tests/interop/features.py` says what the other end does. Every wait is bounded, and a process that is left
//! over is killed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "interop/process.rs"]
mod process;
#[path = "interop/features_server.rs"]
mod server;

use common::{LATE, Scheme, Serving, patient, server_builder, spawn, watchdog};
use process::{Peer, certs};
use wsync::{
    Config, Error, Event, Hub, Initiator, Keepalive, OriginPolicy, Server, ServerBuilder, Slow,
    Upgrade, WebSocket,
};

const APIS: [&str; 2] = ["asyncio", "sync"];

fn python(arguments: &[&str]) -> Peer {
    Peer::start("features-py", arguments)
}

/// With the root that over TLS it has to know.
fn python_client(scheme: Scheme, arguments: &[&str]) -> Peer {
    let root = certs().join("ca.pem");
    let mut arguments = arguments.to_vec();
    if scheme == Scheme::Wss {
        arguments.extend(["--ca", root.to_str().unwrap()]);
    }
    python(&arguments)
}

/// All that it prints; it must succeed.
fn told(mut peer: Peer) -> Vec<String> {
    let status = peer.wait(LATE);
    let lines: Vec<_> = peer.lines.iter().collect();
    assert!(status.success(), "{status}: {lines:?}");
    lines
}

fn url(scheme: Scheme, port: u16) -> String {
    format!("{}://127.0.0.1:{port}/", scheme.name())
}

fn echo(ws: &WebSocket) {
    while let Ok(message) = ws.recv() {
        let _ = ws.send(message);
    }
}

/// A server that answers requests one by one.
fn answering(
    builder: ServerBuilder,
    answer: impl Fn(Upgrade) -> Result<(), Error> + Send + Sync + 'static,
) -> Serving {
    let server = builder.bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().port();
    let serving = server.clone();
    spawn(move || serving.serve_upgrades(move |upgrade| drop(upgrade.and_then(&answer))));
    Serving { server, port }
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_client_shows_its_credentials() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let serving = answering(server_builder(scheme), |upgrade| {
                if !upgrade.has_basic_auth("Jürgen", "p:ss@wörd") {
                    return upgrade.demand_basic_auth("a \"quoted\" realm");
                }
                upgrade.accept().map(|ws| echo(&ws))
            });
            let as_user = |user: &str| {
                let (scheme, port) = (scheme.name(), serving.port);
                format!("{scheme}://{user}127.0.0.1:{port}/")
            };
            let right = as_user("J%C3%BCrgen:p%3Ass%40w%C3%B6rd@");
            let wrong = as_user("J%C3%BCrgen:password@");
            let refusal = concat!(
                r#"refused | 401 | Basic realm="a \"quoted\" realm", charset="UTF-8""#,
                " | credentials, please"
            );
            for api in APIS {
                let urls = ["open", api, &right, &wrong, &as_user("")];
                let lines = told(python_client(scheme, &urls));
                assert_eq!(lines, ["opened | None | hello | 1000", refusal, refusal]);
            }
        }
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn requests_for_something_else_are_answered_beside_python_clients() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let builder = server_builder(scheme).on_request(|request| {
                let health = http::Response::builder()
                    .header("Content-Type", "text/x-health")
                    .body(b"well\n".to_vec());
                (request.uri().path() == "/health").then(|| health.unwrap())
            });
            let serving = Serving::new(builder, |ws| echo(&ws));
            let open = url(scheme, serving.port);
            let http = open.replacen("ws", "http", 1);
            let health = format!("{http}health");
            let lines = told(python_client(scheme, &["get", "GET", &health, &http]));
            assert_eq!(lines[0], "answer | 200 | text/x-health | well");
            assert!(lines[1].starts_with("answer | 426 |"), "{}", lines[1]);
            let lines = told(python_client(scheme, &["get", "HEAD", &health]));
            assert_eq!(lines, ["answer | 200 | text/x-health | "]);
            for api in APIS {
                let lines = told(python_client(scheme, &["open", api, &open]));
                assert_eq!(lines, ["opened | None | hello | 1000"]);
            }
        }
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_client_reads_why_it_is_refused_and_what_was_agreed_on() {
    watchdog(120, || {
        let sites = OriginPolicy::Only(vec!["https://example.org".into()]);
        for &scheme in Scheme::all() {
            let builder = server_builder(scheme)
                .origins(sites.clone())
                .subprotocol("chat.v3")
                .subprotocol("chat.v2");
            let serving = answering(builder, |upgrade| {
                if upgrade.request().uri().path() == "/gone" {
                    let status = http::StatusCode::IM_A_TEAPOT;
                    return upgrade.reject(status, "no tea: été\n");
                }
                upgrade.accept().map(|ws| echo(&ws))
            });
            let url = url(scheme, serving.port);
            let gone = format!("{url}gone");
            for api in APIS {
                let open = |more: &[&str]| {
                    let arguments = ["open", api, &url];
                    told(python_client(scheme, &[&arguments, more].concat()))
                };
                let offer = ["--subprotocol", "chat.v1", "--subprotocol", "chat.v2"];
                assert_eq!(open(&offer), ["opened | chat.v2 | hello | 1000"]);
                let lines = open(&[&gone, "--origin", "https://example.org"]);
                let teapot = "refused | 418 | None | no tea: été";
                assert_eq!(lines, ["opened | None | hello | 1000", teapot]);
                let lines = open(&["--origin", "https://evil.example"]);
                assert!(lines[0].starts_with("refused | 403 | None |"), "{lines:?}");
            }
        }
    });
}

const READERS: usize = 19;
const BROADCASTS: usize = 1000;
/// Readers answer so often, and are waited for.
const STEP: usize = 50;

/// A server's hub with one Python client that does not read, and others that do. How many broadcasts that one
/// was sent, and what it says in the end.
fn broadcast_to_a_crowd(slow: Slow) -> (usize, String) {
    let mut config = patient(Config::server());
    config.keepalive = Keepalive::off();
    config.socket.send_buffer = Some(64 << 10);
    config.limits.outbox = 512 << 10;
    let server = Server::builder().config(config);
    let server = server.bind("127.0.0.1:0").unwrap();
    let hub = Hub::new(1000).slow(slow);
    let serving = (server.clone(), hub.clone());
    let serving = spawn(move || serving.1.serve(&serving.0));
    let url = url(Scheme::Ws, server.local_addr().port());
    let [readers, count, step] = [READERS, BROADCASTS, STEP].map(|n| n.to_string());
    let peer = python(&["crowd", &url, &readers, &count, &step]);

    let word = || loop {
        match hub.events().recv_timeout(LATE).unwrap() {
            Event::Message { key, message } => return (key, message.as_text().unwrap().to_owned()),
            Event::Closed { closed, error, .. } => {
                assert_eq!(closed.initiator, Some(Initiator::Local), "{error:?}");
            }
            _ => {}
        }
    };
    let mut silent = None;
    for _ in 0..=READERS {
        let (key, what) = word();
        if what == "silent" {
            silent = Some(key);
        }
    }
    let silent = silent.unwrap();

    let mut sent = 0;
    for n in 0..BROADCASTS {
        let report = hub.broadcast(format!("{n} {}", "x".repeat(4090)));
        let without = [&report.skipped[..], &report.closed[..]].concat();
        assert!(without.is_empty() || without == [silent], "{report:?}");
        assert!(report.sent >= READERS, "{report:?}");
        sent += report.sent - READERS;
        if (n + 1) % STEP == 0 {
            (0..READERS).for_each(|_| assert_eq!(word().1, (n + 1).to_string()));
        }
    }
    server.shutdown().unwrap();
    serving.within(LATE, "serving").unwrap();
    let mut lines = told(peer);
    let last = lines.pop().unwrap();
    assert_eq!(lines, ["closed 1001"; READERS]);
    (sent, last)
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn python_clients_get_all_broadcasts_beside_one_that_does_not_read() {
    watchdog(240, || {
        for (slow, code) in [(Slow::Skip, 1001), (Slow::Close, 1013)] {
            let (sent, said) = broadcast_to_a_crowd(slow);
            assert!((1..BROADCASTS).contains(&sent), "{sent}");
            assert_eq!(said, format!("silent {sent} {code}"), "{slow:?}");
        }
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn python_clients_are_told_of_a_shutdown() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            for api in APIS {
                let serving = Serving::new(server_builder(scheme), |ws| echo(&ws));
                let url = url(scheme, serving.port);
                let peer = python_client(scheme, &["stay", api, &url, "10"]);
                assert_eq!(peer.line(), "ready");
                serving.server.shutdown().unwrap();
                assert_eq!(told(peer), ["closed 1001"; 10]);
            }
        }
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_client_connects_again_when_the_server_is_back() {
    watchdog(120, || {
        let mut port = 0;
        let mut peer = None;
        for n in 0..5 {
            let server = Server::bind(("127.0.0.1", port)).unwrap();
            port = server.local_addr().port();
            let serving = server.clone();
            let serving = spawn(move || {
                serving.serve(move |ws| {
                    let _ = ws.send(n.to_string());
                    echo(&ws);
                })
            });
            let peer = peer.get_or_insert_with(|| python(&["again", &url(Scheme::Ws, port)]));
            assert_eq!(peer.line(), format!("opened {n}"));
            server.shutdown().unwrap();
            serving.within(LATE, "serving").unwrap();
            assert_eq!(peer.line(), "closed 1001");
        }
    });
}
