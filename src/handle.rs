//! What the handles of a connection share.

use crate::close::{CloseCode, CloseFrame, Closed};
use crate::connection::Connection;
use crate::handshake::parse_response;
use crate::message::Text;
use bytes::Bytes;
use http::{Request, Response};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// A connection while any handle on it is alive.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) connection: Arc<Connection>,
    pub(crate) heads: Heads,
    pub(crate) subprotocol: Option<String>,
    /// The end of the last handle means that the work is done.
    pub(crate) normal_on_drop: AtomicBool,
}

/// The request and the response of the opening handshake.
#[derive(Debug)]
pub(crate) struct Heads {
    pub(crate) request: Box<Request<()>>,
    pub(crate) response: Head,
}

/// A response as it was sent takes a fraction of the memory of one that was parsed, and few connections
/// are asked for it.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: Bytes,
    parsed: OnceLock<Box<Response<()>>>,
}

impl Head {
    /// A valid one.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Head {
            bytes: bytes.into(),
            parsed: OnceLock::new(),
        }
    }

    pub(crate) fn parsed(response: Box<Response<()>>) -> Self {
        Head {
            bytes: Bytes::new(),
            parsed: response.into(),
        }
    }

    pub(crate) fn get(&self) -> &Response<()> {
        let parse = || parse_response(&self.bytes).unwrap_or_default();
        self.parsed.get_or_init(|| Box::new(parse()))
    }
}

impl Handle {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        self.connection.end().map(|end| Closed::clone(&end.closed))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let code = match std::thread::panicking() {
            true => CloseCode::INTERNAL_ERROR,
            false if *self.normal_on_drop.get_mut() => CloseCode::NORMAL,
            false => CloseCode::GOING_AWAY,
        };
        self.connection.close_without_waiting(CloseFrame {
            code,
            reason: Text::default(),
        });
    }
}
