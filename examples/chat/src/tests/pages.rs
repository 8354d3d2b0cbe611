//! What is answered by HTTP, what is refused, and the end.

use super::*;
use wsync::{CloseCode, Error, HandshakeError};

#[test]
fn pages_come_with_a_policy_that_allows_nothing_from_elsewhere() {
    let server = Server::alone();
    for path in [
        "/",
        "/chat.js",
        "/chat.css",
        "/monitor",
        "/monitor.js",
        "/reconnect.js",
        "/icon.svg",
    ] {
        let answer = server.ask(&format!("GET {path}"));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("default-src 'none'"), "{answer}");
        assert!(answer.contains("nosniff"), "{answer}");
    }
    assert!(server.ask("GET /?room=tea").starts_with("HTTP/1.1 200 "));
    assert!(server.ask("GET /etc/passwd").starts_with("HTTP/1.1 404 "));
    assert!(server.ask("POST /").starts_with("HTTP/1.1 405 "));
    let head = server.ask("HEAD /");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn health_tells_the_load_balancer_before_the_end() {
    let server = Server::alone();
    let answer = server.ask("GET /health");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(r#""status":"ok""#), "{answer}");
    server.chat.drain();
    let answer = server.ask("GET /health");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains(r#""status":"stopping""#), "{answer}");
}

#[test]
fn browsers_are_told_that_the_server_goes_away() {
    let mut server = Server::alone();
    let ann = server.join("tea", "Ann");
    let heard = thread::spawn(move || {
        ann.ws.iter().for_each(drop);
        ann.ws.closed()
    });
    server.stop();
    let closed = heard.join().unwrap().unwrap();
    assert_eq!(closed.received.unwrap().code, CloseCode::GOING_AWAY);
}

#[test]
fn bad_values_are_refused_with_the_reason() {
    let server = Server::alone();
    let refusal = |query: &str| {
        let Err(Error::Handshake(error)) = server.connect(query) else {
            panic!("{query} was not refused");
        };
        let HandshakeError::Status(response) = &*error else {
            panic!("{error}");
        };
        let body = String::from_utf8_lossy(response.body()).into_owned();
        (response.status().as_u16(), body)
    };
    assert_eq!(refusal("room=a%20b&name=Ann").0, 400);
    let (status, reason) = refusal("room=tea&name=");
    assert_eq!(
        (status, &*reason),
        (
            400,
            "a name has 1 to 40 characters, none of them for control\n"
        )
    );
    let _people = ["a", "b", "c"].map(|room| {
        let ann = server.join(room, "Ann");
        ann.sees(&["Ann"]);
        ann
    });
    assert_eq!(
        refusal("room=d&name=Ann"),
        (503, "there are too many rooms\n".into())
    );
    server.join("a", "Bo");
}

#[test]
fn a_connection_stays_when_something_on_it_was_wrong() {
    let server = Server::alone();
    let ann = server.join("tea", "Ann");
    let long = json!({ "type": "say", "nonce": "n", "text": "x".repeat(2001) }).to_string();
    let empty = json!({ "type": "say", "nonce": "n", "text": " " }).to_string();
    for text in [
        "",
        "[]",
        r#"{"type":"shout"}"#,
        r#"{"type":"say","text":"x"}"#,
        &long,
        &empty,
    ] {
        ann.ws.send(text).unwrap();
        ann.hear("error");
    }
    ann.ws.send(vec![1, 2, 3]).unwrap();
    assert_eq!(ann.hear("error")["text"], "messages are text");
    ann.say("1", "still here");
    assert_eq!(texts(&ann.said(1)), ["still here"]);
}
