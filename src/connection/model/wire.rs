//! The socket of a model, and the peer at its other end.

use crate::close::CloseCode;
use crate::net::{Interest, Ready, Transport};
use crate::sync::{Condvar, Mutex, MutexGuard, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{self, JoinHandle};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What lies further ahead than this does not come in a model.
const NEAR: Duration = Duration::from_secs(60);

/// A socket in memory.
///
/// A wait until a deadline that is near finds nothing when the schedule says. One that lasts longer does
/// so if it is for writing and the model has given it the right to.
#[derive(Debug)]
pub(crate) struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What the peer has sent.
    incoming: VecDeque<u8>,
    /// What was written and the peer has not read.
    outgoing: Vec<u8>,
    /// How much of that there may be.
    buffer: usize,
    peer_ended: bool,
    reset: bool,
    read_shut: bool,
    write_shut: bool,
    /// So many waits for room may come to their end.
    impatience: usize,
}

impl Wire {
    pub(crate) fn new(buffer: usize) -> Arc<Self> {
        Arc::new(Wire {
            state: Mutex::new(State {
                buffer,
                ..State::default()
            }),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// So many waits of senders may end before there is room.
    pub(super) fn make_impatient(&self, times: usize) {
        self.lock().impatience = times;
    }

    /// Bytes of the peer.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.change(|state| state.incoming.extend(bytes));
    }

    /// Whether all that the peer sent was read.
    pub(super) fn is_read(&self) -> bool {
        self.lock().incoming.is_empty()
    }

    /// The peer sends no more.
    pub(crate) fn end(&self) {
        self.change(|state| state.peer_ended = true);
    }

    /// The peer is gone, and what it sent is lost.
    pub(super) fn reset(&self) {
        self.change(|state| state.reset = true);
    }

    /// What was written, for the peer. `None` once all is read and no more comes.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        while state.outgoing.is_empty() {
            if state.write_shut || state.reset {
                return None;
            }
            state = self.changed.wait(state).unwrap();
        }
        let taken = std::mem::take(&mut state.outgoing);
        drop(state);
        self.changed.notify_all();
        Some(taken)
    }
}

impl State {
    fn ready(&self, interest: Interest) -> Ready {
        let readable = !self.incoming.is_empty() || self.peer_ended || self.read_shut || self.reset;
        let writable = self.outgoing.len() < self.buffer || self.write_shut || self.reset;
        Ready {
            readable: interest.readable && readable,
            writable: interest.writable && writable,
        }
    }

    fn gives_up(&mut self, interest: Interest) -> bool {
        let may = self.impatience > 0 && interest == Interest::WRITABLE;
        let gives_up = may && thread_rng().gen_ratio(1, 2);
        self.impatience -= usize::from(gives_up);
        gives_up
    }
}

impl Transport for Wire {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        if state.read_shut {
            return Ok(0);
        }
        if state.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let n = buffer.len().min(state.incoming.len());
        if n == 0 && !state.peer_ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (to, from) in buffer.iter_mut().zip(state.incoming.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.change(|state| {
            if state.write_shut || state.reset {
                return Err(ErrorKind::BrokenPipe.into());
            }
            match bytes.len().min(state.buffer - state.outgoing.len()) {
                0 => Err(ErrorKind::WouldBlock.into()),
                n => {
                    state.outgoing.extend(&bytes[..n]);
                    Ok(n)
                }
            }
        })
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        let near = deadline.is_some_and(|deadline| deadline < Instant::now() + NEAR);
        let mut state = self.lock();
        let mut ready = state.ready(interest);
        if near && !ready.any() {
            drop(state);
            yield_now();
            return Ok(self.lock().ready(interest));
        }
        while !(ready.any() || deadline.is_some() && state.gives_up(interest)) {
            state = self.changed.wait(state).unwrap();
            ready = state.ready(interest);
        }
        Ok(ready)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.change(|state| {
            state.read_shut |= how != Shutdown::Write;
            state.write_shut |= how != Shutdown::Read;
        });
        Ok(())
    }
}

/// A frame that came whole: its first byte and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) u8, pub(crate) Vec<u8>);

pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
/// An opcode that means nothing.
pub(crate) const WRONG: u8 = 0x83;

impl Frame {
    pub(crate) fn is_close(&self) -> bool {
        self.0 == CLOSE
    }

    /// The first one of a server.
    fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
        let (&[first, length], rest) = bytes.split_first_chunk()?;
        assert!(length < 126, "no frame of a model is so long");
        let payload = rest.get(..usize::from(length))?;
        Some((Frame(first, payload.to_vec()), 2 + payload.len()))
    }
}

/// The payloads of messages, one byte each.
pub(super) fn messages(frames: &[Frame]) -> Vec<u8> {
    let messages = frames.iter().filter(|frame| frame.0 == BINARY);
    messages.map(|frame| frame.1[0]).collect()
}

/// A frame of a client, with a key of zeros.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

/// The other end.
pub(crate) struct Peer {
    pub(crate) wire: Arc<Wire>,
    unread: Vec<u8>,
    seen: Vec<Frame>,
    closed: bool,
}

/// Runs `f`, and then answers Close until the end. Returns all frames that came.
pub(super) fn peer(
    wire: &Arc<Wire>,
    f: impl FnOnce(&mut Peer) + Send + 'static,
) -> JoinHandle<Vec<Frame>> {
    let mut peer = Peer::new(wire);
    thread::spawn(move || {
        f(&mut peer);
        peer.finish()
    })
}

impl Peer {
    pub(super) fn new(wire: &Arc<Wire>) -> Self {
        Peer::with(wire, Vec::new())
    }

    /// One that has read so much already.
    pub(crate) fn with(wire: &Arc<Wire>, unread: Vec<u8>) -> Self {
        Peer {
            wire: Arc::clone(wire),
            unread,
            seen: Vec::new(),
            closed: false,
        }
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.wire.send(&frame(first, payload));
    }

    pub(crate) fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.send(CLOSE, &u16::from(CloseCode::NORMAL).to_be_bytes());
        }
    }

    /// The next frame; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::parse(&self.unread) {
                self.unread.drain(..length);
                self.seen.push(frame.clone());
                return Some(frame);
            }
            self.unread.extend(self.wire.take()?);
        }
    }

    /// Reads until such a frame has come.
    pub(crate) fn wait_for(&mut self, first: u8, payload: &[u8]) {
        while let Some(frame) = self.next() {
            if frame.0 == first && frame.1 == payload {
                return;
            }
        }
        panic!("no {first:x} {payload:?} in {:?}", self.seen);
    }

    pub(crate) fn finish(mut self) -> Vec<Frame> {
        let mut told = self.seen.iter().any(Frame::is_close);
        loop {
            if told {
                self.close();
            }
            match self.next() {
                Some(frame) => told |= frame.is_close(),
                None => break,
            }
        }
        self.wire.end();
        self.seen
    }
}
