//! TLS as a stream of its own, for TLS within it: `wss` by way of an `https` proxy.

use super::TlsSession;
use crate::net::link::LinkParts;
use crate::net::transport::{Interest, Ready, Transport};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What one read takes at most, and one write encrypts.
const PIECE: usize = 16 << 10;

/// A stream inside TLS. A write that would block has to be repeated with the same bytes, which holds for the
/// records of TLS within: they are encrypted once.
#[derive(Debug)]
pub(crate) struct TlsStream {
    inner: Arc<dyn Transport>,
    state: Mutex<State>,
}

struct State {
    session: Box<dyn TlsSession>,
    /// Decrypted, and how much of it was read.
    plaintext: Vec<u8>,
    read: usize,
    /// Encrypted, and how much of it was written.
    output: Vec<u8>,
    written: usize,
    /// So much of what the caller writes is in `output`, and the caller does not know.
    held: usize,
    /// The peer said that nothing follows (close_notify).
    ended: bool,
}

impl TlsStream {
    /// What is left of a link whose TLS this was.
    pub(crate) fn new(session: Box<dyn TlsSession>, parts: LinkParts) -> Self {
        TlsStream {
            inner: parts.transport,
            state: Mutex::new(State {
                session,
                plaintext: parts.pending,
                read: 0,
                output: Vec::new(),
                written: 0,
                held: 0,
                ended: parts.ended,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_plaintext(&self) -> bool {
        self.read < self.plaintext.len()
    }

    fn has_output(&self) -> bool {
        self.written < self.output.len()
    }

    /// Passes what is there through TLS.
    fn fill(&mut self, inner: &dyn Transport) -> io::Result<()> {
        let mut chunk = vec![0; PIECE];
        let n = inner.read(&mut chunk)?;
        if n == 0 {
            // TLS was cut off.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !self.has_plaintext() {
            self.plaintext.clear();
            self.read = 0;
        }
        let received = self.session.receive(&chunk[..n], &mut self.plaintext);
        self.session.take_output(&mut self.output);
        self.ended = received.map_err(io::Error::other)?;
        self.flush(inner)
    }

    /// Writes what the stream below takes.
    fn flush(&mut self, inner: &dyn Transport) -> io::Result<()> {
        while self.has_output() {
            match inner.write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// What is ready without asking the stream below.
    fn ready(&self, interest: Interest) -> Ready {
        Ready {
            readable: interest.readable && (self.has_plaintext() || self.ended),
            writable: interest.writable && !self.has_output(),
        }
    }
}

impl Transport for TlsStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        while !state.has_plaintext() {
            if state.ended {
                return Ok(0);
            }
            state.fill(&*self.inner)?;
        }
        let unread = &state.plaintext[state.read..];
        let n = unread.len().min(buffer.len());
        buffer[..n].copy_from_slice(&unread[..n]);
        state.read += n;
        Ok(n)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        state.flush(&*self.inner)?;
        if !state.has_output() && state.held == 0 {
            let piece = &bytes[..bytes.len().min(PIECE)];
            state.session.send(piece).map_err(io::Error::other)?;
            let State {
                session, output, ..
            } = &mut *state;
            session.take_output(output);
            state.held = piece.len();
            state.flush(&*self.inner)?;
        }
        match state.has_output() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(std::mem::take(&mut state.held).min(bytes.len())),
        }
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        loop {
            let mut state = self.lock();
            state.flush(&*self.inner)?;
            let ready = state.ready(interest);
            if ready.any() {
                return Ok(ready);
            }
            let below = Interest {
                readable: interest.readable,
                writable: state.has_output(),
            };
            drop(state);
            let ready = self.inner.wait(below, deadline)?;
            if !ready.any() {
                return Ok(ready);
            }
            if ready.readable {
                match self.lock().fill(&*self.inner) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    // The read that follows tells.
                    Err(_) => return Ok(ready),
                    Ok(()) => {}
                }
            }
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            let mut state = self.lock();
            state.session.close();
            let State {
                session, output, ..
            } = &mut *state;
            session.take_output(output);
            let _ = state.flush(&*self.inner);
        }
        self.inner.shutdown(how)
    }

    fn discard_on_drop(&self) {
        self.inner.discard_on_drop();
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.peer_addr()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
