//! The client's side (RFC 6455 section 4.1).

use super::body::BodyReader;
use super::head::{HeadReader, Start, parse_response};
use super::{
    HandshakeError, at_most_one, check_no_body, extensions, is_reserved, is_token, list_contains,
    render_headers, single,
};
use crate::compression::{Compression, DeflateParams};
use crate::error::Misuse;
use crate::uri::Target;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use std::mem;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

/// What the user adds to the request.
#[derive(Debug, Clone)]
pub(crate) struct RequestOptions {
    /// Anything but what the handshake sets itself. Host and Authorization replace those of the
    /// address.
    pub(crate) headers: HeaderMap,
    /// Replaces an Origin in `headers`.
    pub(crate) origin: Option<HeaderValue>,
    /// The best first.
    pub(crate) subprotocols: Vec<String>,
    /// Replaces a User-Agent in `headers`.
    pub(crate) user_agent: Option<HeaderValue>,
    /// Offered to the server.
    pub(crate) compression: Option<Compression>,
    /// The limit of the response's head, in bytes.
    pub(crate) head_limit: usize,
}

impl RequestOptions {
    /// Nothing added.
    #[cfg(test)]
    pub(super) fn new(head_limit: usize) -> Self {
        RequestOptions {
            headers: HeaderMap::new(),
            origin: None,
            subprotocols: Vec::new(),
            user_agent: None,
            compression: None,
            head_limit,
        }
    }
}

/// The server agreed.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) response: Response<()>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) deflate: Option<DeflateParams>,
    /// The bytes after the head, which belong to the first frames.
    pub(crate) rest: Vec<u8>,
}

/// Makes the request and receives the response.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    request: Request<()>,
    subprotocols: Vec<String>,
    compression: Option<Compression>,
    /// What `Sec-WebSocket-Accept` has to be.
    accept: String,
    head_limit: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    /// The server refused and says why.
    Body(Response<()>, BodyReader),
    /// The result has been given.
    Over,
}

impl ClientHandshake {
    /// # Errors
    ///
    /// [`Misuse::Header`] for a header that the handshake sets itself or a second Host,
    /// [`Misuse::Subprotocol`] for one that is not a token or is there twice.
    pub(crate) fn new(target: &Target, options: &RequestOptions) -> Result<Self, Misuse> {
        Self::with_key(target, options, &generate_key())
    }

    pub(crate) fn with_key(
        target: &Target,
        options: &RequestOptions,
        key: &str,
    ) -> Result<Self, Misuse> {
        Ok(ClientHandshake {
            request: build_request(target, options, key)?,
            subprotocols: options.subprotocols.clone(),
            compression: options.compression,
            accept: derive_accept_key(key.as_bytes()),
            head_limit: options.head_limit,
            state: State::Head(HeadReader::new(Start::Response, options.head_limit)),
        })
    }

    pub(crate) fn request(&self) -> &Request<()> {
        &self.request
    }

    /// The request as it goes to the server.
    pub(crate) fn request_bytes(&self) -> Vec<u8> {
        let mut out = format!("GET {} HTTP/1.1\r\n", self.request.uri()).into_bytes();
        render_headers(self.request.headers(), &mut out);
        out
    }

