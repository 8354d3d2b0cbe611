//! What the queue carries.

use crate::message::Message;
use crate::protocol::Piece;
use std::time::Instant;

/// A message, or a piece of a large one.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Message(Message),
    Piece(Box<Piece>),
}

impl Item {
    /// Unless it is a piece of one.
    pub(super) fn message(&self) -> Option<&Message> {
        match self {
            Item::Message(message) => Some(message),
            Item::Piece(_) => None,
        }
    }

    pub(super) fn weight(&self) -> Weight {
        match self {
            Item::Message(message) => Weight::message(message.len()),
            Item::Piece(piece) => Weight::piece(piece),
        }
    }
}

/// What an item adds to a queue. A message in pieces counts with its first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    pub(super) messages: u64,
    /// Further pieces.
    pub(super) pieces: u64,
    /// Of payload.
    pub(super) bytes: u64,
}

impl Weight {
    #[inline]
    pub(super) fn message(length: usize) -> Self {
        Weight {
            messages: 1,
            pieces: 0,
            bytes: length as u64,
        }
    }

    pub(super) fn piece(piece: &Piece) -> Self {
        Weight {
            messages: u64::from(piece.first),
            pieces: u64::from(!piece.first),
            bytes: piece.payload.len() as u64,
        }
    }
}

/// Items that travel together, and when they came.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) came: Instant,
    pub(super) items: Items,
}

/// One alone needs no allocation.
#[derive(Debug)]
pub(super) enum Items {
    One(Item),
    /// The first one is the last.
    Many(Vec<Item>),
}

impl Items {
    pub(super) fn len(&self) -> usize {
        match self {
            Items::One(_) => 1,
            Items::Many(items) => items.len(),
        }
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        let items = match self {
            Items::One(item) => std::slice::from_ref(item),
            Items::Many(items) => items,
        };
        items.iter().rev()
    }
}
