//! Heads in any cuts, and what is refused before and after their end.

use super::HandshakeError;
use super::head::{HeadReader, Start, parse_request, parse_response};
use bytes::Bytes;
use http::Version;

const LIMIT: usize = 16 << 10;
const HEAD: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n";

type Received = Result<Option<(Vec<u8>, Vec<u8>)>, HandshakeError>;

fn receive(start: Start, limit: usize, pieces: &[&[u8]]) -> Received {
    let mut reader = HeadReader::new(start, limit);
    for (i, piece) in pieces.iter().enumerate() {
        if let Some((head, rest)) = reader.receive(piece)? {
            let rest = [rest, &pieces[i + 1..].concat()].concat();
            return Ok(Some((head, rest)));
        }
    }
    Ok(None)
}

fn request_kind(bytes: &[u8]) -> &'static str {
    kind(receive(Start::Request, LIMIT, &[bytes]))
}

fn response_kind(bytes: &[u8]) -> &'static str {
    kind(receive(Start::Response, LIMIT, &[bytes]))
}

fn kind(received: Received) -> &'static str {
    match received {
        Err(e) => e.kind(),
        Ok(None) => "incomplete",
        Ok(Some(_)) => "complete",
    }
}

#[test]
fn a_head_is_found_at_every_cut_and_the_rest_is_handed_on() {
    let bytes = [HEAD, b"frames\r\n\r\n"].concat();
    for i in 0..=bytes.len() {
        for j in i..=bytes.len() {
            let pieces = [&bytes[..i], &bytes[i..j], &bytes[j..]];
            let (head, rest) = receive(Start::Request, LIMIT, &pieces).unwrap().unwrap();
            assert_eq!(
                (&head[..], &rest[..]),
                (HEAD, &b"frames\r\n\r\n"[..]),
                "{i} {j}"
            );
        }
    }
}

#[test]
fn a_head_is_found_byte_by_byte() {
    let pieces: Vec<&[u8]> = HEAD.chunks(1).collect();
    let (head, rest) = receive(Start::Request, LIMIT, &pieces).unwrap().unwrap();
    assert_eq!((&head[..], &rest[..]), (HEAD, &b""[..]));
    assert!(
        receive(Start::Request, LIMIT, &pieces[1..])
            .unwrap()
            .is_some()
    );
    assert!(
        receive(Start::Request, LIMIT, &pieces[..HEAD.len() - 1])
            .unwrap()
            .is_none()
    );
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    let bytes = [b"\r\n", HEAD].concat();
    for pieces in [vec![&bytes[..]], bytes.chunks(1).collect()] {
        assert_eq!(
            receive(Start::Request, LIMIT, &pieces).unwrap().unwrap().0,
            HEAD
        );
    }
    assert_eq!(request_kind(b"\r\n\r\nGET"), "handshake.syntax");
    assert_eq!(response_kind(b"\r\nHTTP/1.1"), "handshake.not_http");
}

#[test]
fn bare_line_feeds_are_refused_at_once() {
    for bytes in [
        &b"GET / HTTP/1.1\n"[..],
        b"GET / HTTP/1.1\r\nHost: h\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
    ] {
        assert_eq!(request_kind(bytes), "handshake.syntax");
    }
    assert_eq!(response_kind(b"HTTP/1.1 101 x\n"), "handshake.syntax");
}

#[test]
fn folded_lines_are_refused() {
    for fold in [" y\r\n", "\ty\r\n", " \r\n"] {
        let bytes = format!("GET / HTTP/1.1\r\nX: x\r\n{fold}");
        assert_eq!(request_kind(bytes.as_bytes()), "handshake.syntax");
    }
    assert_eq!(
        request_kind(b"GET / HTTP/1.1\r\n X: y\r\n"),
        "handshake.syntax"
    );
}

#[test]
fn a_line_without_end_is_refused_when_it_is_too_long() {
    let line = [b'a'; (8 << 10) + 1];
    assert_eq!(request_kind(&line[1..]), "incomplete");
    assert_eq!(request_kind(&line), "handshake.request_line_too_long");
    let header = [b"GET / HTTP/1.1\r\n", &line[..]].concat();
    assert_eq!(request_kind(&header[..header.len() - 1]), "incomplete");
    assert_eq!(request_kind(&header), "handshake.line_too_long");
    let status_line = [b"HTTP/1.1 101 ", &line[..]].concat();
    assert_eq!(response_kind(&status_line), "handshake.line_too_long");
}

#[test]
fn a_line_may_have_half_of_a_small_head() {
    let head = b"GET /567890123456789012345678901234567890123456 HTTP/1.1\r\n";
    let (start, limit) = (Start::Request, 2 * head.len());
    assert_eq!(kind(receive(start, limit, &[head])), "incomplete");
    let error = receive(start, limit - 2, &[head]);
    assert_eq!(kind(error), "handshake.request_line_too_long");
    assert_eq!(
        kind(receive(start, 0, &[b"G"])),
        "handshake.request_line_too_long"
    );
}

