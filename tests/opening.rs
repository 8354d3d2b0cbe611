//! Opening handshakes that go wrong, at either end.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, FIN, Peer, REQUEST, TEXT};
use common::{
    LATE, Scheme, Serving, Task, client_builder, once_within, patient, server_builder, spawn,
    watchdog,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{ClientBuilder, Config, Error, Server, Timeout, WebSocket};

const TIMEOUT: Duration = Duration::from_millis(300);

fn io_kind(error: &Error) -> Option<ErrorKind> {
    match error {
        Error::Io(e) => Some(e.kind()),
        _ => None,
    }
}

/// A server that does with its only client what it is told.
fn server<R: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> R + Send + 'static,
) -> (u16, Task<R>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, spawn(move || serve(listener.accept().unwrap().0)))
}

fn builder(scheme: Scheme, port: u16, open: Option<Duration>) -> ClientBuilder {
    let mut config = patient(Config::client());
    config.timeouts.open = open.or(config.timeouts.open);
    client_builder(scheme, port).config(config)
}

/// What a client makes of a response; the response is made from the request.
fn connect_to(
    respond: impl FnOnce(&mut Peer, String) + Send + 'static,
    choose: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<WebSocket, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = spawn(move || {
        let mut peer = Peer::accept(&listener, Scheme::Ws);
        let request = peer.read_head();
        respond(&mut peer, request);
        // Reads on until the client has left, so that no reset takes the response away.
        let mut rest = Vec::new();
        let _ = (&peer.tcp).read_to_end(&mut rest);
        rest
    });
    let result = choose(builder(Scheme::Ws, port, None)).connect();
    if result.is_err() {
        let rest = peer.within(LATE, "the server");
        assert_eq!(rest, b"", "nothing is sent after a handshake that failed");
    }
    result
}

fn respond_with(response: impl Into<Vec<u8>>) -> Error {
    let response = response.into();
    connect_to(move |peer, _| peer.bytes(&response), |builder| builder).expect_err("no WebSocket")
}

#[test]
fn a_server_that_is_silent_or_drips_is_given_up_at_the_open_timeout() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            for drips in [false, true] {
                once_within(TIMEOUT + Duration::from_millis(500), || {
                    let (port, task) = server(move |mut tcp| {
                        let head = b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ".iter();
                        // In TLS, a record of the handshake that goes on and on.
                        let hello = [22, 3, 3, 0x20, 0, 2, 0, 0x1f, 0xfc];
                        let bytes: Vec<u8> = match scheme {
                            Scheme::Ws => head.copied().chain([b'x'; 1000]).collect(),
                            Scheme::Wss => hello.into_iter().chain([0; 1000]).collect(),
                        };
                        for byte in bytes {
                            if drips && tcp.write_all(&[byte]).is_err() {
                                break;
                            }
                            thread::sleep(Duration::from_millis(10));
                            if !drips {
                                // The request, then the end that the client makes.
                                let _ = tcp.read_to_end(&mut Vec::new());
                                break;
                            }
                        }
                    });
                    let began = Instant::now();
                    let error = builder(scheme, port, Some(TIMEOUT)).connect().unwrap_err();
                    let took = began.elapsed();
                    assert!(matches!(error, Error::Timeout(Timeout::Open)), "{error}");
                    assert!(took >= TIMEOUT, "{took:?}");
                    task.within(LATE, "the server sees the end");
                    took
                });
            }
        }
    });
}

