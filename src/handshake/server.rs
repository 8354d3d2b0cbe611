//! The server's side (RFC 6455 section 4.2).

use super::head::{HeadReader, Start, parse_request, parse_response};
use super::{
    HandshakeError, at_most_one, check_no_body, extensions, is_reserved, is_token, list,
    list_contains, render_headers, single,
};
use crate::error::Misuse;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

/// A request that may be accepted.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) request: Box<Request<()>>,
    /// The bytes after it, which belong to the first frames.
    pub(crate) rest: Vec<u8>,
}

/// Receives the request of a client.
#[derive(Debug)]
pub(crate) struct ServerHandshake {
    head: HeadReader,
}

impl ServerHandshake {
    pub(crate) fn new(head_limit: usize) -> Self {
        ServerHandshake {
            head: HeadReader::new(Start::Request, head_limit),
        }
    }

    /// Bytes from the client. `None` means that more have to come.
    ///
    /// # Errors
    ///
    /// Whatever RFC 6455 section 4.2.1 refuses; answer it with [`HandshakeError::refusal`].
    #[cfg(any(test, fuzzing))]
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Received>, HandshakeError> {
        let received = self.receive_any(bytes)?;
        if let Some(received) = &received {
            check_request(&received.request)?;
        }
        Ok(received)
    }

    /// The same for a request of any kind, which [`check_request`] has to look at.
    pub(crate) fn receive_any(&mut self, bytes: &[u8]) -> Result<Option<Received>, HandshakeError> {
        let Some((head, rest)) = self.head.receive(bytes)? else {
            return Ok(None);
        };
        let request = parse_request(&head.into())?;
        let rest = rest.to_vec();
        Ok(Some(Received { request, rest }))
    }
}

/// Whether a request may open a connection.
pub(crate) fn check_request(request: &Request<()>) -> Result<(), HandshakeError> {
    check_http(request)?;
    check_websocket(request.headers())
}

/// RFC 9112 sections 2.3, 3.2 and 6.1.
fn check_http(request: &Request<()>) -> Result<(), HandshakeError> {
    if request.version() != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    if request.method() != Method::GET {
        return Err(HandshakeError::Method);
    }
    let uri = request.uri();
    if uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(HandshakeError::Target);
    }
    check_host(single(request.headers(), HOST, "Host")?)?;
    check_no_body(request.headers())
}

fn check_host(value: &HeaderValue) -> Result<(), HandshakeError> {
    match Authority::try_from(value.as_bytes()) {
        Ok(host) if !host.as_str().contains('@') && !host.host().is_empty() => Ok(()),
        _ => Err(HandshakeError::InvalidHeader("Host")),
    }
}