    /// Bytes from the server. `None` means that more have to come.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Status`] for an answer other than 101, as soon as its body is complete;
    /// the others for a 101 that RFC 6455 section 4.1 does not let pass, and for what is no HTTP.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Opened>, HandshakeError> {
        match mem::replace(&mut self.state, State::Over) {
            State::Head(head) => self.receive_head(head, bytes),
            State::Body(response, body) => self.receive_body(response, body, bytes),
            State::Over => Err(HandshakeError::Eof),
        }
    }

    /// The connection ended: what came before is all there will be.
    pub(crate) fn receive_eof(&mut self) -> HandshakeError {
        self.refused_so_far().unwrap_or(HandshakeError::Eof)
    }

    /// The refusal whose body is still on its way, with what came of it. It tells more than a
    /// deadline that passed.
    pub(crate) fn refused_so_far(&mut self) -> Option<HandshakeError> {
        match mem::replace(&mut self.state, State::Over) {
            State::Body(response, body) => Some(refused(response, body)),
            state => {
                self.state = state;
                None
            }
        }
    }

    fn receive_head(
        &mut self,
        mut head: HeadReader,
        mut bytes: &[u8],
    ) -> Result<Option<Opened>, HandshakeError> {
        while let Some((complete, rest)) = head.receive(bytes)? {
            let response = parse_response(&complete.into())?;
            match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => return self.open(response, rest).map(Some),
                // RFC 9110 section 15.2: others may come before the answer, and may be ignored.
                status if status.is_informational() => {}
                status => {
                    let body = BodyReader::new(status, response.headers());
                    return self.receive_body(response, body, rest);
                }
            }
            head = HeadReader::new(Start::Response, self.head_limit);
            bytes = rest;
        }
        self.state = State::Head(head);
        Ok(None)
    }

    fn receive_body(
        &mut self,
        response: Response<()>,
        mut body: BodyReader,
        bytes: &[u8],
    ) -> Result<Option<Opened>, HandshakeError> {
        body.receive(bytes);
        if body.is_complete() {
            return Err(refused(response, body));
        }
        self.state = State::Body(response, body);
        Ok(None)
    }

    fn open(&self, response: Response<()>, rest: &[u8]) -> Result<Opened, HandshakeError> {
        if response.version() != Version::HTTP_11 {
            return Err(HandshakeError::HttpVersion);
        }
        let headers = response.headers();
        check_upgrade(headers)?;
        check_no_body(headers)?;
        if single(headers, SEC_WEBSOCKET_ACCEPT, "Sec-WebSocket-Accept")? != self.accept.as_str() {
            return Err(HandshakeError::Accept);
        }
        let deflate = extensions::judge_response(headers, self.compression.as_ref())?;
        let subprotocol = self.chosen_subprotocol(headers)?;
        Ok(Opened {
            response,
            subprotocol,
            deflate,
            rest: rest.to_vec(),
        })
    }

    /// `None` when the server chose none of those that were offered, which it may.
    fn chosen_subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, HandshakeError> {
        let Some(value) = at_most_one(headers, SEC_WEBSOCKET_PROTOCOL, "Sec-WebSocket-Protocol")?
        else {
            return Ok(None);
        };
        match self
            .subprotocols
            .iter()
            .find(|offered| value == offered.as_str())
        {
            Some(chosen) => Ok(Some(chosen.clone())),
            None => Err(HandshakeError::Subprotocol),
        }
    }
}

fn check_upgrade(headers: &HeaderMap) -> Result<(), HandshakeError> {
    let upgrade = single(headers, UPGRADE, "Upgrade")?;
    if !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return Err(HandshakeError::InvalidHeader("Upgrade"));
    }
    match (
        headers.contains_key(CONNECTION),
        list_contains(headers, CONNECTION, "upgrade"),
    ) {
        (_, true) => Ok(()),
        (true, false) => Err(HandshakeError::InvalidHeader("Connection")),
        (false, false) => Err(HandshakeError::MissingHeader("Connection")),
    }
}

fn refused(response: Response<()>, body: BodyReader) -> HandshakeError {
    HandshakeError::Status(Box::new(response.map(|()| body.into_body())))
}

fn build_request(
    target: &Target,
    options: &RequestOptions,
    key: &str,
) -> Result<Request<()>, Misuse> {
    check_headers(&options.headers)?;
    let mut headers = HeaderMap::new();
    // RFC 9110 section 7.2: Host comes first.
    headers.insert(HOST, value(target.host_header())?);
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_KEY, value(key.to_owned())?);
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if let Some(offer) = offer_subprotocols(&options.subprotocols)? {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, offer);
    }
    if let Some(compression) = &options.compression {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, extensions::offer(compression));
    }
    if let Some(authorization) = target.authorization() {
        headers.insert(AUTHORIZATION, authorization);
    }
    // An iterator of owned pairs replaces what is there, then appends.
    headers.extend(options.headers.clone());
    insert_some(&mut headers, ORIGIN, &options.origin);
    insert_some(&mut headers, USER_AGENT, &options.user_agent);
    let mut request = Request::new(());
    *request.uri_mut() = target.resource_name().parse().map_err(|_| Misuse::Header)?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn check_headers(headers: &HeaderMap) -> Result<(), Misuse> {
    let hosts = headers.get_all(HOST).iter().count();
    match headers.keys().any(is_reserved) || hosts > 1 {
        true => Err(Misuse::Header),
        false => Ok(()),
    }
}

fn offer_subprotocols(subprotocols: &[String]) -> Result<Option<HeaderValue>, Misuse> {
    for (i, subprotocol) in subprotocols.iter().enumerate() {
        if !is_token(subprotocol) || subprotocols.iter().take(i).any(|s| s == subprotocol) {
            return Err(Misuse::Subprotocol);
        }
    }
    if subprotocols.is_empty() {
        return Ok(None);
    }
    value(subprotocols.join(", ")).map(Some)
}

fn value(text: String) -> Result<HeaderValue, Misuse> {
    HeaderValue::try_from(text).map_err(|_| Misuse::Header)
}

fn insert_some(headers: &mut HeaderMap, name: HeaderName, value: &Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}
