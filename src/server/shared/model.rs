//! Models of a server that stops while clients come (`.ci/models`).
//!
//! Clients are at the other end of sockets in memory, which the model accepts as `accept_all` does. The
//! socket that listens is a real one, and only closed.

use crate::close::CloseCode;
use crate::connection::model::wire::{Frame, Peer, Wire};
use crate::connection::model::{check, config};
use crate::error::Error;
use crate::net::Transport;
use crate::server::accepting::{admit, welcome};
use crate::server::shared::Accepting;
use crate::server::{Server, Upgrade};
use shuttle::thread::{self, JoinHandle};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::time::Duration;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// What a client was answered.
#[derive(Debug)]
enum Answer {
    /// Its connection was not accepted.
    Nothing,
    /// With 503.
    Refused,
    /// And then these frames came.
    Welcome(Vec<Frame>),
}

/// Says what it says, reads to the end, and answers Close.
fn client(wire: &Arc<Wire>, request: &'static [u8]) -> JoinHandle<Answer> {
    let wire = Arc::clone(wire);
    thread::spawn(move || {
        wire.send(request);
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                break bytes.drain(..at + 4).collect::<Vec<u8>>();
            }
            match wire.take() {
                Some(more) => bytes.extend(more),
                None => {
                    assert!(bytes.is_empty(), "half an answer");
                    wire.end();
                    return Answer::Nothing;
                }
            }
        };
        if head.starts_with(b"HTTP/1.1 101") {
            return Answer::Welcome(Peer::with(&wire, bytes).finish());
        }
        assert!(head.starts_with(b"HTTP/1.1 503"));
        while wire.take().is_some() {}
        wire.end();
        Answer::Refused
    })
}

fn serve(upgrade: Result<Upgrade, Error>) {
    if let Ok(ws) = upgrade.and_then(Upgrade::accept) {
        while ws.recv().is_ok() {}
    }
}

/// Accepts clients until the server stops; the others find nobody.
fn accept(server: &Server, wires: Vec<Arc<Wire>>) -> JoinHandle<()> {
    let shared = Arc::clone(&server.shared);
    thread::spawn(move || {
        let (handler, address) = (Arc::new(serve), Some(IpAddr::from([127, 0, 0, 1])));
        let accepting = Accepting::begin(&shared);
        for wire in wires {
            match accepting.as_ref().and_then(|_| admit(&shared)) {
                None => wire.shutdown(Shutdown::Both).unwrap(),
                Some(leave) => welcome(&shared, (wire, address), None, leave, &handler),
            }
        }
    })
}

fn stop_beside(direct_read: bool, requests: &[&'static [u8]]) {
    let mut config = config();
    config.direct_read = direct_read;
    let server = Server::builder().config(config).bind("127.0.0.1:0");
    let server = server.unwrap();
    let wires: Vec<_> = requests.iter().map(|_| Wire::new(1000)).collect();
    let clients = wires.iter().zip(requests);
    let clients: Vec<_> = clients.map(|(wire, said)| client(wire, said)).collect();
    let accepting = accept(&server, wires);
    server.shutdown().unwrap();
    assert!(server.shared.lock().opening.is_empty());
    accepting.join().unwrap();
    let state = server.shared.lock();
    assert_eq!((state.threads, state.stopping), (0, 0));
    assert!(state.opening.is_empty());
    drop(state);
    for (client, said) in clients.into_iter().zip(requests) {
        match client.join().unwrap() {
            Answer::Nothing | Answer::Refused => {}
            Answer::Welcome(frames) => {
                assert!(!said.is_empty());
                let code = u16::from(CloseCode::GOING_AWAY).to_be_bytes();
                assert!(frames.len() == 1 && frames[0].is_close(), "{frames:?}");
                assert_eq!(frames[0].1, code);
            }
        }
    }
}

#[test]
fn a_server_that_stops_leaves_no_client_behind() {
    for direct_read in [false, true] {
        check(move || stop_beside(direct_read, &[REQUEST]));
        check(move || stop_beside(direct_read, &[REQUEST, REQUEST]));
    }
}

#[test]
fn a_server_that_stops_waits_for_no_client_that_says_nothing() {
    check(|| stop_beside(false, &[b""]));
    check(|| stop_beside(true, &[REQUEST, b"GET"]));
}

#[test]
fn two_threads_may_stop_a_server() {
    check(|| {
        let server = Server::builder().config(config()).bind("127.0.0.1:0");
        let server = server.unwrap();
        let wire = Wire::new(1000);
        let client = client(&wire, REQUEST);
        let accepting = accept(&server, vec![wire]);
        let other = server.clone();
        let other = thread::spawn(move || other.shutdown().unwrap());
        server.shutdown().unwrap();
        other.join().unwrap();
        accepting.join().unwrap();
        client.join().unwrap();
        assert_eq!(server.shared.lock().threads, 0);
    });
}

#[test]
fn a_server_that_stops_within_a_time_counts_those_whom_it_tells() {
    check(|| {
        let server = Server::builder().config(config()).bind("127.0.0.1:0");
        let server = server.unwrap();
        let wires: Vec<_> = (0..2).map(|_| Wire::new(1000)).collect();
        let clients: Vec<_> = wires.iter().map(|wire| client(wire, REQUEST)).collect();
        let accepting = accept(&server, wires);
        let report = server.shutdown_within(Duration::from_secs(3600));
        accepting.join().unwrap();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        let welcome = answers.filter(|answer| matches!(answer, Answer::Welcome(_)));
        assert_eq!(report.told, welcome.count());
        assert_eq!(report.told, report.ended + report.cut_off);
        assert_eq!(report.busy, 0);
    });
}

#[test]
fn what_a_server_counts_never_gets_less_while_connections_end() {
    check(|| {
        let server = Server::builder().config(config()).bind("127.0.0.1:0");
        let server = server.unwrap();
        let wires = [Wire::new(1000), Wire::new(1000)];
        let clients = wires.each_ref().map(|wire| client(wire, REQUEST));
        let accepting = accept(&server, wires.into());
        let looking = server.clone();
        let looking = thread::spawn(move || {
            let (mut opened, mut came) = (0, 0);
            for _ in 0..3 {
                let stats = looking.stats();
                assert!(stats.open <= stats.opened && stats.opened >= opened);
                assert!(stats.total.wire_received >= came);
                (opened, came) = (stats.opened, stats.total.wire_received);
            }
        });
        server.shutdown().unwrap();
        for thread in [accepting, looking] {
            thread.join().unwrap();
        }
        let answers = clients.map(|client| client.join().unwrap());
        let welcome = |answer: &&Answer| matches!(answer, Answer::Welcome(_));
        let opened = answers.iter().filter(welcome).count() as u64;
        let stats = server.stats();
        assert_eq!((stats.opened, stats.open, stats.opening), (opened, 0, 0));
        // Each has answered Close, in a frame with a mask and a code.
        assert_eq!(stats.total.wire_received, 8 * opened);
    });
}
