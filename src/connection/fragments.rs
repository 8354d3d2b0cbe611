//! Messages in fragments (RFC 6455 section 5.4): control frames may go between them, other messages
//! may not.

use super::Connection;
use super::send::{Deadline, Failed, Flush, Path};
use crate::close::{CloseCode, CloseFrame};
use crate::compression::{Compressing, SendOptions};
use crate::error::Error;
use crate::message::{MessageKind, Text};
use crate::protocol::{Deflater, Fragment, Part};
use bytes::Bytes;
use std::mem;
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
    options: SendOptions,
    /// RSV1 is set on its first frame.
    pub(super) compressed: bool,
    /// What comes is to be compressed.
    compressing: Option<Compressing>,
    /// There from the first piece on that is compressed. With context takeover it is the connection's
    /// and comes with the turn.
    deflater: Option<Deflater>,
    /// Compressed, and in no fragment yet.
    deflated: Vec<u8>,
    /// Bytes of the message that are sent or compressed: what it has without compression.
    pub(super) length: usize,
    /// The compressor may have more of what it was given.
    unflushed: bool,
    /// Its first fragment was sent, and not its last.
    begun: bool,
    has_turn: bool,
}

impl Connection {
    /// Waits until no other message has the turn. It is taken with the first fragment, so that a
    /// message that is slow to begin holds up no other.
    pub(crate) fn fragments(
        &self,
        kind: MessageKind,
        options: SendOptions,
    ) -> Result<Fragments<'_>, Error> {
        let mut deadline = Deadline::new(self.config.timeouts.send);
        match self.wait_for_turn(self.lock_send(), true, &mut deadline) {
            Ok(_) => {
                let compressing = self.compressing(None, options);
                let mut fragments = Fragments::new(self, kind, compressing);
                fragments.options = options;
                Ok(fragments)
            }
            Err(failed) => Err(failed.error),
        }
    }

    pub(super) fn give_turn_back(&self, path: &mut Path<'_>) {
        if mem::take(&mut path.turn_taken) && path.waiting > 0 {
            self.turn.notify_all();
        }
    }
}

