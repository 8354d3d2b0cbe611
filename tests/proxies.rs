//! Clients that reach their server through a proxy, or another way.

#![allow(clippy::unwrap_used)]

mod common;

use common::proxy::{Asked, Speaks, TestProxy};
use common::{
    LATE, Scheme, Serving, client_tls, once_within, patient, server_builder, spawn, watchdog,
};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use wsync::{ClientBuilder, Config, Error, Proxy, ProxyError, Timeout, WebSocket};

/// The schemes of proxies that the build can speak to.
fn schemes() -> Vec<(&'static str, Speaks, Scheme)> {
    let mut schemes = vec![
        ("http", Speaks::Http, Scheme::Ws),
        ("socks5", Speaks::Socks5, Scheme::Ws),
        ("socks5h", Speaks::Socks5, Scheme::Ws),
        ("socks4a", Speaks::Socks4a, Scheme::Ws),
    ];
    if Scheme::all().contains(&Scheme::Wss) {
        schemes.push(("https", Speaks::Http, Scheme::Wss));
    }
    schemes
}

fn client(scheme: Scheme, port: u16) -> ClientBuilder {
    ClientBuilder::new(format!("{}://localhost:{port}/path", scheme.name()))
        .tls(client_tls())
        .config(patient(Config::client()))
}

fn proxy(url: &str) -> Proxy {
    Proxy::parse(url).unwrap().tls(client_tls())
}

/// Messages of all sizes, there and back at once.
fn exchange(ws: &WebSocket) {
    let messages: Vec<_> = [0, 1, 125, 70_000, 1_000_000, 3]
        .iter()
        .map(|length| vec![*length as u8; *length])
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| messages.iter().for_each(|m| ws.send(m.clone()).unwrap()));
        for message in &messages {
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_bytes(), message);
        }
    });
    ws.close().unwrap();
}

#[test]
fn every_kind_of_proxy_leads_to_ws_and_wss() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let serving = Serving::echo(server_builder(scheme));
            for (name, speaks, to_proxy) in schemes() {
                let through = TestProxy::start(speaks, to_proxy, None);
                let url = format!("{name}://localhost:{}", through.port);
                let ws = client(scheme, serving.port).proxy(proxy(&url)).connect();
                exchange(&ws.unwrap_or_else(|e| panic!("{name}, {scheme:?}: {e}")));
                let expected = Asked {
                    target: format!("localhost:{}", serving.port),
                    credentials: None,
                };
                assert_eq!(through.asked(), [expected], "the proxy resolves the name");
            }
        }
    });
}

#[test]
fn credentials_go_to_the_proxy_and_not_to_the_server() {
    watchdog(60, || {
        let (tell, requests) = channel();
        let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        spawn(move || {
            server.serve_upgrades(move |upgrade| {
                let upgrade = upgrade.unwrap();
                tell.send(upgrade.request().headers().clone()).unwrap();
                drop(upgrade.accept());
            })
        });
        for (name, speaks, given) in [
            ("http", Speaks::Http, "Basic dXNlcjpwYXNz"),
            ("socks5", Speaks::Socks5, "user:pass"),
            ("socks4a", Speaks::Socks4a, "user"),
        ] {
            let wanted = (speaks != Speaks::Socks4a).then_some(given);
            let through = TestProxy::start(speaks, Scheme::Ws, wanted);
            let url = format!("{name}://user:pass@127.0.0.1:{}", through.port);
            client(Scheme::Ws, port)
                .proxy(proxy(&url))
                .connect()
                .unwrap();
            assert_eq!(through.asked()[0].credentials.as_deref(), Some(given));
            let headers = requests.recv_timeout(LATE).unwrap();
            assert!(!headers.contains_key("proxy-authorization"));
            assert!(!headers.contains_key("authorization"));
        }
    });
}

