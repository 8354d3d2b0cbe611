//! The options of a client, as the server sees them.

#![allow(clippy::unwrap_used)]

mod cli;
mod common;

use cli::{Said, Serves, path, run, said, serve, serve_at, serve_with, wsync};
use common::proxy::{Speaks, TestProxy};
use common::{CHAIN, KEY, Scheme, watchdog};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::PathBuf;
use std::thread;
use wsync::{Compression, Config, Server, TlsBackend, TlsConfig, WebSocket};

/// Tells what it was asked for, one header a line, and what was agreed on.
fn tell(ws: WebSocket) {
    let mut told = format!("{}\n", ws.request().uri());
    for (name, value) in ws.request().headers() {
        writeln!(told, "{name}: {}", value.to_str().unwrap()).unwrap();
    }
    writeln!(told, "compressed: {}", ws.compression().is_some()).unwrap();
    ws.send(told).unwrap();
    let _ = ws.recv();
}

fn telling() -> Serves {
    serve(tell)
}

/// What the server has to tell of a client with these arguments.
#[track_caller]
fn seen(url: &str, arguments: &[&str]) -> String {
    let said = run(&[&["connect", "-n", "1", url], arguments].concat(), b"");
    assert_eq!(said.status, 0, "{said:?}");
    said.out
}

#[track_caller]
fn has(seen: &str, line: &str) {
    assert!(
        seen.lines().any(|seen| seen == line),
        "no {line:?} in\n{seen}"
    );
}