#[test]
fn a_server_that_ends_the_connection_before_its_response_is_whole_is_told_of() {
    watchdog(60, || {
        for sent in [
            "",
            "HTTP/1.1 101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgr",
        ] {
            let end = |peer: &mut Peer| {
                peer.bytes(sent.as_bytes());
                peer.end();
            };
            let error = connect_to(move |peer, _| end(peer), |builder| builder).unwrap_err();
            assert_eq!(error.kind(), "handshake.eof", "after {sent:?}");
            let (port, resetting) = server(move |mut tcp| {
                let _ = tcp.read(&mut [0; 4096]);
                tcp.write_all(sent.as_bytes()).unwrap();
                // The client reads it before the reset comes.
                thread::sleep(Duration::from_millis(50));
                socket2::SockRef::from(&tcp)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            });
            let error = builder(Scheme::Ws, port, None).connect().unwrap_err();
            assert_eq!(io_kind(&error), Some(ErrorKind::ConnectionReset), "{error}");
            resetting.within(LATE, "the server");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = builder(Scheme::Ws, port, None).connect().unwrap_err();
        assert_eq!(io_kind(&error), Some(ErrorKind::ConnectionRefused));
    });
}

#[test]
fn a_refusal_carries_the_status_and_the_body() {
    watchdog(60, || {
        let cases = [
            ("200 OK", "Content-Length: 5\r\n", "hello", "hello"),
            ("404 Not Found", "", "until the end", "until the end"),
            (
                "503 Service Unavailable",
                "Transfer-Encoding: chunked\r\nRetry-After: 7\r\n",
                "3\r\nbus\r\n1\r\ny\r\n0\r\n\r\n",
                "busy",
            ),
            ("401 Unauthorized", "Content-Length: 0\r\n", "", ""),
        ];
        for (status, headers, body, expected) in cases {
            let response = format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}");
            let until_the_end = headers.is_empty();
            let respond = move |peer: &mut Peer, _| {
                peer.bytes(response.as_bytes());
                if until_the_end {
                    peer.tcp.shutdown(std::net::Shutdown::Write).unwrap();
                }
            };
            let error = connect_to(respond, |builder| builder).unwrap_err();
            assert_eq!(error.kind(), "handshake.status");
            let response = error.response().unwrap();
            assert!(status.starts_with(response.status().as_str()));
            assert_eq!(response.body(), expected.as_bytes());
        }
    });
}

/// The right response, with something else in the place of something.
fn response_but(from: &'static str, to: &'static str) -> Result<WebSocket, Error> {
    let respond = move |peer: &mut Peer, request: String| {
        let response = String::from_utf8(peer::response_to(&request)).unwrap();
        assert!(response.contains(from));
        peer.bytes(response.replacen(from, to, 1).as_bytes());
    };
    connect_to(respond, |builder| builder.subprotocol("chat"))
}

#[test]
fn a_response_that_does_not_fit_is_refused_by_the_client() {
    watchdog(60, || {
        let cases = [
            ("Accept: ", "Accept: x", "handshake.accept"),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Protocol: other\r\n\r\n",
                "handshake.subprotocol",
            ),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                "handshake.extension",
            ),
            ("HTTP/1.1", "HTTP/1.0", "handshake.http_version"),
            ("Upgrade: websocket\r\n", "", "handshake.missing_header"),
            (
                "Upgrade: websocket",
                "Upgrade: h2c",
                "handshake.invalid_header",
            ),
        ];
        for (from, to, kind) in cases {
            let error = response_but(from, to).unwrap_err();
            assert_eq!(error.kind(), kind, "{to:?}: {error}");
        }
        let chosen = "\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
        let ws = response_but("\r\n\r\n", chosen).unwrap();
        assert_eq!(ws.subprotocol(), Some("chat"));
    });
}

#[test]
fn what_is_not_http_is_refused_by_the_client() {
    watchdog(60, || {
        let error = respond_with("SSH-2.0-OpenSSH_9.9\r\n");
        assert_eq!(error.kind(), "handshake.not_http");
        let head = |header: String| format!("HTTP/1.1 101 Ok\r\n{header}");
        let many = head("X-Header: y\r\n".repeat(5000));
        assert_eq!(respond_with(many).kind(), "handshake.too_many_headers");
        let large = head(format!("X-Header: {}\r\n", "y".repeat(5000)).repeat(4));
        assert_eq!(respond_with(large).kind(), "handshake.head_too_large");
        let long = head(format!("X-Header: {}", "y".repeat(15_000)));
        assert_eq!(respond_with(long).kind(), "handshake.line_too_long");
    });
}

#[test]
fn frames_right_behind_the_response_are_received() {
    watchdog(60, || {
        let respond = |peer: &mut Peer, request: String| {
            let mut bytes = peer::response_to(&request);
            (0..100).for_each(|_| bytes.extend(peer::frame(FIN | TEXT, false, b"early")));
            peer.bytes(&bytes);
        };
        let ws = connect_to(respond, |builder| builder).unwrap();
        for _ in 0..100 {
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("early"));
        }
    });
}

