//! Compressed messages, inflated while they arrive (RFC 7692 section 7.2.2).

use super::deflate::{Inflater, TAIL};
use super::frame::Header;
use super::inbound::{Inbound, State};
use super::{Sink, Step, mask};
use crate::error::{Error, ProtocolError};
use bytes::{Bytes, BytesMut};
use std::time::Instant;

/// The least allocation that small payloads share.
const BLOCK: usize = 8 << 10;

/// How many payloads share one, at least.
const SHARE: usize = 8;

/// The largest payload that shares an allocation.
const SMALL: usize = 2 << 10;

/// How compressed messages are read.
#[derive(Debug)]
pub(super) struct Inflate {
    /// The peer refers to messages before.
    takeover: bool,
    /// From the first compressed message on; without takeover only during one.
    pub(super) inflater: Option<Inflater>,
    /// It may have more of what it was given.
    pub(super) pending: bool,
    /// Where small payloads that came together are copied to. It is not kept for the next read.
    block: BytesMut,
}

impl Inflate {
    pub(super) fn new(takeover: bool) -> Self {
        Inflate {
            takeover,
            inflater: None,
            pending: false,
            block: BytesMut::new(),
        }
    }

    /// All that was read is taken.
    pub(super) fn end_read(&mut self) {
        if self.block.capacity() > 0 {
            self.block = BytesMut::new();
        }
    }
}

/// What is to come of a frame of a compressed message.
#[derive(Debug)]
pub(super) struct CompressedFrame {
    header: Header,
    left: u64,
    /// So many bytes at the front of the input are unmasked already.
    clear: usize,
    /// What the last frame of a message is followed by.
    tail: &'static [u8],
}

impl CompressedFrame {
    pub(super) fn new(header: Header) -> Self {
        CompressedFrame {
            header,
            left: header.length,
            clear: 0,
            tail: if header.fin { TAIL } else { &[] },
        }
    }

    /// Unmasks what came of the frame, at the front of `input`, and returns it.
    fn unmask<'a>(&mut self, input: &'a mut [u8]) -> &'a [u8] {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (payload, _) = input.split_at_mut(length.min(input.len()));
        let masked = payload.get_mut(self.clear..).unwrap_or_default();
        self.header.key = mask::apply(masked, self.header.key);
        self.clear = payload.len();
        payload
    }

    /// Inflates from the front of `payload`, or of the tail after it, until the inflater is full.
    /// Returns how much of `payload` it took.
    fn inflate(&mut self, payload: &[u8], inflater: &mut Inflater) -> Result<usize, ProtocolError> {
        if self.left > 0 {
            let n = inflater.inflate(payload)?;
            self.left -= n as u64;
            self.clear -= n;
            return Ok(n);
        }
        let n = inflater.inflate(self.tail)?;
        self.tail = self.tail.get(n..).unwrap_or_default();
        Ok(0)
    }

    fn is_over(&self) -> bool {
        self.left == 0 && self.tail.is_empty()
    }
}

impl Inbound {
    /// Inflates from the front of `input` what there is of the current frame, and says how much it
    /// took. Without a step the frame has ended.
    #[inline(never)] // The way of a message that is not compressed is shorter without it.
    pub(super) fn inflate(
        &mut self,
        input: &mut [u8],
        now: Instant,
        sink: &mut impl Sink,
    ) -> Result<(usize, Option<Step>), Error> {
        let (State::Compressed(frame), Some(inflate)) = (&mut self.state, &mut self.inflate) else {
            return Ok((0, Some(Step::More)));
        };
        let came = input.len();
        let payload = frame.unmask(input);
        let inflater = inflate.inflater.get_or_insert_with(Inflater::new);
        inflate.pending = false;
        let mut taken = 0;
        loop {
            let rest = payload.get(taken..).unwrap_or_default();
            taken += frame.inflate(rest, inflater)?;
            if inflater.is_full() {
                self.assembler.receive_inflated(inflater.take())?;
                if !self.assembler.hand_on_large(now, sink) {
                    inflate.pending = true;
                    return Ok((taken, Some(Step::Full)));
                }
            } else if frame.left > 0 {
                self.assembler.receive_inflated(inflater.take())?;
                return Ok((taken, Some(Step::More)));
            } else if frame.is_over() {
                break;
            }
        }
        let rest = inflater.take();
        let fin = frame.header.fin;
        let wants_more = if !fin {
            self.assembler.receive_inflated(rest)?;
            self.assembler.hand_on_large(now, sink)
        } else if self.assembler.comes_at_once(rest.len()) {
            let payload = copy_out(&mut inflate.block, rest, came > taken);
            self.assembler.finish_inflated(payload, sink)?
        } else {
            self.assembler.receive_inflated(rest)?;
            self.assembler.finish(sink)?
        };
        if fin && !inflate.takeover {
            inflate.inflater = None;
        }
        self.state = State::Header;
        Ok((taken, (!wants_more).then_some(Step::Full)))
    }
}

/// A payload of its own, so that a kept message does not hold a read buffer. Small ones that
/// came together share an allocation: [`BLOCK`] bytes, or [`SHARE`] times the payload.
fn copy_out(block: &mut BytesMut, payload: &[u8], more_came: bool) -> Bytes {
    let begun = block.capacity() > 0;
    if payload.len() > SMALL || payload.is_empty() || !(more_came || begun) {
        return Bytes::copy_from_slice(payload);
    }
    if block.capacity() < payload.len() {
        *block = BytesMut::with_capacity(BLOCK.max(payload.len() * SHARE));
    }
    block.extend_from_slice(payload);
    block.split().freeze()
}