/// A file for this test alone, with this in it.
fn file(name: &str, content: &str) -> PathBuf {
    let path = path(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn headers_reach_the_server() {
    watchdog(60, || {
        let server = telling();
        let path = file("headers", "X-Third: 3\n\nX-Fourth:  4 \n");
        let from_file = format!("@{}", path.display());
        let arguments = ["-H", "X-First: 1", "-H", "X-Second:2", "-H", &from_file];
        let seen_there = seen(&server.url, &arguments);
        for line in ["x-first: 1", "x-second: 2", "x-third: 3", "x-fourth: 4"] {
            has(&seen_there, line);
        }
        has(
            &seen(&server.url, &["-o", "https://example.org"]),
            "origin: https://example.org",
        );
        has(&seen(&server.url, &["-A", "me"]), "user-agent: me");
        assert!(!seen(&server.url, &["-A", ""]).contains("user-agent"));
        has(
            &seen(&server.url, &[]),
            concat!("user-agent: wsync/", env!("CARGO_PKG_VERSION")),
        );
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn subprotocols_and_compression_are_offered() {
    watchdog(60, || {
        let builder = Server::builder()
            .subprotocol("b")
            .compression(Compression::server());
        let server = serve_with(builder, "ws", tell);
        let offered = seen(&server.url, &["-s", "a", "-s", "b", "-c"]);
        has(&offered, "sec-websocket-protocol: a, b");
        has(&offered, "compressed: true");
        has(&seen(&server.url, &[]), "compressed: false");
    });
}

#[test]
fn credentials_reach_the_server_and_can_stay_off_the_command_line() {
    watchdog(60, || {
        let server = telling();
        let basic = "authorization: Basic bWU6c2VzYW1l";
        has(&seen(&server.url, &["-u", "me:sesame"]), basic);
        let mut command = wsync();
        command.env("WSYNC_PASSWORD", "sesame");
        command.args(["connect", "-n", "1", "-u", "me", &server.url]);
        has(&said(&mut command, b"").out, basic);
        has(
            &seen(&server.url, &["--bearer", "secret"]),
            "authorization: Bearer secret",
        );
        let path = file("token", "from a file\n");
        let token = format!("@{}", path.display());
        has(
            &seen(&server.url, &["--bearer", &token]),
            "authorization: Bearer from a file",
        );
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_digest_challenge_is_answered() {
    watchdog(60, || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/x", server.local_addr());
        thread::spawn(move || {
            server.serve_upgrades(|upgrade| {
                let Ok(upgrade) = upgrade else { return };
                match upgrade.request().headers().contains_key("authorization") {
                    true => tell(upgrade.accept().unwrap()),
                    false => {
                        let challenge =
                            "Digest realm=\"here\", nonce=\"abc\", algorithm=SHA-256, qop=\"auth\"";
                        let response = http::Response::builder().status(401);
                        let response = response.header("WWW-Authenticate", challenge).body("");
                        upgrade.respond(response.unwrap()).unwrap();
                    }
                }
            })
        });
        let told = seen(&url, &["--digest", "me:sesame"]);
        let authorization = told
            .lines()
            .find(|line| line.starts_with("authorization: "))
            .unwrap();
        let parameter = |name: &str| {
            let value = authorization
                .split(", ")
                .find_map(|part| part.rsplit(' ').next()?.strip_prefix(name));
            value.unwrap().trim_matches('"').to_owned()
        };
        let hash = |text: String| hex(&Sha256::digest(text));
        let (nc, cnonce) = (parameter("nc="), parameter("cnonce="));
        let (secret, request) = (hash("me:here:sesame".into()), hash("GET:/x".into()));
        assert_eq!(
            parameter("response="),
            hash(format!("{secret}:abc:{nc}:{cnonce}:auth:{request}"))
        );
    });
}

#[test]
fn addresses_of_http_and_without_a_scheme_lead_there() {
    watchdog(60, || {
        let server = telling();
        let port = server.server.local_addr().port();
        for url in [
            format!("127.0.0.1:{port}/a?b"),
            format!("http://127.0.0.1:{port}/a?b"),
        ] {
            assert!(seen(&url, &[]).starts_with("/a?b\n"));
        }
        let to = format!("127.0.0.1:{port}");
        let told = seen(
            "ws://server.example:1/",
            &["--connect-to", &to, "--source", "127.0.0.1"],
        );
        has(&told, "host: server.example:1");
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_leads_there() {
    watchdog(60, || {
        let path = path("options.sock");
        let server = serve_at(&path, tell);
        assert!(seen(&format!("{}:/there", server.url), &[]).starts_with("/there\n"));
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn a_proxy_is_passed_unless_there_is_to_be_none() {
    watchdog(60, || {
        let server = telling();
        let proxy = TestProxy::start(Speaks::Http, Scheme::Ws, Some("Basic bWU6eA=="));
        let url = format!("http://me:x@127.0.0.1:{}", proxy.port);
        seen(&server.url, &["-x", &url]);
        let target = format!("127.0.0.1:{}", server.server.local_addr().port());
        assert_eq!(proxy.asked()[0].target, target);
        let from_environment = |arguments: &[&str]| {
            let mut command = wsync();
            command
                .env("ALL_PROXY", &url)
                .args(["connect", "-n", "1", &server.url])
                .args(arguments);
            assert_eq!(said(&mut command, b"").status, 0);
            proxy.asked().len()
        };
        assert_eq!(from_environment(&[]), 2);
        assert_eq!(from_environment(&["--no-proxy"]), 2);
    });
}

#[test]
fn redirects_are_followed_where_the_user_says_so() {
    watchdog(60, || {
        let server = telling();
        let location = server.url.clone();
        let first = Server::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", first.local_addr());
        thread::spawn(move || {
            first.serve_upgrades(move |upgrade| {
                let response = http::Response::builder()
                    .status(302)
                    .header("Location", &location);
                drop(upgrade.unwrap().respond(response.body("").unwrap()));
            })
        });
        assert!(seen(&url, &["-L"]).starts_with("/\n"));
        let said = run(&["connect", &url], b"");
        assert!(
            said.status == 1 && said.err.contains("302 Found"),
            "{said:?}"
        );
    });
}

#[test]
fn the_bounds_of_the_queue_and_of_messages_hold() {
    watchdog(60, || {
        let server = serve(|ws| drop(ws.send(vec![0; 2000])));
        let run = |arguments: &[&str]| {
            run(
                &[&["connect", &server.url, "-w", "inf"], arguments].concat(),
                b"",
            )
        };
        let said = run(&["--max-message", "1000"]);
        assert!(
            said.status == 3 && said.err.contains("too big: 2000, the limit is 1000"),
            "{said:?}"
        );
        assert_eq!(run(&["--max-message", "2000"]).status, 0);
    });
}

mod tls {
    use super::*;

    fn serve_tls(config: TlsConfig) -> Serves {
        serve_with(
            Server::builder().tls(config).config(Config::server()),
            "wss",
            tell,
        )
    }

    fn trusted() -> Serves {
        serve_tls(
            TlsConfig::server(CHAIN, KEY)
                .unwrap()
                .backend(TlsBackend::Rustls)
                .unwrap(),
        )
    }

    #[track_caller]
    fn refused(said: &Said) {
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
        assert!(said.err.contains("TLS"), "{said:?}");
    }

    #[test]
    fn a_certificate_has_to_be_trusted() {
        watchdog(60, || {
            let server = trusted();
            let run = |arguments: &[&str]| {
                run(
                    &[&["connect", "-n", "1", &server.url], arguments].concat(),
                    b"",
                )
            };
            refused(&run(&[]));
            for arguments in [
                &["--ca", "tests/certs/ca.pem"][..],
                &["--ca", "tests/certs/ca.pem", "--only-ca"],
                &["-k"],
            ] {
                assert_eq!(run(arguments).status, 0, "{arguments:?}");
            }
            refused(&run(&["--ca", "tests/certs/other-root.pem", "--only-ca"]));
            assert_eq!(run(&["--only-ca"]).status, 2);
        });
    }

    #[test]
    fn the_name_of_the_certificate_is_the_host_or_what_the_user_says() {
        watchdog(60, || {
            let server = trusted();
            let port = server.server.local_addr().port();
            let (url, to) = (
                format!("wss://elsewhere.example:{port}"),
                format!("127.0.0.1:{port}"),
            );
            let arguments = [
                "connect",
                "-n",
                "1",
                &url,
                "--connect-to",
                &to,
                "--ca",
                "tests/certs/ca.pem",
            ];
            refused(&run(&arguments, b""));
            let named = [&arguments[..], &["--server-name", "localhost"]].concat();
            assert_eq!(run(&named, b"").status, 0);
        });
    }

    #[test]
    fn a_pinned_certificate_is_the_only_one_that_will_do() {
        watchdog(60, || {
            let server = trusted();
            let pem = String::from_utf8_lossy(CHAIN);
            let first = pem.split("-----").nth(2).unwrap();
            let der = data_encoding::BASE64
                .decode(first.split_whitespace().collect::<String>().as_bytes());
            let pin = hex(&Sha256::digest(der.unwrap()));
            let run = |pin: &str| {
                run(
                    &["connect", "-n", "1", &server.url, "-k", "--pin", pin],
                    b"",
                )
            };
            assert_eq!(run(&pin).status, 0);
            refused(&run(&"ab".repeat(32)));
        });
    }

    #[test]
    fn a_client_shows_its_certificate() {
        watchdog(60, || {
            let server = TlsConfig::server(CHAIN, KEY)
                .unwrap()
                .backend(TlsBackend::Rustls)
                .unwrap();
            let server = serve_tls(server.client_root_certificate_pem(common::CA).unwrap());
            let run = |arguments: &[&str]| {
                run(
                    &[&["connect", "-n", "1", &server.url, "-k"], arguments].concat(),
                    b"",
                )
            };
            let own = [
                "--cert",
                "tests/certs/server.pem",
                "--key",
                "tests/certs/server.key",
            ];
            assert_eq!(run(&own).status, 0);
            assert_ne!(run(&[]).status, 0);
            assert_eq!(run(&own[..2]).status, 2);
        });
    }

    #[test]
    fn the_library_that_speaks_tls_can_be_chosen_if_it_is_there() {
        watchdog(60, || {
            let server = trusted();
            let arguments = [
                "connect",
                "-n",
                "1",
                &server.url,
                "-k",
                "--tls-backend",
                "native-tls",
            ];
            let said = run(&arguments, b"");
            match TlsBackend::NativeTls.is_available() {
                true => assert_eq!(said.status, 0, "{said:?}"),
                false => assert!(
                    said.status == 2 && said.err.contains("built without the feature native-tls")
                ),
            }
        });
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
