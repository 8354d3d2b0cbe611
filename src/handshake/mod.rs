//! The opening handshake (RFC 6455 section 4), without I/O: bytes in, requests and responses out.

// What a peer sends must not be able to panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing
    )
)]

mod body;
mod client;
mod error;
mod extensions;
mod head;
mod server;

pub(crate) use client::{ClientHandshake, Opened, RequestOptions};
pub use error::HandshakeError;
pub(crate) use extensions::agree;
pub(crate) use head::{HeadReader, Start, parse_response};
pub(crate) use server::{
    Received, ServerHandshake, accept, accept_plainly, check_request, offered_subprotocols, origin,
    refusal, render_response,
};

use http::HeaderMap;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};

/// The elements of a list header, over all its lines (RFC 9110 section 5.6.1). Empty ones are
/// skipped, as a recipient must; a line that is not text yields nothing.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

fn list_contains(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    list(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

/// The one value of a header; `label` is its name in the error.
fn single<'h>(
    headers: &'h HeaderMap,
    name: HeaderName,
    label: &'static str,
) -> Result<&'h HeaderValue, HandshakeError> {
    at_most_one(headers, name, label)?.ok_or(HandshakeError::MissingHeader(label))
}

fn at_most_one<'h>(
    headers: &'h HeaderMap,
    name: HeaderName,
    label: &'static str,
) -> Result<Option<&'h HeaderValue>, HandshakeError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(HandshakeError::DuplicateHeader(label)),
        (value, None) => Ok(value),
    }
}

/// Neither a request for a WebSocket nor a 101 has a body. Bytes behind the head are frames, and
/// whoever takes them for a body, or the other way round, can be made to smuggle.
pub(crate) fn check_no_body(headers: &HeaderMap) -> Result<(), HandshakeError> {
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    if headers.contains_key(TRANSFER_ENCODING) || lengths.into_iter().any(|value| value != "0") {
        return Err(HandshakeError::Body);
    }
    Ok(())
}

/// Headers that only the handshake itself may set.
fn is_reserved(name: &HeaderName) -> bool {
    let reserved = [UPGRADE, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    reserved.contains(name) || name.as_str().starts_with("sec-websocket-")
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Appends the lines of the headers and the empty line that ends the head.
fn render_headers(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        render_name(name, out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Case means nothing (RFC 9110 section 5.1), except to peers that never heard of it.
fn render_name(name: &HeaderName, out: &mut Vec<u8>) {
    for (i, word) in name.as_str().split('-').enumerate() {
        if i > 0 {
            out.push(b'-');
        }
        match word {
            "websocket" => out.extend_from_slice(b"WebSocket"),
            "www" => out.extend_from_slice(b"WWW"),
            _ => {
                out.extend(word.bytes().take(1).map(|b| b.to_ascii_uppercase()));
                out.extend(word.bytes().skip(1));
            }
        }
    }
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod head_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod server_tests;
