//! The receive queue: a crossbeam channel from the reader to the application, flow control beside
//! it, and the consumers in front of it.
//!
//! What one read brought travels through the channel as one [`Batch`]. Consumers share [`Front`],
//! the batch that is being taken; the lock around it is never held while anybody waits.
//!
//! The counters need no read-modify-write: the producer alone writes `put` and `refused`, and
//! `taken` and `dropped` are written under the lock of `front`.

mod bounds;
mod front;
mod item;
mod monitor;
mod pieces;
mod producer;
mod role;
mod tally;
mod view;
mod waiting;

pub(crate) use item::Item;
pub(crate) use pieces::{Begun, Next};
pub(crate) use producer::Producer;
pub(crate) use role::{Outcome, Source, Summons};
pub use view::{HighWater, QueueSize, QueueStats, QueueView};

use crate::config::{Overflow, QueueConfig};
use crate::message::Message;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};
use bounds::Bounds;
use crossbeam_channel::{Receiver, Sender, bounded, never, unbounded};
use front::Front;
use item::{Batch, Weight};
use role::ReadRole;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};
use tally::{HighMark, Tally};

/// How long a thread gives way before it sleeps.
const GIVE_WAY: Duration = Duration::from_micros(50);

/// Nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// Before the deadline, or just now.
    Now,
    /// And nothing will: the producer is gone.
    ForEver,
}

/// How messages leave a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    ReceiveCalls,
    /// By [`Producer::take_front`]; the queue is *diverted*, receive calls find nothing in it.
    Callback,
    /// The same, and the producer waits for room there.
    Channel,
}

/// A new queue. It ends when the [`Producer`] is dropped.
pub(crate) fn queue(config: &QueueConfig, exit: Exit) -> (Producer, Arc<Queue>) {
    let (sender, receiver) = apart(unbounded);
    let (wake, woken) = match exit {
        Exit::Channel => {
            let (wake, woken) = apart(|| bounded(1));
            (Some(wake), woken)
        }
        Exit::ReceiveCalls | Exit::Callback => (None, never()),
    };
    let queue = Queue::new(config, exit, receiver, wake);
    (Producer::new(sender, woken, Arc::clone(&queue)), queue)
}

/// Calls a constructor that builds its value on the stack: nothing else is to lie below that, since the
/// thread keeps what it touches.
#[inline(never)]
fn apart<T>(construct: impl FnOnce() -> T) -> T {
    construct()
}

/// What consumers share.
pub(crate) struct Queue {
    myself: Weak<Queue>,
    receiver: Receiver<Batch>,
    front: Mutex<Front>,
    /// The vector of a burst that was taken, for the next one.
    spare: Mutex<Vec<Item>>,
    /// Wakes consumers.
    arrived: Condvar,
    /// Consumers that wait for `arrived`, or whose task is registered. Written under the lock of
    /// `front`.
    waiting: AtomicUsize,
    /// Tasks that were numbered.
    tasks: AtomicU64,
    put: Tally,
    taken: Tally,
    /// Of those taken, what no consumer got.
    dropped: Tally,
    /// What never was put, because there was no room.
    refused: Tally,
    high: HighMark,
    bounds: Bounds,
    /// The last batch that was taken had several messages.
    burst: AtomicBool,
    /// The producer waits in `resume`, or is about to.
    paused: AtomicBool,
    /// The bounds stop nobody any more.
    released: AtomicBool,
    /// The producer is gone.
    ended: AtomicBool,
    /// Messages leave by another way than receive calls.
    diverted: bool,
    /// Wakes the producer, if it may wait there.
    wake: Option<Sender<()>>,
    pauses: Mutex<Pauses>,
    resume: Condvar,
    role: ReadRole,
}

/// How long the producer has waited for room.
#[derive(Debug, Default)]
struct Pauses {
    total: Duration,
    /// The pause that goes on.
    since: Option<Instant>,
}

