//! Requests that are accepted, and every refusal with its status.

use super::*;
use crate::error::Misuse;
use http::{Request, StatusCode};

const LIMIT: usize = 16 << 10;

/// The request of RFC 6455 section 1.2, with the key of section 1.3.
const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn receive(request: &str) -> Result<Box<Request<()>>, HandshakeError> {
    let received = ServerHandshake::new(LIMIT).receive(request.as_bytes())?;
    let received = received.expect("the request is complete");
    assert!(received.rest.is_empty());
    Ok(received.request)
}

/// The request of the RFC with one part replaced.
fn with(old: &str, new: &str) -> String {
    assert!(REQUEST.contains(old), "{old}");
    REQUEST.replacen(old, new, 1)
}

fn with_line(line: &str) -> String {
    with(
        "Upgrade: websocket\r\n",
        &format!("Upgrade: websocket\r\n{line}\r\n"),
    )
}

#[track_caller]
fn assert_refused(request: &str, status: u16, kind: &str) -> String {
    let error = receive(request).unwrap_err();
    assert_eq!(error.kind(), kind, "{request}");
    assert_eq!(error.status().unwrap(), status, "{request}");
    let answer = String::from_utf8(error.refusal().unwrap()).unwrap();
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
        "{answer}"
    );
    answer
}

#[track_caller]
fn assert_accepted(request: &str) {
    receive(request).unwrap();
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let request = receive(REQUEST).unwrap();
    assert_eq!(request.uri(), "/chat");
    assert_eq!(offered_subprotocols(&request), ["chat", "superchat"]);
    assert_eq!(origin(&request).unwrap(), "http://example.com");
    let response = accept(&request, Some("chat"), None, &HeaderMap::new()).unwrap();
    assert_eq!(
        String::from_utf8(render_response(&response)).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n"
    );
}

#[test]
fn a_response_without_extra_headers_has_the_same_bytes_either_way() {
    let request = receive(REQUEST).unwrap();
    let extensions = HeaderValue::from_static("permessage-deflate");
    for subprotocol in [None, Some("chat")] {
        for extensions in [None, Some(&extensions)] {
            let none = HeaderMap::new();
            let response = accept(&request, subprotocol, extensions, &none).unwrap();
            let bytes = accept_plainly(&request, subprotocol, extensions).unwrap();
            assert_eq!(bytes, render_response(&response));
            let parsed = parse_response(&bytes.into()).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("{response:?}"));
        }
    }
    for subprotocol in ["other", "", "chat\r\nX: y"] {
        let error = accept_plainly(&request, Some(subprotocol), None).unwrap_err();
        assert_eq!(error, Misuse::Response);
    }
    let error = accept_plainly(&Request::new(()), None, None).unwrap_err();
    assert_eq!(error, Misuse::Response);
}

#[test]
fn requests_arrive_in_any_cuts_with_frames_behind_them() {
    let bytes = [REQUEST.as_bytes(), b"\x89\x80abcd"].concat();
    for cut in 0..REQUEST.len() {
        let mut handshake = ServerHandshake::new(LIMIT);
        assert!(handshake.receive(&bytes[..cut]).unwrap().is_none());
        let received = handshake.receive(&bytes[cut..]).unwrap().unwrap();
        assert_eq!(received.rest, b"\x89\x80abcd");
    }
    let mut handshake = ServerHandshake::new(LIMIT);
    let mut complete = 0;
    for byte in REQUEST.as_bytes().chunks(1) {
        complete += usize::from(handshake.receive(byte).unwrap().is_some());
    }
    assert_eq!(complete, 1);
}

#[test]
fn tokens_may_be_spread_over_lines_and_spelled_in_any_case() {
    let connection = "Connection: Upgrade";
    assert_accepted(&with(connection, "Connection: keep-alive, Upgrade"));
    assert_accepted(&with(connection, "Connection: keep-alive,\tUPGRADE"));
    assert_accepted(&with(
        connection,
        "Connection: keep-alive\r\nConnection: upgrade",
    ));
    assert_accepted(&with(connection, "CONNECTION:upgrade\t "));
    assert_accepted(&with(connection, "connection: ,, upgrade ,"));
    assert_accepted(&with(
        "Upgrade: websocket",
        "Upgrade: h2c\r\nupgrade: WebSocket",
    ));
}