/// RFC 6455 section 4.2.1.
fn check_websocket(headers: &HeaderMap) -> Result<(), HandshakeError> {
    if !list_contains(headers, UPGRADE, "websocket")
        || !list_contains(headers, CONNECTION, "upgrade")
    {
        return Err(HandshakeError::UpgradeRequired);
    }
    if single(headers, SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version")? != "13" {
        return Err(HandshakeError::Version);
    }
    if !is_key(single(headers, SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key")?) {
        return Err(HandshakeError::InvalidHeader("Sec-WebSocket-Key"));
    }
    // With two of them, who checks the first is deceived by the second.
    at_most_one(headers, ORIGIN, "Origin")?;
    extensions::check_request(headers)?;
    parse_subprotocols(headers).map(drop)
}

/// Base64 of 16 bytes. The unused bits of the last digit may be set (RFC 4648 section 3.5): the
/// key is never decoded.
fn is_key(value: &HeaderValue) -> bool {
    let digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    match value.as_bytes().strip_suffix(b"==") {
        Some(digits) => digits.len() == 22 && digits.iter().all(digit),
        None => false,
    }
}

/// RFC 6455 section 11.3.4: tokens, each of them once.
fn parse_subprotocols(headers: &HeaderMap) -> Result<Vec<&str>, HandshakeError> {
    let mut offered: Vec<&str> = Vec::new();
    let readable = |value: &HeaderValue| value.to_str().is_ok();
    let mut valid = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().all(readable);
    for subprotocol in list(headers, SEC_WEBSOCKET_PROTOCOL) {
        valid &= is_token(subprotocol) && !offered.contains(&subprotocol);
        offered.push(subprotocol);
    }
    match valid {
        true => Ok(offered),
        false => Err(HandshakeError::InvalidHeader("Sec-WebSocket-Protocol")),
    }
}

/// The subprotocols that the client offers, the best first.
pub(crate) fn offered_subprotocols(request: &Request<()>) -> Vec<&str> {
    parse_subprotocols(request.headers()).unwrap_or_default()
}

/// The site whose script asks; browsers send it, and do not let the script choose it.
pub(crate) fn origin(request: &Request<()>) -> Option<&HeaderValue> {
    request.headers().get(ORIGIN)
}

/// The response that opens the connection (RFC 6455 section 4.2.2).
///
/// # Errors
///
/// [`Misuse::Response`] for a subprotocol that was not offered or a request without a key,
/// [`Misuse::Header`] for an extra header that the handshake sets itself.
pub(crate) fn accept(
    request: &Request<()>,
    subprotocol: Option<&str>,
    extensions: Option<&HeaderValue>,
    extra: &HeaderMap,
) -> Result<Response<()>, Misuse> {
    let plain = accept_plainly(request, subprotocol, extensions)?;
    if extra.keys().any(is_reserved) {
        return Err(Misuse::Header);
    }
    let mut response = parse_response(&plain.into()).map_err(|_| Misuse::Response)?;
    append_all(response.headers_mut(), extra);
    Ok(response)
}

/// The bytes of the response without extra headers.
///
/// # Errors
///
/// [`Misuse::Response`] as for [`accept`].
pub(crate) fn accept_plainly(
    request: &Request<()>,
    subprotocol: Option<&str>,
    extensions: Option<&HeaderValue>,
) -> Result<Vec<u8>, Misuse> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let digest = derive_accept_key(key.ok_or(Misuse::Response)?.as_bytes());
    // It is kept, and most responses have no more than this.
    let mut out = Vec::with_capacity(SWITCHING.len() + digest.len() + 4);
    out.extend_from_slice(SWITCHING);
    out.extend_from_slice(digest.as_bytes());
    if let Some(subprotocol) = subprotocol {
        if !offered_subprotocols(request).contains(&subprotocol) {
            return Err(Misuse::Response);
        }
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(subprotocol.as_bytes());
    }
    if let Some(extensions) = extensions {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        out.extend_from_slice(extensions.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
    Ok(out)
}

/// The bytes of a response without a body.
pub(crate) fn render_response(response: &Response<()>) -> Vec<u8> {
    let mut out = Vec::new();
    render_status_line(response.status(), &mut out);
    render_headers(response.headers(), &mut out);
    out
}

/// The bytes of a response that ends the connection. Headers in `extra` that would contradict it
/// (Content-Length, Transfer-Encoding, Connection) are left out.
pub(crate) fn refusal(status: StatusCode, extra: &HeaderMap, body: &[u8]) -> Vec<u8> {
    // RFC 9112 section 6.3: these have no body, whatever their headers say.
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut headers = HeaderMap::new();
    append_all(&mut headers, extra);
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    if !bodiless {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    // RFC 9110 section 7.8: who sends Upgrade names it in Connection.
    let connection = match headers.contains_key(UPGRADE) {
        true => "upgrade, close",
        false => "close",
    };
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    let mut out = Vec::new();
    render_status_line(status, &mut out);
    render_headers(&headers, &mut out);
    if !bodiless {
        out.extend_from_slice(body);
    }
    out
}

fn render_status_line(status: StatusCode, out: &mut Vec<u8>) {
    let reason = status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
}

fn append_all(headers: &mut HeaderMap, extra: &HeaderMap) {
    for (name, value) in extra {
        headers.append(name, value.clone());
    }
}

/// How a response begins that opens a connection, up to the digest.
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: ";
