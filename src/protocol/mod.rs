//! The protocol as values (RFC 6455 sections 5 to 8): bytes and time in, events and bytes out.
//!
//! Nothing here touches a socket, a thread or the clock. [`Inbound`] is the receive path, owned by
//! whoever reads; [`Outbound`] is the send path, owned by whoever holds the send lock.

// What a peer sends must not be able to panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing
    )
)]

mod assembler;
mod compressed;
#[cfg_attr(not(feature = "deflate"), path = "no_deflate.rs")]
mod deflate;
mod frame;
mod frames;
mod inbound;
mod mask;
mod outbound;
mod piece;
mod pings;
mod pool;
mod utf8;
mod whole;

#[cfg(test)]
mod tests;

pub(crate) use deflate::Deflater;
pub(crate) use frame::MAX_CONTROL;
pub(crate) use frames::Frames;
pub(crate) use inbound::{Inbound, LARGE, Sink, Step};
pub(crate) use outbound::{Fragment, Outbound};
pub(crate) use piece::{Piece, PieceEnd};
pub(crate) use pings::{Due, PingPayload, Pings};
pub(crate) use utf8::Utf8;

/// Which side of the connection this is.
///
/// # Examples
///
/// ```
/// use wsync::{Config, Negotiated, Role, WebSocket};
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let here = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (there, _) = listener.accept()?;
/// let client = WebSocket::from_parts(here, Role::Client, [], Negotiated::new(Config::client()))?;
/// let server = WebSocket::from_parts(there, Role::Server, [], Negotiated::new(Config::server()))?;
/// client.send("hello")?;
/// assert_eq!(server.recv()?.as_text(), Some("hello"));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its frames are masked (RFC 6455 section 5.3).
    Client,
    /// Its frames are not.
    Server,
}

/// How a message is deflated (RFC 7692).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeflateSettings {
    /// 1 to 9.
    pub(crate) level: u8,
    /// 8 to 15: no reference goes back further than 2 to the power of this.
    pub(crate) window_bits: u8,
    /// 1 to 9.
    pub(crate) mem_level: u8,
}

/// How much of the message there is after a piece of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    More,
    /// More, but what came so far has to be readable.
    Flush,
    Last,
}
