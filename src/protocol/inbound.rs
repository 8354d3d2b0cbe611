//! The receive path: bytes in, events out (RFC 6455 section 6.2).

use super::assembler::Assembler;
use super::compressed::{CompressedFrame, Inflate};
use super::deflate::Inflater;
use super::frame::{self, Control, Header, MAX_CONTROL, OpCode};
use super::{Piece, Role, mask};
use crate::close::CloseFrame;
use crate::config::Limits;
use crate::error::Error;
use crate::message::Message;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// A rest of a payload of so many bytes is worth a read of its own.
pub(crate) const LARGE: usize = 16 << 10;

/// Takes complete messages.
pub(crate) trait Sink {
    /// Returns whether another may follow now.
    fn push(&mut self, message: Message) -> bool;

    /// How many messages it takes now at least, and how many bytes of them until another may not
    /// follow.
    fn room(&self) -> (usize, usize);

    /// The same as [`push`](Self::push) for messages that there is [`room`](Self::room) for.
    fn push_all(&mut self, messages: impl Iterator<Item = Message>) -> bool;

    /// The same for a piece of a message that is handed on while it arrives.
    fn push_piece(&mut self, piece: Piece) -> bool;
}

/// Why decoding stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// All was taken that can be: what is left is the begin of a header.
    More,
    /// The sink wants no more messages now.
    Full,
    Ping(Bytes),
    Pong(Bytes),
    /// The last step: what comes after it is discarded.
    Close(CloseFrame),
}

/// Decodes frames in any cuts and puts messages together.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) assembler: Assembler,
    /// The payload of a control frame that has not come whole.
    control: Vec<u8>,
    /// `None`: no compression was agreed on.
    pub(super) inflate: Option<Inflate>,
}

#[derive(Debug)]
pub(super) enum State {
    /// A header is next.
    Header,
    /// So many bytes of the frame's payload are to come.
    Payload { header: Header, left: u64 },
    /// The same for a compressed message.
    Compressed(CompressedFrame),
    /// After a Close frame or a failure, everything is discarded (RFC 6455 sections 5.5.1, 7.1.7).
    Discard,
}

impl Inbound {
    /// Messages longer than `stream_above` go to the sink in pieces.
    pub(crate) fn new(role: Role, limits: Limits, stream_above: Option<usize>) -> Self {
        Inbound {
            role,
            state: State::Header,
            assembler: Assembler::new(limits, stream_above),
            control: Vec::new(),
            inflate: None,
        }
    }

    /// permessage-deflate was agreed on (RFC 7692); with `takeover` the peer may refer to messages
    /// before.
    pub(crate) fn inflating(mut self, takeover: bool) -> Self {
        self.inflate = Some(Inflate::new(takeover));
        self
    }

