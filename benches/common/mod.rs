//! What the benchmarks share: ready frames, and a peer that costs next to nothing.

#![allow(dead_code, clippy::expect_used, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wsync::{Message, Sender, Server};

/// First bytes of unfragmented messages.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;

/// A masking key.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Appends a frame (RFC 6455 section 5.2); a client's has a key.
pub(crate) fn append_frame(out: &mut Vec<u8>, first: u8, key: Option<[u8; 4]>, payload: &[u8]) {
    let mask = if key.is_some() { 0x80 } else { 0 };
    out.push(first);
    match payload.len() {
        length @ ..126 => out.push(mask | length as u8),
        length @ ..0x1_0000 => {
            out.push(mask | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let Some(key) = key else {
        return out.extend_from_slice(payload);
    };
    out.extend_from_slice(&key);
    let masked = payload.iter().zip(key.iter().cycle());
    out.extend(masked.map(|(byte, key)| byte ^ key));
}

/// `count` frames of the same kind, one after the other.
pub(crate) fn frames(count: usize, first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    (0..count).for_each(|_| append_frame(&mut out, first, key, payload));
    out
}

/// A binary message in `count` fragments (section 5.4).
pub(crate) fn fragments(count: usize, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..count {
        let opcode = if n == 0 { 2 } else { 0 };
        let fin = if n + 1 == count { 0x80 } else { 0 };
        append_frame(&mut out, fin | opcode, key, payload);
    }
    out
}

/// Text like what programs send each other, so that compressing it is neither trivial nor in vain.
pub(crate) fn json(length: usize) -> String {
    let mut out = String::new();
    for n in 0.. {
        let (price, size) = (10_000 + n * 7919 % 977, 1 + n * 104_729 % 89);
        out += &format!("{{\"id\":{n},\"side\":\"buy\",\"price\":{price}.25,\"size\":{size}}},");
        if out.len() >= length {
            break;
        }
    }
    out.truncate(length);
    out
}

/// How an echo server takes its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Recv,
    Callback,
}

impl Mode {
    pub(crate) const ALL: [Mode; 2] = [Mode::Recv, Mode::Callback];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Recv => "recv",
            Mode::Callback => "callback",
        }
    }
}

/// An echo server on a port of its own.
pub(crate) struct Echo {
    server: Server,
    serving: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(mode: Mode) -> Self {
        let server = Server::bind("127.0.0.1:0").expect("a port");
        let serving = server.clone();
        let serving = thread::spawn(move || {
            let result = serving.serve_upgrades(move |upgrade| {
                let upgrade = upgrade.expect("a request of ours");
                let upgrade = match mode {
                    Mode::Recv => upgrade,
                    Mode::Callback => upgrade.on_message(|sender: &Sender, message: Message| {
                        let _ = sender.send(message);
                    }),
                };
                let ws = upgrade.accept().expect("an open connection");
                // With a callback, the first is the end.
                while let Ok(message) = ws.recv() {
                    let _ = ws.send(message);
                }
            });
            result.expect("the server goes on");
        });
        Echo {
            server,
            serving: Some(serving),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.server.shutdown();
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// The opening handshake of a client whose key nobody checks (section 4.1).
pub(crate) fn open(stream: &mut (impl Read + Write)) {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a request");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a response");
        head.extend_from_slice(&byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "switches protocols");
}

/// A client that writes ready frames and counts the bytes that come back.
pub(crate) struct Peer {
    stream: TcpStream,
    frames: Vec<u8>,
    answer: Vec<u8>,
}

impl Peer {
    /// One that has `window` binary messages of `size` bytes on the way at a time.
    pub(crate) fn new(address: SocketAddr, size: usize, window: usize) -> Self {
        let mut stream = TcpStream::connect(address).expect("a connection");
        // An echo that never comes must not hang the run.
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("a socket option");
        stream.set_nodelay(true).expect("a socket option");
        open(&mut stream);
        let payload = vec![b'x'; size];
        Peer {
            stream,
            frames: frames(window, BINARY, Some(KEY), &payload),
            answer: frames(window, BINARY, None, &payload),
        }
    }

    /// Sends its messages and waits for their echoes.
    pub(crate) fn round(&mut self) {
        self.stream.write_all(&self.frames).expect("a write");
        self.stream.read_exact(&mut self.answer).expect("an echo");
    }
}