#[test]
fn requests_of_other_kinds_are_not_for_us() {
    for method in ["POST", "HEAD", "OPTIONS", "get", "BREW"] {
        let request = with("GET", method);
        let answer = assert_refused(&request, 405, "handshake.method");
        assert!(answer.contains("\r\nAllow: GET\r\n"), "{answer}");
    }
    for version in ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9"] {
        assert_refused(&with("HTTP/1.1", version), 505, "handshake.http_version");
    }
}

#[test]
fn the_target_is_a_path() {
    for target in [
        "*",
        "http://server.example.com/chat",
        "ws://h",
        "server.example.com:80",
        "chat",
        "/a#b",
        "/\u{e9}",
    ] {
        assert_refused(&with("/chat", target), 400, "handshake.target");
    }
    let request = receive(&with("/chat", "//x/y?a=b:c@d")).unwrap();
    assert_eq!(request.uri(), "//x/y?a=b:c@d");
}

#[test]
fn there_is_one_host() {
    let host = "Host: server.example.com\r\n";
    assert_refused(&with(host, ""), 400, "handshake.missing_header");
    assert_refused(&with_line("host: other"), 400, "handshake.duplicate_header");
    for value in ["", "a b", "a@b", "a/b", "a, b", ":80"] {
        let request = with(host, &format!("Host: {value}\r\n"));
        assert_refused(&request, 400, "handshake.invalid_header");
    }
    for value in ["localhost:9001", "[::1]:80", "127.0.0.1", "my_host"] {
        assert_accepted(&with(host, &format!("Host: {value}\r\n")));
    }
}

#[test]
fn there_is_no_body() {
    assert_accepted(&with_line("Content-Length: 0"));
    for line in [
        "Content-Length: 5",
        "Content-Length: 0, 0",
        "Content-Length: 0\r\nContent-Length: 1",
        "Content-Length: +0",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
    ] {
        assert_refused(&with_line(line), 400, "handshake.body");
    }
}

#[test]
fn a_request_without_upgrade_is_told_to() {
    for request in [
        with("Upgrade: websocket\r\n", ""),
        with("Connection: Upgrade\r\n", ""),
        with("Upgrade: websocket", "Upgrade: h2c"),
        with("Connection: Upgrade", "Connection: keep-alive"),
        with("Connection: Upgrade", "Connection: upgrader"),
    ] {
        let answer = assert_refused(&request, 426, "handshake.upgrade_required");
        for line in [
            "Upgrade: websocket",
            "Connection: upgrade, close",
            "Sec-WebSocket-Version: 13",
        ] {
            assert!(answer.contains(&format!("\r\n{line}\r\n")), "{answer}");
        }
    }
}

#[test]
fn there_is_one_key_of_16_bytes() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let line = format!("Sec-WebSocket-Key: {key}\r\n");
    assert_refused(&with(&line, ""), 400, "handshake.missing_header");
    assert_refused(
        &with(&line, &line.repeat(2)),
        400,
        "handshake.duplicate_header",
    );
    for wrong in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "!GhlIHNhbXBsZSBub25jZQ==",
    ] {
        assert_refused(&with(key, wrong), 400, "handshake.invalid_header");
    }
    assert_accepted(&with(key, "/+/+/+/+/+/+/+/+/+/+//=="));
}

