//! The protocol from outside: bytes in, events out, in every cut.

mod closing;
#[cfg(feature = "deflate")]
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod deflate_spares;
mod differential;
mod link;
mod memory;
mod outbound;
mod pieces;
mod pings;
mod properties;
mod refusals;
mod streaming;
mod streams;
mod transcripts;
mod whole;

use super::{Fragment, Frames, Inbound, LARGE, Outbound, Piece, Role, Sink, Step};
use crate::close::CloseFrame;
use crate::config::Limits;
use crate::error::{Error, ProtocolError};
use crate::message::{Message, MessageKind};
use bytes::Bytes;
use std::time::Instant;

fn fragment(kind: MessageKind, first: bool, last: bool, payload: &[u8]) -> Fragment {
    Fragment {
        kind,
        first,
        last,
        compressed: false,
        payload: Bytes::copy_from_slice(payload),
    }
}

/// What came, one thing at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Message(Message),
    Ping(Bytes),
    Pong(Bytes),
    Close(CloseFrame),
}

/// Takes one message and then wants no more.
#[derive(Default)]
struct One(Option<Message>);

impl Sink for One {
    fn push(&mut self, message: Message) -> bool {
        assert_eq!(self.0.replace(message), None, "one at a time");
        false
    }

    fn room(&self) -> (usize, usize) {
        (1, usize::MAX)
    }

    fn push_all(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        messages.fold(true, |_, message| self.push(message))
    }

    fn push_piece(&mut self, piece: Piece) -> bool {
        unreachable!("{piece:?} was not asked for")
    }
}

impl One {
    fn event(self, step: Step) -> Option<Event> {
        match step {
            Step::More => self.0.map(Event::Message),
            Step::Full => Some(Event::Message(self.0.expect("full of a message"))),
            Step::Ping(payload) => Some(Event::Ping(payload)),
            Step::Pong(payload) => Some(Event::Pong(payload)),
            Step::Close(frame) => Some(Event::Close(frame)),
        }
    }
}

impl Inbound {
    /// Takes bytes up to the next event.
    fn event(&mut self, input: &mut [u8], now: Instant) -> Result<(usize, Option<Event>), Error> {
        let mut one = One::default();
        let (n, step) = self.receive(input, now, &mut one)?;
        Ok((n, one.event(step)))
    }

    fn fill_event(&mut self, n: usize) -> Result<Option<Event>, Error> {
        let mut one = One::default();
        let step = self.fill(n, &mut one)?;
        Ok(one.event(step))
    }
}

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The longest header: two bytes, a length of eight, a masking key.
const MAX_HEADER: usize = 14;

/// Everything that a decoder said about some bytes.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    events: Vec<Event>,
    failure: Option<Failure>,
    /// The begin of a header that waits for more.
    left: Vec<u8>,
}

/// An [`Error`] that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Protocol(ProtocolError),
    TooBig { size: u64, limit: u64 },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(e) => Failure::Protocol(e),
            Error::TooBig { size, limit } => Failure::TooBig { size, limit },
            other => panic!("not an error of the decoder: {other:?}"),
        }
    }
}

impl From<ProtocolError> for Failure {
    fn from(e: ProtocolError) -> Self {
        Failure::Protocol(e)
    }
}

impl Outcome {
    fn events(events: impl Into<Vec<Event>>) -> Self {
        Outcome {
            events: events.into(),
            failure: None,
            left: Vec::new(),
        }
    }

    fn then(mut self, failure: impl Into<Failure>) -> Self {
        self.failure = Some(failure.into());
        self
    }

    /// Whether a Close frame or a failure ended it.
    fn is_over(&self) -> bool {
        self.failure.is_some() || matches!(self.events.last(), Some(Event::Close(_)))
    }
}

/// Feeds a decoder as a reader does: what it left is given again, in front of the next piece.
struct Feeder {
    inbound: Inbound,
    outcome: Outcome,
    now: Instant,
    /// Whether large payloads are read to where they stay.
    direct: bool,
}

impl Feeder {
    fn new(role: Role, limits: &Limits) -> Self {
        Feeder::of(Inbound::new(role, limits.clone(), None))
    }

    fn of(inbound: Inbound) -> Self {
        Feeder {
            inbound,
            outcome: Outcome::events([]),
            now: Instant::now(),
            direct: false,
        }
    }

    fn feed_all<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
        pieces.into_iter().for_each(|piece| self.feed(piece));
        self.outcome
    }

    /// After how many bytes it first refuses, fed one at a time.
    fn refused_after(mut self, bytes: &[u8]) -> (usize, Failure) {
        for (i, byte) in bytes.iter().enumerate() {
            self.feed(&[*byte]);
            if let Some(failure) = self.outcome.failure {
                return (i + 1, failure);
            }
        }
        panic!("not refused: {:?}", self.outcome);
    }

    fn feed(&mut self, mut piece: &[u8]) {
        while self.direct && self.outcome.left.is_empty() {
            let Some(space) = self.inbound.space() else {
                break;
            };
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            piece = &piece[n..];
            match self.inbound.fill_event(n) {
                Ok(event) => self.outcome.events.extend(event),
                Err(error) => self.outcome.failure = Some(error.into()),
            }
            if piece.is_empty() {
                return;
            }
        }
        self.receive(piece);
    }

    fn receive(&mut self, piece: &[u8]) {
        let mut unread = std::mem::take(&mut self.outcome.left);
        unread.extend_from_slice(piece);
        let mut start = 0;
        loop {
            let rest = &mut unread[start..];
            let over = self.outcome.is_over();
            match self.inbound.event(rest, self.now) {
                Ok((n, event)) if over => {
                    assert_eq!(
                        (n, event),
                        (rest.len(), None),
                        "all is discarded at the end"
                    );
                    return;
                }
                Ok((n, None)) => {
                    self.outcome.left = rest[n..].to_vec();
                    assert!(
                        self.outcome.left.len() < MAX_HEADER,
                        "only a header may wait"
                    );
                    return;
                }
                Ok((n, Some(event))) => {
                    self.outcome.events.push(event);
                    start += n;
                }
                Err(error) => {
                    assert!(!over, "nothing fails after the end");
                    self.outcome.failure = Some(error.into());
                }
            }
        }
    }
}

