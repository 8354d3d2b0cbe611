//! The protocol as values (RFC 6455 sections 5 to 8): bytes and time in, events and bytes out.
//!
//! Nothing here touches a socket, a thread or the clock. [`Inbound`] is the receive path, owned by
//! whoever reads; [`Outbound`] is the send path, owned by whoever holds the send lock.

mod assembler;
mod frame;
mod frames;
mod inbound;
mod mask;
mod outbound;
mod piece;
mod pool;
mod utf8;

#[cfg(test)]
mod tests;

pub(crate) use frame::MAX_CONTROL;
pub(crate) use frames::Frames;
pub(crate) use inbound::{Inbound, LARGE, Sink, Step};
pub(crate) use outbound::{Fragment, Outbound};
pub(crate) use piece::{Piece, PieceEnd};
pub(crate) use utf8::Utf8;

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}