#[test]
fn wrong_credentials_are_told_as_such() {
    watchdog(60, || {
        for (name, speaks, wanted) in [
            ("http", Speaks::Http, "Basic x"),
            ("socks5", Speaks::Socks5, "a:b"),
        ] {
            let through = TestProxy::start(speaks, Scheme::Ws, Some(wanted));
            for user in ["", "user:wrong@"] {
                let url = format!("{name}://{user}127.0.0.1:{}", through.port);
                let error = client(Scheme::Ws, 9)
                    .proxy(proxy(&url))
                    .connect()
                    .unwrap_err();
                assert!(
                    matches!(error, Error::Proxy(ProxyError::Credentials)),
                    "{error}"
                );
            }
        }
    });
}

#[test]
fn a_server_that_the_proxy_cannot_reach_is_the_proxys_error() {
    watchdog(60, || {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        for (name, speaks, kind) in [
            ("http", Speaks::Http, "proxy.status"),
            ("socks5", Speaks::Socks5, "proxy.socks"),
            ("socks4a", Speaks::Socks4a, "proxy.socks"),
        ] {
            let through = TestProxy::start(speaks, Scheme::Ws, None);
            let url = format!("{name}://127.0.0.1:{}", through.port);
            let error = client(Scheme::Ws, port)
                .proxy(proxy(&url))
                .connect()
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
    });
}

/// One that says this to the first bytes it gets, and nothing more.
fn answering(answer: &'static [u8], stays: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 1000]);
            let _ = client.write_all(answer);
            kept.extend(stays.then_some(client));
        }
    });
    port
}

#[test]
fn a_proxy_that_is_none_or_leaves_is_told_as_such() {
    watchdog(60, || {
        for name in ["http", "socks5", "socks4a"] {
            for (answer, kind) in [
                (&b"220 mail.example ESMTP\r\n"[..], "proxy.malformed"),
                (b"", "proxy.eof"),
            ] {
                let url = format!("{name}://127.0.0.1:{}", answering(answer, false));
                let error = client(Scheme::Ws, 9)
                    .proxy(proxy(&url))
                    .connect()
                    .unwrap_err();
                assert_eq!(error.kind(), kind, "{name}: {error}");
            }
        }
    });
}

#[test]
fn a_silent_proxy_takes_no_longer_than_the_open_timeout() {
    let timeout = Duration::from_millis(300);
    watchdog(60, move || {
        for (name, ..) in schemes() {
            let url = format!("{name}://127.0.0.1:{}", answering(b"", true));
            let mut config = Config::client();
            config.timeouts.open = Some(timeout);
            let builder = client(Scheme::Ws, 9).config(config).proxy(proxy(&url));
            once_within(timeout + Duration::from_millis(500), || {
                let began = Instant::now();
                let error = builder.connect().unwrap_err();
                assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
                began.elapsed()
            });
        }
    });
}

#[cfg(any(feature = "native-tls", feature = "rustls"))]
#[test]
fn certificates_are_checked_the_same_with_and_without_a_proxy() {
    watchdog(60, || {
        let serving = Serving::echo(server_builder(Scheme::Wss));
        for (name, speaks, to_proxy) in schemes() {
            let through = TestProxy::start(speaks, to_proxy, None);
            let url = format!("{name}://localhost:{}", through.port);
            for through in [Some(proxy(&url)), None] {
                let builder = client(Scheme::Wss, serving.port).proxy(through);
                builder.connect().unwrap().close().unwrap();
                let stranger = builder.clone().tls(common::system_tls());
                assert_eq!(
                    stranger.connect().unwrap_err().kind(),
                    "tls",
                    "an unknown root"
                );
                let other = client_tls().server_name("other.example");
                let error = builder.clone().tls(other).connect().unwrap_err();
                assert_eq!(error.kind(), "tls", "another name");
            }
        }
        // The proxy's own.
        let through = TestProxy::start(Speaks::Http, Scheme::Wss, None);
        let stranger = Proxy::parse(&format!("https://localhost:{}", through.port)).unwrap();
        let error = client(Scheme::Wss, serving.port).proxy(stranger).connect();
        assert_eq!(error.unwrap_err().kind(), "tls");
        assert_eq!(through.asked(), []);
    });
}

