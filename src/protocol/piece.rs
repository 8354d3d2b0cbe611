//! Parts of a large message, handed on while it arrives.

use crate::message::MessageKind;
use bytes::Bytes;

/// What came of a message since its piece before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Of its message. A character of a text may be cut by the end of the piece.
    pub(crate) kind: MessageKind,
    /// No piece of the message came before.
    pub(crate) first: bool,
    pub(crate) end: PieceEnd,
    pub(crate) payload: Bytes,
}

/// What comes after a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceEnd {
    /// More of the message.
    More,
    /// Nothing: the message is whole.
    Last,
    /// Nothing: the rest of the message was dropped.
    Torn,
}
