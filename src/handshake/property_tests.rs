//! Whatever comes, in whatever cuts: no panic, and the same result as from one piece.

use super::extensions::{agree, check_request, judge_response, offer};
use super::*;
use crate::compression::{Compression, DeflateParams};
use crate::uri::Target;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use proptest::prelude::*;

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\nrest";
const OPENING: &str = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nrest";
const CHUNKED: &str = "HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n\
    3\r\nabc\r\n1f;x=y\r\n0123456789012345678901234567890\r\n0\r\nX: y\r\n\r\n";
const LENGTH: &str = "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 403 x\r\nContent-Length: 5\r\n\r\nhello";

/// One of the transcripts with a few bytes replaced.
fn damaged(transcripts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(&b"\r\n \t:;,=0/\0"[..]), any::<u8>()];
    let damage = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..4);
    (prop::sample::select(transcripts), damage).prop_map(|(transcript, damage)| {
        let mut bytes = transcript.as_bytes().to_vec();
        for (index, byte) in damage {
            *index.get_mut(&mut bytes) = byte;
        }
        bytes
    })
}

fn serve(pieces: &[&[u8]]) -> String {
    let mut handshake = ServerHandshake::new(16 << 10);
    for (i, piece) in pieces.iter().enumerate() {
        match handshake.receive(piece) {
            Ok(None) => {}
            Ok(Some(received)) => {
                let rest = [&received.rest[..], &pieces[i + 1..].concat()].concat();
                return format!("{:?} {rest:?}", received.request);
            }
            Err(e) => return e.kind().to_owned(),
        }
    }
    "incomplete".to_owned()
}

fn connect(pieces: &[&[u8]]) -> String {
    let target = Target::parse("ws://h/chat").unwrap();
    let options = RequestOptions::new(16 << 10);
    let mut handshake =
        ClientHandshake::with_key(&target, &options, "dGhlIHNhbXBsZSBub25jZQ==").unwrap();
    for (i, piece) in pieces.iter().enumerate() {
        match handshake.receive(piece) {
            Ok(None) => {}
            Ok(Some(opened)) => {
                let rest = [&opened.rest[..], &pieces[i + 1..].concat()].concat();
                return format!("{:?} {rest:?}", opened.response);
            }
            Err(e) => return format!("{} {:?}", e.kind(), e.response()),
        }
    }
    let error = handshake.receive_eof();
    format!("{} {:?}", error.kind(), error.response())
}

/// Lines of the header: anything, or what comes close to offers.
fn extension_lines() -> impl Strategy<Value = HeaderMap> {
    let piece = prop::sample::select(
        &[
            ";server_max_window_bits=8",
            ";server_max_window_bits=15",
            ";client_max_window_bits",
            ";client_max_window_bits=\"12\"",
            ";client_max_window_bits=16",
            ";server_no_context_takeover",
            ";client_no_context_takeover",
            ",permessage-deflate",
            ",x",
            ";",
            "=",
            "\"",
            "\\",
            " \t",
            "\u{e9}",
        ][..],
    );
    let pieces = prop::collection::vec(piece, 0..6)
        .prop_map(|pieces| format!("permessage-deflate{}", pieces.concat()).into_bytes());
    let line = prop_oneof![4 => pieces, 1 => prop::collection::vec(any::<u8>(), 0..20)];
    prop::collection::vec(line, 1..3).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                headers.append(SEC_WEBSOCKET_EXTENSIONS, value);
            }
        }
        headers
    })
}

fn compression() -> impl Strategy<Value = Compression> {
    (8..=15u8, 8..=15u8, any::<(bool, bool)>()).prop_map(|(server, client, no_takeover)| {
        Compression {
            server_max_window_bits: server,
            client_max_window_bits: client,
            server_no_context_takeover: no_takeover.0,
            client_no_context_takeover: no_takeover.1,
            ..Compression::server()
        }
    })
}

fn extension_header(value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, value)])
}

proptest! {
    #[test]
    fn any_offer_is_answered_by_its_rules(headers in extension_lines(), ours in compression()) {
        let well_formed = check_request(&headers).is_ok();
        let Some((agreed, answer)) = agree(&headers, &ours) else {
            return Ok(());
        };
        prop_assert!(well_formed);
        prop_assert!(agreed.server_max_window_bits <= ours.server_max_window_bits);
        prop_assert!((8..=15).contains(&agreed.client_max_window_bits));
        prop_assert!(agreed.server_no_context_takeover >= ours.server_no_context_takeover);
        prop_assert!(agreed.client_no_context_takeover >= ours.client_no_context_takeover);
        // One that offered as little as can be takes the answer as it was meant.
        let judged = judge_response(&extension_header(answer), Some(&Compression::client()));
        prop_assert_eq!(judged.unwrap(), Some(agreed));
    }

    #[test]
    fn any_answer_is_within_the_offer_or_refused(
        headers in extension_lines(),
        offered in prop::option::of(compression()),
    ) {
        let well_formed = check_request(&headers).is_ok();
        match judge_response(&headers, offered.as_ref()) {
            Err(error) => prop_assert_eq!(error.kind(), "handshake.extension"),
            Ok(None) => prop_assert!(well_formed),
            Ok(Some(agreed)) => {
                prop_assert!(well_formed);
                let offered = offered.unwrap();
                prop_assert!(agreed.server_max_window_bits <= offered.server_max_window_bits);
                prop_assert!(agreed.client_max_window_bits <= offered.client_max_window_bits);
                prop_assert!(
                    agreed.server_no_context_takeover >= offered.server_no_context_takeover
                );
                prop_assert!(
                    agreed.client_no_context_takeover >= offered.client_no_context_takeover
                );
            }
        }
    }

    #[test]
    fn two_of_ours_always_agree_on_the_same(client in compression(), server in compression()) {
        let offered = extension_header(offer(&client));
        prop_assert!(check_request(&offered).is_ok());
        let (agreed, answer) = agree(&offered, &server).unwrap();
        prop_assert_eq!(
            agreed,
            DeflateParams {
                server_max_window_bits: client
                    .server_max_window_bits
                    .min(server.server_max_window_bits),
                client_max_window_bits: client
                    .client_max_window_bits
                    .min(server.client_max_window_bits),
                server_no_context_takeover: client.server_no_context_takeover
                    || server.server_no_context_takeover,
                client_no_context_takeover: client.client_no_context_takeover
                    || server.client_no_context_takeover,
            }
        );
        let judged = judge_response(&extension_header(answer), Some(&client));
        prop_assert_eq!(judged.unwrap(), Some(agreed));
    }

    #[test]
    fn requests_mean_the_same_in_any_cuts(bytes in damaged(&[REQUEST]), size in 1usize..20) {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(serve(&pieces), serve(&[&bytes]));
    }

    #[test]
    fn responses_mean_the_same_in_any_cuts(
        bytes in damaged(&[OPENING, CHUNKED, LENGTH]),
        size in 1usize..20,
    ) {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(connect(&pieces), connect(&[&bytes]));
    }

    #[test]
    fn any_address_is_parsed_or_refused(address in "(ws|WSS)?(://)?[ -~\u{e9}\r\n]{0,20}") {
        if let Ok(target) = Target::parse(&address) {
            let options = RequestOptions::new(16 << 10);
            let request = ClientHandshake::new(&target, &options).unwrap().request_bytes();
            let mut server = ServerHandshake::new(16 << 10);
            prop_assert!(server.receive(&request).unwrap().is_some());
        }
    }
}
