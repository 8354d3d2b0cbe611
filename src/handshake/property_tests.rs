//! Whatever comes, in whatever cuts: no panic, and the same result as from one piece.

use super::*;
use crate::uri::Target;
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
            Ok(Some((request, rest))) => {
                let rest = [&rest[..], &pieces[i + 1..].concat()].concat();
                return format!("{request:?} {rest:?}");
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

proptest! {
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
