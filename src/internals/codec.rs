//! The receive path and the send path, as far as the fuzz targets drive them.

use crate::close::CloseFrame;
use crate::config::Limits;
use crate::error::Error;
use crate::message::{Message, MessageKind};
use crate::protocol::{
    DeflateSettings, Deflater, Fragment, Frames, Inbound, Outbound, Part, Piece, PieceEnd, Role,
    Sink, Step,
};
use bytes::Bytes;
use std::time::Instant;

/// Which side of the connection decodes or encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Sends masked frames.
    Client,
    /// Receives masked frames.
    Server,
}

impl Side {
    /// The other one.
    pub fn peer(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    fn role(self) -> Role {
        match self {
            Side::Client => Role::Client,
            Side::Server => Role::Server,
        }
    }
}

/// What came, one thing at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A part of one that is handed on while it arrives.
    Piece {
        /// Of its message.
        kind: MessageKind,
        /// No piece of the message came before.
        first: bool,
        /// None comes after it.
        last: bool,
        /// Since the piece before.
        payload: Bytes,
    },
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A Close frame.
    Close(CloseFrame),
}

/// Takes messages, as the receive queue does.
#[derive(Debug)]
pub struct Taking {
    /// What came.
    pub events: Vec<Event>,
    /// What it says after each message.
    pub wants_more: bool,
    /// How many messages it takes at once, and how many bytes of them until another may not follow.
    pub room: (usize, usize),
}

impl Taking {
    fn take(&mut self, event: Event) -> bool {
        self.events.push(event);
        self.wants_more
    }
}

impl Sink for Taking {
    fn push(&mut self, message: Message) -> bool {
        self.take(Event::Message(message))
    }

    fn room(&self) -> (usize, usize) {
        match self.wants_more {
            true => self.room,
            false => (1, self.room.1),
        }
    }

    fn push_all(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        let (most, most_bytes) = self.room();
        let (mut count, mut bytes) = (0, 0);
        for message in messages {
            assert!(
                count == 0 || (count < most && bytes < most_bytes),
                "there is no room"
            );
            (count, bytes) = (count + 1, bytes + message.len());
            self.push(message);
        }
        self.wants_more
    }

    fn push_piece(&mut self, piece: Piece) -> bool {
        let last = match piece.end {
            PieceEnd::More => false,
            PieceEnd::Last => true,
            PieceEnd::Torn => unreachable!("the decoder tears nothing"),
        };
        self.take(Event::Piece {
            kind: piece.kind,
            first: piece.first,
            last,
            payload: piece.payload,
        })
    }
}

/// Decodes frames.
#[derive(Debug)]
pub struct Receiving {
    inbound: Inbound,
    now: Instant,
}

impl Receiving {
    /// Messages longer than `stream_above` come in pieces.
    pub fn new(side: Side, limits: Limits, stream_above: Option<usize>, now: Instant) -> Self {
        Receiving {
            inbound: Inbound::new(side.role(), limits, stream_above),
            now,
        }
    }

    /// permessage-deflate was agreed on.
    #[must_use]
    pub fn inflating(mut self, takeover: bool) -> Self {
        self.inbound = self.inbound.inflating(takeover);
        self
    }

    /// Takes bytes from the front of `input` up to the next step: how many, and whether all was taken
    /// that can be.
    ///
    /// # Errors
    ///
    /// After one everything is discarded.
    pub fn receive(
        &mut self,
        input: &mut [u8],
        taking: &mut Taking,
    ) -> Result<(usize, bool), Error> {
        let (n, step) = self.inbound.receive(input, self.now, taking)?;
        let event = match step {
            Step::More => return Ok((n, true)),
            Step::Full => return Ok((n, false)),
            Step::Ping(payload) => Event::Ping(payload),
            Step::Pong(payload) => Event::Pong(payload),
            Step::Close(frame) => Event::Close(frame),
        };
        taking.events.push(event);
        Ok((n, false))
    }

    /// Space for the next bytes of a large payload.
    pub fn space(&mut self) -> Option<&mut [u8]> {
        self.inbound.space()
    }

    /// Takes `n` bytes that were put into the space.
    ///
    /// # Errors
    ///
    /// After one everything is discarded.
    pub fn fill(&mut self, n: usize, taking: &mut Taking) -> Result<(), Error> {
        self.inbound.fill(n, taking).map(drop)
    }

    /// The bytes that are allocated for the message in progress.
    pub fn held(&self) -> usize {
        self.inbound.held()
    }

    /// Whether there is more to be had of what was taken.
    pub fn is_pending(&self) -> bool {
        self.inbound.is_pending()
    }

    /// Whether a message is in progress.
    pub fn is_in_message(&self) -> bool {
        self.inbound.message_begun().is_some()
    }

    /// Gives back memory, as between reads.
    pub fn shrink(&mut self) {
        self.inbound.shrink();
    }
}

/// Encodes frames.
#[derive(Debug)]
pub struct Sending {
    outbound: Outbound,
    now: Instant,
}

impl Sending {
    /// Nothing waits.
    pub fn new(side: Side, now: Instant) -> Self {
        Sending {
            outbound: Outbound::new(side.role()),
            now,
        }
    }

    /// Appends a message in one frame.
    pub fn message(&mut self, message: &Message) {
        self.outbound.message(message);
    }

    /// Appends a fragment, the `first` and `last` of a message perhaps.
    pub fn fragment(
        &mut self,
        kind: MessageKind,
        (first, last): (bool, bool),
        compressed: bool,
        payload: Bytes,
    ) {
        self.outbound.fragment(&Fragment {
            kind,
            first,
            last,
            compressed,
            payload,
        });
    }

    /// Appends a ping.
    pub fn ping(&mut self, payload: &[u8]) {
        self.outbound.ping(payload);
    }

    /// Appends a pong that nobody asked for.
    pub fn pong(&mut self, payload: &[u8]) {
        self.outbound.pong(payload);
    }

    /// Answers a ping.
    pub fn answer(&mut self, ping: Bytes, stalled: bool) {
        self.outbound.answer(ping, stalled);
    }

    /// Starts the closing handshake.
    pub fn close(&mut self, frame: CloseFrame) {
        self.outbound.close(frame, self.now, None);
    }

    /// Appends what waits to `bytes`, and says how many messages end in it.
    pub fn take(&mut self, bytes: &mut Vec<u8>) -> usize {
        let mut frames = Frames::default();
        let messages = self.outbound.take(&mut frames);
        let length = frames.len();
        let before = bytes.len();
        frames
            .pieces(0)
            .for_each(|piece| bytes.extend_from_slice(piece));
        assert_eq!(bytes.len() - before, length);
        messages
    }
}

/// Compresses messages.
#[derive(Debug)]
pub struct Compressing(Deflater);

impl Compressing {
    /// Level and memory are 1 to 9, the window is 8 to 15.
    pub fn new(level: u8, window_bits: u8, mem_level: u8) -> Self {
        Compressing(Deflater::new(DeflateSettings {
            level,
            window_bits,
            mem_level,
        }))
    }

    /// Appends a part of a message, which ends it or not, to `out`. What came so far can be read with
    /// `flush`.
    pub fn compress(&mut self, part: &[u8], last: bool, flush: bool, out: &mut Vec<u8>) {
        let end = match (last, flush) {
            (true, _) => Part::Last,
            (false, true) => Part::Flush,
            (false, false) => Part::More,
        };
        self.0.deflate(part, end, out);
    }

    /// Forgets the messages before.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}
