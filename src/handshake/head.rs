//! The heads of HTTP/1.1 messages: collected from bytes in any cuts, then parsed (RFC 9112).

use super::{HandshakeError, is_token_byte};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use std::mem;

/// What the first line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Request,
    Response,
}

pub(crate) type HeadAndRest<'a> = (Vec<u8>, &'a [u8]);

/// Collects a head up to its empty line. Every byte is looked at once, and stored only when the
/// limits still hold with it.
#[derive(Debug)]
pub(crate) struct HeadReader {
    start: Start,
    limit: usize,
    line_limit: usize,
    /// What came of the head, without an empty line before it.
    buffer: Vec<u8>,
    /// Where in `buffer` the unfinished line begins.
    line_start: usize,
    /// Finished lines.
    lines: usize,
    /// An empty line came before the request.
    skipped: bool,
}

impl HeadReader {
    /// `limit` is of the whole head in bytes. A line may have half of it, at most 8 KiB, with its
    /// line end.
    pub(crate) fn new(start: Start, limit: usize) -> Self {
        HeadReader {
            start,
            limit,
            line_limit: (limit / 2).min(MAX_LINE),
            buffer: Vec::new(),
            line_start: 0,
            lines: 0,
            skipped: false,
        }
    }

    /// The head, once it is complete, and the bytes after it.
    pub(crate) fn receive<'a>(
        &mut self,
        mut bytes: &'a [u8],
    ) -> Result<Option<HeadAndRest<'a>>, HandshakeError> {
        if self.buffer.capacity() == 0 {
            // Most heads come whole.
            self.buffer.reserve_exact(bytes.len().min(self.limit));
        }
        while !bytes.is_empty() {
            let end = bytes.iter().position(|&b| b == b'\n').map(|i| i + 1);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            bytes = rest;
            self.check_first_bytes(piece)?;
            self.push(piece)?;
            if end.is_some() && self.end_line()? {
                return Ok(Some((mem::take(&mut self.buffer), rest)));
            }
        }
        Ok(None)
    }

    /// Tells another protocol by its first bytes, such as the banner of a mail server or the hello
    /// of TLS, before it makes us wait for a line that never ends.
    fn check_first_bytes(&self, piece: &[u8]) -> Result<(), HandshakeError> {
        if self.buffer.len() >= RESPONSE_START.len() {
            return Ok(());
        }
        let mut first = self.buffer.iter().chain(piece);
        let plausible = match self.start {
            Start::Request => first.next().is_none_or(|&b| is_token_byte(b) || b == b'\r'),
            Start::Response => first.zip(RESPONSE_START).all(|(a, b)| a == b),
        };
        if plausible {
            Ok(())
        } else {
            Err(HandshakeError::NotHttp)
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), HandshakeError> {
        let line = self.buffer.len().saturating_sub(self.line_start);
        let line_room = self.line_limit.saturating_sub(line);
        let head_room = self.limit.saturating_sub(self.buffer.len());
        if piece.len() > line_room.min(head_room) {
            // Of both limits it is the one that is met first, whatever the cuts are.
            return Err(match (self.start, self.lines) {
                _ if head_room < line_room => HandshakeError::HeadTooLarge,
                (Start::Request, 0) => HandshakeError::RequestLineTooLong,
                _ => HandshakeError::LineTooLong,
            });
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    /// Whether the finished line is the empty one that ends the head.
    fn end_line(&mut self) -> Result<bool, HandshakeError> {
        let line = self.buffer.get(self.line_start..).unwrap_or_default();
        // A line that ends otherwise, or that continues the one before, is read differently by
        // different parsers (RFC 9112 sections 2.2 and 5.2).
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(HandshakeError::Syntax);
        };
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(HandshakeError::Syntax);
        }
        match (line.is_empty(), self.lines) {
            (true, 0) => return self.skip_empty_line(),
            (true, _) => return Ok(true),
            (false, lines) if lines > MAX_HEADERS => return Err(HandshakeError::TooManyHeaders),
            (false, _) => self.lines += 1,
        }
        self.line_start = self.buffer.len();
        Ok(false)
    }

    /// RFC 9112 section 2.2: a server ignores at least one empty line before the request.
    fn skip_empty_line(&mut self) -> Result<bool, HandshakeError> {
        if self.skipped {
            return Err(HandshakeError::Syntax);
        }
        self.skipped = true;
        self.buffer.clear();
        Ok(false)
    }
}

/// Any request that HTTP/1 allows, whether or not it asks for a WebSocket. Its parts share the memory
/// of the head.
pub(super) fn parse_request(head: &Bytes) -> Result<Box<Request<()>>, HandshakeError> {
    let mut headers = room_for_headers(head);
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(head).map_err(|e| parse_error(e, head))?;
    let target = parsed.path.unwrap_or_default();
    // `http::Uri` would drop a fragment.
    if target.contains('#') || !target.is_ascii() {
        return Err(HandshakeError::Target);
    }
    let mut request = Box::<Request<()>>::default();
    let target = head.slice_ref(target.as_bytes());
    *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_| HandshakeError::Target)?;
    *request.method_mut() = parsed
        .method
        .and_then(|method| method.parse().ok())
        .ok_or(HandshakeError::Syntax)?;
    *request.version_mut() = version(parsed.version);
    *request.headers_mut() = convert_headers(parsed.headers, head)?;
    Ok(request)
}

pub(crate) fn parse_response(head: &Bytes) -> Result<Response<()>, HandshakeError> {
    let mut headers = room_for_headers(head);
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(head).map_err(|e| parse_error(e, head))?;
    let mut response = Response::new(());
    *response.status_mut() = parsed
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(HandshakeError::Syntax)?;
    *response.version_mut() = version(parsed.version);
    *response.headers_mut() = convert_headers(parsed.headers, head)?;
    Ok(response)
}

/// On the heap, and no more than there are lines: an array for the most would be the largest thing on
/// the stack of a connection's thread.
fn room_for_headers(head: &[u8]) -> Vec<httparse::Header<'_>> {
    let lines = head.iter().filter(|&&b| b == b'\n').count();
    vec![httparse::EMPTY_HEADER; lines.min(MAX_HEADERS)]
}

fn version(minor: Option<u8>) -> Version {
    match minor {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    }
}

/// httparse has one error for versions other than 1.0 and 1.1 and for what is no version at all.
fn parse_error(error: httparse::Error, head: &[u8]) -> HandshakeError {
    let line = head.split(|&b| b == b'\r').next().unwrap_or_default();
    let names_version = line
        .split(|&b| b == b' ')
        .any(|word| word.starts_with(RESPONSE_START));
    match error {
        httparse::Error::TooManyHeaders => HandshakeError::TooManyHeaders,
        httparse::Error::Version if names_version => HandshakeError::HttpVersion,
        _ => HandshakeError::Syntax,
    }
}

fn convert_headers(
    parsed: &[httparse::Header<'_>],
    head: &Bytes,
) -> Result<HeaderMap, HandshakeError> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::try_from(header.name).map_err(|_| HandshakeError::Syntax)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(header.value))
            .map_err(|_| HandshakeError::Syntax)?;
        headers.append(name, value);
    }
    Ok(headers)
}

const MAX_LINE: usize = 8 << 10;
const MAX_HEADERS: usize = 100;
const RESPONSE_START: &[u8] = b"HTTP/";
