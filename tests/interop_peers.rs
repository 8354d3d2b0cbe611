//! Python's `websockets` and Node's `ws` as peers: each as client and as server, over ws and wss, with
//! compression and without.
//!
//! `tests/interop/setup.sh` installs them into `target/interop`; `peer.py` and `peer.mjs` beside it
//! say what they do. Every wait is bounded, and a process that is left over is killed.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "interop/process.rs"]
mod process;

use process::{ANSWER, Peer, certs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use wsync::{ClientBuilder, Closed, Compression, Config, Initiator, Message, Server, WebSocket};

const MIB: usize = 1 << 20;
/// A whole run of a peer's checks; it gives up by itself after 150 s.
const RUN: Duration = Duration::from_secs(170);

/// How the two sides are connected.
#[derive(Clone, Copy)]
struct Link {
    tls: bool,
    compression: bool,
}

const PLAIN: Link = Link {
    tls: false,
    compression: false,
};
#[cfg(any(feature = "native-tls", feature = "rustls"))]
const TLS: Link = Link { tls: true, ..PLAIN };
#[cfg(feature = "deflate")]
const COMPRESSED: Link = Link {
    compression: true,
    ..PLAIN
};
#[cfg(all(any(feature = "native-tls", feature = "rustls"), feature = "deflate"))]
const COMPRESSED_TLS: Link = Link {
    tls: true,
    compression: true,
};

macro_rules! peers {
    ($($peer:ident: $program:literal, $windows:literal;)*) => {$(
        mod $peer {
            peers! { tests $program, $windows;
                as_client, as_server: PLAIN, all();
                as_client_over_tls, as_server_over_tls: TLS, any(feature = "native-tls", feature = "rustls");
                as_client_compressed, as_server_compressed: COMPRESSED, feature = "deflate";
                as_client_compressed_over_tls, as_server_compressed_over_tls: COMPRESSED_TLS,
                    all(any(feature = "native-tls", feature = "rustls"), feature = "deflate");
            }
        }
    )*};
    (tests $program:literal, $windows:literal;
     $($client:ident, $server:ident: $link:ident, $built:meta;)*) => {$(
        #[cfg($built)]
        #[test]
        #[ignore = "needs Python and Node: .ci/run installs them"]
        fn $client() {
            super::peer_is_client($program, super::$link);
        }

        #[cfg($built)]
        #[test]
        #[ignore = "needs Python and Node: .ci/run installs them"]
        fn $server() {
            super::peer_is_server($program, super::$link, $windows);
        }
    )*};
}

// Each with the window bits that its server agrees to by default.
peers! {
    python: "peer-py", 12;
    node: "peer-node", 15;
}

/// The peer runs its checks against an echo server of ours.
fn peer_is_client(program: &str, Link { tls, compression }: Link) {
    let mut config = settings();
    config.compression = compression.then(Compression::server);
    let mut builder = Server::builder().config(config);
    if tls {
        builder = builder.tls(common::server_tls());
    }
    let server = builder.bind("127.0.0.1:0").unwrap();
    let (ended, ends) = mpsc::channel();
    let serving = server.clone();
    let serving = thread::spawn(move || serving.serve(move |ws| ended.send(echo(&ws)).unwrap()));

    let scheme = if tls { "wss" } else { "ws" };
    let url = format!("{scheme}://127.0.0.1:{}/", server.local_addr().port());
    let mut arguments = vec!["client".to_owned(), url];
    if tls {
        arguments.extend([
            "--ca".to_owned(),
            certs().join("ca.pem").display().to_string(),
        ]);
    }
    if compression {
        arguments.push("--compression".to_owned());
    }
    let mut peer = Peer::start(program, &arguments);
    if compression {
        assert_eq!(peer.line(), "agreed 12 12 0 0");
    }
    let status = peer.wait(RUN);
    let last = peer.lines.iter().last();
    assert!(status.success(), "{status}: {last:?}");
    assert_eq!(last.as_deref(), Some("ok 20"));

    let closed = ends.recv_timeout(ANSWER).unwrap().unwrap();
    assert!(closed.is_normal(), "{closed}");
    assert_eq!(closed.initiator, Some(Initiator::Remote));
    assert_eq!(
        closed.received.unwrap().to_string(),
        "1000 (normal closure) done"
    );
    server.shutdown().unwrap();
    serving.join().unwrap().unwrap();
}

fn echo(ws: &WebSocket) -> Result<Closed, wsync::Error> {
    for message in ws {
        ws.send(message?)?;
    }
    Ok(ws.closed().unwrap_or_default())
}

/// A client of ours runs checks against the peer's echo server.
fn peer_is_server(program: &str, Link { tls, compression }: Link, windows: u8) {
    let mut arguments = vec!["serve".to_owned()];
    if tls {
        for (option, file) in [("--cert", "server.pem"), ("--key", "server.key")] {
            arguments.extend([option.to_owned(), certs().join(file).display().to_string()]);
        }
    }
    if compression {
        arguments.push("--compression".to_owned());
    }
    let mut peer = Peer::start(program, &arguments);
    let port = peer.port();
    let scheme = if tls { "wss" } else { "ws" };
    let mut builder = ClientBuilder::new(format!("{scheme}://127.0.0.1:{port}/"));
    if tls {
        builder = builder.tls(common::client_tls());
    }

    for fragment_size in [Some(FRAGMENT), None] {
        let mut config = settings();
        config.fragment_size = fragment_size;
        config.compression = compression.then(Compression::client);
        let ws = builder.clone().config(config).connect().unwrap();
        let agreed = ws.compression().map(|agreed| agreed.server_max_window_bits);
        assert_eq!(agreed, compression.then_some(windows));
        if compression {
            assert_eq!(peer.line(), format!("agreed {windows} {windows} 0 0"));
        }
        check_echoes(&ws);
    }
    peer.stop();
}

const FRAGMENT: usize = 10_000;

fn check_echoes(ws: &WebSocket) {
    for text in ["Hello, world!", "Grüße, 世界, καλημέρα, 👋🏽", ""] {
        check_echo(ws, Message::from(text));
    }
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, MIB, 16 * MIB] {
        let payload: Vec<u8> = (0..=250).cycle().take(size).collect();
        check_echo(ws, Message::from(payload));
    }
    // Fragments end within characters.
    check_echo(ws, Message::from("👋🏽 Grüße ".repeat(FRAGMENT)));

    for payload in [b"".as_slice(), b"payload", &[0x7f; 125]] {
        ws.ping(payload).unwrap();
    }
    check_echo(ws, Message::from("behind the pings"));

    let burst: Vec<_> = (0..1000).map(|n| Message::from(n.to_string())).collect();
    ws.send_all(burst.clone()).unwrap();
    for message in burst {
        assert_eq!(ws.recv_timeout(ANSWER).unwrap(), message);
    }
    assert!(ws.is_empty());

    let closed = ws.close_with(1000, "done").unwrap();
    assert!(closed.is_normal(), "{closed}");
    assert_eq!(closed.initiator, Some(Initiator::Local));
    assert_eq!(
        closed.sent.unwrap().to_string(),
        "1000 (normal closure) done"
    );
    assert_eq!(u16::from(closed.received.unwrap().code), 1000);
    assert_eq!((closed.unsent, closed.dropped), (0, 0));
}

fn check_echo(ws: &WebSocket, message: Message) {
    ws.send(message.clone()).unwrap();
    // Compared with `==`: a failure must not print 16 MiB.
    assert!(ws.recv_timeout(ANSWER).unwrap() == message, "{message:?}");
}

fn settings() -> Config {
    let mut config = Config::client();
    config.limits.message = 16 * MIB;
    config
}
