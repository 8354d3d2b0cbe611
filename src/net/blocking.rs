//! A transport of streams whose calls wait: two threads pump between them and bounded buffers.

use super::transport::{Interest, Ready, Transport};
use crate::connection::STACK;
use crate::sync::{Builder, Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// A [`Transport`] of anything that reads and writes and waits while it does: the pipes of a child process, a
/// serial line, an SSH channel, a TLS stream of one's own.
///
/// Two threads, `ws-pump-in` and `ws-pump-out`, read and write. Between them and the connection are buffers of
/// 64 KiB each: a peer that does not read, or an application that does not receive, is felt as over a socket.
/// An error of the stream is told, with its kind, once what came before has been read.
///
/// `shutdown` ends the stream, or one half, as [`Transport::shutdown`] does: with [`Shutdown::Both`] a
/// read and a write that wait must return soon. It is called from several threads, with `Write` once all that
/// was accepted has been written, with `Both` at the end: when the transport is shut down or dropped, once what
/// was accepted is written or 5 s have passed. Then both threads end, as far as the stream lets them: the
/// reader and the writer are dropped with them.
///
/// Reads and writes without a timeout are best: one that fails with [`WouldBlock`](ErrorKind::WouldBlock) or
/// [`TimedOut`](ErrorKind::TimedOut) has failed.
///
/// # Examples
///
/// A WebSocket through a program that connects its input and output to the server:
///
/// ```no_run
/// use std::process::{Command, Stdio};
/// use std::sync::Mutex;
/// use wsync::{BlockingTransport, ClientBuilder};
///
/// let mut tunnel = Command::new("ssh")
///     .args(["-W", "localhost:9001", "server.example"])
///     .stdin(Stdio::piped())
///     .stdout(Stdio::piped())
///     .spawn()?;
/// let (Some(stdout), Some(stdin)) = (tunnel.stdout.take(), tunnel.stdin.take()) else {
///     unreachable!("they are piped");
/// };
/// let tunnel = Mutex::new(tunnel);
/// // Its input ends when the writer is dropped; when the program ends, so does its output.
/// let stream = BlockingTransport::new(stdout, stdin, move |how| match (how, tunnel.lock()) {
///     (std::net::Shutdown::Both, Ok(mut tunnel)) => tunnel.kill(),
///     _ => Ok(()),
/// })?;
/// let ws = ClientBuilder::new("ws://localhost:9001/").connect_over(stream)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BlockingTransport(Arc<Pumps>);

impl BlockingTransport {
    /// Starts the two threads, which read and write.
    ///
    /// # Errors
    ///
    /// Those of the operating system when there is no thread; the stream is shut down then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpStream;
    /// use wsync::{BlockingTransport, ClientBuilder};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let (url, address) = (format!("ws://{}/", server.local_addr()), server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let stream = TcpStream::connect(address)?;
    /// let (reader, writer) = (stream.try_clone()?, stream.try_clone()?);
    /// let transport = BlockingTransport::new(reader, writer, move |how| stream.shutdown(how))?;
    /// let ws = ClientBuilder::new(&url).connect_over(transport)?;
    /// ws.send("hello")?;
    /// assert_eq!(ws.recv()?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn new(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        shutdown: impl Fn(Shutdown) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let pumps = Arc::new(Pumps {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            room: Condvar::new(),
            work: Condvar::new(),
            shutdown: Box::new(shutdown),
        });
        // Dropped if the second thread cannot be had, it ends the first.
        let transport = BlockingTransport(Arc::clone(&pumps));
        let (inward, outward) = (Arc::clone(&pumps), pumps);
        start("ws-pump-in", move || inward.pump_in(reader))?;
        start("ws-pump-out", move || outward.pump_out(writer))?;
        Ok(transport)
    }
}

impl Transport for BlockingTransport {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if !state.inbound.is_empty() {
            self.0.room.notify_one();
            return state.inbound.read(buffer);
        }
        match &state.arrived {
            None => Err(ErrorKind::WouldBlock.into()),
            Some(Ok(())) => Ok(0),
            Some(Err(error)) => Err(again(error)),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if let Some(error) = &state.failed {
            return Err(again(error));
        }
        if state.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(CAPACITY - state.outbound.len());
        if count == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.outbound.extend(&bytes[..count]);
        self.0.work.notify_one();
        Ok(count)
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        let mut state = self.0.lock();
        loop {
            let ready = state.ready(interest);
            let over = state.arrived.is_some() && state.refuses();
            if ready.any() || over && interest == Interest::default() {
                return Ok(ready);
            }
            state = match self.0.wait_until(state, deadline) {
                Some(waited) => waited,
                None => return Ok(Ready::default()),
            };
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = self.0.lock();
        if how != Shutdown::Write {
            state.arrived.get_or_insert(Ok(()));
        }
        state.closed |= how != Shutdown::Read;
        let ending = state.ending;
        state.ending |= how == Shutdown::Both;
        let lingers = state.is_writing() && !state.discards;
        drop(state);
        self.0.wake();
        match how {
            _ if ending => Ok(()),
            // By the thread that writes, when it has written.
            Shutdown::Write => Ok(()),
            Shutdown::Read => (self.0.shutdown)(how),
            Shutdown::Both if !lingers => self.0.end(),
            Shutdown::Both => {
                let pumps = Arc::clone(&self.0);
                start("ws-pump-end", move || pumps.linger()).or_else(|_| self.0.end())
            }
        }
    }

    /// Also what is in the buffer.
    fn discard_on_drop(&self) {
        self.0.lock().discards = true;
        self.0.changed.notify_all();
    }
}

impl Drop for BlockingTransport {
    fn drop(&mut self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for BlockingTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingTransport").finish_non_exhaustive()
    }
}

/// What a buffer holds.
const CAPACITY: usize = 64 << 10;

/// What one read or write takes at most.
const CHUNK: usize = 16 << 10;

/// How long what was accepted may take to be written once the stream is to end.
const LINGER: Duration = Duration::from_secs(5);

/// What the threads and the connection share.
struct Pumps {
    state: Mutex<State>,
    /// For whoever waits for the stream: something came or left, or ended.
    changed: Condvar,
    /// For the thread that reads: bytes were taken, or nobody wants more.
    room: Condvar,
    /// For the thread that writes: there are bytes, or will be none.
    work: Condvar,
    shutdown: Box<dyn Fn(Shutdown) -> io::Result<()> + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// Read, and not taken: at most `CAPACITY`.
    inbound: VecDeque<u8>,
    /// How reading ended: behind `inbound`.
    arrived: Option<io::Result<()>>,
    /// Accepted, and not written: at most `CAPACITY`.
    outbound: VecDeque<u8>,
    /// A write is under way, of bytes that are not in `outbound` any more.
    writing: bool,
    /// Why writing ended before it was to.
    failed: Option<io::Error>,
    /// No more is accepted.
    closed: bool,
    /// What was accepted need not be written.
    discards: bool,
    /// Both halves are to end.
    ending: bool,
    /// They have been shut down.
    ended: bool,
}

impl State {
    fn ready(&self, interest: Interest) -> Ready {
        let arrived = !self.inbound.is_empty() || self.arrived.is_some();
        Ready {
            readable: interest.readable && arrived,
            writable: interest.writable && (self.outbound.len() < CAPACITY || self.refuses()),
        }
    }

