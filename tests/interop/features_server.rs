//! Python as the server.

use super::common::{LATE, client_tls, eventually, patient, watchdog};
use super::process::Peer;
use super::python;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wsync::{
    ClientBuilder, Config, Error, PersistentEvent, ReconnectPolicy, RecvTimeoutError, Timeout,
    WebSocket, WhileDown,
};

fn client(url: &str) -> ClientBuilder {
    let config = patient(Config::client());
    ClientBuilder::new(url).config(config).tls(client_tls())
}

fn python_server(more: &[&str]) -> (Peer, u16) {
    let peer = python(&[&["serve"], more].concat());
    let port = peer.port();
    (peer, port)
}

fn check_echo(ws: &WebSocket) {
    ws.send("hello").unwrap();
    assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("hello"));
}

/// The headers of a refusal with this status.
fn refusal(result: Result<WebSocket, Error>, status: u16) -> http::HeaderMap {
    let error = result.unwrap_err();
    let response = error.response().unwrap_or_else(|| panic!("{error}"));
    assert_eq!(response.status(), status);
    response.headers().clone()
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_server_asks_for_credentials() {
    watchdog(120, || {
        let (mut peer, port) = python_server(&["--auth", "Jürgen", "p:ss@wörd"]);
        let plain = format!("ws://127.0.0.1:{port}/");
        let with = |user: &str| format!("ws://{user}@127.0.0.1:{port}/");
        for right in [
            client(&plain).basic_auth("Jürgen", "p:ss@wörd"),
            client(&with("J%C3%BCrgen:p%3Ass%40w%C3%B6rd")),
        ] {
            check_echo(&right.connect().unwrap());
        }
        for wrong in [
            client(&plain).basic_auth("Jürgen", "password"),
            client(&with("J%C3%BCrgen:password")),
            client(&plain).bearer_auth("token"),
            client(&plain),
        ] {
            let headers = refusal(wrong.connect(), 401);
            let challenge = headers["WWW-Authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Basic realm=\"peer\""), "{challenge}");
        }
        peer.stop();
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn redirects_of_a_python_server_are_followed_when_asked_for() {
    watchdog(120, || {
        let (mut peer, port) = python_server(&[]);
        let (mut other, elsewhere) = python_server(&[]);
        let to = |path: &str| client(&format!("ws://127.0.0.1:{port}/{path}"));
        let authorization = |builder: ClientBuilder| {
            let ws = builder.basic_auth("user", "pass").connect().unwrap();
            let message = ws.recv_timeout(LATE).unwrap();
            message.as_text().unwrap().to_owned()
        };
        for status in [301, 302, 303, 307, 308] {
            let builder = to(&format!("{status}/there?q=1"));
            let headers = refusal(builder.connect(), status);
            assert_eq!(headers["Location"], "/there?q=1");
            let ws = builder.follow_redirects(1).connect().unwrap();
            assert_eq!(ws.request().uri(), "/there?q=1");
            check_echo(&ws);
            let same = to(&format!("{status}/authorization")).follow_redirects(1);
            assert_eq!(authorization(same), "Basic dXNlcjpwYXNz");
            let another = format!("{status}?http://127.0.0.1:{elsewhere}/authorization");
            assert_eq!(authorization(to(&another).follow_redirects(1)), "none");
        }
        let chain = to("301/302/303/307/308/");
        check_echo(&chain.clone().follow_redirects(5).connect().unwrap());
        refusal(chain.follow_redirects(4).connect(), 308);
        refusal(to("304/there").follow_redirects(5).connect(), 304);
        peer.stop();
        other.stop();
    });
}

fn quick() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(5);
    policy.base = policy.first;
    policy.most = Duration::from_millis(50);
    policy
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_server_that_is_busy_is_asked_again_when_it_said() {
    watchdog(120, || {
        let (mut peer, port) = python_server(&[]);
        let began = Instant::now();
        let busy = client(&format!("ws://127.0.0.1:{port}/busy"));
        let ws = busy.reconnect(quick()).next().unwrap().unwrap();
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        check_echo(&ws);
        drop(ws);
        peer.stop();
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_server_that_is_killed_again_and_again_gets_every_message() {
    const KILLS: u64 = 10;
    watchdog(240, || {
        let (mut server, port) = python_server(&["--note"]);
        let builder = client(&format!("ws://127.0.0.1:{port}/"));
        let builder = builder.persistent(quick());
        let client = builder.while_down(WhileDown::resend()).start().unwrap();
        let send = |numbers: Range<u64>| {
            numbers.for_each(|n| client.send(n.to_be_bytes().to_vec()).unwrap());
        };
        let mut got = Vec::new();
        let mut sent = 0;
        for killed in 0..=KILLS {
            // A connection of the server that was killed is over by then.
            while !matches!(
                client.recv_timeout(LATE).unwrap(),
                PersistentEvent::Connected { reconnects } if reconnects == killed
            ) {}
            send(sent..sent + 300);
            sent += 300;
            // There is room for those below, of which none is waited for.
            eventually("all confirmed", || client.unsent() == 0);
            if killed == KILLS {
                break;
            }
            send(sent..sent + 200);
            got.extend(server.killed());
            send(sent + 200..sent + 300);
            sent += 300;
            server = python_server(&["--note", "--port", &port.to_string()]).0;
        }
        assert_eq!(client.stop(), []);
        got.extend(server.killed());

        let number = |line: &String| line.strip_prefix("got ")?.parse().ok();
        let got: Vec<u64> = got.iter().map(|line| number(line).expect(line)).collect();
        let different: BTreeSet<_> = got.iter().copied().collect();
        assert_eq!(different.len() as u64, sent, "none is lost");
        assert_eq!(different.last(), Some(&(sent - 1)));
        // Each connection begins where the last was confirmed, and goes on without a gap.
        assert!(got.windows(2).all(|pair| pair[1] <= pair[0] + 1));
        println!("{sent} messages, {} came again", got.len() as u64 - sent);
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_server_that_answers_no_pings_is_given_up() {
    watchdog(120, || {
        let (mut peer, port) = python_server(&[]);
        let connect = |path: &str| {
            let mut config = patient(Config::client());
            config.keepalive.interval = Some(Duration::from_millis(200));
            config.keepalive.timeout = Some(Duration::from_secs(3));
            let builder = client(&format!("ws://127.0.0.1:{port}/{path}"));
            builder.config(config).connect().unwrap()
        };
        let (answering, deaf) = (connect(""), connect("deaf"));
        let began = Instant::now();
        // Its queue is full then, and it reads no further.
        deaf.send_all((0..100).map(|n| n.to_string())).unwrap();
        let ended = deaf.recv_timeout(LATE).unwrap_err();
        let took = began.elapsed();
        assert!(
            matches!(
                ended,
                RecvTimeoutError::Closed(Error::Timeout(Timeout::Ping))
            ),
            "{ended}"
        );
        assert!(took >= Duration::from_secs(3), "{took:?}");
        check_echo(&answering);
        assert!(answering.latency().is_some());
        drop(answering);
        peer.stop();
    });
}

fn socket_path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wsync {name} {}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_server_is_reached_over_a_unix_socket() {
    watchdog(120, || {
        let path = socket_path("plain");
        let text = path.to_str().unwrap();
        let (mut peer, _) = python_server(&["--unix", text, "--auth", "user", "pass"]);
        let url = format!("ws+unix:{}", text.replace(' ', "%20"));
        refusal(client(&url).connect(), 401);
        let url = format!("{url}:/authorization?q=1");
        let ws = client(&url).basic_auth("user", "pass").connect().unwrap();
        assert_eq!(ws.request().uri(), "/authorization?q=1");
        check_echo(&ws);
        assert!(ws.close().unwrap().is_normal());
        peer.stop();
        let _ = std::fs::remove_file(path);
    });
}

#[cfg(feature = "native-tls")]
#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn a_python_server_is_reached_over_tls_over_a_unix_socket() {
    watchdog(120, || {
        let path = socket_path("tls");
        let certs = super::certs();
        let files = ["server.pem", "server.key"].map(|file| certs.join(file));
        let [cert, key] = files.each_ref().map(|file| file.to_str().unwrap());
        let text = path.to_str().unwrap();
        let (mut peer, _) = python_server(&["--unix", text, "--cert", cert, "--key", key]);
        let connect = |host: &str| {
            let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            client(&format!("wss://{host}/")).connect_over(stream)
        };
        let ws = connect("localhost").unwrap();
        check_echo(&ws);
        assert!(ws.close().unwrap().is_normal());
        assert_eq!(connect("example.org").unwrap_err().kind(), "tls");
        peer.stop();
        let _ = std::fs::remove_file(path);
    });
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn localhost_is_found_at_whichever_of_its_addresses_a_python_server_listens() {
    watchdog(120, || {
        let both = [
            IpAddr::from(Ipv6Addr::LOCALHOST),
            Ipv4Addr::LOCALHOST.into(),
        ];
        for address in both {
            // A machine may have no IPv6.
            if TcpListener::bind((address, 0)).is_err() {
                continue;
            }
            let (mut peer, port) = python_server(&["--host", &address.to_string()]);
            let builder = client(&format!("ws://localhost:{port}/"));
            let found = move |_: &str, port| Ok(both.map(|ip| SocketAddr::new(ip, port)).into());
            let mut builders = vec![builder.clone().resolver(found)];
            // The machine's own names may have only one of them.
            let known = ("localhost", port).to_socket_addrs().unwrap();
            if known.map(|known| known.ip()).any(|ip| ip == address) {
                builders.push(builder);
            }
            for builder in builders {
                let ws = builder.connect().unwrap();
                assert_eq!(ws.peer_addr().unwrap().ip(), address);
                check_echo(&ws);
                assert!(ws.close().unwrap().is_normal());
            }
            peer.stop();
        }
    });
}
