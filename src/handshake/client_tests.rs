//! Requests as they are sent, responses that open the connection, and those that do not.

use super::body::MAX_BODY;
use super::*;
use crate::compression::Compression;
use crate::error::Misuse;
use crate::uri::Target;
use http::header::{AUTHORIZATION, HOST, ORIGIN, USER_AGENT};

/// The key of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

fn options() -> RequestOptions {
    let mut options = RequestOptions::new(16 << 10);
    options.subprotocols = vec!["chat".to_owned(), "superchat".to_owned()];
    options
}

fn start(address: &str, options: &RequestOptions) -> ClientHandshake {
    ClientHandshake::with_key(&Target::parse(address).unwrap(), options, KEY).unwrap()
}

fn handshake() -> ClientHandshake {
    start("ws://server.example.com/chat", &options())
}

fn receive(response: &str) -> Result<Opened, HandshakeError> {
    let opened = handshake().receive(response.as_bytes())?;
    Ok(opened.expect("the response is complete"))
}

/// The response of the RFC with one part replaced.
fn with(old: &str, new: &str) -> String {
    assert!(RESPONSE.contains(old), "{old}");
    RESPONSE.replacen(old, new, 1)
}

fn with_line(line: &str) -> String {
    with(
        "Connection: Upgrade\r\n",
        &format!("Connection: Upgrade\r\n{line}\r\n"),
    )
}

#[track_caller]
fn assert_refused(response: &str, kind: &str) {
    assert_eq!(receive(response).unwrap_err().kind(), kind, "{response}");
}

