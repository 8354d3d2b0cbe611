//! Who reads: the reader thread, or a consumer that found the queue empty (a *direct read*).
//!
//! The value that reads, the [`Source`], belongs to the one of them that has the role. A consumer
//! takes it from a lease, reads, and leaves a lease behind without waking anybody. Whoever needs a
//! reader summons the thread, which is started when there is none; a lease that nobody comes back to
//! is ended in the same way by the monitor.

use super::{Queue, monitor};
use crate::connection::STACK;
use crate::sync::{AtomicBool, Builder, Condvar, Mutex, MutexGuard, Ordering, fence};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// A reader thread that has had nothing to do for so long ends.
const PARKED: Duration = Duration::from_secs(10);

/// What reads a connection, and fills the queue by its [`Producer`](super::Producer).
pub(crate) trait Source: Send {
    /// For a consumer: reads until something is queued, which may be so already, or the deadline has
    /// passed; if it has passed before, once and without a wait. Nobody is woken.
    fn read(&mut self, deadline: Option<Instant>) -> Outcome;

    /// For the reader thread: reads until the end, or until a single consumer that slept has been
    /// woken, which can read in its place: then it is given back. If the role is `shared`, several
    /// consumers wait by turns, and it is kept for longer.
    fn serve(self: Box<Self>, shared: bool) -> Option<Box<dyn Source>>;
}

/// How a consumer's read went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A lease may follow.
    Done,
    /// The reader thread has to go on: bytes wait to be written, or the connection ends.
    Unfinished,
}

/// Who has the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// The thread; or it is being started, or ended with the connection.
    Reader,
    Consumer,
    /// Nobody, for a while.
    Lease,
}

/// Why the reader thread is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Summons {
    Alone,
    /// Several consumers wait.
    Shared,
}

pub(super) struct ReadRole {
    slot: Mutex<Slot>,
    /// Wakes the reader thread.
    summoned: Condvar,
    /// `Slot::holder` is `Lease`, for a look without the lock.
    leased: AtomicBool,
}

struct Slot {
    holder: Holder,
    /// Not with somebody who reads.
    source: Option<Box<dyn Source>>,
    /// The reader thread waits for `summoned`.
    parked: bool,
    /// The reader thread is to have the role next.
    wanted: Option<Summons>,
    /// A call that does not wait has read since the last one that did.
    tried: bool,
    /// Leases so far, and as of the monitor's last look.
    leases: u32,
    seen: Option<u32>,
    /// The monitor looks at it.
    listed: bool,
}

impl ReadRole {
    pub(super) fn new() -> Self {
        ReadRole {
            slot: Mutex::new(Slot {
                holder: Holder::Reader,
                source: None,
                parked: false,
                wanted: None,
                tried: false,
                leases: 0,
                seen: None,
                listed: false,
            }),
            summoned: Condvar::new(),
            leased: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_leased(&self) -> bool {
        self.leased.load(Ordering::Relaxed)
    }

    fn set(&self, slot: &mut Slot, holder: Holder) {
        slot.holder = holder;
        self.leased
            .store(holder == Holder::Lease, Ordering::Relaxed);
    }
}

/// A consumer's turn at reading. Dropped, it leaves a lease behind, or the role to the reader thread.
pub(super) struct Turn<'a> {
    queue: &'a Queue,
    source: Option<Box<dyn Source>>,
    outcome: Outcome,
}

impl Turn<'_> {
    /// Whether there is more for a consumer to read.
    pub(super) fn goes_on(&self) -> bool {
        self.outcome == Outcome::Done
    }

    pub(super) fn read(&mut self, deadline: Option<Instant>) {
        // Should it panic, in a logger of the user's, the thread goes on.
        self.outcome = Outcome::Unfinished;
        if let Some(source) = &mut self.source {
            self.outcome = source.read(deadline);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(source) = self.source.take() else {
            return;
        };
        if self.queue.items() > 0 {
            // The rest is for whoever else waits.
            self.queue.wake_consumers(true);
        }
        let wanted = (self.outcome == Outcome::Unfinished).then_some(Summons::Alone);
        self.queue.put_down(source, wanted);
    }
}

impl Queue {
    /// Begins with a lease. Needs the monitor; without its thread the source comes back.
    pub(crate) fn lease(&self, source: Box<dyn Source>) -> Result<(), Box<dyn Source>> {
        if !monitor::is_running() {
            return Err(source);
        }
        self.put_down(source, None);
        Ok(())
    }

    /// The reader thread, with the role from the begin.
    pub(crate) fn serve(&self, source: Box<dyn Source>) {
        self.serve_as(source, false);
    }

    fn serve_as(&self, mut source: Box<dyn Source>, mut shared: bool) {
        while let Some(given_up) = source.serve(shared) {
            let Some(next) = self.park(given_up) else {
                return;
            };
            (source, shared) = next;
        }
    }

    /// The role, if a consumer may have it that is about to wait. Otherwise it is noted that several
    /// want it. The consumer must have announced itself.
    pub(super) fn take_turn(&self) -> Option<Turn<'_>> {
        let mut slot = self.role.lock();
        match slot.holder {
            Holder::Lease => {
                slot.tried = false;
                Some(self.begin_turn(slot))
            }
            Holder::Consumer => {
                slot.wanted = Some(Summons::Shared);
                None
            }
            Holder::Reader => None,
        }
    }

