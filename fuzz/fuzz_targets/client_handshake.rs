//! Heads and bodies of responses, in any cuts: the same as from one piece, and never more than the
//! limits.

#![no_main]

use http::{Response, Version};
use libfuzzer_sys::fuzz_target;
use wsync::internals::opening::{Answer, Connecting};
use wsync::{Compression, HandshakeError};
use wsync_fuzz::{Cuts, Input, KEY};

const LIMITS: [usize; 6] = [16 << 10, 16 << 10, 16 << 10, 300, 100, 20];
const MAX_BODY: usize = 1 << 20;

/// What a client says to some bytes.
#[derive(Debug, PartialEq)]
enum Said {
    Opened(Head, Answer, Vec<u8>),
    Failed(&'static str, Option<(Head, Vec<u8>)>),
}

/// A response without its body.
#[derive(Debug, PartialEq)]
struct Head(http::StatusCode, Version, http::HeaderMap);

impl Head {
    fn new<T>(response: &Response<T>) -> Self {
        let headers = response.headers().clone();
        Head(response.status(), response.version(), headers)
    }
}

fn failed(error: &HandshakeError) -> Said {
    let response = error.response().map(|response| {
        assert!(response.body().len() <= MAX_BODY);
        (Head::new(response), response.body().clone())
    });
    Said::Failed(error.kind(), response)
}

fn connect<'a>(mut client: Connecting, pieces: impl IntoIterator<Item = &'a [u8]>) -> Said {
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        match client.receive(piece) {
            Ok(None) => {}
            Ok(Some(mut opening)) => {
                assert_ended(&mut client);
                pieces.for_each(|piece| opening.rest.extend_from_slice(piece));
                let head = Head::new(&opening.response);
                return Said::Opened(head, opening.answer, opening.rest);
            }
            Err(error) => {
                assert_ended(&mut client);
                return failed(&error);
            }
        }
    }
    failed(&client.end())
}

/// The result is given once.
fn assert_ended(client: &mut Connecting) {
    assert!(client.refused_so_far().is_none());
    assert!(matches!(client.receive(b"x"), Err(HandshakeError::Eof)));
}

/// A client that still waits for the end of a head has no more than the limit of it.
fn check_limit(mut client: Connecting, limit: usize, bytes: &[u8]) {
    if !matches!(client.receive(bytes), Ok(None)) || client.refused_so_far().is_some() {
        return;
    }
    let end = bytes.windows(4).rposition(|four| four == b"\r\n\r\n");
    let begun = bytes.len() - end.map_or(0, |end| end + 4);
    assert!(begun <= limit, "{begun} bytes of a head within {limit}");
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let limit = input.pick(&LIMITS);
    let cuts = Cuts::from(&mut input);
    let flags = input.byte();
    let offered: &[&str] = if flags & 1 == 0 { &[] } else { &["a", "chat"] };
    let ours = (flags & 2 != 0).then(Compression::client);
    let client = || Connecting::new(KEY, limit, offered, ours);
    let bytes = input.rest();
    let whole = connect(client(), [bytes]);
    if let Said::Opened(Head(status, version, _), answer, _) = &whole {
        assert_eq!((status.as_u16(), *version), (101, Version::HTTP_11));
        let chosen = answer.subprotocol.as_deref();
        assert!(chosen.is_none_or(|chosen| offered.contains(&chosen)));
        assert!(answer.deflate.is_none() || ours.is_some());
    }
    assert_eq!(connect(client(), cuts.of(bytes)), whole);
    check_limit(client(), limit, bytes);
});