/// The body of a refusal that is complete without the end of the connection, in any cut.
#[track_caller]
fn body_of(response: &str) -> String {
    let mut bodies = Vec::new();
    for cut in 0..response.len() {
        let mut handshake = handshake();
        let (first, second) = response.as_bytes().split_at(cut);
        let Ok(None) = handshake.receive(first) else {
            panic!("complete at {cut}");
        };
        let error = handshake.receive(second).unwrap_err();
        assert_eq!(error.kind(), "handshake.status");
        bodies.push(error.response().unwrap().body().clone());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    String::from_utf8(bodies.remove(0)).unwrap()
}

/// The same, for what is complete only with the end of the connection.
#[track_caller]
fn body_until_eof(response: &str) -> String {
    let mut handshake = handshake();
    assert!(handshake.receive(response.as_bytes()).unwrap().is_none());
    let error = handshake.receive_eof();
    String::from_utf8(error.response().unwrap().body().clone()).unwrap()
}

#[test]
fn the_request_is_the_one_of_the_rfc() {
    assert_eq!(
        String::from_utf8(handshake().request_bytes()).unwrap(),
        "GET /chat HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n\r\n"
    );
}

#[test]
fn the_request_carries_what_the_user_adds() {
    let mut options = RequestOptions::new(16 << 10);
    options
        .headers
        .append("cookie", HeaderValue::from_static("a=b"));
    options
        .headers
        .append("x-two", HeaderValue::from_static("1"));
    options
        .headers
        .append("x-two", HeaderValue::from_static("2"));
    options.origin = Some(HeaderValue::from_static("http://example.com"));
    options.user_agent = Some(HeaderValue::from_static("test/1"));
    let handshake = start("ws://u:p@[::1]:9001/a?b=c", &options);
    assert_eq!(handshake.request().uri(), "/a?b=c");
    assert_eq!(handshake.request().headers()[AUTHORIZATION], "Basic dTpw");
    let sent = String::from_utf8(handshake.request_bytes()).unwrap();
    assert!(
        sent.starts_with("GET /a?b=c HTTP/1.1\r\nHost: [::1]:9001\r\n"),
        "{sent}"
    );
    let added = "Authorization: Basic dTpw\r\nCookie: a=b\r\nX-Two: 1\r\nX-Two: 2\r\n\
        Origin: http://example.com\r\nUser-Agent: test/1\r\n\r\n";
    assert!(sent.ends_with(added), "{sent}");
}

#[test]
fn the_user_may_replace_host_and_authorization() {
    let mut options = options();
    options
        .headers
        .insert(HOST, HeaderValue::from_static("other"));
    options
        .headers
        .insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    options
        .headers
        .insert(ORIGIN, HeaderValue::from_static("null"));
    options
        .headers
        .insert(USER_AGENT, HeaderValue::from_static("test/2"));
    let handshake = start("ws://u:p@h", &options);
    let headers = handshake.request().headers();
    let value = |name| single(headers, name, "").unwrap().to_str().unwrap();
    assert_eq!(value(HOST), "other");
    assert_eq!(value(AUTHORIZATION), "Bearer x");
    assert_eq!(value(ORIGIN), "null");
    assert_eq!(value(USER_AGENT), "test/2");
    assert!(
        handshake
            .request_bytes()
            .starts_with(b"GET / HTTP/1.1\r\nHost: other\r\n")
    );
}

#[test]
fn headers_of_the_handshake_are_not_the_users() {
    let target = Target::parse("ws://h").unwrap();
    for name in [
        "upgrade",
        "connection",
        "content-length",
        "transfer-encoding",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
    ] {
        let mut options = options();
        options.headers.insert(name, HeaderValue::from_static("0"));
        let error = ClientHandshake::new(&target, &options).unwrap_err();
        assert_eq!(error, Misuse::Header, "{name}");
    }
    let mut options = options();
    options.headers.append(HOST, HeaderValue::from_static("a"));
    options.headers.append(HOST, HeaderValue::from_static("b"));
    assert_eq!(
        ClientHandshake::new(&target, &options).unwrap_err(),
        Misuse::Header
    );
}

#[test]
fn subprotocols_are_tokens_and_offered_once() {
    let target = Target::parse("ws://h").unwrap();
    for wrong in [
        &["a", "a"][..],
        &[""],
        &["a b"],
        &["a,b"],
        &["a\r\nX: y"],
        &["\u{e9}"],
    ] {
        let mut options = options();
        options.subprotocols = wrong.iter().map(|s| (*s).to_owned()).collect();
        let error = ClientHandshake::new(&target, &options).unwrap_err();
        assert_eq!(error, Misuse::Subprotocol, "{wrong:?}");
    }
}

#[test]
fn every_handshake_has_its_own_key_and_a_server_takes_it() {
    let target = Target::parse("wss://example.com/x").unwrap();
    let first = ClientHandshake::new(&target, &options()).unwrap();
    let mut second = ClientHandshake::new(&target, &options()).unwrap();
    assert_ne!(first.request_bytes(), second.request_bytes());
    let mut server = ServerHandshake::new(16 << 10);
    let received = server.receive(&second.request_bytes()).unwrap().unwrap();
    let request = received.request;
    let response = accept(&request, Some("superchat"), None, &HeaderMap::new()).unwrap();
    let opened = second
        .receive(&render_response(&response))
        .unwrap()
        .unwrap();
    assert_eq!(opened.subprotocol.as_deref(), Some("superchat"));
}

#[test]
fn the_response_of_the_rfc_opens_the_connection_in_any_cuts() {
    let bytes = [RESPONSE.as_bytes(), b"\x81\x02hi"].concat();
    for cut in 0..RESPONSE.len() {
        let mut handshake = handshake();
        assert!(handshake.receive(&bytes[..cut]).unwrap().is_none());
        let opened = handshake.receive(&bytes[cut..]).unwrap().unwrap();
        assert_eq!(opened.response.status(), 101);
        assert_eq!(opened.subprotocol.as_deref(), Some("chat"));
        assert_eq!(opened.rest, b"\x81\x02hi");
    }
    let mut handshake = handshake();
    let mut complete = 0;
    for byte in RESPONSE.as_bytes().chunks(1) {
        complete += usize::from(handshake.receive(byte).unwrap().is_some());
    }
    assert_eq!(complete, 1);
}

#[test]
fn tokens_may_be_spread_over_lines_and_spelled_in_any_case() {
    for response in [
        with("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        with(
            "Connection: Upgrade",
            "connection: keep-alive\r\nConnection:\tUPGRADE",
        ),
        with("Upgrade: websocket", "upgrade: WebSocket"),
        with("Switching Protocols", ""),
        with_line("Content-Length: 0"),
        with_line("Sec-WebSocket-Extensions:"),
    ] {
        receive(&response).unwrap();
    }
}

#[test]
fn the_server_may_choose_no_subprotocol() {
    let opened = receive(&with("Sec-WebSocket-Protocol: chat\r\n", "")).unwrap();
    assert_eq!(opened.subprotocol, None);
}

#[test]
fn a_101_that_breaks_the_rules_is_refused() {
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let protocol = "Sec-WebSocket-Protocol: chat\r\n";
    for (response, kind) in [
        (with("HTTP/1.1", "HTTP/1.0"), "handshake.http_version"),
        (with("HTTP/1.1", "HTTP/2.0"), "handshake.http_version"),
        (
            with("Upgrade: websocket\r\n", ""),
            "handshake.missing_header",
        ),
        (
            with("Upgrade: websocket", "Upgrade: h2c"),
            "handshake.invalid_header",
        ),
        (
            with_line("Upgrade: websocket"),
            "handshake.duplicate_header",
        ),
        (
            with("Connection: Upgrade\r\n", ""),
            "handshake.missing_header",
        ),
        (
            with("Connection: Upgrade", "Connection: close"),
            "handshake.invalid_header",
        ),
        (with(accept, ""), "handshake.missing_header"),
        (
            with(accept, &accept.repeat(2)),
            "handshake.duplicate_header",
        ),
        (with("s3pP", "S3pP"), "handshake.accept"),
        (
            with_line("Sec-WebSocket-Extensions: permessage-deflate"),
            "handshake.extension",
        ),
        (
            with_line("Sec-WebSocket-Extensions: x; y=z"),
            "handshake.extension",
        ),
        (
            with_line("Sec-WebSocket-Extensions: \u{e9}"),
            "handshake.extension",
        ),
        (
            with(protocol, &protocol.repeat(2)),
            "handshake.duplicate_header",
        ),
        (with(": chat", ": Chat"), "handshake.subprotocol"),
        (with(": chat", ": chat, superchat"), "handshake.subprotocol"),
        (with(": chat", ":"), "handshake.subprotocol"),
        (with_line("Content-Length: 5"), "handshake.body"),
        (with_line("Transfer-Encoding: chunked"), "handshake.body"),
        (with_line("X y"), "handshake.syntax"),
        (RESPONSE.replace("\r\n", "\n"), "handshake.syntax"),
    ] {
        assert_refused(&response, kind);
    }
}

#[test]
fn an_extension_that_was_offered_may_be_chosen() {
    let mut options = options();
    options.compression = Some(Compression::client());
    let answer = |value: &str| {
        let mut handshake = start("ws://h", &options);
        let offered = &handshake.request().headers()["sec-websocket-extensions"];
        assert_eq!(offered, "permessage-deflate; client_max_window_bits");
        let line = format!("Sec-WebSocket-Extensions: {value}");
        let opened = handshake.receive(with_line(&line).as_bytes());
        opened.map(|opened| opened.unwrap().deflate)
    };
    let agreed = answer("permessage-deflate; client_max_window_bits=9").unwrap();
    assert_eq!(agreed.unwrap().client_max_window_bits, 9);
    assert_eq!(answer("").unwrap(), None);
    for wrong in ["x", "permessage-deflate; x", "permessage-deflate;"] {
        assert_eq!(answer(wrong).unwrap_err().kind(), "handshake.extension");
    }
}

#[test]
fn heads_above_the_limits_are_refused() {
    let long = "a".repeat(9000);
    assert_refused(&with("Switching", &long), "handshake.line_too_long");
    assert_refused(&with_line(&format!("X: {long}")), "handshake.line_too_long");
    assert_refused(
        &with_line(&vec!["X: y"; 100].join("\r\n")),
        "handshake.too_many_headers",
    );
}

#[test]
fn another_protocol_is_refused_at_once() {
    let error = handshake()
        .receive(b"220 mail.example.com ESMTP")
        .unwrap_err();
    assert_eq!(error.to_string(), "what came is not HTTP");
}

#[test]
fn informational_responses_are_skipped() {
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let opened = receive(&format!("{early}{RESPONSE}")).unwrap();
    assert_eq!(opened.response.status(), 101);
    assert_eq!(
        body_of(&format!(
            "{early}HTTP/1.1 404 x\r\nContent-Length: 2\r\n\r\nno"
        )),
        "no"
    );
}

#[test]
fn a_body_of_known_length_needs_no_end_of_the_connection() {
    let response = "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nX: y\r\n\r\nnope";
    assert_eq!(body_of(response), "nope");
    let error = receive(&format!("{response}HTTP/1.1 200 OK")).unwrap_err();
    assert_eq!(error.to_string(), "the server answered 403 Forbidden");
    assert_eq!(error.status(), None);
    let refused = error.response().unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.body()[..]),
        (403, &b"nope"[..])
    );
    assert_eq!(refused.headers()["x"], "y");
    assert_eq!(body_of("HTTP/1.0 302 x\r\nContent-Length: 0\r\n\r\n"), "");
    assert_eq!(
        body_of("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"),
        "ok"
    );
    assert_eq!(body_of("HTTP/1.1 204 x\r\n\r\n"), "");
}

