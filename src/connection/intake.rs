//! The receive path as one value: socket bytes in, events out. Whoever reads owns it.

use super::Tls;
use super::read_buffer::{ReadBuffer, SMALL};
use crate::error::Error;
use crate::net::Transport;
use crate::protocol::{Inbound, Sink, Step};
use crate::sync::Ordering;
use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    Bytes,
    /// As many as there was room for: more may wait.
    Full,
    Nothing,
    End,
}

#[derive(Debug)]
pub(super) struct Intake {
    /// Apart, so that what is moved while a connection opens is small: the deepest stack of that is
    /// memory which a thread keeps.
    inbound: Box<Inbound>,
    /// What the socket gave: frames, or ciphertext.
    socket: ReadBuffer,
    /// With TLS: decrypted bytes, and how many of them are taken.
    plain: Option<Vec<u8>>,
    taken: usize,
    /// With TLS: nothing follows `plain`, because the peer said so (close_notify) or broke TLS.
    ended: Option<Result<Got, Error>>,
    /// The last message was large, so the next may be: only its begin is read into the buffer, and
    /// the rest to where it stays.
    expect_large: bool,
    /// Large messages came since the last [`shrink`](Self::shrink).
    had_large: bool,
    /// Bytes of frames that were read, decrypted.
    came: u64,
}

impl Intake {
    /// With bytes that came behind the opening handshake, and whether TLS ended behind them.
    pub(super) fn new(inbound: Box<Inbound>, tls: bool, rest: Vec<u8>, ended: bool) -> Self {
        let came = rest.len() as u64;
        let (frames, plain) = if tls {
            (Vec::new(), Some(rest))
        } else {
            (rest, None)
        };
        Intake {
            inbound,
            socket: ReadBuffer::new(&frames),
            plain,
            taken: 0,
            ended: ended.then_some(Ok(Got::End)),
            expect_large: false,
            had_large: false,
            came,
        }
    }

    /// Decodes what was read, up to the next step.
    pub(super) fn next(&mut self, now: Instant, sink: &mut impl Sink) -> Result<Step, Error> {
        let unread = match &mut self.plain {
            None => self.socket.unread(),
            Some(plain) => &mut plain[self.taken..],
        };
        let (n, step) = self.inbound.receive(unread, now, sink)?;
        self.consume(n);
        Ok(step)
    }

    pub(super) fn has_unread(&mut self) -> bool {
        self.inbound.is_pending()
            || match &self.plain {
                None => !self.socket.unread().is_empty(),
                Some(plain) => self.taken < plain.len(),
            }
    }

    /// Whether a read that waits needs no memory for as long.
    pub(super) fn has_space(&self) -> bool {
        self.socket.has_space()
    }

    /// The bytes of frames that were read so far: headers and payloads, before they are inflated.
    pub(super) fn came(&self) -> u64 {
        self.came
    }

    /// When the message began that has not come whole.
    pub(super) fn message_begun(&self) -> Option<Instant> {
        self.inbound.message_begun()
    }

    /// The reader has not read for so long: that time is not the message's.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.inbound.excuse(time);
    }

    /// Reads once; if nothing is there, it may `wait`. A large message that it completes goes to the
    /// sink.
    pub(super) fn read(
        &mut self,
        transport: &dyn Transport,
        wait: bool,
        tls: Option<&Tls>,
        sink: &mut impl Sink,
    ) -> Result<Got, Error> {
        let transport = Socket { transport, wait };
        match tls {
            None => self.read_plain(&transport, sink),
            Some(tls) => self.read_encrypted(&transport, tls),
        }
    }

    fn read_plain(&mut self, transport: &Socket<'_>, sink: &mut impl Sink) -> Result<Got, Error> {
        if self.socket.unread().is_empty() {
            if let Some(space) = self.inbound.space() {
                (self.expect_large, self.had_large) = (true, true);
                let (got, n) = transport.read(space)?;
                self.came += n as u64;
                if n > 0 {
                    // Full or not: the next step is taken before the next read.
                    self.inbound.fill(n, sink)?;
                }
                return Ok(got);
            }
        }
        let (got, n) = self.read_buffered(transport)?;
        self.came += n as u64;
        Ok(got)
    }

    fn read_buffered(&mut self, transport: &Socket<'_>) -> Result<(Got, usize), Error> {
        let space = self.socket.space();
        let large = std::mem::take(&mut self.expect_large) || self.inbound.is_in_large_frame();
        let room = if large {
            space.len().min(SMALL)
        } else {
            space.len()
        };
        let (got, n) = transport.read(&mut space[..room])?;
        self.socket.filled(n);
        Ok((got, n))
    }

    fn read_encrypted(&mut self, transport: &Socket<'_>, tls: &Tls) -> Result<Got, Error> {
        if let Some(ended) = self.ended.take() {
            return ended;
        }
        let (got, _) = self.read_buffered(transport)?;
        let (Got::Bytes | Got::Full, Some(plain)) = (got, &mut self.plain) else {
            return Ok(got);
        };
        plain.drain(..std::mem::take(&mut self.taken));
        let before = plain.len();
        let cipher = self.socket.unread();
        let length = cipher.len();
        let mut session = tls.session.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = session.receive(cipher, plain);
        let has_output = session.has_output();
        drop(session);
        self.came += (plain.len() - before) as u64;
        self.socket.consume(length);
        if has_output {
            tls.has_output.store(true, Ordering::SeqCst);
        }
        self.ended = match ended {
            Ok(false) => return Ok(got),
            Ok(true) => Some(Ok(Got::End)),
            Err(error) => Some(Err(error)),
        };
        // What came before is taken first; the next read, without a wait, then tells of the end.
        Ok(Got::Full)
    }

    /// Whether the load has made buffers large.
    pub(super) fn is_large(&self) -> bool {
        let plain = self
            .plain
            .as_ref()
            .is_some_and(|plain| plain.capacity() > SMALL);
        plain || self.had_large || self.inbound.is_large() || self.socket.is_large()
    }

    /// Whether TLS is known to have ended behind what was read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Gives memory back, as far as nothing is unread.
    pub(super) fn shrink(&mut self) {
        self.inbound.shrink();
        self.had_large = false;
        self.socket.shrink();
        if let Some(plain) = self.plain.as_mut().filter(|plain| plain.is_empty()) {
            *plain = Vec::new();
        }
    }

    fn consume(&mut self, n: usize) {
        let Some(plain) = &mut self.plain else {
            return self.socket.consume(n);
        };
        self.taken += n;
        if self.taken == plain.len() {
            plain.clear();
            self.taken = 0;
        }
    }
}

/// Where bytes come from, and whether a read may wait for them.
struct Socket<'a> {
    transport: &'a dyn Transport,
    wait: bool,
}

impl Socket<'_> {
    fn read(&self, space: &mut [u8]) -> Result<(Got, usize), Error> {
        loop {
            let read = match self.wait {
                true => self.transport.read_waiting(space),
                false => self.transport.read(space),
            };
            return match read {
                Ok(0) => Ok((Got::End, 0)),
                Ok(n) if n == space.len() => Ok((Got::Full, n)),
                Ok(n) => Ok((Got::Bytes, n)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok((Got::Nothing, 0)),
                Err(e) => Err(e.into()),
            };
        }
    }
}
