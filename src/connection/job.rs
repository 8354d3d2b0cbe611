//! Bytes on their way to the socket.

use super::Tls;
use crate::error::Error;
use crate::net::Transport;
use crate::protocol::Frames;
use std::io::{self, IoSlice};
use std::sync::PoisonError;

/// How much is encrypted before it is written: 64 KiB and a header.
const PIECE: usize = (64 << 10) + 64;

/// Pieces that one system call takes.
const SLICES: usize = 16;

/// Capacity that an idle connection keeps.
const KEEP: usize = 16 << 10;

/// What the writer has taken from the outbox and not yet written. It belongs to the writer alone.
///
/// The plaintext is encrypted by the writer and no one else, so records leave in the order in which
/// TLS made them.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) plain: Frames,
    /// Bytes of `plain` that are written, or encrypted.
    pub(super) done: usize,
    cipher: Vec<u8>,
    /// Where in `plain` begins what `cipher` is of.
    encrypted_from: usize,
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

    /// Bytes of `plain` that wait.
    pub(super) fn left(&self) -> usize {
        self.plain.len() - self.done
    }

    /// Whether no byte from `start` on has left, and none before it waits.
    pub(super) fn stands_at(&self, start: usize) -> bool {
        self.done == start && self.written == self.cipher.len()
    }

    /// Whether any byte from `start` on has left.
    pub(super) fn is_past(&self, start: usize) -> bool {
        if self.cipher.is_empty() {
            return self.done > start;
        }
        self.encrypted_from > start || (self.done > start && self.written > 0)
    }

    /// Writes until all is written or the kernel takes no more.
    pub(super) fn write(
        &mut self,
        transport: &dyn Transport,
        tls: Option<&Tls>,
    ) -> Result<Progress, Error> {
        match tls {
            None => write_frames(transport, &self.plain, &mut self.done),
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
            let most = self.left().min(PIECE);
            // A header goes with its payload, but nothing with a payload before it: it may still be
            // taken back.
            let mut last = self.plain.is_apart_at(self.done);
            let mut taken = 0;
            let mut pieces = self.plain.pieces(self.done);
            let mut session = tls.session.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                // The session is asked even if there is none: it may have failed.
                let piece = pieces.next().unwrap_or_default();
                let piece = &piece[..piece.len().min(most - taken)];
                session.send(piece)?;
                taken += piece.len();
                if taken == most || last {
                    break;
                }
                last = true;
            }
            session.take_output(&mut self.cipher);
            drop(session);
            drop(pieces);
            self.encrypted_from = self.done;
            self.done += taken;
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
        self.encrypted_from = 0;
        self.written = 0;
    }

    /// Gives back what a large message needed.
    pub(super) fn shrink(&mut self) {
        self.plain.shrink(KEEP);
        if self.cipher.is_empty() && self.cipher.capacity() > KEEP {
            self.cipher = Vec::new();
        }
    }
}

fn write_frames(
    transport: &dyn Transport,
    frames: &Frames,
    written: &mut usize,
) -> Result<Progress, Error> {
    if let Some(bytes) = frames.as_one() {
        return write(transport, bytes, written);
    }
    write_pieces(transport, frames, written)
}

/// Not inlined: what is in one piece, as most is, does not need so much of the stack.
#[inline(never)]
fn write_pieces(
    transport: &dyn Transport,
    frames: &Frames,
    written: &mut usize,
) -> Result<Progress, Error> {
    while *written < frames.len() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(frames.pieces(*written)) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        let done = match &slices[..count] {
            [only] => attempt(|| transport.write(only))?,
            several => attempt(|| transport.write_vectored(several))?,
        };
        match done {
            Some(n) => *written += n,
            None => return Ok(Progress::Blocked),
        }
    }
    Ok(Progress::Done)
}

fn write(transport: &dyn Transport, bytes: &[u8], written: &mut usize) -> Result<Progress, Error> {
    while *written < bytes.len() {
        match attempt(|| transport.write(&bytes[*written..]))? {
            Some(n) => *written += n,
            None => return Ok(Progress::Blocked),
        }
    }
    Ok(Progress::Done)
}

/// One write; `None` when the kernel takes no more.
fn attempt(mut write: impl FnMut() -> io::Result<usize>) -> Result<Option<usize>, Error> {
    loop {
        match write() {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(n) => return Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e.into()),
        }
    }
}
