//! The examples of embedding: WebSockets within other HTTP servers.

#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code)]
#[path = "../examples/tiny_http.rs"]
mod tiny_http_example;

use common::peer::{self, FIN, TEXT};
use common::{LATE, pattern, spawn, watchdog};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use tiny_http_example::{own, pages, sort};

fn alone() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || own::serve(&listener, own::answer));
    address
}

fn beside_tiny_http() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let inner = pages().unwrap();
    spawn(move || own::serve(&listener, move |stream| sort(stream, inner)));
    address
}

/// All that is answered to this, said in these pieces.
fn ask(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const PAGE: &[u8] = b"GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn pages_and_websockets_come_from_one_port() {
    watchdog(60, || {
        for (address, page) in [(alone(), "a page"), (beside_tiny_http(), "GET /a ")] {
            let pieces: Vec<_> = PAGE.chunks(20).collect();
            for answer in [ask(address, &[PAGE]), ask(address, &pieces)] {
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                assert!(answer.ends_with(&format!("\r\n\r\n{page}")), "{answer}");
            }
            let ws = wsync::connect(&format!("ws://{address}/")).unwrap();
            let sender = ws.sender().clone();
            let sending =
                spawn(move || (0..20).for_each(|n| sender.send(pattern(n, 500_000)).unwrap()));
            for n in 0..20 {
                assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == pattern(n, 500_000));
            }
            sending.within(LATE, "sending");
            assert!(ws.close().unwrap().is_normal());
        }
    });
}

#[test]
fn a_frame_right_behind_the_request_is_not_lost() {
    watchdog(60, || {
        for address in [alone(), beside_tiny_http()] {
            let mut stream = TcpStream::connect(address).unwrap();
            let early = peer::frame(FIN | TEXT, true, b"early");
            stream
                .write_all(&[peer::REQUEST.as_bytes(), &early].concat())
                .unwrap();
            let echo = peer::frame(FIN | TEXT, false, b"early");
            let mut came = Vec::new();
            while !came.ends_with(&echo) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                came.push(byte[0]);
            }
            assert!(came.starts_with(b"HTTP/1.1 101 "));
        }
    });
}

#[test]
fn bodies_pass_through_to_the_other_server() {
    watchdog(60, || {
        let head = b"POST /up HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello ";
        let answer = ask(beside_tiny_http(), &[head, b"world"]);
        assert!(answer.ends_with("POST /up hello world"), "{answer}");
    });
}

#[test]
fn what_is_no_head_or_no_good_request_harms_no_other() {
    watchdog(60, || {
        for address in [alone(), beside_tiny_http()] {
            for bytes in [&[b'a'; 20_000][..], b"\0\0\0\0", b"GET / HTTP/1.1\r\nHost"] {
                let mut stream = TcpStream::connect(address).unwrap();
                // It may have been refused already.
                let _ = stream.write_all(bytes);
                let _ = stream.shutdown(Shutdown::Write);
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
                assert!(answer.is_empty());
            }
            let old = peer::REQUEST.replace("Version: 13", "Version: 8");
            assert!(ask(address, &[old.as_bytes()]).starts_with("HTTP/1.1 400 "));
            let ws = wsync::connect(&format!("ws://{address}/")).unwrap();
            ws.send("still here").unwrap();
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("still here"));
            assert!(ws.close().unwrap().is_normal());
        }
    });
}
