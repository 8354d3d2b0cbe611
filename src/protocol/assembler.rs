//! Fragments put together into one message (RFC 6455 section 5.4), within limits.

use super::frame::{Data, Header};
use super::pool::Pool;
use super::utf8::Utf8;
use super::{Piece, PieceEnd, Sink};
use crate::config::Limits;
use crate::error::{Error, ProtocolError};
use crate::message::{Message, MessageKind, Text};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// The least that is reserved for a message that does not come at once.
const FIRST_RESERVE: usize = 4 << 10;

/// The most space that is lent for a message of which less has come.
const AHEAD: usize = 64 << 10;

/// From so many bytes on, buffers are used again.
const LARGE: usize = 16 << 10;

/// The message that is arriving, if one is.
#[derive(Debug)]
pub(super) struct Assembler {
    limits: Limits,
    kind: Option<MessageKind>,
    /// The payload so far, and behind `filled` perhaps space that was lent for more.
    buffer: Vec<u8>,
    filled: usize,
    /// Where the message ends in `buffer`, at most: known with its last frame.
    end: usize,
    utf8: Utf8,
    fragments: usize,
    /// The message is compressed, and its frames have so many bytes so far.
    compressed: Option<u64>,
    /// When the first frame of the message came.
    begun: Option<Instant>,
    pool: Pool,
    /// Messages longer than this are handed on in pieces.
    stream_above: Option<usize>,
    /// The message in progress is, and so many bytes of it are gone.
    streamed: Option<usize>,
    /// Its next piece is the first.
    first: bool,
}

impl Assembler {
    pub(super) fn new(limits: Limits, stream_above: Option<usize>) -> Self {
        Assembler {
            limits,
            kind: None,
            buffer: Vec::new(),
            filled: 0,
            end: 0,
            utf8: Utf8::default(),
            fragments: 0,
            compressed: None,
            begun: None,
            pool: Pool::default(),
            stream_above,
            streamed: None,
            first: true,
        }
    }

    /// When the message in progress began.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// Moves its begin by a time that its sender did not take.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.begun = self.begun.and_then(|begun| begun.checked_add(time));
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Begins a data frame: its order and size are judged before any of its payload is taken.
    pub(super) fn begin(
        &mut self,
        opcode: Data,
        header: &Header,
        now: Instant,
    ) -> Result<(), Error> {
        let kind = self.judge_order(opcode)?;
        if header.compressed {
            self.compressed = Some(0);
        }
        match self.compressed {
            Some(before) => self.compressed = Some(self.judge_compressed(before, header.length)?),
            None => self.judge_size(header.length)?,
        }
        // A message in one frame, even an empty one, is within any limit.
        if !header.fin || self.kind.is_some() {
            self.count(header.length)?;
        }
        self.kind = Some(kind);
        self.begun.get_or_insert(now);
        if self.compressed.is_some() {
            // How long it is shows as it is inflated.
            self.end = self.limits.message;
            return Ok(());
        }
        let total = self.total() + header.length as usize;
        if self.streamed.is_none() && self.stream_above.is_some_and(|above| total > above) {
            self.streamed = Some(0);
        }
        // Judged against a limit that is a usize.
        let frame_end = self.filled + header.length as usize;
        self.end = match header.fin {
            true => frame_end,
            false => self.limits.message,
        };
        if self.buffer.is_empty() && frame_end >= LARGE && !self.is_streaming() {
            self.buffer = self.pool.take(frame_end);
        }
        Ok(())
    }

    /// The longest message that may come whole in one frame now; none while another is in progress.
    pub(super) fn most_at_once(&self) -> Option<usize> {
        let Limits { message, frame, .. } = self.limits;
        match self.kind {
            None => Some(frame.unwrap_or(message).min(message)),
            Some(_) => None,
        }
    }

    /// Takes unmasked payload of the current frame.
    pub(super) fn receive(&mut self, payload: &[u8]) -> Result<(), Error> {
        let end = self.filled + payload.len();
        if let Some(space) = self.buffer.get_mut(self.filled..end) {
            space.copy_from_slice(payload);
        } else {
            self.reserve(payload.len())?;
            self.buffer.truncate(self.filled);
            self.buffer.extend_from_slice(payload);
        }
        self.accept(payload.len())
    }

