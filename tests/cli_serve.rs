//! `wsync serve`: echo and broadcast, what it can be told, and how it stops.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod cli_process;
mod common;

use cli_process::{Folder, Wsync, client, command, connect, hear, run};
use common::{LATE, client_tls, eventually, patient};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use wsync::{CloseCode, Compression, Config, Error};

/// The status of an error that is a refusal.
fn refused_with(error: &Error) -> u16 {
    error.response().unwrap().status().as_u16()
}

#[test]
fn echo_sends_text_and_binary_back() {
    for mode in [&[][..], &["echo"]] {
        let (_server, url) = Wsync::serve(mode);
        let ws = connect(&url);
        ws.send("héllo").unwrap();
        ws.send(vec![0, 255]).unwrap();
        assert_eq!(hear(&ws), "héllo");
        assert_eq!(ws.recv().unwrap().as_bytes(), [0, 255]);
        assert!(ws.close().unwrap().is_normal());
    }
}

#[test]
fn broadcast_sends_each_message_to_all_others() {
    let (server, url) = Wsync::serve(&["broadcast"]);
    let clients = [connect(&url), connect(&url), connect(&url)];
    // Whoever hears of another is a member itself.
    for _ in &clients {
        server.tells("opens");
    }
    eventually("all are members", || {
        clients[0].send("first").unwrap();
        let heard = clients[1..]
            .iter()
            .map(|ws| ws.recv_timeout(Duration::from_millis(50)));
        heard.filter(Result::is_ok).count() == 2
    });
    clients[1].send(vec![7]).unwrap();
    assert_eq!(clients[0].recv().unwrap().as_bytes(), [7]);
    clients[1].send("last").unwrap();
    let next = |ws: &wsync::WebSocket| {
        ws.iter()
            .map(Result::unwrap)
            .find(|m| m.as_text() != Some("first"))
    };
    assert_eq!(next(&clients[2]).unwrap().as_bytes(), [7]);
    assert_eq!(hear(&clients[0]), "last");
    for ws in &clients {
        ws.close().unwrap();
        server.tells("closed after");
    }
}

#[test]
fn a_client_that_reads_too_slowly_misses_messages_or_is_closed() {
    for (mode, part) in [("skip", "messages missed"), ("close", "1013")] {
        let (server, url) = Wsync::serve(&["broadcast", "--slow", mode, "--outbox", "100000"]);
        let mut config = patient(Config::client());
        config.queue.messages = 1;
        let slow = client(&url).config(config).connect().unwrap();
        let (quick, sender) = (connect(&url), connect(&url));
        eventually("both are members", || {
            sender.send("first").unwrap();
            let heard = [&slow, &quick].map(|ws| ws.recv_timeout(Duration::from_millis(50)));
            heard.iter().all(Result::is_ok)
        });
        // More than the buffers between the two hold.
        for _ in 0..300 {
            sender.send(vec![1; 100_000]).unwrap();
            while !quick.recv_timeout(LATE).unwrap().is_binary() {}
        }
        drop(slow);
        let line = server.tells("closed after");
        assert!(line.contains(part), "{mode}: {line}");
    }
}

#[test]
fn a_line_on_standard_error_tells_of_each_connection() {
    let (server, url) = Wsync::serve(&[]);
    let ws = connect(&format!("{url}room?key=1"));
    assert!(
        server
            .tells("#1")
            .contains("opens /room?key=1 from 127.0.0.1:")
    );
    ws.send("one").unwrap();
    hear(&ws);
    ws.close_with(4000, "done\u{1b}[31m").unwrap();
    let line = server.tells("#1");
    assert!(line.contains("1 in, 1 out: client sent 4000"), "{line}");
    assert!(line.contains(r"done\x1b[31m"), "{line}");
}

#[test]
fn quiet_tells_of_none() {
    let (server, url) = Wsync::serve(&["--quiet"]);
    connect(&url).close().unwrap();
    server.signal(rustix::process::Signal::TERM);
    let output = server.output();
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""));
}

#[test]
fn health_is_answered_where_it_is_asked_for() {
    for (option, path) in [("--health", "health"), ("--health=/up", "up")] {
        let (_server, url) = Wsync::serve(&[option]);
        let address = url.strip_prefix("ws://").unwrap().trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
            "{answer}"
        );
        assert!(connect(&url).close().unwrap().is_normal());
    }
}

#[test]
fn tls_is_spoken_with_the_certificate_that_is_given() {
    let certs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certs");
    let (cert, key) = (format!("{certs}/server.pem"), format!("{certs}/server.key"));
    let (_server, url) = Wsync::serve(&["--tls", &cert, &key]);
    assert!(url.starts_with("wss://"), "{url}");
    let ws = client(&url).tls(client_tls()).connect().unwrap();
    ws.send("secret").unwrap();
    assert_eq!(hear(&ws), "secret");
    ws.close().unwrap();
}

#[test]
fn a_unix_socket_is_an_address() {
    let folder = Folder::new("serve-unix");
    let path = folder.file("socket");
    let server = Wsync::start(&["serve", &format!("unix:{path}")]);
    let ws = connect(&server.url());
    assert!(server.tells("opens").ends_with("from a Unix socket"));
    ws.send("hello").unwrap();
    assert_eq!(hear(&ws), "hello");
    ws.close().unwrap();
}