impl<'a> Fragments<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        kind: MessageKind,
        compressing: Option<Compressing>,
    ) -> Self {
        Fragments {
            connection,
            kind,
            compressed: compressing.is_some(),
            compressing,
            options: SendOptions::new(),
            deflater: None,
            deflated: Vec::new(),
            length: 0,
            unflushed: false,
            begun: false,
            has_turn: false,
        }
    }

    /// Sends the whole message in fragments of `size` bytes before compression, under one deadline.
    pub(super) fn send_all(
        mut self,
        mut rest: Bytes,
        size: usize,
        flush: Flush,
    ) -> Result<(), Failed> {
        let mut deadline = Deadline::new(self.connection.config.timeouts.send);
        while !rest.is_empty() {
            let piece = rest.split_to(size.min(rest.len()));
            let part = match rest.is_empty() {
                true => Part::Last,
                false => Part::More,
            };
            let sent = match self.compressing {
                None => self.send_fragment(piece, part, flush, &mut deadline),
                Some(_) => self
                    .deflate(&piece, part, &mut deadline)
                    .and_then(|()| self.send_deflated(part, flush, &mut deadline)),
            };
            sent.map_err(|failed| self.tear(failed))?;
        }
        Ok(())
    }

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

    /// Whether something that was [sent](Self::send) as `More` has not left.
    pub(crate) fn is_owing(&self) -> bool {
        self.unflushed || !self.deflated.is_empty()
    }

    /// Sends what is collected as a fragment; the whole message in one frame if it is the first and the
    /// last. After an error with the connection still open it may be tried again: what was not sent
    /// has stayed, here or in `collected`.
    pub(crate) fn send(&mut self, collected: &mut Vec<u8>, part: Part) -> Result<(), Error> {
        let mut deadline = Deadline::new(self.connection.config.timeouts.send);
        if part == Part::Last && !self.begun && self.deflater.is_none() {
            // It is all there, so its size is known.
            let length = Some(collected.len());
            self.compressing = self.connection.compressing(length, self.options);
            self.compressed = self.compressing.is_some();
        }
        let result = match self.compressing {
            None => {
                let piece = Bytes::from(mem::take(collected));
                let result = self.send_fragment(piece.clone(), part, Flush::Now, &mut deadline);
                // The memory is used again, unless another thread is writing from it.
                if result.is_err() || piece.is_unique() {
                    *collected = piece.into();
                }
                result
            }
            Some(_) => self.send_collected(collected, part, &mut deadline),
        };
        if result.is_ok() {
            collected.clear();
        }
        result.map_err(|failed| failed.error)
    }

    fn send_collected(
        &mut self,
        collected: &mut Vec<u8>,
        part: Part,
        deadline: &mut Deadline,
    ) -> Result<(), Failed> {
        // What an earlier call could not send.
        self.send_deflated(Part::More, Flush::Now, deadline)?;
        self.deflate(collected, part, deadline)?;
        // The compressor has taken it, whether it can be sent or not.
        collected.clear();
        self.send_deflated(part, Flush::Now, deadline)
    }

    fn deflate(&mut self, piece: &[u8], part: Part, deadline: &mut Deadline) -> Result<(), Failed> {
        let Some(Compressing {
            settings, takeover, ..
        }) = self.compressing
        else {
            return Ok(());
        };
        if self.deflater.is_none() {
            self.deflater = Some(match takeover {
                true => self.connection.take_deflater(settings, deadline)?,
                false => Deflater::new(settings),
            });
            self.has_turn = takeover;
        }
        if let Some(deflater) = &mut self.deflater {
            deflater.deflate(piece, part, &mut self.deflated);
            self.length += piece.len();
            self.unflushed = part == Part::More;
        }
        Ok(())
    }

    fn send_deflated(
        &mut self,
        part: Part,
        flush: Flush,
        deadline: &mut Deadline,
    ) -> Result<(), Failed> {
        if self.deflated.is_empty() {
            return Ok(());
        }
        let payload = Bytes::from(mem::take(&mut self.deflated));
        let result = self.send_fragment(payload.clone(), part, flush, deadline);
        if result.is_err() {
            self.deflated = payload.into();
        }
        result
    }

    /// Sends a fragment. The first takes the turn, and the last gives it back. One that fails with
    /// none of its bytes on the wire may be tried again.
    fn send_fragment(
        &mut self,
        payload: Bytes,
        part: Part,
        flush: Flush,
        deadline: &mut Deadline,
    ) -> Result<(), Failed> {
        let connection = self.connection;
        let last = part == Part::Last;
        let length = payload.len();
        let mut path =
            connection.wait_for_turn(connection.lock_send(), !self.has_turn, deadline)?;
        self.has_turn |= !last;
        path.turn_taken = self.has_turn;
        let fragment = Fragment {
            kind: self.kind,
            first: !self.begun,
            last,
            compressed: self.compressed,
            payload,
        };
        match connection.append(path, flush, deadline, |path| {
            path.outbound.fragment(&fragment)
        }) {
            Ok(mut path) => {
                self.begun = !last;
                if !self.compressed {
                    self.length += length;
                }
                // Not before it is out: until then it may be taken back, and nothing may be behind it.
                if last {
                    path.compressed += u64::from(self.has_context());
                    path.outbound.sent.message(self.length);
                    self.end(&mut path);
                }
                Ok(())
            }
            Err(failed) => {
                if !self.begun && !self.has_context() {
                    self.end(&mut connection.lock_send());
                }
                Err(failed)
            }
        }
    }

    /// Whether others have to wait for the compressor.
    fn has_context(&self) -> bool {
        self.deflater.is_some() && self.compressing.is_some_and(|c| c.takeover)
    }

    /// Gives back the turn, if it has it, and what came with it.
    fn end(&mut self, path: &mut Path<'_>) {
        if self.has_context() {
            path.deflater = self.deflater.take();
        }
        if mem::take(&mut self.has_turn) {
            self.connection.give_turn_back(path);
        }
    }

    /// After its first fragment, a message that cannot go on ends the connection.
    fn tear(&mut self, failed: Failed) -> Failed {
        let begun = mem::take(&mut self.begun);
        if begun {
            let mut path = self.connection.lock_send();
            self.end(&mut path);
            if !failed.torn && !matches!(failed.error, Error::Closed(_)) {
                path.fail(failed.error.clone());
                drop(path);
                let _ = self.connection.transport.shutdown(Shutdown::Both);
            }
        }
        Failed {
            torn: failed.torn || begun,
            ..failed
        }
    }
}

impl Drop for Fragments<'_> {
    fn drop(&mut self) {
        if self.begun {
            // The turn is not given back: whoever waits for it is refused, since the connection closes.
            if self.check().is_ok() {
                self.connection.close_without_waiting(CloseFrame {
                    code: CloseCode::INTERNAL_ERROR,
                    reason: Text::from_static("message abandoned"),
                });
            }
        } else if self.has_turn {
            if let Some(deflater) = &mut self.deflater {
                // The peer has seen nothing of it.
                deflater.reset();
            }
            self.end(&mut self.connection.lock_send());
        }
    }
}
