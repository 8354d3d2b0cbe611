//! The send path: messages in, bytes out; and the closing handshake (RFC 6455 sections 6.1 and 7).

use super::frame::{self, Control, Data, MAX_CONTROL, OpCode, Start};
use super::{Frames, PingPayload, Role};
use crate::close::{CloseFrame, Closed, Initiator};
use crate::message::{Message, MessageKind};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// A payload of so many bytes that needs no mask is written from where it is.
const APART: usize = 16 << 10;

/// Frames that wait to be written, and how far the closing handshake is.
#[derive(Debug)]
pub(crate) struct Outbound {
    role: Role,
    frames: Frames,
    /// Messages whose last fragment is in `frames`.
    messages: usize,
    /// The payload of the newest ping without an answer; older ones need none (section 5.5.3).
    pong: Option<Bytes>,
    /// The newest ping that nobody asked for.
    ping: Option<PingPayload>,
    closed: Closed,
    /// When the closing handshake has to be over.
    deadline: Option<Instant>,
    /// Pings and pongs that wait until they are settled are counted here, all else by who appends it, once
    /// it is not taken back any more.
    pub(crate) sent: Sent,
}

/// What was sent so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) messages: u64,
    /// Their payload, before compression.
    pub(crate) bytes: u64,
    pub(crate) pings: u64,
    pub(crate) pongs: u64,
}

impl Sent {
    /// A message is complete.
    #[inline]
    pub(crate) fn message(&mut self, length: usize) {
        self.messages += 1;
        self.bytes += length as u64;
    }
}

/// A piece of a message (RFC 6455 section 5.4), or all of it.
#[derive(Debug)]
pub(crate) struct Fragment {
    pub(crate) kind: MessageKind,
    pub(crate) first: bool,
    pub(crate) last: bool,
    /// The message is compressed (RFC 7692 section 6).
    pub(crate) compressed: bool,
    pub(crate) payload: Bytes,
}

impl Fragment {
    /// A message in one frame.
    pub(crate) fn whole(kind: MessageKind, compressed: bool, payload: Bytes) -> Self {
        Fragment {
            kind,
            first: true,
            last: true,
            compressed,
            payload,
        }
    }

    fn start(&self) -> Start {
        let mut start = match self.first {
            true => start(self.kind),
            false => Start::whole(OpCode::Data(Data::Continue)),
        };
        if self.first && self.compressed {
            start = start.compressed();
        }
        match self.last {
            true => start,
            false => start.unfinished(),
        }
    }
}

impl Outbound {
    pub(crate) fn new(role: Role) -> Self {
        Outbound {
            role,
            frames: Frames::default(),
            messages: 0,
            pong: None,
            ping: None,
            closed: Closed::default(),
            deadline: None,
            sent: Sent::default(),
        }
    }