/// Sends a request, and reads all that comes back.
fn ask(port: u16, request: &str) -> String {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.set_read_timeout(Some(LATE)).unwrap();
    tcp.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    tcp.read_to_end(&mut response).unwrap();
    String::from_utf8(response).unwrap()
}

#[test]
fn a_server_refuses_with_the_status_that_fits() {
    watchdog(60, || {
        let serving = Serving::echo(Server::builder());
        let but = |from: &str, to: &str| {
            assert!(REQUEST.contains(from));
            REQUEST.replacen(from, to, 1)
        };
        let long = |length: usize| format!("X: {}\r\n\r\n", "x".repeat(length));
        let many = "X: y\r\n".repeat(101) + "\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let cases = [
            (but("Host: localhost\r\n", ""), "400 ", ""),
            (but(key, ""), "400 ", ""),
            (but(key, "Sec-WebSocket-Key: short\r\n"), "400 ", ""),
            (but("GET / ", "nonsense"), "400 ", ""),
            (but("GET", "POST"), "405 ", "allow: GET"),
            (
                but("GET /", &format!("GET /{}", "x".repeat(10_000))),
                "414 ",
                "",
            ),
            (
                "GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(),
                "426 ",
                "upgrade: websocket",
            ),
            (
                but("Version: 13", "Version: 8"),
                "426 ",
                "sec-websocket-version: 13",
            ),
            (
                but("\r\n\r\n", &format!("\r\n{}", long(10_000))),
                "431 ",
                "",
            ),
            (but("\r\n\r\n", &format!("\r\n{many}")), "431 ", ""),
            (but("HTTP/1.1", "HTTP/1.0"), "505 ", ""),
        ];
        for (request, status, header) in cases {
            let response = ask(serving.port, &request);
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            let shown = &request[..request.len().min(60)];
            let expected = format!("HTTP/1.1 {status}");
            assert!(head.starts_with(&expected), "{head} for {shown}");
            assert!(
                head.to_lowercase().contains(&header.to_lowercase()),
                "{head}"
            );
            assert!(head.to_lowercase().contains("connection: "), "{head}");
            assert!(!body.is_empty(), "a text for people");
        }
        let ws = client_builder(Scheme::Ws, serving.port).connect().unwrap();
        ws.send("still serving").unwrap();
        assert_eq!(ws.recv().unwrap().as_text(), Some("still serving"));
    });
}

fn hurried(scheme: Scheme) -> Serving {
    let mut config = patient(Config::server());
    config.timeouts.open = Some(TIMEOUT);
    Serving::echo(server_builder(scheme).config(config))
}

/// Sends nothing, or a part of a request byte by byte, and reads the head of the response.
fn ask_slowly(port: u16, scheme: Scheme, drips: bool) -> std::io::Result<String> {
    let began = Instant::now();
    let mut peer = Peer::try_connect(port, scheme)?;
    for byte in REQUEST.as_bytes()[..30].chunks(1) {
        if drips && began.elapsed() < TIMEOUT - Duration::from_millis(100) {
            peer.try_bytes(byte)?;
            thread::sleep(Duration::from_millis(20));
        }
    }
    peer.try_read_head()
}

#[test]
fn a_client_that_is_silent_or_drips_gets_408_at_the_open_timeout() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = hurried(scheme);
            for drips in [false, true] {
                once_within(TIMEOUT + Duration::from_millis(700), || {
                    let began = Instant::now();
                    // On a loaded machine TLS alone may take too long.
                    let head = ask_slowly(serving.port, scheme, drips).unwrap_or_default();
                    if !head.starts_with("HTTP/1.1 408 ") {
                        return Duration::MAX;
                    }
                    began.elapsed()
                });
            }
        }
    });
}

#[test]
fn clients_that_are_slow_at_the_handshake_hold_up_no_other() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = Serving::echo(server_builder(scheme));
            let silent: Vec<_> = (0..20)
                .map(|_| TcpStream::connect(("127.0.0.1", serving.port)).unwrap())
                .collect();
            once_within(Duration::from_millis(500), || {
                let began = Instant::now();
                let ws = client_builder(scheme, serving.port).connect().unwrap();
                ws.send("quick").unwrap();
                assert_eq!(ws.recv().unwrap().as_text(), Some("quick"));
                began.elapsed()
            });
            drop(silent);
        }
    });
}