    /// Whether a write would fail.
    fn refuses(&self) -> bool {
        self.closed || self.failed.is_some()
    }

    fn is_writing(&self) -> bool {
        self.failed.is_none() && (self.writing || !self.outbound.is_empty())
    }
}

impl Pumps {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.room.notify_all();
        self.work.notify_all();
    }

    /// Waits for a change. `None` when the deadline has passed.
    fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, State>> {
        let Some(deadline) = deadline else {
            let waited = self.changed.wait(state);
            return Some(waited.unwrap_or_else(PoisonError::into_inner));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let waited = self.changed.wait_timeout(state, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Shuts the stream down. The threads find out by themselves or by `wake`.
    fn end(&self) -> io::Result<()> {
        self.lock().ended = true;
        self.wake();
        (self.shutdown)(Shutdown::Both)
    }

    /// Lets what was accepted be written before that, for a bounded time.
    fn linger(&self) {
        let deadline = Instant::now() + LINGER;
        let mut state = Some(self.lock());
        while let Some(locked) = state.take_if(|state| state.is_writing() && !state.discards) {
            state = self.wait_until(locked, Some(deadline));
        }
        drop(state);
        let _ = self.end();
    }

    fn pump_in(&self, mut reader: impl Read) {
        let mut chunk = vec![0; CHUNK];
        // The reader is the application's, which may panic.
        let result = guarded(|| {
            while self.wait_for_room() {
                let count = retried(|| reader.read(&mut chunk))?;
                if count == 0 {
                    break;
                }
                let mut state = self.lock();
                if state.arrived.is_none() {
                    state.inbound.extend(&chunk[..count.min(CHUNK)]);
                }
                drop(state);
                self.changed.notify_all();
            }
            Ok(())
        });
        self.lock().arrived.get_or_insert(result);
        self.changed.notify_all();
    }

    /// False when nobody wants more. Who takes bytes wakes it, or who ends the stream: so it needs no deadline.
    fn wait_for_room(&self) -> bool {
        let full =
            |state: &mut State| state.arrived.is_none() && state.inbound.len() > CAPACITY - CHUNK;
        let state = self.room.wait_while(self.lock(), full);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.arrived.is_none()
    }

    fn pump_out(&self, mut writer: impl Write) {
        let mut chunk = vec![0; CHUNK];
        let result = guarded(|| {
            while let Some(count) = self.next_chunk(&mut chunk)? {
                writer.write_all(&chunk[..count])?;
                if self.lock().outbound.is_empty() {
                    retried(|| writer.flush())?;
                }
            }
            Ok(())
        });
        let mut state = self.lock();
        state.writing = false;
        state.outbound = VecDeque::new();
        state.failed = result.err();
        let closes = state.failed.is_none() && !state.ended;
        drop(state);
        self.changed.notify_all();
        if closes {
            let _ = (self.shutdown)(Shutdown::Write);
        }
    }

    /// What to write next; `None` when there will be no more. Who writes wakes it, or who ends the stream: so it
    /// needs no deadline.
    fn next_chunk(&self, chunk: &mut [u8]) -> io::Result<Option<usize>> {
        let mut state = self.lock();
        state.writing = false;
        self.changed.notify_all();
        let idle = |state: &mut State| state.outbound.is_empty() && !state.closed && !state.ended;
        let state = self.work.wait_while(state, idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.ended || state.outbound.is_empty() {
            return Ok(None);
        }
        state.writing = true;
        state.outbound.read(chunk).map(Some)
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = Builder::new().name(name.into()).stack_size(STACK);
    thread.spawn(body).map(drop)
}

/// An error that means "not now" is a wrong one here: nothing would wake who believes it.
fn guarded(body: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
            Err(io::Error::new(ErrorKind::TimedOut, error))
        }
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the stream panicked")),
    }
}

fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The same error, for whoever asks next.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
