//! Connections whose opening handshake was somebody else's.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LATE, Scheme, client_builder, spawn, watchdog};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use wsync::{Accept, Config, Error, Misuse, Negotiated, Role, WebSocket};

/// Reads a request as a small HTTP server would: line by line, with a buffer that may read too far.
fn read_request(stream: &TcpStream) -> (http::Request<()>, Vec<u8>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split(' ');
    let mut request = http::Request::builder()
        .method(words.next().unwrap())
        .uri(words.next().unwrap());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => request = request.header(name, value),
            None => return (request.body(()).unwrap(), reader.buffer().to_vec()),
        }
    }
}

fn write_response(mut stream: &TcpStream, response: &http::Response<()>) {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
}

#[test]
fn a_server_of_ones_own_hands_its_stream_over() {
    watchdog(60, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let (request, leftover) = read_request(&stream);
            let accept = Accept::new().subprotocol("chat").header("X-Room", "7");
            let (response, negotiated) = Negotiated::answer(&request, accept).unwrap();
            write_response(&stream, &response);
            let ws = WebSocket::from_parts(stream, Role::Server, leftover, negotiated).unwrap();
            assert_eq!(ws.request().uri().path(), "/");
            for message in &ws {
                ws.send(message.unwrap()).unwrap();
            }
            ws.closed().unwrap()
        });
        let ws = client_builder(Scheme::Ws, port)
            .subprotocol("chat")
            .connect()
            .unwrap();
        assert_eq!(
            (ws.subprotocol(), &ws.response().headers()["x-room"]),
            (Some("chat"), &"7".parse().unwrap())
        );
        ws.send("through another server").unwrap();
        assert_eq!(
            ws.recv_timeout(LATE).unwrap().as_text(),
            Some("through another server")
        );
        ws.close().unwrap();
        assert!(serving.within(LATE, "serving").is_normal());
    });
}

#[test]
fn what_was_read_behind_the_request_is_not_lost() {
    watchdog(60, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // A masked "hi", as if the client had not waited for the answer.
        let early = common::peer::frame(0x81, true, b"hi");
        client
            .write_all(&[common::peer::REQUEST.as_bytes(), &early].concat())
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        let (request, leftover) = read_request(&stream);
        assert_eq!(leftover, early);
        let answer = Negotiated::answer(&request, Accept::new());
        let (response, mut negotiated) = answer.unwrap();
        // The client says no more.
        negotiated.config.timeouts.close = Some(Duration::from_millis(100));
        write_response(&stream, &response);
        let ws = WebSocket::from_parts(stream, Role::Server, leftover, negotiated).unwrap();
        assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("hi"));
        drop(ws);
        client.read_to_end(&mut Vec::new()).unwrap();
    });
}

#[test]
fn without_any_handshake_both_ends_agree_by_themselves() {
    watchdog(60, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        let open = |stream, role, config| {
            WebSocket::from_parts(stream, role, [], Negotiated::new(config)).unwrap()
        };
        let client = open(stream, Role::Client, Config::client());
        let server = open(other, Role::Server, Config::server());
        client.send("to").unwrap();
        assert_eq!(server.recv_timeout(LATE).unwrap().as_text(), Some("to"));
        server.send("fro").unwrap();
        assert_eq!(client.recv_timeout(LATE).unwrap().as_text(), Some("fro"));
        assert!(client.close().unwrap().is_normal());
    });
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_agreed_on_if_the_server_wants_it() {
    use wsync::Compression;

    watchdog(60, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let (request, leftover) = read_request(&stream);
            let mut config = Config::server();
            config.compression = Some(Compression::server());
            let answer = Negotiated::answer(&request, Accept::new().config(config));
            let (response, negotiated) = answer.unwrap();
            write_response(&stream, &response);
            let ws = WebSocket::from_parts(stream, Role::Server, leftover, negotiated).unwrap();
            assert!(ws.compression().is_some());
            ws.send(ws.recv().unwrap()).unwrap();
            drop(ws.recv());
        });
        let builder = client_builder(Scheme::Ws, port).compression(Compression::client());
        let ws = builder.connect().unwrap();
        assert!(ws.compression().is_some());
        let long = "again and ".repeat(1000);
        ws.send(long.clone()).unwrap();
        assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some(&*long));
        ws.close().unwrap();
        serving.within(LATE, "serving");
    });
}

#[test]
fn a_request_that_is_none_and_terms_that_cannot_be_are_refused() {
    let request = |name: &str, value: &str| {
        let mut request = http::Request::builder().uri("/");
        for (header, right) in [
            ("host", "localhost"),
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            request = request.header(header, if header == name { value } else { right });
        }
        request.body(()).unwrap()
    };
    let answer = |request, accept| Negotiated::answer(&request, accept).map(drop);
    answer(request("", ""), Accept::new()).unwrap();
    for (name, value, status) in [
        ("upgrade", "h2c", 426),
        ("sec-websocket-version", "8", 426),
        ("sec-websocket-key", "short", 400),
        ("host", "", 400),
    ] {
        match answer(request(name, value), Accept::new()).unwrap_err() {
            Error::Handshake(error) => assert_eq!(error.status().unwrap(), status, "{name}"),
            error => panic!("{error}"),
        }
    }
    let not_offered = answer(request("", ""), Accept::new().subprotocol("chat"));
    assert!(matches!(not_offered, Err(Error::Misuse(Misuse::Response))));
    let broken = answer(request("", ""), Accept::new().header("Upgrade", "x"));
    assert!(matches!(broken, Err(Error::Misuse(Misuse::Header))));
}
