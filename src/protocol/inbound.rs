//! The receive path: bytes in, events out (RFC 6455 section 6.2).

use super::assembler::Assembler;
use super::frame::{self, Control, Data, Header, MAX_CONTROL, OpCode};
use super::{Role, mask};
use crate::close::CloseFrame;
use crate::config::Limits;
use crate::error::Error;
use crate::message::Message;
use bytes::Bytes;
use std::time::Instant;

/// A rest of a payload of so many bytes is worth a read of its own.
pub(crate) const LARGE: usize = 16 << 10;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Message),
    Ping(Bytes),
    Pong(Bytes),
    /// The last event: what comes after it is discarded.
    Close(CloseFrame),
}

/// Decodes frames in any cuts and puts messages together.
#[derive(Debug)]
pub(crate) struct Inbound {
    role: Role,
    state: State,
    assembler: Assembler,
    /// The payload of a control frame that has not come whole.
    control: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// A header is next.
    Header,
    /// So many bytes of the frame's payload are to come.
    Payload { header: Header, left: u64 },
    /// After a Close frame or a failure, everything is discarded (RFC 6455 sections 5.5.1, 7.1.7).
    Discard,
}

impl Inbound {
    pub(crate) fn new(role: Role, limits: Limits) -> Self {
        Inbound {
            role,
            state: State::Header,
            assembler: Assembler::new(limits),
            control: Vec::new(),
        }
    }

    /// Takes bytes from the front of `input` up to the end of one event, and says how many. Without
    /// an event all was taken that can be: what is left is the begin of a header. `input` is
    /// unmasked in place.
    ///
    /// After an error everything is discarded.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        now: Instant,
    ) -> Result<(usize, Option<Event>), Error> {
        let result = self.advance(input, now);
        if matches!(result, Err(_) | Ok((_, Some(Event::Close(_))))) {
            self.discard();
        }
        result
    }

    /// When the message began that has not come whole.
    pub(crate) fn message_begun(&self) -> Option<Instant> {
        self.assembler.begun()
    }

    /// Gives back memory that only a load of large messages needs.
    pub(crate) fn shrink(&self) {
        self.assembler.shrink();
    }

    /// Space for the next bytes of a large payload, so that they can be read to where they stay.
    /// Given only when a frame has much to come; all that was received before has to be taken.
    pub(crate) fn space(&mut self) -> Option<&mut [u8]> {
        match &self.state {
            State::Payload { header, left } if matches!(header.opcode, OpCode::Data(_)) => {
                let left = usize::try_from(*left).unwrap_or(usize::MAX);
                (left >= LARGE).then(|| self.assembler.space(left))
            }
            _ => None,
        }
    }

    /// Takes `n` bytes that were put into the [`space`](Self::space).
    pub(crate) fn fill(&mut self, n: usize) -> Result<Option<Event>, Error> {
        let State::Payload { header, left } = &mut self.state else {
            return Ok(None);
        };
        *left -= n as u64;
        let complete = *left == 0;
        let mut result = self
            .assembler
            .fill(n, |payload| mask::apply(payload, &mut header.key));
        let mut event = None;
        if complete && result.is_ok() {
            let header = *header;
            self.state = State::Header;
            match self.end(&header) {
                Ok(ended) => event = ended,
                Err(error) => result = Err(error),
            }
        }
        if result.is_err() {
            self.discard();
        }
        result.map(|()| event)
    }

    /// The bytes that are allocated for the message in progress.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.assembler.held()
    }

    /// Discards what is in progress and what is to come.
    fn discard(&mut self) {
        self.state = State::Discard;
        self.assembler.abandon();
    }

    fn advance(&mut self, input: &mut [u8], now: Instant) -> Result<(usize, Option<Event>), Error> {
        let mut taken = 0;
        loop {
            let rest = input.get_mut(taken..).unwrap_or_default();
            match &mut self.state {
                State::Discard => return Ok((taken + rest.len(), None)),
                State::Header => {
                    let Some((header, length)) = Header::parse(rest, self.role)? else {
                        return Ok((taken, None));
                    };
                    taken += length;
                    let payload = rest.get_mut(length..).unwrap_or_default();
                    if let Some(event) = self.begin(header, payload, now)? {
                        return Ok((taken + header.length as usize, Some(event)));
                    }
                }
                State::Payload { header, left } => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    let payload = rest.get_mut(..n).unwrap_or_default();
                    mask::apply(payload, &mut header.key);
                    *left -= n as u64;
                    taken += n;
                    let (header, complete) = (*header, *left == 0);
                    self.take(&header, payload)?;
                    if !complete {
                        return Ok((taken, None));
                    }
                    self.state = State::Header;
                    if let Some(event) = self.end(&header)? {
                        return Ok((taken, Some(event)));
                    }
                }
            }
        }
    }

    /// Begins a frame. An unfragmented one whose payload is all there is the event at once.
    fn begin(
        &mut self,
        mut header: Header,
        rest: &mut [u8],
        now: Instant,
    ) -> Result<Option<Event>, Error> {
        let there = usize::try_from(header.length)
            .ok()
            .and_then(|n| rest.get_mut(..n));
        match (header.opcode, there) {
            (OpCode::Data(opcode @ (Data::Text | Data::Binary)), Some(payload)) if header.fin => {
                mask::apply(payload, &mut header.key);
                let message = self.assembler.whole(opcode, payload)?;
                return Ok(Some(Event::Message(message)));
            }
            (OpCode::Data(opcode), _) => self.assembler.begin(opcode, &header, now)?,
            (OpCode::Control(_), _) => self.control.clear(),
        }
        self.state = State::Payload {
            header,
            left: header.length,
        };
        Ok(None)
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

    fn end(&mut self, header: &Header) -> Result<Option<Event>, Error> {
        Ok(match header.opcode {
            OpCode::Data(_) if header.fin => Some(Event::Message(self.assembler.finish()?)),
            OpCode::Data(_) => None,
            OpCode::Control(Control::Close) => {
                Some(Event::Close(frame::parse_close(&self.control)?))
            }
            OpCode::Control(Control::Ping) => {
                Some(Event::Ping(Bytes::copy_from_slice(&self.control)))
            }
            OpCode::Control(_) => Some(Event::Pong(Bytes::copy_from_slice(&self.control))),
        })
    }
}
