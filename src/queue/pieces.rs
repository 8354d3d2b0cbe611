//! Messages that are taken in pieces while they arrive, or put together for other receive calls.

use super::front::Front;
use super::item::{Item, Weight};
use super::{Empty, Queue};
use crate::message::{Message, MessageKind, Text};
use crate::protocol::{Piece, PieceEnd};
use crate::sync::{Ordering, fence};
use bytes::Bytes;
use std::time::Instant;

/// The begin of a message.
#[derive(Debug)]
pub(crate) enum Begun {
    Whole(Message),
    /// The caller has claimed it, unless the first piece is the last.
    InPieces {
        kind: MessageKind,
        next: Next,
    },
}

/// A piece for the one that has claimed its message.
#[derive(Debug)]
pub(crate) enum Next {
    Piece(Bytes),
    Last(Bytes),
    /// The rest was dropped.
    Torn,
}

impl Queue {
    /// The begin of the next message, as soon as there is one.
    pub(crate) fn begin_pieces(&self, deadline: Option<Instant>) -> Result<Begun, Empty> {
        self.wait_for(deadline, false, |front| self.try_begin_pieces(front))
    }

    /// The next piece of the message that the caller has claimed.
    pub(crate) fn next_piece(&self, deadline: Option<Instant>) -> Result<Next, Empty> {
        let next = self.wait_for(deadline, true, |front| self.try_next_piece(front))?;
        if !matches!(next, Next::Piece(_)) {
            // What follows is for everybody.
            self.wake_consumers(true);
        }
        Ok(next)
    }

    /// The caller wants no more of the message that it has claimed: the rest is dropped.
    pub(crate) fn abandon_pieces(&self) {
        let mut front = self.lock();
        (front.claimed, front.skipping) = (false, true);
        self.skip_all(&mut front);
        drop(front);
        // Perhaps nothing is taken for a long time.
        fence(Ordering::SeqCst);
        self.wake_if_paused();
        self.wake_consumers(true);
    }

    /// Drops the pieces that nobody wants. True if there were any.
    pub(super) fn drop_skipped(&self) -> bool {
        self.skip_all(&mut self.lock())
    }

    fn skip_all(&self, front: &mut Front) -> bool {
        let before = self.dropped.bytes();
        while front.skipping {
            match front.items.pop() {
                Some(Item::Piece(piece)) if !piece.first => self.skip(front, &piece),
                Some(item) => {
                    front.items.push(item);
                    break;
                }
                None if self.refill(front).is_ok() => {}
                None => break,
            }
        }
        self.dropped.bytes() > before
    }

    fn try_begin_pieces(&self, front: &mut Front) -> Result<Begun, Empty> {
        loop {
            if self.is_diverted() {
                return Err(self.emptiness());
            }
            if front.claimed {
                return Err(Empty::Now);
            }
            if let Some((kind, begun)) = front.partial.take() {
                front.claimed = true;
                let next = Next::Piece(begun.into());
                return Ok(Begun::InPieces { kind, next });
            }
            match front.items.pop() {
                Some(Item::Message(message)) => {
                    self.taken(Weight::message(message.len()));
                    return Ok(Begun::Whole(message));
                }
                Some(Item::Piece(piece)) if piece.first => {
                    front.claimed = true;
                    front.skipping = false;
                    let kind = piece.kind;
                    let next = self.hand_over(front, *piece);
                    return Ok(Begun::InPieces { kind, next });
                }
                Some(Item::Piece(piece)) => self.skip(front, &piece),
                None => self.refill(front)?,
            }
        }
    }

    fn try_next_piece(&self, front: &mut Front) -> Result<Next, Empty> {
        loop {
            match front.items.pop() {
                Some(Item::Piece(piece)) => return Ok(self.hand_over(front, *piece)),
                Some(message) => {
                    debug_assert!(false, "a message within another");
                    front.items.push(message);
                    front.claimed = false;
                    return Ok(Next::Torn);
                }
                None => self.refill(front)?,
            }
        }
    }

    fn hand_over(&self, front: &mut Front, piece: Piece) -> Next {
        self.taken(Weight::piece(&piece));
        front.claimed = piece.end == PieceEnd::More;
        match piece.end {
            PieceEnd::More => Next::Piece(piece.payload),
            PieceEnd::Last => Next::Last(piece.payload),
            PieceEnd::Torn => Next::Torn,
        }
    }

    /// Adds a piece to the message that receive calls put together. Returns it when it is whole.
    pub(super) fn collect(
        &self,
        front: &mut Front,
        piece: Box<Piece>,
    ) -> Result<Option<Message>, Empty> {
        if front.claimed {
            front.items.push(Item::Piece(piece));
            return Err(Empty::Now);
        }
        if front.skipping && !piece.first {
            self.skip(front, &piece);
            return Ok(None);
        }
        self.taken(Weight::piece(&piece));
        front.skipping = false;
        let (kind, mut payload) = front.partial.take().unwrap_or((piece.kind, Vec::new()));
        payload.extend_from_slice(&piece.payload);
        match piece.end {
            PieceEnd::More => front.partial = Some((kind, payload)),
            PieceEnd::Last => return Ok(Some(message(kind, payload))),
            PieceEnd::Torn => self.dropped.add(Weight::message(payload.len())),
        }
        Ok(None)
    }

    /// Drops a message that was being put together. Returns whether one was.
    pub(super) fn drop_partial(&self, front: &mut Front) -> bool {
        let partial = front.give_up_partial();
        if let Some(length) = partial {
            self.dropped.add(Weight::message(length));
        }
        partial.is_some()
    }

    fn skip(&self, front: &mut Front, piece: &Piece) {
        self.taken(Weight::piece(piece));
        self.dropped.add(Weight::piece(piece));
        front.skipping = piece.end == PieceEnd::More;
    }
}

/// Text was checked while it arrived. A payload does not hold much more memory than it has bytes.
fn message(kind: MessageKind, mut payload: Vec<u8>) -> Message {
    if payload.capacity() > payload.len() + payload.len() / 4 {
        payload.shrink_to_fit();
    }
    match kind {
        MessageKind::Binary => Message::from(payload),
        MessageKind::Text => match Text::try_from(payload) {
            Ok(text) => Message::Text(text),
            Err(_) => unreachable!("checked piece by piece"),
        },
    }
}
