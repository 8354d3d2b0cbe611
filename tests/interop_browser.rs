//! A page in a headless Chromium as the client of our server, with permessage-deflate.
//!
//! `tests/interop/browser.html` says what it checks. Every wait is bounded, and the browser is killed
//! with all its processes.

#![cfg(all(feature = "deflate", unix))]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "interop/page.rs"]
mod page;
#[path = "interop/relay.rs"]
mod relay;

use common::{LATE, Scheme, server_builder, spawn};
use relay::Relay;
use std::ops::Range;
use wsync::{Closed, Compression, OriginPolicy, WebSocket};

/// What the page sends: texts and binary messages one at a time, then 200 at once.
const ECHOES: u32 = 316;

#[test]
#[ignore = "needs a Chromium: .ci/run installs it"]
fn context_is_kept() {
    for scheme in Scheme::all() {
        let extensions = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12";
        let mut check = Check::new("kept", Compression::server(), extensions, 40..85);
        check.scheme = *scheme;
        check.run();
    }
}

#[test]
#[ignore = "needs a Chromium: .ci/run installs it"]
fn context_is_given_up() {
    let mut compression = windows(15);
    compression.server_no_context_takeover = true;
    compression.client_no_context_takeover = true;
    let extensions = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    Check::new("given-up", compression, extensions, 62..90).run();
}

#[test]
#[ignore = "needs a Chromium: .ci/run installs it"]
fn windows_of_8_bits_are_kept() {
    let extensions = "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8";
    Check::new("8-bits", windows(8), extensions, 500..750).run();
}

#[test]
#[ignore = "needs a Chromium: .ci/run installs it"]
fn windows_of_9_bits_are_kept() {
    let extensions = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9";
    Check::new("9-bits", windows(9), extensions, 500..750).run();
}

#[test]
#[ignore = "needs a Chromium: .ci/run installs it"]
fn windows_of_15_bits_are_kept() {
    Check::new("15-bits", windows(15), "permessage-deflate", 40..60).run();
}

fn windows(bits: u8) -> Compression {
    let mut compression = Compression::server();
    compression.server_max_window_bits = bits;
    compression.client_max_window_bits = bits;
    compression
}

struct Check {
    name: &'static str,
    scheme: Scheme,
    compression: Compression,
    /// The property of the page's WebSocket.
    extensions: &'static str,
    /// How much of the messages goes over the wire, either way, per mille.
    wire: Range<u64>,
}

impl Check {
    fn new(
        name: &'static str,
        compression: Compression,
        extensions: &'static str,
        wire: Range<u64>,
    ) -> Self {
        Check {
            name,
            scheme: Scheme::Ws,
            compression,
            extensions,
            wire,
        }
    }

    fn run(self) {
        // The page is none of the server's.
        let builder = server_builder(self.scheme)
            .compression(self.compression)
            .origins(OriginPolicy::Any);
        let server = builder.bind("127.0.0.1:0").unwrap();
        let relay = Relay::to(server.local_addr().port());
        let mut incoming = server.incoming().unwrap();
        let echo = spawn(move || echo(&incoming.next().unwrap().accept().unwrap()));

        let url = format!("{}://127.0.0.1:{}/", self.scheme.name(), relay.port);
        let outcome = page::outcome(&url, self.name);
        assert_eq!(outcome, format!("ok {ECHOES}\n{}", self.extensions));

        let (closed, bytes) = echo.within(LATE, "the end of the connection");
        assert!(closed.is_normal(), "{closed}");
        let received = closed.received.unwrap().to_string();
        assert_eq!(received, "1000 (normal closure) done");
        let (from_page, to_page) = relay.counts();
        for (count, way) in [(from_page, "from the page"), (to_page, "to the page")] {
            let share = 1000 * count / bytes;
            assert!(self.wire.contains(&share), "{share} per mille {way}");
        }
        server.shutdown().unwrap();
    }
}

/// How the connection ended, and the bytes of the messages that came.
fn echo(ws: &WebSocket) -> (Closed, u64) {
    assert!(ws.compression().is_some());
    let mut bytes = 0;
    for message in ws {
        let message = message.unwrap();
        bytes += message.len() as u64;
        ws.send(message).unwrap();
    }
    (ws.closed().unwrap(), bytes)
}