#[test]
fn a_resolver_of_ones_own_finds_the_server_and_the_proxy() {
    watchdog(60, || {
        let serving = Serving::echo(server_builder(Scheme::Ws));
        let through = TestProxy::start(Speaks::Http, Scheme::Ws, None);
        let port = through.port;
        let resolve = move |host: &str, given: u16| {
            assert_eq!(host, "somewhere.invalid");
            Ok(vec![([127, 0, 0, 1], given).into()])
        };
        let url = format!("ws://somewhere.invalid:{}/", serving.port);
        exchange(&ClientBuilder::new(url).resolver(resolve).connect().unwrap());
        let by_proxy = proxy(&format!("http://somewhere.invalid:{port}"));
        let builder = client(Scheme::Ws, serving.port)
            .resolver(resolve)
            .proxy(by_proxy);
        exchange(&builder.connect().unwrap());
        let failing = ClientBuilder::new("ws://a/").resolver(|_, _| Ok(Vec::new()));
        assert_eq!(failing.connect().unwrap_err().kind(), "io");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_server_sees_the_source_address() {
    watchdog(60, || {
        let (tell, told) = channel();
        let serving = Serving::new(server_builder(Scheme::Ws), move |ws| {
            tell.send(ws.peer_addr().unwrap().ip()).unwrap();
        });
        let source = [127, 0, 0, 77].into();
        let ws = client(Scheme::Ws, serving.port)
            .source_address(source)
            .connect()
            .unwrap();
        assert_eq!(told.recv_timeout(LATE), Ok(source));
        drop(ws);
    });
}

#[cfg(unix)]
#[test]
fn an_address_may_name_a_unix_socket() {
    watchdog(60, || {
        let folder = std::env::temp_dir().join(format!("wsync {}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let served = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            let mut stream = std::io::BufReader::new(stream);
            while !request.ends_with("\r\n\r\n") {
                std::io::BufRead::read_line(&mut stream, &mut request).unwrap();
            }
            request
        });
        let path = path.to_str().unwrap().replace(' ', "%20");
        let url = format!("ws+unix:{path}:/chat?room=1");
        let error = ClientBuilder::new(url).connect().unwrap_err();
        assert!(
            matches!(error, Error::Handshake(_) | Error::Io(_)),
            "{error}"
        );
        let request = served.within(LATE, "the server");
        assert!(
            request.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: localhost\r\n"),
            "{request}"
        );
        std::fs::remove_dir_all(folder).unwrap();
        let nobody = ClientBuilder::new("ws+unix:/nobody/here.sock")
            .connect()
            .unwrap_err();
        assert_eq!(nobody.kind(), "io");
    });
}

#[test]
fn redirects_are_followed_as_far_as_allowed() {
    watchdog(60, || {
        let serving = Serving::echo(server_builder(Scheme::Ws));
        let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let (port, end) = (server.local_addr().port(), serving.port);
        // /3 leads to /2, that to /1, and that to the other server.
        spawn(move || server.serve_upgrades(move |upgrade| redirect(upgrade.unwrap(), end)));
        let url = format!("ws://127.0.0.1:{port}/3");
        let builder = ClientBuilder::new(url).bearer_auth("secret");
        for most in 0..3 {
            let error = builder
                .clone()
                .follow_redirects(most)
                .connect()
                .unwrap_err();
            assert_eq!(error.response().unwrap().status(), 302);
        }
        exchange(&builder.follow_redirects(3).connect().unwrap());
    });
}

fn redirect(upgrade: wsync::Upgrade, end: u16) {
    let headers = upgrade.request().headers();
    assert_eq!(headers["authorization"], "Bearer secret");
    let n: u32 = upgrade.request().uri().path()[1..].parse().unwrap();
    let to = match n {
        1 => format!("http://127.0.0.1:{end}/"),
        n => (n - 1).to_string(),
    };
    let response = http::Response::builder().status(302).header("location", to);
    upgrade
        .respond(response.body("elsewhere").unwrap())
        .unwrap();
}
