//! The sides of the opening handshake, fed in pieces.

use crate::Input;
use http::Request;
use wsync::Compression;
use wsync::internals::opening::{Answer, Connecting, Serving, refusal};

/// What a server says to some bytes.
#[derive(Debug)]
pub enum Served {
    Incomplete,
    Request(Box<Request<()>>, Vec<u8>),
    /// Which error, and how it is answered.
    Refused(&'static str, Option<Vec<u8>>),
}

impl PartialEq for Served {
    fn eq(&self, other: &Served) -> bool {
        match (self, other) {
            (Served::Incomplete, Served::Incomplete) => true,
            (Served::Request(one, rest), Served::Request(two, other)) => {
                rest == other && same_request(one, two)
            }
            (Served::Refused(one, answer), Served::Refused(two, other)) => {
                (one, answer) == (two, other)
            }
            _ => false,
        }
    }
}

fn same_request(one: &Request<()>, two: &Request<()>) -> bool {
    (one.method(), one.uri(), one.version()) == (two.method(), two.uri(), two.version())
        && one.headers() == two.headers()
}

/// Feeds a server. What comes after the request's end is its rest.
pub fn serve<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Served {
    let mut serving = Serving::new(limit);
    let mut pieces = pieces.into_iter();
    let mut came = 0;
    while let Some(piece) = pieces.next() {
        came += piece.len();
        match serving.receive(piece) {
            // An empty line may come before the request.
            Ok(None) => assert!(came <= limit + 2, "{came} bytes of a head within {limit}"),
            Ok(Some((request, mut rest))) => {
                assert!(came - rest.len() <= limit + 2);
                pieces.for_each(|piece| rest.extend_from_slice(piece));
                return Served::Request(request, rest);
            }
            Err(error) => {
                let answer = refusal(&error);
                assert!(answer.as_ref().is_some_and(|bytes| is_answer(bytes)));
                return Served::Refused(error.kind(), answer);
            }
        }
    }
    Served::Incomplete
}

fn is_answer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.1 4") || bytes.starts_with(b"HTTP/1.1 505")
}

/// What a client agrees to when a server answers so.
pub fn judged(response: &[u8], key: &str, offered: &[&str], ours: Option<Compression>) -> Answer {
    let mut client = Connecting::new(key, 1 << 16, offered, ours);
    let opening = client
        .receive(response)
        .expect("an answer to what was asked");
    let opening = opening.expect("all of it");
    assert_eq!(opening.rest, b"");
    opening.answer
}

/// Windows and takeover.
pub fn compression(input: &mut Input<'_>) -> Compression {
    let (windows, takeover) = (input.byte(), input.byte());
    let mut compression = Compression::server();
    compression.server_max_window_bits = 8 + windows % 8;
    compression.client_max_window_bits = 8 + windows / 8 % 8;
    compression.server_no_context_takeover = takeover & 1 != 0;
    compression.client_no_context_takeover = takeover & 2 != 0;
    compression
}
