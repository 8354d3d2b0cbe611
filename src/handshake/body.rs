//! The body of a response that refuses, for whoever wants to know why (RFC 9112 section 6.3).
//!
//! Nothing follows it, because the connection is closed after it: a framing that is broken ends it
//! and is no error of its own.

use super::list;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};

/// Collects a body up to its end or to [`MAX_BODY`] bytes.
#[derive(Debug)]
pub(super) struct BodyReader {
    framing: Framing,
    body: Vec<u8>,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes are missing.
    Length(u64),
    Chunked(Chunked),
    UntilEof,
}

/// Where in a chunked body the next byte stands (RFC 9112 section 7.1).
#[derive(Debug)]
enum Chunked {
    /// In the line before a chunk: its size so far, and whether the digits are over.
    Size(u64, bool),
    /// In a chunk of which so many bytes are missing.
    Data(u64),
    /// In the line end after a chunk.
    DataEnd,
    /// In the lines after the last chunk: whether this one is empty so far.
    Trailer(bool),
    End,
}

impl BodyReader {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        BodyReader {
            framing: Framing::new(status, headers),
            body: Vec::new(),
        }
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        match &mut self.framing {
            Framing::Length(missing) => {
                let data = take(bytes, *missing).0;
                *missing -= data.len() as u64;
                self.body.extend_from_slice(room(&self.body, data));
            }
            Framing::Chunked(chunked) => chunked.receive(bytes, &mut self.body),
            Framing::UntilEof => self.body.extend_from_slice(room(&self.body, bytes)),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.body.len() >= MAX_BODY
            || matches!(
                self.framing,
                Framing::Length(0) | Framing::Chunked(Chunked::End)
            )
    }

    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

impl Framing {
    fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Framing::Length(0);
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            return match list(headers, TRANSFER_ENCODING).last() {
                Some(coding) if coding.eq_ignore_ascii_case("chunked") => {
                    Framing::Chunked(Chunked::Size(0, false))
                }
                _ => Framing::UntilEof,
            };
        }
        content_length(headers).map_or(Framing::UntilEof, Framing::Length)
    }
}

/// `None` when it is not there, no number, or ambiguous.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = list(headers, CONTENT_LENGTH);
    let first = values.next()?;
    let valid = first.bytes().all(|b| b.is_ascii_digit()) && values.all(|value| value == first);
    first.parse().ok().filter(|_| valid)
}

impl Chunked {
    fn receive(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) {
        while let Some((&byte, rest)) = bytes.split_first() {
            let Chunked::Data(missing) = *self else {
                self.step(byte);
                bytes = rest;
                continue;
            };
            let (data, rest) = take(bytes, missing);
            body.extend_from_slice(room(body, data));
            *self = match missing - data.len() as u64 {
                0 => Chunked::DataEnd,
                missing => Chunked::Data(missing),
            };
            bytes = rest;
        }
    }

    fn step(&mut self, byte: u8) {
        *self = match (&*self, byte) {
            (Chunked::End, _) => Chunked::End,
            (Chunked::Size(0, _), b'\n') => Chunked::Trailer(true),
            (Chunked::Size(size, _), b'\n') => Chunked::Data(*size),
            (Chunked::Size(size, _), b';' | b' ' | b'\t' | b'\r') => Chunked::Size(*size, true),
            (Chunked::Size(size, true), _) => Chunked::Size(*size, true),
            (Chunked::Size(size, false), digit) => Chunked::add_digit(*size, digit),
            (Chunked::DataEnd, b'\r') => Chunked::DataEnd,
            (Chunked::DataEnd, b'\n') => Chunked::Size(0, false),
            (Chunked::Trailer(true), b'\n') => Chunked::End,
            (Chunked::Trailer(_), b'\n') => Chunked::Trailer(true),
            (Chunked::Trailer(blank), b'\r') => Chunked::Trailer(*blank),
            (Chunked::Trailer(_), _) => Chunked::Trailer(false),
            (Chunked::DataEnd | Chunked::Data(_), _) => Chunked::End,
        };
    }

    fn add_digit(size: u64, digit: u8) -> Self {
        let digit = char::from(digit).to_digit(16);
        match digit.zip(size.checked_mul(16)) {
            Some((digit, size)) => Chunked::Size(size | u64::from(digit), false),
            None => Chunked::End,
        }
    }
}

/// At most `count` bytes, and the others.
fn take(bytes: &[u8], count: u64) -> (&[u8], &[u8]) {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    bytes.split_at(count.min(bytes.len()))
}

/// As much of `data` as the body still has room for.
fn room<'a>(body: &[u8], data: &'a [u8]) -> &'a [u8] {
    take(data, MAX_BODY.saturating_sub(body.len()) as u64).0
}

pub(super) const MAX_BODY: usize = 1 << 20;
