//! Synchronous, threaded WebSockets (skeleton).

mod close;
mod config;
mod error;
mod handshake;
mod message;
mod net;
mod protocol;
mod queue;
mod uri;

pub use close::{CloseCode, CloseFrame, Closed, Initiator, MAX_REASON};
pub use config::{Config, Limits, QueueConfig, Timeouts};
pub use error::{
    Error, Misuse, ProtocolError, RecvError, RecvTimeoutError, SendError, Timeout, TlsError,
    TryRecvError, UriError,
};
pub use handshake::HandshakeError;
pub use message::{Message, Text};