#[test]
fn a_head_without_end_is_refused_when_it_is_too_large() {
    let line = format!("X: {}\r\n", "y".repeat(1000));
    let head = format!("GET / HTTP/1.1\r\n{}", line.repeat(20));
    assert_eq!(request_kind(&head.as_bytes()[..LIMIT]), "incomplete");
    assert_eq!(
        request_kind(&head.as_bytes()[..LIMIT + 1]),
        "handshake.head_too_large"
    );
    let pieces: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
    let error = receive(Start::Request, LIMIT, &pieces);
    assert_eq!(kind(error), "handshake.head_too_large");
}

#[test]
fn a_hundred_headers_are_allowed() {
    let head = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(
        request_kind(head(101).as_bytes()),
        "handshake.too_many_headers"
    );
    assert_eq!(request_kind(head(100).as_bytes()), "complete");
    let parsed = parse_request(&head(100).into()).unwrap();
    assert_eq!(parsed.headers().len(), 100);
}

#[test]
fn another_protocol_is_told_by_its_first_bytes() {
    assert_eq!(
        response_kind(b"220 mail.example.com ESMTP\r\n"),
        "handshake.not_http"
    );
    assert_eq!(response_kind(b"S"), "handshake.not_http");
    assert_eq!(response_kind(b"HTTP-ish"), "handshake.not_http");
    assert_eq!(response_kind(b"HTT"), "incomplete");
    let pieces = [&b"HT"[..], b"TX"];
    assert_eq!(
        kind(receive(Start::Response, LIMIT, &pieces)),
        "handshake.not_http"
    );
    // The hello of a TLS client.
    assert_eq!(request_kind(b"\x16\x03\x01\x02\x00"), "handshake.not_http");
}

#[test]
fn a_reader_that_is_done_does_not_panic() {
    let mut reader = HeadReader::new(Start::Request, LIMIT);
    assert!(reader.receive(HEAD).unwrap().is_some());
    let _ = reader.receive(HEAD);
    let _ = reader.receive(b"\r\n");
}

#[test]
fn malformed_requests_are_refused() {
    for head in [
        "GET / HTTP/1.1\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\n: y\r\n\r\n",
        "GET / HTTP/1.1\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nX\u{e9}: y\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET /\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "GET / XTTP/1.1\r\n\r\n",
        "G@T / HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n",
    ] {
        let error = parse_request(&Bytes::copy_from_slice(head.as_bytes())).unwrap_err();
        let expected = match head {
            // The second word is where the version should be.
            "GET /a b HTTP/1.1\r\n\r\n" => "handshake.http_version",
            _ => "handshake.syntax",
        };
        assert_eq!(error.kind(), expected, "{head:?}");
    }
}

#[test]
fn versions_are_told_from_garbage() {
    let version =
        |head: &str| parse_request(&Bytes::copy_from_slice(head.as_bytes())).map(|r| r.version());
    assert_eq!(version("GET / HTTP/1.1\r\n\r\n").unwrap(), Version::HTTP_11);
    assert_eq!(version("GET / HTTP/1.0\r\n\r\n").unwrap(), Version::HTTP_10);
    for head in [
        "PRI * HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/3\r\n\r\n",
    ] {
        assert_eq!(
            version(head).unwrap_err().kind(),
            "handshake.http_version",
            "{head}"
        );
    }
}

#[test]
fn malformed_responses_are_refused() {
    for head in [
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1 101 x\r\nX : y\r\n\r\n",
    ] {
        let error = parse_response(&Bytes::copy_from_slice(head.as_bytes())).unwrap_err();
        assert_eq!(error.kind(), "handshake.syntax", "{head:?}");
    }
    let error = parse_response(&Bytes::from_static(b"HTTP/2 101 x\r\n\r\n")).unwrap_err();
    assert_eq!(error.kind(), "handshake.http_version");
    assert_eq!(
        parse_response(&Bytes::from_static(b"HTTP/1.1 101\r\n\r\n"))
            .unwrap()
            .status(),
        101
    );
}

#[test]
fn of_two_limits_the_one_that_is_met_first_is_named_in_any_cuts() {
    // Of 100 bytes, a line may have 50; the last one here begins after 60.
    let lines = format!(
        "GET /{} HTTP/1.1\r\nA: {}\r\n",
        "a".repeat(20),
        "b".repeat(18)
    );
    for (limit, length, expected) in [
        (100, 60, "handshake.head_too_large"),
        (200, 160, "handshake.line_too_long"),
    ] {
        let bytes = format!("{lines}{}", "x".repeat(length)).into_bytes();
        for pieces in [vec![&bytes[..]], bytes.chunks(1).collect()] {
            assert_eq!(kind(receive(Start::Request, limit, &pieces)), expected);
        }
    }
}
