//! Messages that come whole: unfragmented, uncompressed frames whose payload is all there.
//!
//! They need no state, so those that came together are taken together.

use super::assembler;
use super::frame::Header;
use super::inbound::Inbound;
use super::{Role, Sink, mask};
use crate::error::Error;
use crate::message::Message;
use bytes::Bytes;

/// The most bytes of frames that share an allocation.
const BLOCK: usize = 8 << 10;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// Where the payload of a frame is.
#[derive(Debug, Clone, Copy)]
struct Frame {
    text: bool,
    key: u32,
    start: usize,
    end: usize,
}

impl Frame {
    /// The frame that begins at `at`, if it is a message that came whole and is not longer than
    /// `most`. Any other, the wrong ones among them, is for those who judge it.
    #[inline(always)]
    fn find(input: &[u8], at: usize, role: Role, most: usize) -> Option<Frame> {
        let rest = input.get(at..)?;
        let [first @ (TEXT | BINARY), second, ..] = *rest else {
            return None;
        };
        let mask = if role == Role::Server { 0x80 } else { 0 };
        let (key, header, length) = match (second ^ mask, role) {
            (length @ ..126, Role::Client) => (0, 2, usize::from(length)),
            (length @ ..126, Role::Server) => {
                let key = *rest.get(2..)?.first_chunk()?;
                (u32::from_ne_bytes(key), 6, usize::from(length))
            }
            (126 | 127, _) => {
                let (header, n) = Header::parse(rest, role, false).ok()??;
                (header.key, n, usize::try_from(header.length).ok()?)
            }
            _ => return None,
        };
        if length > most || length > rest.len() - header {
            return None;
        }
        Some(Frame {
            text: first == TEXT,
            key,
            start: at + header,
            end: at + header + length,
        })
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
        let Some(only) = Frame::find(input, 0, role, most) else {
            return Ok(None);
        };
        mask::apply_whole(&mut input[only.start..only.end], only.key);
        let (messages, bytes) = sink.room();
        let (mut end, mut count) = (only.end, 1);
        while count < messages && end < bytes {
            match Frame::find(input, end, role, most) {
                Some(frame) if frame.end <= BLOCK => {
                    mask::apply_whole(&mut input[frame.start..frame.end], frame.key);
                    (end, count) = (frame.end, count + 1);
                }
                _ => break,
            }
        }
        if count == 1 {
            let payload = Bytes::copy_from_slice(&input[only.start..only.end]);
            return Ok(Some((end, sink.push(message(only.text, payload)?))));
        }
        // A kept message must not hold the read buffer. The headers come along: to copy each payload
        // alone would cost more.
        let input = &input[..end];
        let block = Bytes::copy_from_slice(input);
        let (mut at, mut wants_more) = (0, true);
        while let Some(frame) = Frame::find(input, at, role, most) {
            let payload = block.slice(frame.start..frame.end);
            wants_more = sink.push(message(frame.text, payload)?);
            at = frame.end;
        }
        Ok(Some((end, wants_more)))
    }
}

#[inline(always)]
fn message(text: bool, payload: Bytes) -> Result<Message, Error> {
    Ok(match text {
        true => Message::Text(assembler::text(payload)?),
        false => Message::Binary(payload),
    })
}