impl fmt::Debug for Queue {
    /// How much waits, and nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl Queue {
    #[inline(never)] // As `apart`.
    fn new(
        config: &QueueConfig,
        exit: Exit,
        receiver: Receiver<Batch>,
        wake: Option<Sender<()>>,
    ) -> Arc<Queue> {
        Arc::new_cyclic(|myself| Queue {
            myself: Weak::clone(myself),
            receiver,
            front: Mutex::new(Front::default()),
            spare: Mutex::new(Vec::new()),
            arrived: Condvar::new(),
            waiting: AtomicUsize::new(0),
            tasks: AtomicU64::new(0),
            put: Tally::default(),
            taken: Tally::default(),
            dropped: Tally::default(),
            refused: Tally::default(),
            high: HighMark::new(),
            bounds: Bounds::new(config),
            burst: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            released: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            diverted: exit != Exit::ReceiveCalls,
            wake,
            pauses: Mutex::new(Pauses::default()),
            resume: Condvar::new(),
            role: ReadRole::new(),
        })
    }

    /// Messages that wait.
    pub(crate) fn len(&self) -> usize {
        self.difference(Tally::messages)
    }

    /// Bytes of payload that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.difference(Tally::bytes)
    }

    /// Messages and further pieces that wait: what the bound in messages counts.
    fn items(&self) -> usize {
        self.difference(Tally::items)
    }

    /// What was put and not taken at one moment: had this thread to pause between the two, the
    /// difference could be any number.
    fn difference(&self, read: impl Fn(&Tally) -> u64) -> usize {
        let mut taken = read(&self.taken);
        loop {
            let put = read(&self.put);
            let before = std::mem::replace(&mut taken, read(&self.taken));
            if before == taken {
                return (put - taken) as usize;
            }
        }
    }

    /// The next message, if one waits.
    #[inline]
    pub(crate) fn try_take(&self) -> Result<Message, Empty> {
        self.next(&mut self.lock())
    }

    /// The next message, as soon as there is one.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Result<Message, Empty> {
        self.wait_for(deadline, false, |front| self.next(front))
    }

    /// All messages that wait, up to `max`.
    pub(crate) fn try_take_many(&self, max: usize) -> Result<Vec<Message>, Empty> {
        self.many(&mut self.lock(), max)
    }

    /// The same, as soon as there is one.
    pub(crate) fn take_many(
        &self,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<Vec<Message>, Empty> {
        self.wait_for(deadline, false, |front| self.many(front, max))
    }

    /// The newest message, as soon as there is one. The others are dropped.
    pub(crate) fn take_latest(&self, deadline: Option<Instant>) -> Result<Message, Empty> {
        let mut older = Vec::new();
        self.wait_for(deadline, false, |front| {
            older = self.many(front, usize::MAX)?;
            let newest = older.pop().ok_or(Empty::Now)?;
            self.count_dropped(&older);
            Ok(newest)
        })
    }

    /// Drops all messages that wait, and says how many.
    pub(crate) fn clear(&self) -> usize {
        let mut front = self.lock();
        let dropped = self.many(&mut front, usize::MAX).unwrap_or_default();
        self.count_dropped(&dropped);
        let partial = self.drop_partial(&mut front);
        drop(front);
        dropped.len() + usize::from(partial)
    }

    /// After a burst the next one is likely to be close: gives way to the reader a few times rather
    /// than sleep and be woken.
    pub(crate) fn linger(&self) {
        if self.burst.load(Ordering::Relaxed) && !self.role.is_leased() {
            self.burst.store(false, Ordering::Relaxed);
            give_way(|| !self.receiver.is_empty() || self.ended.load(Ordering::SeqCst));
        }
    }

    /// Lets the producer go on whatever waits, from now on, with a reader thread.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        self.wake_producer();
        self.summon(Summons::Alone);
    }

    /// Whether messages leave by another way than receive calls.
    pub(crate) fn is_diverted(&self) -> bool {
        self.diverted
    }

    #[inline]
    fn next(&self, front: &mut Front) -> Result<Message, Empty> {
        if self.is_diverted() {
            return Err(self.emptiness());
        }
        loop {
            match front.items.pop() {
                Some(Item::Message(message)) => {
                    self.taken(Weight::message(message.len()));
                    return Ok(message);
                }
                Some(Item::Piece(piece)) => {
                    if let Some(message) = self.collect(front, piece)? {
                        return Ok(message);
                    }
                }
                None => self.refill(front)?,
            }
        }
    }

    /// Those that wait now: what comes meanwhile could keep this going for ever.
    fn many(&self, front: &mut Front, max: usize) -> Result<Vec<Message>, Empty> {
        if self.is_diverted() {
            return Err(self.emptiness());
        }
        let max = max.min(self.items().max(1));
        let mut messages = Vec::with_capacity(max.min(front.items.len()));
        while messages.len() < max {
            if self.whole(front, &mut messages, max) {
                continue;
            }
            match self.next(front) {
                Ok(message) => messages.push(message),
                Err(empty) if messages.is_empty() => return Err(empty),
                Err(_) => break,
            }
        }
        Ok(messages)
    }

    /// The messages that are next up to a piece or the end of the batch, counted at once. False if
    /// there is none.
    fn whole(&self, front: &mut Front, messages: &mut Vec<Message>, max: usize) -> bool {
        let before = messages.len();
        let mut bytes = 0;
        while messages.len() < max && matches!(front.items.last(), Some(Item::Message(_))) {
            if let Some(Item::Message(message)) = front.items.pop() {
                bytes += message.len() as u64;
                messages.push(message);
            }
        }
        let taken = messages.len() - before;
        if taken > 0 {
            self.taken(Weight {
                messages: taken as u64,
                pieces: 0,
                bytes,
            });
        }
        taken > 0
    }

    /// The next batch, in place of the one that was taken.
    fn refill(&self, front: &mut Front) -> Result<(), Empty> {
        let batch = match front.aside.pop_front() {
            Some(batch) => Some(batch),
            None => self.receiver.try_recv().ok(),
        };
        let Some(batch) = batch else {
            self.recycle(std::mem::take(&mut front.items));
            let empty = self.emptiness();
            if empty == Empty::ForEver {
                self.drop_partial(front);
            }
            return Err(empty);
        };
        self.take_up(front, batch);
        Ok(())
    }

    fn take_up(&self, front: &mut Front, batch: Batch) {
        if batch.items.len() > 1 {
            self.burst.store(true, Ordering::Relaxed);
        }
        if let Some(emptied) = front.take_up(batch) {
            self.recycle(emptied);
        }
    }

    /// The channel ends after its last batch; what is diverted never comes here.
    fn emptiness(&self) -> Empty {
        let ended = self.ended.load(Ordering::SeqCst);
        match ended && (self.is_diverted() || self.receiver.is_empty()) {
            true => Empty::ForEver,
            false => Empty::Now,
        }
    }

    fn recycle(&self, emptied: Vec<Item>) {
        if emptied.capacity() > 0 {
            *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = emptied;
        }
    }

    fn take_spare(&self) -> Vec<Item> {
        std::mem::take(&mut self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[inline]
    fn taken(&self, weight: Weight) {
        self.taken.add(weight);
        // A pause that begins just now may be missed here. The next taking sees it, or the wait for
        // a message; if there is neither, the producer's second look finds that there is room.
        if self.paused.load(Ordering::Relaxed) && self.is_low() {
            self.wake_if_paused();
        }
    }

    fn count_dropped(&self, messages: &[Message]) {
        self.dropped.add(Weight {
            messages: messages.len() as u64,
            pieces: 0,
            bytes: messages.iter().map(|message| message.len() as u64).sum(),
        });
    }

    fn lock(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the producer once; if it has to wait on, it says so again.
    fn wake_if_paused(&self) {
        if self.paused.load(Ordering::Relaxed) && self.paused.swap(false, Ordering::SeqCst) {
            self.wake_producer();
        }
    }

    fn wake_producer(&self) {
        drop(self.lock_pauses());
        self.resume.notify_all();
        if let Some(wake) = &self.wake {
            // If it is full, the producer is as good as awake.
            let _ = wake.try_send(());
        }
    }

    fn lock_pauses(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_low(&self) -> bool {
        let (messages, bytes) = self.bounds.low_marks();
        self.items() <= messages && self.bytes() <= bytes
    }

    /// Whether nothing holds the producer up.
    fn is_open(&self) -> bool {
        self.released.load(Ordering::SeqCst) || !self.blocks()
    }

    /// Whether a full queue holds the producer up.
    pub(crate) fn blocks(&self) -> bool {
        self.bounds.overflow() == Overflow::Block
    }
}

/// Lets other threads run for a moment; true as soon as the condition holds.
fn give_way(is_over: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    loop {
        crate::sync::yield_now();
        if is_over() {
            return true;
        }
        // On a busy machine a single turn of the others takes longer than this.
        if cfg!(wsync_shuttle) || began.elapsed() > GIVE_WAY {
            return false;
        }
    }
}

#[cfg(test)]
#[cfg(wsync_shuttle)]
mod model;
#[cfg(test)]
#[cfg(not(wsync_shuttle))]
mod tests;