    /// Takes payload that was inflated: nobody announced how much it is.
    pub(super) fn receive_inflated(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.judge_inflated(payload)?;
        let total = self.total() + payload.len();
        if self.streamed.is_none() && self.stream_above.is_some_and(|above| total > above) {
            self.streamed = Some(0);
        }
        self.receive(payload)
    }

    /// Whether the message in progress is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// Whether a message, now complete with its last `length` bytes, has come at once.
    pub(super) fn comes_at_once(&self, length: usize) -> bool {
        let whole = self.stream_above.is_none_or(|above| length <= above);
        self.filled == 0 && whole && !self.is_streaming()
    }

    /// Ends a message that [came at once](Self::comes_at_once).
    pub(super) fn finish_inflated(
        &mut self,
        payload: Bytes,
        sink: &mut impl Sink,
    ) -> Result<bool, Error> {
        self.judge_inflated(&payload)?;
        let kind = self.end_message();
        Ok(sink.push(message(kind, payload)?))
    }

    /// Lends space for the next bytes of the current frame, which has at least `most` to come:
    /// no more ahead than has come, or [`AHEAD`]; at most twice that is reserved. None if there is no memory for it.
    pub(super) fn space(&mut self, most: usize) -> Option<&mut [u8]> {
        let length = most.min(self.filled.max(AHEAD));
        let end = self.filled + length;
        if self.buffer.len() < end {
            self.reserve(length).ok()?;
            self.buffer.resize(end, 0);
        }
        self.buffer.get_mut(self.filled..end)
    }

    /// Takes `n` bytes that were put into the space, once `unmask` has been at them.
    pub(super) fn fill(&mut self, n: usize, unmask: impl FnOnce(&mut [u8])) -> Result<(), Error> {
        let end = self.filled + n;
        unmask(self.buffer.get_mut(self.filled..end).unwrap_or_default());
        self.accept(n)
    }

    /// Ends the last frame of a message, which goes to the sink. Returns whether it wants more.
    pub(super) fn finish(&mut self, sink: &mut impl Sink) -> Result<bool, Error> {
        self.utf8.finish()?;
        if self.is_streaming() {
            let wants_more = self.push_piece(PieceEnd::Last, sink);
            (self.streamed, self.first) = (None, true);
            self.end_message();
            return Ok(wants_more);
        }
        let payload = self.take_payload();
        let kind = self.end_message();
        Ok(sink.push(message(kind, payload)?))
    }

    /// Ready for the next message. Returns what this one is.
    fn end_message(&mut self) -> MessageKind {
        self.fragments = 0;
        self.compressed = None;
        self.begun = None;
        self.kind.take().unwrap_or(MessageKind::Binary)
    }

    /// Whether the message in progress goes to the sink in pieces.
    pub(super) fn is_streaming(&self) -> bool {
        self.streamed.is_some()
    }

    /// Hands on what came of a message that goes in pieces. The next piece has as long as the message
    /// had.
    pub(super) fn hand_on(&mut self, now: Instant, sink: &mut impl Sink) {
        if self.is_streaming() && self.filled > 0 {
            self.begun = Some(now);
            self.push_piece(PieceEnd::More, sink);
        }
    }

    /// The same as soon as it is worth a piece. Returns whether the sink wants more.
    pub(super) fn hand_on_large(&mut self, now: Instant, sink: &mut impl Sink) -> bool {
        let large = self.is_streaming() && self.filled >= AHEAD;
        if large {
            self.begun = Some(now);
        }
        !large || self.push_piece(PieceEnd::More, sink)
    }

    fn push_piece(&mut self, end: PieceEnd, sink: &mut impl Sink) -> bool {
        self.streamed = Some(self.total());
        sink.push_piece(Piece {
            kind: self.kind.unwrap_or(MessageKind::Binary),
            first: std::mem::take(&mut self.first),
            end,
            payload: self.take_payload(),
        })
    }

    /// The bytes of the message in progress that came.
    fn total(&self) -> usize {
        self.streamed.unwrap_or(0) + self.filled
    }

