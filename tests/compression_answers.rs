//! Offers and answers of peers that do not keep to the rules of compression, or just so.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::offers::{answered, asked, compression, line, params, windows};
use common::peer::{self, FIN, Peer, REQUEST, TEXT};
use common::{LATE, Scheme, client_builder, patient, spawn, watchdog};
use std::net::TcpListener;
use wsync::{Compression, Config, Server, WebSocket};

/// The value of the header in a head.
fn extensions_in(head: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Extensions"));
    found.map(|(_, value)| value.to_owned())
}

/// With each value of the header the handshake fails, and the connection ends without another byte.
fn assert_refused(offered: Option<Compression>, values: &[&str]) {
    for value in values {
        let (connected, peer) = answered(offered, &line(value));
        let error = connected.expect_err(value);
        assert_eq!(error.kind(), "handshake.extension", "{value}");
        assert!(error.is_peer());
        let rest = peer.within(LATE, "the server").read_to_end();
        assert_eq!(rest, b"", "{value}");
    }
}

#[test]
fn a_client_refuses_an_answer_that_it_did_not_offer() {
    watchdog(60, || {
        assert_refused(None, &["permessage-deflate", "x"]);
        let two_lines = "permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate";
        let wrong = [
            "x",
            "permessage-deflate, permessage-deflate",
            two_lines,
            "permessage-deflate, x; y=z",
            "permessage-deflate; x",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_max_window_bits=\"9",
            "permessage-deflate;",
            "\u{e9}",
        ];
        assert_refused(Some(Compression::client()), &wrong);
        let above = [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=11",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=11",
        ];
        assert_refused(Some(windows(10, 10)), &above);
        let takeover = [
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover",
        ];
        let no_takeover = compression(|c| c.server_no_context_takeover = true);
        assert_refused(Some(no_takeover), &takeover);
    });
}

#[test]
fn a_client_takes_what_its_offer_allows() {
    watchdog(60, || {
        let client = Compression::client();
        let hints = compression(|c| {
            c.client_max_window_bits = 10;
            c.client_no_context_takeover = true;
        });
        for (offered, lines, expected) in [
            (client, String::new(), None),
            (client, line(""), None),
            (
                client,
                line("permessage-deflate"),
                Some((15, 15, false, false)),
            ),
            (
                client,
                line(
                    "permessage-deflate;server_max_window_bits=\"8\" ; client_no_context_takeover",
                ),
                Some((8, 15, false, true)),
            ),
            (
                client,
                line("") + &line("permessage-deflate; client_max_window_bits=8"),
                Some((15, 8, false, false)),
            ),
            (
                hints,
                line("permessage-deflate"),
                Some((15, 10, false, true)),
            ),
            (hints, String::new(), None),
        ] {
            let (ws, peer) = answered(Some(offered), &lines);
            let ws = ws.unwrap();
            assert_eq!(ws.compression().map(params), expected, "{lines}");
            let mut peer = peer.within(LATE, "the server");
            peer.text("not compressed");
            assert_eq!(ws.recv().unwrap().as_text(), Some("not compressed"));
        }
    });
}

#[test]
fn a_compressed_message_right_behind_the_response_is_inflated() {
    watchdog(60, || {
        // RFC 7692 section 7.2.3.1: a response whose last line ends the head, then frames.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = spawn(move || {
            let mut peer = Peer::accept(&listener, Scheme::Ws);
            let request = peer.read_head();
            let mut bytes = peer::response_to(&request);
            bytes.truncate(bytes.len() - 2);
            bytes.extend(line("permessage-deflate").into_bytes());
            bytes.extend(b"\r\n\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
            peer.bytes(&bytes);
            peer
        });
        let builder = client_builder(Scheme::Ws, port).config(patient(Config::client()));
        let ws = builder
            .compression(Compression::client())
            .connect()
            .unwrap();
        assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("Hello"));
        peer.within(LATE, "the server");
    });
}