#[test]
fn there_is_one_version_and_it_is_13() {
    let line = "Sec-WebSocket-Version: 13\r\n";
    assert_refused(&with(line, ""), 400, "handshake.missing_header");
    assert_refused(
        &with(line, &line.repeat(2)),
        400,
        "handshake.duplicate_header",
    );
    for version in ["8", "13, 8", "013", "", "x"] {
        let request = with(line, &format!("Sec-WebSocket-Version: {version}\r\n"));
        let answer = assert_refused(&request, 426, "handshake.version");
        assert!(
            answer.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
    }
}

#[test]
fn heads_above_the_limits_are_refused() {
    let long = "a".repeat(9000);
    assert_refused(
        &with("/chat", &format!("/{long}")),
        414,
        "handshake.request_line_too_long",
    );
    assert_refused(
        &with_line(&format!("X: {long}")),
        431,
        "handshake.line_too_long",
    );
    let many = vec!["X: y"; 100].join("\r\n");
    assert_refused(&with_line(&many), 431, "handshake.too_many_headers");
    let large = vec![format!("X: {}", "y".repeat(4000)); 5].join("\r\n");
    assert_refused(&with_line(&large), 431, "handshake.head_too_large");
}

#[test]
fn malformed_requests_are_refused() {
    assert_refused(&with_line("X y"), 400, "handshake.syntax");
    assert_refused(&REQUEST.replace("\r\n", "\n"), 400, "handshake.syntax");
    assert_refused("\x16\x03\x01", 400, "handshake.not_http");
    assert_refused("hello\r\n\r\n", 400, "handshake.syntax");
}

#[test]
fn subprotocols_are_tokens_and_offered_once() {
    let line = "Sec-WebSocket-Protocol: chat, superchat";
    let offered = |new: &str| {
        let request = receive(&with(line, new)).unwrap();
        offered_subprotocols(&request).join("|")
    };
    assert_eq!(
        offered("Sec-WebSocket-Protocol: a,\tb\r\nSec-WebSocket-Protocol: c"),
        "a|b|c"
    );
    assert_eq!(offered("Sec-WebSocket-Protocol: a, A"), "a|A");
    assert_eq!(offered("Sec-WebSocket-Protocol:"), "");
    assert_eq!(offered("X: y"), "");
    for wrong in [
        "a, a",
        "a\r\nSec-WebSocket-Protocol: a",
        "a b",
        "a;b",
        "\"a\"",
        "\u{e9}",
    ] {
        let request = with(line, &format!("Sec-WebSocket-Protocol: {wrong}"));
        assert_refused(&request, 400, "handshake.invalid_header");
    }
}

#[test]
fn extensions_keep_to_the_grammar() {
    let line = |value: &str| with_line(&format!("Sec-WebSocket-Extensions: {value}"));
    for value in [
        "",
        "x; y=\"z\"",
        "permessage-deflate; server_max_window_bits=99",
        "x\r\nSec-WebSocket-Extensions: permessage-deflate; x",
    ] {
        assert_accepted(&line(value));
    }
    for wrong in [
        ";",
        "permessage-deflate;",
        "x; y=",
        "x; y=\"z",
        "x; y=\"a,b\"",
        "x; y=\"z\\",
        "x\r\nSec-WebSocket-Extensions: x y",
        "\u{e9}",
    ] {
        let answer = assert_refused(&line(wrong), 400, "handshake.invalid_header");
        assert!(answer.contains("Sec-WebSocket-Extensions"), "{answer}");
    }
    assert_accepted(&line(&"x,".repeat(4000)));
    assert_refused(&line(&"x,".repeat(4100)), 431, "handshake.line_too_long");
    let long = "x,".repeat(4000);
    assert_refused(
        &line(&format!(
            "{long}\r\nSec-WebSocket-Extensions: {long}\r\nX: {long}"
        )),
        431,
        "handshake.head_too_large",
    );
}

#[test]
fn there_is_at_most_one_origin() {
    assert_refused(
        &with_line("Origin: null"),
        400,
        "handshake.duplicate_header",
    );
    let request = receive(&with("Origin: http://example.com\r\n", "")).unwrap();
    assert_eq!(origin(&request), None);
}

#[test]
fn a_response_carries_the_headers_of_the_application() {
    let request = receive(REQUEST).unwrap();
    let mut extra = HeaderMap::new();
    extra.append("set-cookie", HeaderValue::from_static("a=b"));
    extra.append("set-cookie", HeaderValue::from_static("c=d"));
    let response = accept(&request, None, None, &extra).unwrap();
    let rendered = String::from_utf8(render_response(&response)).unwrap();
    assert!(
        rendered.ends_with("\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n"),
        "{rendered}"
    );
    assert!(!rendered.contains("Protocol:"), "{rendered}");
}

#[test]
fn a_response_that_does_not_fit_is_a_misuse() {
    let request = receive(REQUEST).unwrap();
    for subprotocol in ["other", "Chat", "chat, superchat", "", "a\r\nb"] {
        let error = accept(&request, Some(subprotocol), None, &HeaderMap::new()).unwrap_err();
        assert_eq!(error, Misuse::Response, "{subprotocol}");
    }
    let error = accept(&Request::new(()), None, None, &HeaderMap::new()).unwrap_err();
    assert_eq!(error, Misuse::Response);
    for name in [
        "upgrade",
        "connection",
        "content-length",
        "transfer-encoding",
        "sec-websocket-accept",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
    ] {
        let mut extra = HeaderMap::new();
        extra.insert(name, HeaderValue::from_static("0"));
        assert_eq!(
            accept(&request, None, None, &extra).unwrap_err(),
            Misuse::Header,
            "{name}"
        );
    }
}

#[test]
fn refusals_are_complete_responses() {
    let mut extra = HeaderMap::new();
    extra.insert("retry-after", HeaderValue::from_static("5"));
    extra.insert("content-length", HeaderValue::from_static("99"));
    extra.insert("transfer-encoding", HeaderValue::from_static("chunked"));
    let answer = refusal(StatusCode::SERVICE_UNAVAILABLE, &extra, b"later");
    assert_eq!(
        String::from_utf8(answer).unwrap(),
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 5\r\n\
        Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nlater"
    );
}

#[test]
fn the_application_chooses_the_type_of_its_refusal() {
    let mut extra = HeaderMap::new();
    extra.insert("content-type", HeaderValue::from_static("application/json"));
    let answer = refusal(StatusCode::FORBIDDEN, &extra, b"{}");
    assert_eq!(
        String::from_utf8(answer).unwrap(),
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
        Connection: close\r\n\r\n{}"
    );
    let answer = refusal(StatusCode::NO_CONTENT, &HeaderMap::new(), b"x");
    assert_eq!(
        answer,
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn a_refusal_of_the_application_has_its_status() {
    let error = HandshakeError::Rejected(StatusCode::FORBIDDEN);
    assert_eq!(error.kind(), "handshake.rejected");
    let answer = String::from_utf8(error.refusal().unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(HandshakeError::Eof.refusal().is_none());
}

#[test]
fn each_error_of_the_other_side_has_a_kind_a_line_of_text_and_no_status() {
    use crate::handshake::HandshakeError as E;
    let response = http::Response::builder().status(404).body(Vec::new());
    let errors = [
        (E::Status(Box::new(response.unwrap())), "status", "404"),
        (E::Accept, "accept", "Sec-WebSocket-Accept"),
        (E::Subprotocol, "subprotocol", "subprotocol"),
        (E::Extension, "extension", "extensions"),
        (E::Eof, "eof", "ended"),
    ];
    for (error, kind, text) in errors {
        assert_eq!(error.kind(), format!("handshake.{kind}"));
        let line = error.to_string();
        assert!(line.contains(text) && !line.contains('\n'), "{line}");
        assert_eq!((error.status(), error.refusal()), (None, None), "{line}");
    }
}

#[test]
fn a_refusal_of_the_application_names_its_status() {
    use crate::handshake::HandshakeError as E;
    let error = E::Rejected(StatusCode::IM_A_TEAPOT);
    assert_eq!(error.kind(), "handshake.rejected");
    assert_eq!(error.status(), Some(StatusCode::IM_A_TEAPOT));
    assert!(error.to_string().contains("418"));
    assert_eq!(E::Origin.status(), Some(StatusCode::FORBIDDEN));
    assert!(E::Origin.to_string().contains("origin"));
}
