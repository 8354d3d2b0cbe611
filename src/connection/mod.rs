//! One connection: what its reader thread, its senders and its consumers share.
//!
//! There are three locks: around the send path, around TLS, around the front of the queue. No
//! thread holds two of them, and none is held across a system call, a wait or user code.

mod closing;
mod compress;
mod deferring;
mod ending;
mod fragments;
mod intake;
mod job;
mod keepalive;
#[cfg(test)]
#[cfg(wsync_shuttle)]
pub(crate) mod model;
mod offer;
mod outlet;
mod read_buffer;
mod reader;
mod send;
mod stats;
mod timer;

use crate::close::Closed;
use crate::compression::{Compressing, DeflateParams};
use crate::config::{Config, NO_PIECES, Overflow, QueueConfig};
use crate::delivery::OnPong;
use crate::error::{Error, Misuse};
use crate::net::{TlsSession, Transport};
use crate::protocol::{Deflater, Inbound, Outbound, Role};
use crate::queue::{self, Exit, Producer, Queue};
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard};
pub(crate) use fragments::Fragments;
use intake::Intake;
use job::Job;
use keepalive::Life;
pub(crate) use offer::Refusal;
pub(crate) use outlet::{Event as OutletEvent, Outlet, Refused, is_in_callback};
pub(crate) use reader::Reader;
pub(crate) use send::Flush;
pub use stats::ConnectionStats;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::Instant;

/// The stack of a thread of ours; what it holds is on the heap.
pub(crate) const STACK: usize = 128 << 10;

/// A connection after its opening handshake.
pub(crate) struct Connection {
    /// For whoever has to come back to it later.
    myself: Weak<Connection>,
    role: Role,
    config: Arc<Config>,
    /// What was agreed on, and what this side makes of it.
    deflate: Option<DeflateParams>,
    compressing: Option<Compressing>,
    transport: Arc<dyn Transport>,
    tls: Option<Tls>,
    send: Mutex<SendPath>,
    /// Wakes senders that wait for their turn, and the reader that waits for the writer.
    turn: Condvar,
    queue: Arc<Queue>,
    /// Bytes of frames that were read. The reader alone writes it.
    came: AtomicU64,
    /// Until when sends may be left in the outbox, in nanoseconds since `opened`; 0 for not at all.
    /// Cleared under the send lock.
    deferring: AtomicU64,
    opened: Instant,
    /// A send has left something.
    deferred: AtomicBool,
    /// `ws-timer` will write what waits.
    writes_soon: AtomicBool,
    life: Life,
    place: Option<Box<dyn Place>>,
    end: OnceLock<End>,
    ended: Mutex<()>,
    end_came: Condvar,
}

impl fmt::Debug for Connection {
    /// Nothing of what was sent or received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("peer", &self.transport.peer_addr())
            .field("queue", &self.queue)
            .field("end", &self.end.get())
            .finish_non_exhaustive()
    }
}

/// TLS over memory: the reader decrypts, the writer encrypts, each under the lock for no longer
/// than that takes.
pub(super) struct Tls {
    session: Mutex<Box<dyn TlsSession>>,
    /// The session has bytes for the peer that no send asked for: an alert, a key update.
    has_output: AtomicBool,
}

/// What senders share. One of them at a time is the writer: it alone has the job, and it writes
/// without the lock, until nothing waits or somebody takes over.
#[derive(Debug)]
struct SendPath {
    outbound: Outbound,
    /// What the last writer left; while there is one, he has it.
    job: Option<Box<Job>>,
    /// Somebody is the writer, and takes along what is appended.
    writing: bool,
    /// A message is being compressed or sent in fragments: no other may begin.
    turn_taken: bool,
    /// With context takeover, from the first message that is compressed; not while one is.
    deflater: Option<Deflater>,
    /// Messages that were compressed in the context of those before.
    compressed: u64,
    /// Threads that wait for `turn`.
    waiting: usize,
    /// Why nothing can be sent any more.
    dead: Option<Error>,
    /// Messages that were accepted and could not be written.
    unsent: usize,
    /// Messages that the writer has in its job.
    in_flight: usize,
    /// Bytes of frames that were written.
    written: u64,
    /// Pings that came.
    pings: u64,
    /// When the connection ended.
    ended: Option<Instant>,
}

/// How it ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) closed: Arc<Closed>,
    /// `None` after a closing handshake.
    pub(crate) error: Option<Error>,
}

impl End {
    /// What a call gets that needs an open connection.
    pub(crate) fn to_error(&self) -> Error {
        self.error
            .clone()
            .unwrap_or_else(|| Error::Closed(Arc::clone(&self.closed)))
    }

    /// What ends an iteration: nothing after a normal close.
    pub(crate) fn abnormal(&self) -> Option<Error> {
        match &self.error {
            None if self.closed.is_normal() => None,
            _ => Some(self.to_error()),
        }
    }
}

/// What the opening handshake hands over.
pub(crate) struct Opened {
    pub(crate) role: Role,
    pub(crate) config: Arc<Config>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) tls: Option<Box<dyn TlsSession>>,
    /// The peer has ended TLS behind `rest`.
    pub(crate) ended: bool,
    /// Bytes that came behind the handshake: the first frames.
    pub(crate) rest: Vec<u8>,
    pub(crate) deflate: Option<DeflateParams>,
    /// Takes the messages, if receive calls do not.
    pub(crate) outlet: Option<Box<dyn Outlet>>,
    /// Is told of pongs.
    pub(crate) on_pong: OnPong,
    /// What a server counts, for as long as the connection is there.
    pub(crate) place: Option<Box<dyn Place>>,
}