#[test]
fn a_client_that_leaves_within_the_handshake_harms_nobody() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let serving = Serving::echo(server_builder(scheme));
            for length in [0, 1, 20, REQUEST.len() - 1, REQUEST.len()] {
                for reset in [false, true] {
                    let mut peer = Peer::connect(serving.port, scheme);
                    peer.bytes(&REQUEST.as_bytes()[..length]);
                    if reset {
                        peer.reset();
                    } else {
                        peer.end();
                    }
                }
            }
            let ws = client_builder(scheme, serving.port).connect().unwrap();
            ws.send("still serving").unwrap();
            assert_eq!(ws.recv().unwrap().as_text(), Some("still serving"));
        }
    });
}

#[cfg(any(feature = "native-tls", feature = "rustls"))]
mod tls {
    use super::*;

    #[test]
    fn a_tls_client_that_is_silent_or_speaks_http_is_let_go_at_the_open_timeout() {
        watchdog(60, || {
            let serving = hurried(Scheme::Wss);
            once_within(TIMEOUT + Duration::from_millis(500), || {
                let began = Instant::now();
                let mut silent = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
                silent.set_read_timeout(Some(LATE)).unwrap();
                let _ = silent.read_to_end(&mut Vec::new());
                began.elapsed()
            });
            let mut plain = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
            plain.set_read_timeout(Some(LATE)).unwrap();
            plain.write_all(REQUEST.as_bytes()).unwrap();
            let mut answer = Vec::new();
            let _ = plain.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
            let ws = client_builder(Scheme::Wss, serving.port).connect().unwrap();
            ws.send("still serving").unwrap();
            assert_eq!(ws.recv().unwrap().as_text(), Some("still serving"));
        });
    }

    #[test]
    fn a_tls_server_that_sends_garbage_is_an_error_of_tls() {
        watchdog(60, || {
            let (port, serving) = server(|mut tcp| {
                tcp.write_all(b"220 this is not TLS\r\n").unwrap();
                let _ = tcp.read_to_end(&mut Vec::new());
            });
            let error = builder(Scheme::Wss, port, None).connect().unwrap_err();
            assert!(matches!(error, Error::Tls(_)), "{error}");
            serving.within(LATE, "the server");
        });
    }

    #[test]
    fn a_server_that_leaves_within_the_tls_handshake_is_an_error_of_tls() {
        watchdog(60, || {
            let (port, serving) = server(|mut tcp| {
                let _ = tcp.read(&mut [0; 4096]);
                tcp.shutdown(std::net::Shutdown::Both).unwrap();
            });
            let error = builder(Scheme::Wss, port, None).connect().unwrap_err();
            assert!(matches!(error, Error::Tls(_)), "{error}");
            serving.within(LATE, "the server");
        });
    }

    #[test]
    fn tls_garbage_on_an_open_connection_ends_it_after_what_came_before() {
        watchdog(60, || {
            for ours in peer::Ours::BOTH {
                let (ws, mut peer) = peer::open(ours, Scheme::Wss, patient(ours.config()));
                peer.text("before");
                common::eventually("a message", || ws.len() == 1);
                (&peer.tcp).write_all(&[0x55; 100]).unwrap();
                assert_eq!(ws.recv().unwrap().as_text(), Some("before"));
                let error = ws.recv().unwrap_err().0;
                assert!(matches!(error, Error::Tls(_)), "{error}");
                assert!(ws.send("x").is_err() && ws.close().is_err());
            }
        });
    }

    #[test]
    fn a_certificate_of_an_unknown_root_is_refused() {
        watchdog(60, || {
            let serving = Serving::echo(server_builder(Scheme::Wss));
            let uri = format!("wss://127.0.0.1:{}/", serving.port);
            let builder = ClientBuilder::new(uri).tls(common::system_tls());
            let error = builder.connect().unwrap_err();
            assert!(matches!(error, Error::Tls(_)), "{error}");
        });
    }
}