#[test]
fn a_server_answers_the_offer_it_can_keep() {
    watchdog(60, || {
        let ours = Compression::server();
        let bounded = "permessage-deflate; server_max_window_bits=12";
        for (offer, expected) in [
            (String::new(), None),
            (line("x"), None),
            (line("permessage-deflate; x"), None),
            (line("permessage-deflate; server_max_window_bits=7"), None),
            (line("permessage-deflate"), Some(bounded.to_owned())),
            (
                line("permessage-deflate; client_max_window_bits=015, permessage-deflate"),
                Some(bounded.to_owned()),
            ),
            (
                line("x; y=\"z\", permessage-deflate; x") + &line("permessage-deflate"),
                Some(bounded.to_owned()),
            ),
            (
                line(
                    "permessage-deflate; client_max_window_bits=\"9\"; server_no_context_takeover",
                ),
                Some(
                    "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; \
                     client_max_window_bits=9"
                        .to_owned(),
                ),
            ),
        ] {
            for compression in [Some(ours), None] {
                let (accepted, mut peer) = asked(compression, &offer);
                let head = peer.read_head();
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                let expected = expected.clone().filter(|_| compression.is_some());
                assert_eq!(extensions_in(&head), expected, "{offer}");
                let ws = accepted.within(LATE, "accepting").unwrap();
                assert_eq!(ws.compression().is_some(), expected.is_some());
                peer.text("not compressed");
                assert_eq!(ws.recv().unwrap().as_text(), Some("not compressed"));
            }
        }
    });
}

#[test]
fn a_malformed_offer_is_400_with_and_without_compression() {
    watchdog(60, || {
        for offer in [
            "permessage-deflate;",
            "x; y=\"z",
            "a b",
            "\u{e9}",
            "x; y=\"a,b\"",
        ] {
            for compression in [Some(Compression::server()), None] {
                let mut builder = Server::builder();
                if let Some(compression) = compression {
                    builder = builder.compression(compression);
                }
                let serving = common::Serving::echo(builder);
                let mut peer = Peer::connect(serving.port, Scheme::Ws);
                let request = REQUEST.replace("\r\n\r\n", &format!("\r\n{}\r\n", line(offer)));
                peer.bytes(request.as_bytes());
                let answer = String::from_utf8(peer.read_to_end()).unwrap();
                assert!(answer.starts_with("HTTP/1.1 400 "), "{offer}: {answer}");
                assert!(answer.contains("Sec-WebSocket-Extensions"), "{answer}");
            }
        }
    });
}

#[test]
fn a_compressed_frame_without_an_agreement_is_1002() {
    watchdog(60, || {
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        let refused = |ws: WebSocket, mut peer: Peer| {
            peer.frame(FIN | 0x40 | TEXT, hello);
            let error = ws.recv().unwrap_err().0;
            assert_eq!(error.kind(), "protocol.reserved_bits");
            assert_eq!(peer.read_close(), Some(1002));
        };
        for compression in [None, Some(Compression::client())] {
            let (ws, peer) = answered(compression, "");
            refused(ws.unwrap(), peer.within(LATE, "the server"));
            for offer in ["permessage-deflate; x", "x"] {
                let (accepted, mut peer) = asked(compression, &line(offer));
                peer.read_head();
                refused(accepted.within(LATE, "accepting").unwrap(), peer);
            }
        }
        let (accepted, mut peer) = asked(None, &line("permessage-deflate"));
        peer.read_head();
        refused(accepted.within(LATE, "accepting").unwrap(), peer);
        // With one it is a message.
        let (accepted, mut peer) = asked(Some(Compression::server()), &line("permessage-deflate"));
        peer.read_head();
        let ws = accepted.within(LATE, "accepting").unwrap();
        peer.frame(FIN | 0x40 | TEXT, hello);
        assert_eq!(ws.recv().unwrap().as_text(), Some("Hello"));
    });
}
