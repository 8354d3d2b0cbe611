//! Sends that never wait: for one thread that serves many peers.

use super::{Connection, SendPath};
use crate::compression::{PreparedMessage, SendOptions};
use crate::error::Error;
use crate::protocol::Fragment;

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no room, or a message in pieces is being sent.
    Full,
    /// The connection has ended, or is closing.
    Ended(Error),
}

impl Connection {
    /// Puts a message into the outbox, in one frame, and writes what the kernel takes.
    pub(crate) fn offer(&self, prepared: &PreparedMessage) -> Result<(), Refusal> {
        let message = prepared.message();
        let compressing = self.compressing(Some(message.len()), SendOptions::new());
        let deflated = compressing.and_then(|how| prepared.compressed(how.settings));
        let in_context = deflated.is_some() && compressing.is_some_and(|how| how.takeover);
        let compressed = deflated.is_some();
        let payload = deflated.unwrap_or_else(|| message.to_bytes());
        let frame = Fragment::whole(message.kind(), compressed, payload);
        let mut path = self.lock_send();
        if let Some(error) = path.refusal() {
            return Err(Refusal::Ended(error));
        }
        if path.turn_taken || self.has_no_room(&path) {
            return Err(Refusal::Full);
        }
        if in_context {
            // It refers to nothing before it. What comes behind must not either: the peer's window has it.
            path.compressed += 1;
            if let Some(deflater) = &mut path.deflater {
                deflater.reset();
            }
        }
        path.outbound.settle();
        path.outbound.fragment(&frame);
        path.outbound.sent.message(message.len());
        drop(path);
        self.write_or_leave();
        Ok(())
    }

    fn has_no_room(&self, path: &SendPath) -> bool {
        let left = path.job.as_ref().map_or(0, |job| job.left());
        path.outbound.len() + left >= self.config.limits.outbox
    }
}
