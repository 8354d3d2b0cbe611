//! `Sec-WebSocket-Extensions` as an offer and as an answer: what is agreed on is what was offered,
//! and both sides take it for the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsync::internals::opening::{Answer, Connecting, answer};
use wsync::{Compression, DeflateParams};
use wsync_fuzz::{ACCEPT, Input, KEY, Served, compression, judged, serve};

const LIMIT: usize = 16 << 10;

/// A head with each line of `text` as one of the header.
fn head(start: &str, text: &[u8]) -> Vec<u8> {
    let mut head = format!("{start}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n").into_bytes();
    for line in text.split(|&byte| byte == b'\n') {
        head.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Fewer than a head may have.
const MOST_LINES: usize = 90;

/// Whether the header is one by its grammar; and what is agreed on if it is an offer.
fn offered(text: &[u8], ours: &Compression) -> bool {
    let start = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13"
    );
    let Served::Request(request, rest) = serve(LIMIT, [&head(&start, text)[..]]) else {
        return false;
    };
    if !rest.is_empty() {
        // A line of the text was the end of the head.
        return false;
    }
    let (response, answer) = answer(&request, Some(ours));
    if let Some(agreed) = answer.deflate {
        assert_is_within(&agreed, ours, false);
    }
    // One that offered as little as can be takes the answer as it was meant, and so it is the same
    // when it is an offer itself.
    let offering = Some(Compression::client());
    assert_eq!(judged(&response, KEY, &[], offering), answer);
    true
}

/// What a client agrees to when the header is an answer.
fn answered(text: &[u8], ours: Option<Compression>) -> Option<Answer> {
    let start = format!("HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {ACCEPT}");
    let mut client = Connecting::new(KEY, LIMIT, &[], ours);
    let opening = client.receive(&head(&start, text)).ok()??;
    opening.rest.is_empty().then_some(opening.answer)
}

/// A client keeps to both bounds; a server may not be able to bound the client's window.
fn assert_is_within(agreed: &DeflateParams, ours: &Compression, both: bool) {
    assert!(agreed.server_max_window_bits <= ours.server_max_window_bits);
    assert!(!both || agreed.client_max_window_bits <= ours.client_max_window_bits);
    let windows = [agreed.server_max_window_bits, agreed.client_max_window_bits];
    assert!(windows.iter().all(|bits| (8..=15).contains(bits)));
    assert!(agreed.server_no_context_takeover >= ours.server_no_context_takeover);
    assert!(agreed.client_no_context_takeover >= ours.client_no_context_takeover);
}

/// Two of ours always agree on what both take.
fn check_both(client: Compression, server: &Compression) {
    let request = Connecting::new(KEY, LIMIT, &[], Some(client)).request();
    let Served::Request(request, _) = serve(LIMIT, [&request[..]]) else {
        panic!("refused");
    };
    let (response, answer) = answer(&request, Some(server));
    let agreed = answer.deflate.expect("one of ours offers");
    assert_is_within(&agreed, &client, true);
    assert_is_within(&agreed, server, true);
    assert_eq!(judged(&response, KEY, &[], Some(client)), answer);
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (one, other) = (compression(&mut input), compression(&mut input));
    let text = input.rest();
    if text.is_empty() {
        check_both(one, &other);
        return;
    }
    if text.iter().filter(|byte| **byte == b'\n').count() > MOST_LINES {
        // A request has more lines of its own than a response, and meets the limit of them first.
        return;
    }
    let well_formed = offered(text, &one);
    if let Some(Answer { deflate, .. }) = answered(text, Some(one)) {
        assert!(well_formed, "to a client, and not to a server");
        if let Some(agreed) = deflate {
            assert_is_within(&agreed, &one, true);
        }
    }
    if let Some(plain) = answered(text, None) {
        assert_eq!(plain.deflate, None);
    }
});
