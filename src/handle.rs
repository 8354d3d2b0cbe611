//! What the handles of a connection share.

use crate::close::{CloseCode, CloseFrame, Closed};
use crate::connection::Connection;
use crate::message::Text;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What all handles of a connection share. With the last of them the connection goes.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) connection: Arc<Connection>,
    pub(crate) request: http::Request<()>,
    pub(crate) response: http::Response<()>,
    pub(crate) subprotocol: Option<String>,
    /// A server's handler has returned: the purpose is fulfilled.
    pub(crate) normal_on_drop: AtomicBool,
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