#[test]
fn origins_are_those_of_the_host_unless_others_are_named() {
    for (options, lets_in) in [
        (&[][..], [false, false]),
        (&["--origin", "https://a.example"], [true, false]),
        (&["--any-origin"], [true, true]),
    ] {
        let (_server, url) = Wsync::serve(options);
        for (origin, let_in) in ["https://a.example", "https://b.example"]
            .iter()
            .zip(lets_in)
        {
            let result = client(&url).origin(origin).connect();
            assert_eq!(result.is_ok(), let_in, "{options:?} {origin}");
        }
        connect(&url).close().unwrap();
    }
}

#[test]
fn credentials_are_demanded() {
    let (server, url) = Wsync::serve(&["--user", "ada:lovelace:1"]);
    assert_eq!(refused_with(&client(&url).connect().unwrap_err()), 401);
    server.tells("no credentials, or wrong ones");
    let wrong = client(&url).basic_auth("ada", "lovelace").connect();
    assert_eq!(refused_with(&wrong.unwrap_err()), 401);
    let ws = client(&url)
        .basic_auth("ada", "lovelace:1")
        .connect()
        .unwrap();
    ws.close().unwrap();
}

#[test]
fn a_password_may_come_from_the_environment() {
    let mut command = command(&["serve", "127.0.0.1:0", "--user", "ada"]);
    let server = Wsync::spawn(command.env("WSYNC_PASSWORD", "love:lace"));
    let asking = client(&server.url()).basic_auth("ada", "love:lace");
    assert!(asking.connect().unwrap().close().unwrap().is_normal());
}

#[test]
fn subprotocols_and_compression_are_agreed_on_when_asked_for() {
    let (_server, url) = Wsync::serve(&["-s", "b", "-s", "a", "--compress"]);
    let asking = client(&url).subprotocol("a").subprotocol("b");
    let ws = asking.compression(Compression::client()).connect().unwrap();
    assert_eq!(ws.subprotocol(), Some("b"));
    assert!(ws.compression().is_some());
    ws.send("x".repeat(10_000)).unwrap();
    assert_eq!(hear(&ws).len(), 10_000);
    ws.close().unwrap();
}

#[test]
fn bounds_hold() {
    let (server, url) = Wsync::serve(&["--max-connections", "1", "--max-message", "10"]);
    let ws = connect(&url);
    assert_eq!(refused_with(&client(&url).connect().unwrap_err()), 503);
    server.tells("refused");
    ws.send("0123456789").unwrap();
    assert_eq!(hear(&ws), "0123456789");
    ws.send("0123456789a").unwrap();
    assert!(ws.recv().is_err());
    let closed = ws.closed().unwrap();
    assert_eq!(closed.received.unwrap().code, CloseCode::TOO_BIG);
}

#[test]
fn pings_are_sent_as_often_as_asked_for() {
    let (_server, url) = Wsync::serve(&["--ping-interval", "0.05"]);
    let ws = connect(&url);
    eventually("three pings", || {
        let _ = ws.recv_timeout(Duration::from_millis(10));
        ws.stats().pings_received >= 3
    });
}

#[test]
fn what_cannot_be_is_told_with_its_status() {
    let (_server, url) = Wsync::serve(&[]);
    let taken = url.strip_prefix("ws://").unwrap().trim_end_matches('/');
    for (arguments, status, part) in [
        (&["serve", taken][..], 1, "cannot listen on 127.0.0.1:"),
        (
            &["serve", "unix:/no/such/folder/socket"],
            1,
            "cannot listen",
        ),
        (
            &["serve", "0", "--tls", "/no/cert", "/no/key"],
            2,
            "/no/cert: ",
        ),
        (&["serve", "0", "--origin", "example"], 2, "origin"),
        (&["serve", "0", "--ping-interval", "-1"], 2, ""),
        (
            &["serve", "0", "--user", "ada"],
            2,
            "a user without a password",
        ),
        (
            &["serve", "0", "exec", "no-such-program"],
            2,
            "no-such-program",
        ),
    ] {
        let output = run(arguments);
        assert_eq!(
            output.status,
            Some(status),
            "{arguments:?}: {}",
            output.stderr
        );
        assert!(
            output.stderr.contains(part),
            "{arguments:?}: {}",
            output.stderr
        );
    }
}

mod stopping {
    use super::*;
    use rustix::process::Signal;

    #[test]
    fn a_signal_closes_all_connections_with_1001() {
        for (signal, mode) in [(Signal::TERM, "echo"), (Signal::INT, "broadcast")] {
            let (mut server, url) = Wsync::serve(&[mode]);
            let clients = [connect(&url), connect(&url)];
            server.signal(signal);
            for ws in clients {
                assert_eq!(ws.iter().count(), 0);
                let closed = ws.closed().unwrap();
                assert_eq!(closed.received.unwrap().code, CloseCode::GOING_AWAY);
            }
            assert_eq!(server.status(), Some(0));
        }
    }

    /// A client that never answers the Close frame.
    fn stuck_client(url: &str) -> TcpStream {
        let address = url.strip_prefix("ws://").unwrap().trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        stream
    }

    #[test]
    fn a_client_that_does_not_answer_is_cut_off() {
        let (mut server, url) = Wsync::serve(&[]);
        let _stuck = stuck_client(&url);
        server.signal(Signal::TERM);
        server.tells("stopped: 1 connections told, 1 cut off");
        assert_eq!(server.status(), Some(0));
    }

    #[test]
    fn a_second_signal_ends_it_at_once() {
        // Which would wait for long.
        let (mut server, url) = Wsync::serve(&["exec", "--grace", "100", "cat"]);
        let _stuck = stuck_client(&url);
        server.signal(Signal::INT);
        server.tells("stopping");
        server.signal(Signal::INT);
        assert_eq!(server.status(), Some(130));
    }
}