/// What a server has for a connection, for as long as that is there.
pub(crate) trait Place: fmt::Debug + Send + Sync {
    /// The connection is about to go, with what it has counted.
    fn leave(&self, connection: &Connection);
}

impl Connection {
    /// With its reader, which is yet to be started. It is made on the heap, in steps whose frames
    /// are not on the stack together: how deep the opening handshake goes is memory that the thread of a
    /// server's connection keeps.
    pub(crate) fn new(opened: &mut Opened) -> (Arc<Self>, Box<Reader>) {
        let exit = match &opened.outlet {
            None => Exit::ReceiveCalls,
            Some(outlet) if outlet.runs_application() => Exit::Callback,
            Some(_) => Exit::Channel,
        };
        let diverted = opened.outlet.is_some();
        let (producer, queue) = queue::queue(&opened.config.queue, exit);
        let connection = Connection::share(opened, queue);
        let inbound = connection.inbound(diverted);
        let reader = connection.reader(opened, producer, inbound);
        (connection, reader)
    }

    #[inline(never)]
    fn share(opened: &mut Opened, queue: Arc<Queue>) -> Arc<Self> {
        let compressing = (opened.config.compression)
            .zip(opened.deflate)
            .map(|(ours, agreed)| Compressing::new(&ours, &agreed, opened.role));
        let now = Instant::now();
        Arc::new_cyclic(|myself| Connection {
            myself: Weak::clone(myself),
            role: opened.role,
            config: Arc::clone(&opened.config),
            deflate: opened.deflate,
            compressing,
            transport: Arc::clone(&opened.transport),
            tls: opened.tls.take().map(|session| Tls {
                has_output: AtomicBool::new(session.has_output()),
                session: Mutex::new(session),
            }),
            send: Mutex::new(SendPath {
                outbound: Outbound::new(opened.role),
                job: None,
                writing: false,
                turn_taken: false,
                deflater: None,
                compressed: 0,
                waiting: 0,
                dead: None,
                unsent: 0,
                in_flight: 0,
                written: 0,
                pings: 0,
                ended: None,
            }),
            turn: Condvar::new(),
            queue,
            came: AtomicU64::new(opened.rest.len() as u64),
            deferring: AtomicU64::new(0),
            opened: now,
            deferred: AtomicBool::new(false),
            writes_soon: AtomicBool::new(false),
            life: Life::new(opened.config.keepalive, now),
            place: opened.place.take(),
            end: OnceLock::new(),
            ended: Mutex::new(()),
            end_came: Condvar::new(),
        })
    }

    #[inline(never)]
    fn reader(
        self: &Arc<Self>,
        opened: &mut Opened,
        producer: Producer,
        inbound: Box<Inbound>,
    ) -> Box<Reader> {
        let rest = std::mem::take(&mut opened.rest);
        let intake = Intake::new(inbound, self.tls.is_some(), rest, opened.ended);
        let connection = Arc::clone(self);
        let mut reader = Box::new(Reader::new(connection, producer, intake));
        reader.outlets.outlet = opened.outlet.take();
        reader.outlets.on_pong = std::mem::take(&mut opened.on_pong);
        reader
    }

    #[inline(never)]
    fn inbound(&self, diverted: bool) -> Box<Inbound> {
        // An outlet gets whole messages.
        let stream_above = self.config.stream_above.filter(|_| !diverted);
        let inbound = Inbound::new(self.role, self.config.limits.clone(), stream_above);
        Box::new(match &self.deflate {
            None => inbound,
            Some(agreed) => inbound.inflating(agreed.peer_takes_over(self.role)),
        })
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// What was agreed on about compression.
    pub(crate) fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(crate) fn configure_queue(&self, config: &QueueConfig) -> Result<(), Misuse> {
        if self.config.stream_above.is_some() && config.overflow != Overflow::Block {
            return Err(Misuse::Config(NO_PIECES));
        }
        self.queue.configure(config)
    }

    /// How it ended, once it has.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.get()
    }

    fn lock_send(&self) -> MutexGuard<'_, SendPath> {
        self.send.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection for all who use it. What was queued stays.
    fn finish(&self, error: Option<Error>) {
        let mut path = self.lock_send();
        let error = match (path.dead.take(), error) {
            (Some(earlier), Some(later)) => Some(earlier.or_cause(later)),
            (_, error) => error,
        };
        path.abandon();
        let closed = Arc::new(Closed {
            unsent: path.unsent + path.in_flight,
            dropped: self.queue.stats().dropped as usize,
            ..path.outbound.closed().clone()
        });
        let end = End { closed, error };
        path.dead = Some(end.to_error());
        path.ended = Some(Instant::now());
        self.turn.notify_all();
        drop(path);
        log::debug!("connection ended: {}", end.to_error().kind());
        let _ = self.end.set(end);
        self.life.end();
        drop(self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        self.end_came.notify_all();
    }
}

impl SendPath {
    /// Whether bytes wait, for the socket or for the writer.
    fn has_pending(&self, tls: Option<&Tls>) -> bool {
        let output = tls.is_some_and(|tls| tls.has_output.load(crate::sync::Ordering::SeqCst));
        output || !self.outbound.is_empty() || !self.job_is_done()
    }

    fn job_is_done(&self) -> bool {
        self.job.as_ref().is_none_or(|job| job.is_done())
    }

    /// Nothing will be sent any more, because of `error` or an earlier one.
    fn fail(&mut self, error: Error) -> Error {
        self.abandon();
        let earlier = self.dead.get_or_insert_with(|| error.clone());
        earlier.clone().or_cause(error)
    }

    fn abandon(&mut self) {
        self.unsent += self.outbound.abandon();
        if !self.writing {
            self.unsent += self.job.take().map_or(0, |job| job.messages);
        }
    }
}
