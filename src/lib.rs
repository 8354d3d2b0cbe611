//! Synchronous, threaded WebSockets.

mod client;
mod close;
mod config;
mod connection;
mod error;
mod handshake;
mod message;
mod net;
mod protocol;
mod queue;
mod receiver;
mod sender;
mod server;
mod uri;
mod websocket;

pub use client::{ClientBuilder, connect};
pub use close::{CloseCode, CloseFrame, Closed, Initiator, MAX_REASON};
pub use config::{Config, Limits, QueueConfig, Timeouts};
pub use error::{
    Error, Misuse, ProtocolError, RecvError, RecvTimeoutError, SendError, Timeout, TlsError,
    TryRecvError, UriError,
};
pub use handshake::HandshakeError;
pub use message::{Message, Text};
pub use net::{Interest, Ready, TlsConfig, TlsVersion, Transport};
pub use receiver::{IntoIter, Iter, Receiver, TryIter};
pub use sender::Sender;
pub use server::{Accept, Incoming, Server, ServerBuilder, Upgrade};
pub use websocket::WebSocket;
