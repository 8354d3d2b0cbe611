//! Messages in fragments (RFC 6455 section 5.4): control frames may go between them, other messages
//! may not.

use super::send::{Deadline, Failed, Flush, Path};
use super::{Connection, SendPath};
use crate::close::{CloseCode, CloseFrame};
use crate::error::Error;
use crate::message::{Message, MessageKind, Text};
use crate::protocol::Fragment;
use bytes::Bytes;
use std::net::Shutdown;

/// The most that is collected before it is sent.
const PIECE: usize = 64 << 10;

/// A message that comes piece by piece. It has the turn from its first fragment to its last.
///
/// Nothing takes a fragment back that was sent (RFC 6455 section 5.4), so dropping it between the two
/// fails the connection.
#[derive(Debug)]
pub(crate) struct Fragments<'a> {
    connection: &'a Connection,
    kind: MessageKind,
    /// Its first fragment was sent, and not its last.
    begun: bool,
}

impl Connection {
    /// Waits until no message is being sent in fragments. The turn is taken with the first fragment,
    /// so that a message that is slow to begin holds up no other.
    pub(crate) fn fragments(&self, kind: MessageKind) -> Result<Fragments<'_>, Error> {
        let mut deadline = Deadline::new(self.config.timeouts.send);
        match self.wait_for_turn(self.lock_send(), true, &mut deadline) {
            Ok(_) => Ok(Fragments {
                connection: self,
                kind,
                begun: false,
            }),
            Err(failed) => Err(failed.error),
        }
    }

    /// Sends a message in fragments of `size` bytes, under one deadline.
    pub(super) fn send_fragments(
        &self,
        message: &Message,
        size: usize,
        flush: Flush,
    ) -> Result<(), Failed> {
        let mut deadline = Deadline::new(self.config.timeouts.send);
        let payload = message.to_bytes();
        let count = payload.len().div_ceil(size);
        let mut path = self.lock_send();
        for n in 0..count {
            let fragment = Fragment {
                kind: message.kind(),
                first: n == 0,
                last: n + 1 == count,
                payload: payload.slice(n * size..payload.len().min((n + 1) * size)),
            };
            path = self
                .send_fragment(path, &fragment, flush, &mut deadline)
                .map_err(|failed| self.tear(failed, n > 0))?;
        }
        Ok(())
    }

    /// Sends a fragment. The first takes the turn, and the last gives it back. One that fails with
    /// none of its bytes on the wire may be tried again.
    fn send_fragment<'a>(
        &'a self,
        path: Path<'a>,
        fragment: &Fragment,
        flush: Flush,
        deadline: &mut Deadline,
    ) -> Result<Path<'a>, Failed> {
        let mut path = self.wait_for_turn(path, fragment.first, deadline)?;
        path.fragmenting |= !fragment.last;
        let append = |path: &mut SendPath| path.outbound.fragment(fragment);
        match self.append(path, flush, deadline, append) {
            Ok(mut path) => {
                // Not before it is out: until then it may be taken back, and nothing may be behind it.
                if fragment.last && !fragment.first {
                    self.give_turn_back(&mut path);
                }
                Ok(path)
            }
            Err(failed) => {
                if fragment.first && !fragment.last {
                    self.give_turn_back(&mut self.lock_send());
                }
                Err(failed)
            }
        }
    }

    fn give_turn_back(&self, path: &mut SendPath) {
        if std::mem::take(&mut path.fragmenting) {
            self.turn.notify_all();
        }
    }

    /// After its first fragment, a message that cannot go on ends the connection.
    fn tear(&self, failed: Failed, begun: bool) -> Failed {
        if begun {
            let mut path = self.lock_send();
            self.give_turn_back(&mut path);
            if !failed.torn && !matches!(failed.error, Error::Closed(_)) {
                path.fail(failed.error.clone());
                drop(path);
                let _ = self.transport.shutdown(Shutdown::Both);
            }
        }
        Failed {
            torn: failed.torn || begun,
            ..failed
        }
    }
}

impl Fragments<'_> {
    pub(crate) fn kind(&self) -> MessageKind {
        self.kind
    }

    /// How many bytes make a fragment.
    pub(crate) fn piece(&self) -> usize {
        let size = self.connection.config.fragment_size;
        size.map_or(PIECE, |size| size.min(PIECE))
    }

    /// Why nothing can be sent, if so.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.connection.lock_send().refusal() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Sends a fragment; the whole message in one frame if it is the first and the last. After an error
    /// with the connection still open, it may be tried again.
    pub(crate) fn send(&mut self, payload: Bytes, last: bool) -> Result<(), Error> {
        let fragment = Fragment {
            kind: self.kind,
            first: !self.begun,
            last,
            payload,
        };
        let connection = self.connection;
        let mut deadline = Deadline::new(connection.config.timeouts.send);
        let path = connection.lock_send();
        match connection.send_fragment(path, &fragment, Flush::Now, &mut deadline) {
            Ok(_) => self.begun = !last,
            Err(failed) => return Err(failed.error),
        }
        Ok(())
    }
}

impl Drop for Fragments<'_> {
    fn drop(&mut self) {
        // The turn is not given back: whoever waits for it is refused, since the connection closes.
        if self.begun && self.check().is_ok() {
            self.connection.close_without_waiting(CloseFrame {
                code: CloseCode::INTERNAL_ERROR,
                reason: Text::from_static("message abandoned"),
            });
        }
    }
}