    /// Takes bytes from the front of `input` up to the next step, and says how many. Messages go to
    /// the sink. `input` is unmasked in place.
    ///
    /// After an error everything is discarded.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        now: Instant,
        sink: &mut impl Sink,
    ) -> Result<(usize, Step), Error> {
        let result = self.advance(input, now, sink);
        match &result {
            Ok((_, Step::More)) => {
                if let Some(inflate) = &mut self.inflate {
                    inflate.end_read();
                }
                self.assembler.hand_on(now, sink);
            }
            Ok((_, Step::Close(_))) | Err(_) => {
                // What came before is good.
                self.assembler.hand_on(now, sink);
                self.discard();
            }
            _ => {}
        }
        result
    }

    /// When the message began that has not come whole.
    pub(crate) fn message_begun(&self) -> Option<Instant> {
        self.assembler.begun()
    }

    /// Nothing was taken for so long: that time is not the message's.
    pub(crate) fn excuse(&mut self, time: Duration) {
        self.assembler.excuse(time);
    }

    /// Gives back memory that only a load needs.
    pub(crate) fn shrink(&mut self) {
        self.assembler.shrink();
        if let Some(inflater) = self.inflater() {
            inflater.shrink();
        }
    }

    /// Whether inflating has made it large.
    pub(crate) fn is_large(&self) -> bool {
        let inflater = self.inflate.as_ref().and_then(|i| i.inflater.as_ref());
        inflater.is_some_and(Inflater::is_large)
    }

    /// Whether there is more to be had of what was taken: the sink wanted no more.
    pub(crate) fn is_pending(&self) -> bool {
        self.inflate.as_ref().is_some_and(|inflate| inflate.pending)
    }

    fn inflater(&mut self) -> Option<&mut Inflater> {
        self.inflate.as_mut()?.inflater.as_mut()
    }

    /// Whether the rest of a large payload is next.
    pub(crate) fn is_in_large_frame(&self) -> bool {
        match &self.state {
            State::Payload { header, .. } => {
                header.length >= LARGE as u64 && !self.assembler.is_streaming()
            }
            _ => false,
        }
    }

    /// Space for the next bytes of a large payload, so that they can be read to where they stay.
    /// Given only when a frame has much to come; all that was received before has to be taken.
    pub(crate) fn space(&mut self) -> Option<&mut [u8]> {
        match &self.state {
            State::Payload { header, left }
                if matches!(header.opcode, OpCode::Data(_)) && !self.assembler.is_streaming() =>
            {
                let left = usize::try_from(*left).unwrap_or(usize::MAX);
                if left < LARGE {
                    return None;
                }
                self.assembler.space(left)
            }
            _ => None,
        }
    }

    /// Takes `n` bytes that were put into the [`space`](Self::space).
    pub(crate) fn fill(&mut self, n: usize, sink: &mut impl Sink) -> Result<Step, Error> {
        let result = self.fill_space(n, sink);
        if result.is_err() {
            self.discard();
        }
        result
    }

    fn fill_space(&mut self, n: usize, sink: &mut impl Sink) -> Result<Step, Error> {
        let State::Payload { header, left } = &mut self.state else {
            return Ok(Step::More);
        };
        *left -= n as u64;
        let (complete, fin) = (*left == 0, header.fin);
        self.assembler
            .fill(n, |payload| header.key = mask::apply(payload, header.key))?;
        if !complete {
            return Ok(Step::More);
        }
        self.state = State::Header;
        match fin && !self.assembler.finish(sink)? {
            true => Ok(Step::Full),
            false => Ok(Step::More),
        }
    }

    /// The bytes that are allocated for the message in progress.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.assembler.held()
    }

    /// Discards what is in progress and what is to come.
    fn discard(&mut self) {
        self.state = State::Discard;
        self.assembler.abandon();
        if let Some(inflate) = &mut self.inflate {
            (inflate.inflater, inflate.pending) = (None, false);
        }
    }

    fn advance(
        &mut self,
        input: &mut [u8],
        now: Instant,
        sink: &mut impl Sink,
    ) -> Result<(usize, Step), Error> {
        let mut taken = 0;
        loop {
            let rest = input.get_mut(taken..).unwrap_or_default();
            match &mut self.state {
                State::Discard => return Ok((taken + rest.len(), Step::More)),
                State::Header => {
                    if let Some((n, wants_more)) = self.take_whole(rest, sink)? {
                        taken += n;
                        if !wants_more {
                            return Ok((taken, Step::Full));
                        }
                        continue;
                    }
                    let Some((header, length)) =
                        Header::parse(rest, self.role, self.inflate.is_some())?
                    else {
                        return Ok((taken, Step::More));
                    };
                    taken += length;
                    self.begin(header, now)?;
                }
                State::Payload { header, left } => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    let payload = rest.get_mut(..n).unwrap_or_default();
                    header.key = mask::apply(payload, header.key);
                    *left -= n as u64;
                    taken += n;
                    let (header, complete) = (*header, *left == 0);
                    self.take(&header, payload)?;
                    if !complete {
                        return Ok((taken, Step::More));
                    }
                    self.state = State::Header;
                    match self.end(&header, sink)? {
                        Step::More => {}
                        step => return Ok((taken, step)),
                    }
                }
                State::Compressed(_) => {
                    let (n, step) = self.inflate(rest, now, sink)?;
                    taken += n;
                    if let Some(step) = step {
                        return Ok((taken, step));
                    }
                }
            }
        }
    }

    fn begin(&mut self, header: Header, now: Instant) -> Result<(), Error> {
        match header.opcode {
            OpCode::Data(opcode) => self.assembler.begin(opcode, &header, now)?,
            OpCode::Control(_) => self.control.clear(),
        }
        self.state = match header.opcode {
            OpCode::Data(_) if self.assembler.is_compressed() => {
                State::Compressed(CompressedFrame::new(header))
            }
            _ => State::Payload {
                header,
                left: header.length,
            },
        };
        Ok(())
    }

    fn take(&mut self, header: &Header, payload: &[u8]) -> Result<(), Error> {
        match header.opcode {
            OpCode::Data(_) => self.assembler.receive(payload),
            OpCode::Control(_) => {
                debug_assert!(self.control.len() + payload.len() <= MAX_CONTROL, "judged");
                self.control.extend_from_slice(payload);
                Ok(())
            }
        }
    }

    fn end(&mut self, header: &Header, sink: &mut impl Sink) -> Result<Step, Error> {
        Ok(match header.opcode {
            OpCode::Data(_) if header.fin && !self.assembler.finish(sink)? => Step::Full,
            OpCode::Data(_) => Step::More,
            OpCode::Control(Control::Close) => Step::Close(frame::parse_close(&self.control)?),
            OpCode::Control(Control::Ping) => Step::Ping(Bytes::copy_from_slice(&self.control)),
            OpCode::Control(_) => Step::Pong(Bytes::copy_from_slice(&self.control)),
        })
    }
}
