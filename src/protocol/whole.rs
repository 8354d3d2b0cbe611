//! Messages that come whole: unfragmented, uncompressed frames whose payload is all there.
//!
//! They need no state, so those that came together are taken together.

use super::assembler;
use super::inbound::Inbound;
use super::{Role, Sink, mask};
use crate::error::Error;
use crate::message::Message;
use bytes::{Buf, Bytes};

/// The most bytes of frames that share an allocation.
const BLOCK: usize = 8 << 10;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// A frame that is a message of its own.
#[derive(Debug, Clone, Copy)]
struct Frame {
    text: bool,
    key: u32,
    /// The length of the header.
    header: usize,
    /// The length of the payload.
    length: usize,
}

impl Frame {
    /// The one at the front of `input`, if all of it is there. The wrong ones are for those who judge.
    #[inline(always)]
    fn find(input: &[u8], role: Role) -> Option<Frame> {
        let [first @ (TEXT | BINARY), second, ..] = *input else {
            return None;
        };
        let mask = if role == Role::Server { 0x80 } else { 0 };
        let (at, length) = match second ^ mask {
            length @ ..126 => (2, usize::from(length)),
            126 => (4, at_least(126, u16::from_be_bytes(chunk(input, 2)?))?),
            127 => (10, at_least(1 << 16, u64::from_be_bytes(chunk(input, 2)?))?),
            _ => return None,
        };
        let header = if role == Role::Server { at + 4 } else { at };
        if length > input.len().checked_sub(header)? {
            return None;
        }
        let key = match role {
            Role::Server => u32::from_ne_bytes(chunk(input, at)?),
            Role::Client => 0,
        };
        Some(Frame {
            text: first == TEXT,
            key,
            header,
            length,
        })
    }

    fn end(&self) -> usize {
        self.header + self.length
    }
}

impl Inbound {
    /// Takes the whole messages at the front of `input`, as many as may share an allocation. Says how
    /// many bytes they have, and whether the sink wants more.
    #[inline(always)]
    pub(super) fn take_whole(
        &mut self,
        input: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Option<(usize, bool)>, Error> {
        let (role, Some(most)) = (self.role, self.assembler.most_at_once()) else {
            return Ok(None);
        };
        let Some(first) = Frame::find(input, role).filter(|frame| frame.length <= most) else {
            return Ok(None);
        };
        let Some(payload) = input.get_mut(first.header..first.end()) else {
            return Ok(None);
        };
        mask::apply_whole(payload, first.key);
        let (messages, bytes) = sink.room();
        let shared = input.len().min(BLOCK).min(bytes);
        let end = match input.get_mut(first.end()..shared) {
            Some(more) => first.end() + unmask(more, role, most, messages.saturating_sub(1)),
            None => first.end(),
        };
        let taken = input.get(..end).unwrap_or_default();
        if end == first.end() {
            let payload = taken.get(first.header..).unwrap_or_default();
            let payload = Bytes::copy_from_slice(payload);
            return Ok(Some((end, sink.push(message(first.text, payload)?))));
        }
        // A kept message must not hold the read buffer. The headers come along: to copy each payload
        // alone would cost more.
        let mut block = Bytes::copy_from_slice(taken);
        let mut failure = None;
        let wants_more = sink.push_all(std::iter::from_fn(|| {
            let frame = Frame::find(&block, role)?;
            block.advance(frame.header);
            message(frame.text, block.split_to(frame.length))
                .map_err(|error| failure = Some(error))
                .ok()
        }));
        match failure {
            Some(error) => Err(error),
            None => Ok(Some((end, wants_more))),
        }
    }
}

/// A length, unless a shorter form would do for it (RFC 6455 section 5.2).
fn at_least(least: u64, length: impl Into<u64>) -> Option<usize> {
    let length = length.into();
    usize::try_from(length).ok().filter(|_| length >= least)
}

#[inline(always)]
fn chunk<const N: usize>(input: &[u8], at: usize) -> Option<[u8; N]> {
    input.get(at..)?.first_chunk().copied()
}

/// Unmasks the whole messages at the front of `input`, so many at most, and says how many bytes
/// they have.
#[inline(never)] // So the loop has the registers for itself.
fn unmask(input: &mut [u8], role: Role, most: usize, messages: usize) -> usize {
    let (mut end, mut rest) = (0, input);
    for _ in 0..messages {
        let frame = match Frame::find(rest, role) {
            Some(frame) if frame.length <= most => frame,
            _ => break,
        };
        let Some((whole, more)) = std::mem::take(&mut rest).split_at_mut_checked(frame.end())
        else {
            break;
        };
        mask::apply_whole(whole.get_mut(frame.header..).unwrap_or_default(), frame.key);
        (end, rest) = (end + frame.end(), more);
    }
    end
}

#[inline(always)]
fn message(text: bool, payload: Bytes) -> Result<Message, Error> {
    Ok(match text {
        true => Message::Text(assembler::text(payload)?),
        false => Message::Binary(payload),
    })
}