    /// Gives up the message in progress.
    pub(super) fn abandon(&mut self) {
        *self = Assembler::new(self.limits.clone(), self.stream_above);
    }

    /// Gives back the memory of messages that are gone.
    pub(super) fn shrink(&self) {
        self.pool.clear();
    }

    /// A payload does not hold much more memory than it has bytes.
    fn take_payload(&mut self) -> Bytes {
        let mut buffer = std::mem::take(&mut self.buffer);
        let length = std::mem::take(&mut self.filled);
        if length >= LARGE && buffer.capacity() <= length.saturating_mul(2) {
            return self.pool.payload(buffer, length);
        }
        buffer.truncate(length);
        if buffer.capacity() > length + length / 4 {
            buffer.shrink_to_fit();
        }
        buffer.into()
    }

    fn accept(&mut self, n: usize) -> Result<(), Error> {
        let end = self.filled + n;
        if self.kind == Some(MessageKind::Text) {
            let came = self.buffer.get(self.filled..end).unwrap_or_default();
            self.utf8.receive(came)?;
        }
        self.filled = end;
        Ok(())
    }

    fn judge_order(&self, opcode: Data) -> Result<MessageKind, ProtocolError> {
        match (opcode, self.kind) {
            (Data::Continue, Some(kind)) => Ok(kind),
            (Data::Continue, None) => Err(ProtocolError::UnexpectedContinuation),
            (_, Some(_)) => Err(ProtocolError::ExpectedContinuation),
            (Data::Text, None) => Ok(MessageKind::Text),
            (_, None) => Ok(MessageKind::Binary),
        }
    }

    /// Compares in 64 bits, so that a length can't wrap where `usize` is smaller.
    fn judge_size(&self, length: u64) -> Result<(), Error> {
        let total = (self.total() as u64).saturating_add(length);
        let frame = self.limits.frame.unwrap_or(self.limits.message);
        within(length, frame as u64)?;
        within(total, self.limits.message as u64)
    }

    /// The frames of a compressed message may be a little larger than what is in them. Returns the
    /// bytes of all so far.
    fn judge_compressed(&self, before: u64, length: u64) -> Result<u64, Error> {
        let message = self.limits.message as u64;
        let most = message.saturating_add(message / 8).saturating_add(64);
        let frame = self.limits.frame.map_or(most, |frame| frame as u64);
        let total = before.saturating_add(length);
        within(length, frame)?;
        within(total, most)?;
        Ok(total)
    }

    fn judge_inflated(&self, payload: &[u8]) -> Result<(), Error> {
        let total = self.total() + payload.len();
        within(total as u64, self.limits.message as u64)
    }

    /// An empty fragment costs its sender next to nothing, so it counts twice.
    fn count(&mut self, length: u64) -> Result<(), Error> {
        self.fragments += if length == 0 { 2 } else { 1 };
        within(self.fragments as u64, self.limits.fragments as u64)
    }

    /// Room for bytes that arrived. It doubles, so that small fragments are not moved one by one,
    /// but not past the message's end: what is held follows what came and not what was announced.
    fn reserve(&mut self, more: usize) -> Result<(), Error> {
        let needed = self.filled + more;
        if needed > self.buffer.capacity() {
            let doubled = (self.buffer.capacity() * 2).max(FIRST_RESERVE);
            let target = doubled.min(self.end).max(needed);
            let room = target - self.buffer.len();
            let reserved = self.buffer.try_reserve_exact(room);
            reserved.map_err(|_| Error::out_of_memory())?;
        }
        Ok(())
    }
}

fn within(size: u64, limit: u64) -> Result<(), Error> {
    match size > limit {
        true => Err(Error::TooBig { size, limit }),
        false => Ok(()),
    }
}

fn message(kind: MessageKind, payload: Bytes) -> Result<Message, Error> {
    Ok(match kind {
        MessageKind::Text => Message::Text(text(payload)?),
        MessageKind::Binary => Message::Binary(payload),
    })
}

pub(super) fn text(payload: Bytes) -> Result<Text, ProtocolError> {
    Text::try_from(payload).map_err(|_| ProtocolError::Utf8)
}
