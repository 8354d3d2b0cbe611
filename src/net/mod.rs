//! Sockets and TLS; no protocol.
//!
//! [`Transport`] is a socket that never blocks, [`link::Link`] drives one through the opening
//! handshake, and `tls` turns bytes into bytes without ever touching a socket.

mod blocking;
pub(crate) mod dial;
pub(crate) mod link;
mod poll;
mod socket;
pub(crate) mod tcp;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod transport;
pub(crate) mod waker;

pub use blocking::BlockingTransport;
pub(crate) use tls::TlsSession;
pub use tls::{TlsBackend, TlsConfig, TlsVersion};
pub use transport::{Interest, Ready, Transport};