#[test]
fn a_chunked_body_needs_no_end_of_the_connection() {
    let head = "HTTP/1.1 500 x\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
    let body = |chunks: &str| body_of(&format!("{head}{chunks}"));
    assert_eq!(
        body("3\r\nabc\r\n00C ; x=y\r\n\r\n0123456789\r\n0\r\n\r\n"),
        "abc\r\n0123456789"
    );
    assert_eq!(body("1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n"), "a");
    assert_eq!(body("0\r\n\r\n"), "");
}

#[test]
fn broken_chunks_end_a_body_where_they_break() {
    let head = "HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    for broken in ["x", "fffffffffffffffff", "1\r\nbc"] {
        assert!(
            body_of(&format!("{head}{broken}")).starts_with('a'),
            "{broken}"
        );
    }
}

#[test]
fn other_bodies_end_with_the_connection() {
    for framing in [
        "X: y",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
        "Transfer-Encoding: gzip",
        "Content-Length: 9",
        "Content-Length: 99999999999999999999",
    ] {
        let response = format!("HTTP/1.1 400 x\r\n{framing}\r\n\r\nwhy");
        assert_eq!(body_until_eof(&response), "why", "{framing}");
    }
}

#[test]
fn bodies_are_cut_at_their_limit() {
    for framing in [
        "X: y",
        "Content-Length: 9999999",
        "Transfer-Encoding: chunked",
    ] {
        let mut handshake = handshake();
        let head = format!("HTTP/1.1 400 x\r\n{framing}\r\n\r\nffffff\r\n");
        assert!(handshake.receive(head.as_bytes()).unwrap().is_none());
        let piece = vec![b'x'; 100_000];
        let error = (0..11)
            .find_map(|_| handshake.receive(&piece).err())
            .unwrap();
        assert_eq!(error.response().unwrap().body().len(), MAX_BODY);
        assert!(format!("{error:?}").len() < 100);
    }
}

#[test]
fn the_end_of_the_connection_is_an_error_of_its_own() {
    for cut in 0..RESPONSE.len() {
        let mut handshake = handshake();
        assert!(
            handshake
                .receive(&RESPONSE.as_bytes()[..cut])
                .unwrap()
                .is_none()
        );
        assert!(handshake.refused_so_far().is_none());
        assert_eq!(handshake.receive_eof().kind(), "handshake.eof");
    }
}

#[test]
fn a_refusal_is_known_before_its_body_is_complete() {
    let mut handshake = handshake();
    let response = b"HTTP/1.1 503 x\r\nContent-Length: 10\r\n\r\nlat";
    assert!(handshake.receive(response).unwrap().is_none());
    let error = handshake.refused_so_far().unwrap();
    assert_eq!(error.response().unwrap().body(), b"lat");
    assert_eq!(
        handshake.receive(b"er").unwrap_err().kind(),
        "handshake.eof"
    );
}