    /// Bytes that wait, without a pong or ping that is due.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Messages whose last fragment waits.
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.has_due()
    }

    /// Whether messages may be sent: no Close frame was sent or received (section 5.5.1).
    pub(crate) fn is_open(&self) -> bool {
        self.closed.initiator.is_none()
    }

    /// How far the closing handshake is.
    pub(crate) fn closed(&self) -> &Closed {
        &self.closed
    }

    /// When the closing handshake has to be over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The closing handshake has to be over by then, if not earlier.
    pub(crate) fn hurry(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
    }

    /// Appends a message in one frame.
    #[inline]
    pub(crate) fn message(&mut self, message: &Message) {
        self.messages += 1;
        self.data(start(message.kind()), message.as_bytes(), || {
            message.to_bytes()
        });
    }

    /// Appends a fragment (section 5.4). Between the first and the last of a message, only control
    /// frames may go.
    pub(crate) fn fragment(&mut self, fragment: &Fragment) {
        let payload = &fragment.payload;
        self.messages += usize::from(fragment.last);
        self.data(fragment.start(), payload, || payload.clone());
    }

    /// Appends a ping.
    pub(crate) fn ping(&mut self, payload: &[u8]) {
        self.control(Control::Ping, payload);
    }

    /// Appends a ping that nobody asked for. While the writer is `stalled` only the newest waits, so that
    /// a peer that does not read cannot pile them up.
    pub(crate) fn ping_unasked(&mut self, payload: PingPayload, stalled: bool) {
        if self.closed.sent.is_some() {
            return;
        }
        self.ping = Some(payload);
        if !stalled {
            self.settle();
        }
    }

    /// Appends a pong that nobody asked for (section 5.5.3).
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        self.control(Control::Pong, payload);
    }

    /// Answers a ping. While the writer is `stalled` only the newest ping gets its answer (section
    /// 5.5.3), so that a peer that does not read cannot pile up pongs.
    pub(crate) fn answer(&mut self, ping: Bytes, stalled: bool) {
        if self.closed.sent.is_some() {
            return;
        }
        self.pong = Some(ping);
        if !stalled {
            self.settle();
        }
    }

    /// Starts the closing handshake, unless it is under way.
    pub(crate) fn close(&mut self, frame: CloseFrame, now: Instant, timeout: Option<Duration>) {
        if self.closed.sent.is_some() {
            return;
        }
        self.settle();
        let out = self.frames.tail(frame::room(MAX_CONTROL));
        frame::append_close(out, self.role, &frame);
        self.closed.sent = Some(frame);
        self.closed.initiator.get_or_insert(Initiator::Local);
        self.deadline = timeout.and_then(|timeout| now.checked_add(timeout));
    }

    /// Takes the peer's Close frame, and answers it with the same code (section 5.5.1).
    pub(crate) fn receive_close(
        &mut self,
        frame: CloseFrame,
        now: Instant,
        timeout: Option<Duration>,
    ) {
        self.closed.initiator.get_or_insert(Initiator::Remote);
        self.closed.received = Some(frame.clone());
        self.close(frame, now, timeout);
    }

    /// Gives what waits to the writer, who has `frames` to write already. Returns how many messages
    /// end in it.
    pub(crate) fn take(&mut self, frames: &mut Frames) -> usize {
        self.settle();
        frames.append(&mut self.frames);
        std::mem::take(&mut self.messages)
    }

    /// What was accepted and will not be written.
    pub(crate) fn abandon(&mut self) -> usize {
        self.frames = Frames::default();
        (self.pong, self.ping) = (None, None);
        std::mem::take(&mut self.messages)
    }

    /// Appends the answer to the newest ping and the newest ping of ours, if they wait.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.has_due() {
            self.put_due();
        }
    }

    #[inline]
    fn has_due(&self) -> bool {
        self.pong.is_some() || self.ping.is_some()
    }

    #[cold]
    fn put_due(&mut self) {
        if let Some(payload) = self.pong.take() {
            self.pong(&payload);
            self.sent.pongs += 1;
        }
        if let Some(payload) = self.ping.take() {
            self.ping(&payload);
            self.sent.pings += 1;
        }
    }

    /// `shared` is asked for the payload if it is not copied.
    #[inline]
    fn data(&mut self, start: Start, payload: &[u8], shared: impl FnOnce() -> Bytes) {
        if self.role == Role::Server && payload.len() >= APART {
            self.put_apart(start, shared());
        } else {
            let out = self.frames.tail(frame::room(payload.len()));
            frame::append(out, self.role, start, payload);
        }
    }

    #[inline(never)]
    fn put_apart(&mut self, start: Start, payload: Bytes) {
        let out = self.frames.tail(frame::room(0));
        frame::append_header(out, start, None, payload.len());
        self.frames.put_apart(payload);
    }

    fn control(&mut self, opcode: Control, payload: &[u8]) {
        let start = Start::whole(OpCode::Control(opcode));
        let out = self.frames.tail(frame::room(payload.len()));
        frame::append(out, self.role, start, payload);
    }
}

/// How a message of this kind begins.
#[inline]
fn start(kind: MessageKind) -> Start {
    match kind {
        MessageKind::Text => Start::whole(OpCode::Data(Data::Text)),
        MessageKind::Binary => Start::whole(OpCode::Data(Data::Binary)),
    }
}