fn decode<'a>(role: Role, limits: &Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    Feeder::new(role, limits).feed_all(pieces)
}

/// The same with large payloads read to where they stay.
fn decode_directly<'a>(
    role: Role,
    limits: &Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut feeder = Feeder::new(role, limits);
    feeder.direct = true;
    feeder.feed_all(pieces)
}

/// All that waits to be written.
fn take(outbound: &mut Outbound) -> Vec<u8> {
    let mut frames = Frames::default();
    outbound.take(&mut frames);
    frames.pieces(0).collect::<Vec<_>>().concat()
}

/// Decodes `bytes` whole, byte by byte, at every single cut and, if they are few, at every two.
/// Of long bytes, only their ends are cut.
fn in_every_cut(role: Role, limits: &Limits, bytes: &[u8], expected: &Outcome) {
    every_cut(bytes.len(), |cuts| {
        let check = |outcome: Outcome| {
            // Long payloads are not printed.
            assert!(
                outcome == *expected,
                "{role:?}, {} bytes in pieces of {cuts:?}: {outcome:?}, not {expected:?}",
                bytes.len()
            );
        };
        check(decode(role, limits, cut(bytes, cuts)));
        check(whole::decode_together(
            role,
            limits,
            (3, 1000),
            cut(bytes, cuts),
        ));
        if bytes.len() >= LARGE {
            check(decode_directly(role, limits, cut(bytes, cuts)));
        }
    });
}

/// The sizes of the pieces of every cut.
fn every_cut(length: usize, check: impl Fn(&[usize])) {
    const END: usize = 40;
    check(&[length]);
    check(&vec![1; length]);
    let is_cut = |&at: &usize| length <= 300 || at <= END || at + END >= length;
    for at in (0..=length).filter(is_cut) {
        check(&[at, length - at]);
        if length <= END {
            for second in at..=length {
                check(&[at, second - at, length - second]);
            }
        }
    }
}

fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    sizes.iter().map(move |size| {
        let (piece, rest) = bytes.split_at(*size);
        bytes = rest;
        piece
    })
}

/// After how many bytes a decoder first refuses, fed one at a time.
fn refused_after(role: Role, limits: &Limits, bytes: &[u8]) -> (usize, Failure) {
    Feeder::new(role, limits).refused_after(bytes)
}

/// Bytes from hexadecimal digits; spaces are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

/// A frame to `role`, made without the encoder under test; masked with the key of RFC 6455
/// section 5.7 if it goes to a server.
fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(role, first, payload.len() as u64);
    let key = [0x37, 0xfa, 0x21, 0x3d].map(|byte| if role == Role::Server { byte } else { 0 });
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    bytes
}

fn header(role: Role, first: u8, length: u64) -> Vec<u8> {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask | length as u8),
        126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    if role == Role::Server {
        bytes.extend([0x37, 0xfa, 0x21, 0x3d]);
    }
    bytes
}

/// A Close frame to `role`.
fn close_frame(role: Role, code: u16, reason: &[u8]) -> Vec<u8> {
    frame(role, 0x88, &[&code.to_be_bytes(), reason].concat())
}

/// The first bytes and unmasked payloads of whole frames, read without the decoder under test.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second & 0x7f {
            126 => (
                u64::from(u16::from_be_bytes([rest[0], rest[1]])),
                &rest[2..],
            ),
            127 => (
                u64::from_be_bytes(rest[..8].try_into().unwrap()),
                &rest[8..],
            ),
            short => (u64::from(short), rest),
        };
        let (key, rest) = match second & 0x80 {
            0 => ([0; 4], rest),
            _ => (rest[..4].try_into().unwrap(), &rest[4..]),
        };
        let (payload, rest) = rest.split_at(length as usize);
        let payload = payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k);
        frames.push((*first, payload.collect()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a header");
    frames
}

fn limits(message: usize, frame: usize, fragments: usize) -> Limits {
    Limits {
        message,
        frame: Some(frame),
        fragments,
        ..Limits::default()
    }
}

fn text(text: &str) -> Event {
    Event::Message(Message::from(text))
}

fn binary(bytes: &[u8]) -> Event {
    Event::Message(Message::from(bytes))
}

fn ping(bytes: &[u8]) -> Event {
    Event::Ping(Bytes::copy_from_slice(bytes))
}

fn pong(bytes: &[u8]) -> Event {
    Event::Pong(Bytes::copy_from_slice(bytes))
}

fn close(code: u16, reason: &str) -> Event {
    Event::Close(CloseFrame {
        code: code.into(),
        reason: reason.into(),
    })
}