    /// Reads what is there, for a call that does not wait. Calls that never wait get the reader
    /// thread instead, after the first. Returns whether anything may have come.
    pub(crate) fn try_read(&self) -> bool {
        if !self.role.is_leased() {
            return false;
        }
        let mut slot = self.role.lock();
        if slot.holder == Holder::Lease && !std::mem::replace(&mut slot.tried, true) {
            self.begin_turn(slot).read(Some(Instant::now()));
            return true;
        }
        drop(slot);
        self.summon(Summons::Alone);
        false
    }

    /// The same, but a consumer that reads goes on.
    pub(crate) fn summon_if_leased(&self) {
        if self.role.is_leased() {
            self.summon(Summons::Alone);
        }
    }

    fn begin_turn(&self, mut slot: MutexGuard<'_, Slot>) -> Turn<'_> {
        self.role.set(&mut slot, Holder::Consumer);
        Turn {
            queue: self,
            source: slot.source.take(),
            outcome: Outcome::Done,
        }
    }

    /// Lets the reader thread read from now on, or as soon as the consumer that reads has its message.
    /// If it reads already, it stays.
    pub(crate) fn summon(&self, why: Summons) {
        let mut slot = self.role.lock();
        slot.wanted = slot.wanted.max(Some(why));
        if slot.holder == Holder::Lease {
            self.engage(slot);
        }
    }

    /// The reader is not with anybody any more.
    fn put_down(&self, source: Box<dyn Source>, wanted: Option<Summons>) {
        let mut slot = self.role.lock();
        slot.source = Some(source);
        slot.wanted = slot.wanted.max(wanted);
        if slot.wanted.is_some() {
            return self.engage(slot);
        }
        self.begin_lease(&mut slot);
        let listed = std::mem::replace(&mut slot.listed, true);
        drop(slot);
        if !listed {
            monitor::look_after(&self.myself);
        }
    }

    fn begin_lease(&self, slot: &mut Slot) {
        slot.leases = slot.leases.wrapping_add(1);
        self.role.set(slot, Holder::Lease);
    }

    /// Gives the role to the thread. If it can not be started, the monitor tries again.
    fn engage(&self, mut slot: MutexGuard<'_, Slot>) {
        self.role.set(&mut slot, Holder::Reader);
        if slot.parked {
            slot.parked = false;
            drop(slot);
            self.role.summoned.notify_one();
            return;
        }
        drop(slot);
        if !self.start_reader() {
            let listed = std::mem::replace(&mut self.role.lock().listed, true);
            if !listed {
                monitor::look_after(&self.myself);
            }
        }
    }

    fn start_reader(&self) -> bool {
        let Some(queue) = self.myself.upgrade() else {
            return false;
        };
        let thread = Builder::new().name("ws-read".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            let slot = queue.role.lock();
            if slot.holder != Holder::Reader {
                // Another was started, too, and was faster.
                return;
            }
            if let Some((source, shared)) = queue.resume(slot) {
                queue.serve_as(source, shared);
            }
        });
        if let Err(e) = &started {
            log::warn!("no thread to read a connection: {e}");
        }
        started.is_ok()
    }

    /// Leaves a lease, and sleeps until the thread is summoned. `None` when it is to end.
    fn park(&self, source: Box<dyn Source>) -> Option<(Box<dyn Source>, bool)> {
        let mut slot = self.role.lock();
        slot.source = Some(source);
        // Somebody may have announced himself and seen a reader, before the lease began.
        let overlooked = || self.waiting.load(Ordering::SeqCst) > 0 && self.items() == 0;
        fence(Ordering::SeqCst);
        if slot.wanted.is_some() || overlooked() {
            return self.resume(slot);
        }
        self.begin_lease(&mut slot);
        slot.parked = true;
        if !std::mem::replace(&mut slot.listed, true) {
            drop(slot);
            monitor::look_after(&self.myself);
            slot = self.role.lock();
        }
        let deadline = Instant::now() + PARKED;
        while slot.parked {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                slot.parked = false;
                return None;
            }
            let result = self.role.summoned.wait_timeout(slot, left);
            slot = result.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.resume(slot)
    }

    fn resume(&self, mut slot: MutexGuard<'_, Slot>) -> Option<(Box<dyn Source>, bool)> {
        self.role.set(&mut slot, Holder::Reader);
        let shared = slot.wanted.take() == Some(Summons::Shared);
        Some((slot.source.take()?, shared))
    }

    /// For the monitor, from time to time: ends a lease that nobody has come back to since the last
    /// look. False when there is nothing more to look at.
    pub(super) fn look_at_lease(&self) -> bool {
        let mut slot = self.role.lock();
        let leases = Some(slot.leases);
        if slot.holder == Holder::Lease && slot.seen != leases {
            slot.seen = leases;
            return true;
        }
        slot.listed = false;
        let not_started = slot.holder == Holder::Reader && slot.source.is_some();
        if slot.holder == Holder::Lease || not_started {
            self.engage(slot);
        }
        false
    }
}
