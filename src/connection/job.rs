//! Bytes on their way to the socket.

use super::Tls;
use crate::error::Error;
use crate::net::Transport;
use std::io;
use std::sync::PoisonError;

/// How much is encrypted before it is written.
const PIECE: usize = 64 << 10;

/// Capacity that an idle connection keeps.
const KEEP: usize = 16 << 10;

/// What the writer has taken from the outbox and not yet written. It belongs to the writer alone.
///
/// The plaintext is encrypted by the writer and no one else, so records leave in the order in which
/// TLS made them.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) plain: Vec<u8>,
    /// Bytes of `plain` that are written, or encrypted.
    pub(super) done: usize,
    cipher: Vec<u8>,
    written: usize,
    /// Messages that end in `plain`.
    pub(super) messages: usize,
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    /// The kernel takes no more now.
    Blocked,
}

impl Job {
    pub(super) fn is_done(&self) -> bool {
        self.done == self.plain.len() && self.written == self.cipher.len()
    }

    /// Whether no byte from `start` on has left, and none before it waits.
    pub(super) fn stands_at(&self, start: usize) -> bool {
        self.done == start && self.written == self.cipher.len()
    }

    /// Writes until all is written or the kernel takes no more.
    pub(super) fn write(
        &mut self,
        transport: &dyn Transport,
        tls: Option<&Tls>,
    ) -> Result<Progress, Error> {
        match tls {
            None => write(transport, &self.plain, &mut self.done),
            Some(tls) => self.write_encrypted(transport, tls),
        }
    }

    fn write_encrypted(&mut self, transport: &dyn Transport, tls: &Tls) -> Result<Progress, Error> {
        loop {
            if write(transport, &self.cipher, &mut self.written)? == Progress::Blocked {
                return Ok(Progress::Blocked);
            }
            self.cipher.clear();
            self.written = 0;
            let end = self.plain.len().min(self.done + PIECE);
            let mut session = tls.session.lock().unwrap_or_else(PoisonError::into_inner);
            session.send(&self.plain[self.done..end])?;
            session.take_output(&mut self.cipher);
            drop(session);
            self.done = end;
            if self.cipher.is_empty() {
                return Ok(Progress::Done);
            }
        }
    }

    /// Ready for the next bytes, or to be put away.
    pub(super) fn reset(&mut self) {
        self.plain.clear();
        self.done = 0;
        self.messages = 0;
        self.cipher.clear();
        self.written = 0;
    }

    /// Gives back what a large message needed.
    pub(super) fn shrink(&mut self) {
        for buffer in [&mut self.plain, &mut self.cipher] {
            if buffer.capacity() > KEEP && buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
    }
}

fn write(transport: &dyn Transport, bytes: &[u8], written: &mut usize) -> Result<Progress, Error> {
    while *written < bytes.len() {
        match transport.write(&bytes[*written..]) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(n) => *written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Blocked),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Progress::Done)
}
