//! The receive queue: a crossbeam channel from the reader to the application, flow control beside
//! it, and the consumers in front of it.
//!
//! What one read brought travels through the channel as one [`Batch`]. Consumers share `front`, the
//! batch that is being taken; the lock around it is never held while anybody waits.
//!
//! The counters need no read-modify-write: the producer alone writes `put`, and `taken` is written
//! under the lock of `front`.

use crate::config::QueueConfig;
use crate::message::Message;
use crate::protocol::Sink;
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread gives way before it sleeps.
const GIVE_WAY: Duration = Duration::from_micros(50);

/// Messages that travel together. One alone needs no allocation.
#[derive(Debug)]
enum Batch {
    One(Message),
    /// The first one is the last.
    Many(Vec<Message>),
}

/// Nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// Before the deadline, or just now.
    Now,
    /// And nothing will: the producer is gone.
    ForEver,
}

/// A new queue. It ends when the [`Producer`] is dropped.
pub(crate) fn queue(config: &QueueConfig) -> (Producer, Arc<Queue>) {
    let (sender, receiver) = unbounded();
    let queue = Arc::new(Queue {
        receiver,
        front: Mutex::default(),
        spare: Mutex::default(),
        arrived: Condvar::new(),
        waiting: AtomicUsize::new(0),
        put: Tally::default(),
        taken: Tally::default(),
        bounds: config.clone(),
        burst: AtomicBool::new(false),
        paused: AtomicBool::new(false),
        released: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        room: Mutex::new(()),
        resume: Condvar::new(),
    });
    let producer = Producer {
        sender: Some(sender),
        queue: Arc::clone(&queue),
        batch: Vec::new(),
        batch_bytes: 0,
        room: (0, 0),
        discarded: 0,
    };
    (producer, queue)
}

/// Messages and bytes, counted since the begin.
#[derive(Debug, Default)]
struct Tally {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// For the only writer.
    fn add(&self, messages: usize, bytes: usize) {
        let (total, total_bytes) = (
            self.messages.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        );
        self.bytes
            .store(total_bytes + bytes as u64, Ordering::Release);
        self.messages
            .store(total + messages as u64, Ordering::Release);
    }
}

type Front<'a> = MutexGuard<'a, Vec<Message>>;

/// What consumers share.
#[derive(Debug)]
pub(crate) struct Queue {
    receiver: Receiver<Batch>,
    /// The next message is the last.
    front: Mutex<Vec<Message>>,
    /// The vector of a burst that was taken, for the next one.
    spare: Mutex<Vec<Message>>,
    /// Wakes consumers.
    arrived: Condvar,
    /// Consumers that wait for `arrived`. Written under the lock of `front`.
    waiting: AtomicUsize,
    put: Tally,
    taken: Tally,
    bounds: QueueConfig,
    /// The last batch that was taken had several messages.
    burst: AtomicBool,
    /// The producer waits in `resume`, or is about to.
    paused: AtomicBool,
    /// The bounds stop nobody any more.
    released: AtomicBool,
    /// The producer is gone.
    ended: AtomicBool,
    room: Mutex<()>,
    resume: Condvar,
}

impl Queue {
    /// Messages that wait.
    pub(crate) fn len(&self) -> usize {
        // `taken` first: it never passes `put`.
        let taken = self.taken.messages.load(Ordering::Acquire);
        (self.put.messages.load(Ordering::Acquire) - taken) as usize
    }

    /// Bytes of payload that wait.
    pub(crate) fn bytes(&self) -> usize {
        let taken = self.taken.bytes.load(Ordering::Acquire);
        (self.put.bytes.load(Ordering::Acquire) - taken) as usize
    }

    /// The next message, if one waits.
    pub(crate) fn try_take(&self) -> Result<Message, Empty> {
        self.next(&mut self.lock())
    }

    /// The next message, as soon as there is one.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Result<Message, Empty> {
        let mut front = self.lock();
        loop {
            match self.next(&mut front) {
                Err(Empty::Now) => {}
                result => return result,
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Empty::Now);
            }
            front = self.wait(front, deadline);
        }
    }

    /// After a burst the next one is likely to be close: gives way to the reader a few times rather
    /// than sleep and be woken.
    pub(crate) fn linger(&self) {
        if self.burst.load(Ordering::Relaxed) {
            self.burst.store(false, Ordering::Relaxed);
            give_way(|| !self.receiver.is_empty() || self.ended.load(Ordering::SeqCst));
        }
    }

    /// Lets the producer go on whatever waits, from now on.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        self.wake_producer();
    }

    fn next(&self, front: &mut Vec<Message>) -> Result<Message, Empty> {
        if let Some(message) = front.pop() {
            return Ok(self.taken(message));
        }
        match self.receiver.try_recv() {
            Ok(Batch::One(message)) => Ok(self.taken(message)),
            Ok(Batch::Many(messages)) => {
                self.burst.store(true, Ordering::Relaxed);
                self.recycle(std::mem::replace(front, messages));
                front
                    .pop()
                    .map(|message| self.taken(message))
                    .ok_or(Empty::Now)
            }
            Err(TryRecvError::Empty) => {
                self.recycle(std::mem::take(front));
                Err(Empty::Now)
            }
            Err(TryRecvError::Disconnected) => Err(Empty::ForEver),
        }
    }

    fn recycle(&self, emptied: Vec<Message>) {
        if emptied.capacity() > 0 {
            *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = emptied;
        }
    }

    fn take_spare(&self) -> Vec<Message> {
        std::mem::take(&mut self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn taken(&self, message: Message) -> Message {
        self.taken.add(1, message.len());
        // A pause that begins just now may be missed here; the next taking, or the wait for a
        // message when there is none, sees it.
        if self.paused.load(Ordering::Relaxed) && self.is_low() {
            self.wake_if_paused();
        }
        message
    }

    /// Waits for `arrived`. The producer looks at `waiting` after it has sent, and this thread looks
    /// at the channel after it has announced itself: one of them sees the other.
    fn wait<'a>(&self, front: Front<'a>, deadline: Option<Instant>) -> Front<'a> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.wake_if_paused();
        let front = match deadline {
            _ if !self.receiver.is_empty() || self.ended.load(Ordering::SeqCst) => front,
            None => self
                .arrived
                .wait(front)
                .unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let timeout = deadline.saturating_duration_since(Instant::now());
                let result = self.arrived.wait_timeout(front, timeout);
                result.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        front
    }

    /// Wakes consumers after messages were sent, or after the end.
    fn wake_consumers(&self, all: bool) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        // Whoever has announced itself and not yet gone to sleep holds this lock.
        drop(self.lock());
        match all {
            true => self.arrived.notify_all(),
            false => self.arrived.notify_one(),
        }
    }

    fn lock(&self) -> Front<'_> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the producer once; if it has to wait on, it says so again.
    fn wake_if_paused(&self) {
        if self.paused.load(Ordering::Relaxed) && self.paused.swap(false, Ordering::SeqCst) {
            self.wake_producer();
        }
    }

    fn wake_producer(&self) {
        drop(self.room.lock().unwrap_or_else(PoisonError::into_inner));
        self.resume.notify_all();
    }

    /// At a quarter of both bounds.
    fn is_low(&self) -> bool {
        self.len() <= self.bounds.messages / 4 && self.bytes() <= self.bounds.bytes / 4
    }
}

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Producer {
    /// `None` once it ended.
    sender: Option<Sender<Batch>>,
    queue: Arc<Queue>,
    /// What the current read brought so far.
    batch: Vec<Message>,
    batch_bytes: usize,
    /// What may be added before the queue has to be looked at again: messages and bytes.
    room: (usize, usize),
    /// Messages that were dropped because the queue was full and the producer was not to wait.
    discarded: usize,
}

impl Producer {
    /// Messages in the batch.
    pub(crate) fn batch_len(&self) -> usize {
        self.batch.len()
    }

    /// Whether the queue and the batch together are below both bounds.
    #[inline]
    pub(crate) fn has_room(&mut self) -> bool {
        (self.room.0 > 0 && self.room.1 > 0) || self.look_for_room()
    }

    fn look_for_room(&mut self) -> bool {
        let bounds = &self.queue.bounds;
        let messages = self.queue.len() + self.batch.len();
        let bytes = self.queue.bytes() + self.batch_bytes;
        self.room = (
            bounds.messages.saturating_sub(messages),
            bounds.bytes.saturating_sub(bytes),
        );
        self.room.0 > 0 && self.room.1 > 0
    }

    /// Messages in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Gives back the memory of a burst.
    pub(crate) fn shrink(&mut self) {
        drop(self.queue.take_spare());
        self.batch.shrink_to_fit();
    }

    pub(crate) fn discarded(&self) -> usize {
        self.discarded
    }

    /// Hands the batch to the consumers.
    pub(crate) fn deliver(&mut self) {
        let batch = match self.batch.len() {
            0 => return,
            1 => match self.batch.pop() {
                Some(message) => Batch::One(message),
                None => return,
            },
            _ => {
                self.batch.reverse();
                Batch::Many(std::mem::replace(&mut self.batch, self.queue.take_spare()))
            }
        };
        let messages = match &batch {
            Batch::One(_) => 1,
            Batch::Many(messages) => messages.len(),
        };
        self.queue
            .put
            .add(messages, std::mem::take(&mut self.batch_bytes));
        if let Some(sender) = &self.sender {
            // The queue holds a receiver, so the channel is connected.
            let _ = sender.send(batch);
        }
        self.queue.wake_consumers(messages > 1);
    }

    /// Whether the bounds stop nobody any more.
    pub(crate) fn is_released(&self) -> bool {
        self.queue.released.load(Ordering::SeqCst)
    }

    /// Waits until the queue is low, released, or the deadline has passed.
    pub(crate) fn wait_for_room(&self, deadline: Option<Instant>) {
        self.pause(deadline, |queue| {
            queue.is_low() || queue.released.load(Ordering::SeqCst)
        });
    }

    /// Waits until a consumer has taken all there is and wants more, or the deadline has passed.
    pub(crate) fn wait_for_consumer(&self, deadline: Instant) {
        self.pause(Some(deadline), |queue| {
            queue.len() == 0 && queue.waiting.load(Ordering::SeqCst) > 0
        });
    }

    fn pause(&self, deadline: Option<Instant>, is_over: impl Fn(&Queue) -> bool) {
        let queue = &*self.queue;
        if give_way(|| is_over(queue)) {
            return;
        }
        let mut room = queue.room.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            queue.paused.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            room = match left {
                _ if is_over(queue) => break,
                Some(left) if left.is_zero() => break,
                None => queue
                    .resume
                    .wait(room)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let result = queue.resume.wait_timeout(room, left);
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        queue.paused.store(false, Ordering::SeqCst);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.sender = None;
        self.queue.ended.store(true, Ordering::SeqCst);
        self.queue.wake_consumers(true);
    }
}

/// Lets other threads run for a moment; true as soon as the condition holds.
fn give_way(is_over: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    loop {
        thread::yield_now();
        if is_over() {
            return true;
        }
        // On a busy machine a single turn of the others takes longer than this.
        if began.elapsed() > GIVE_WAY {
            return false;
        }
    }
}

impl Sink for Producer {
    /// Adds a message to the batch. Once the bounds stop nobody, on the way to the peer's Close frame,
    /// what they do not hold is dropped.
    #[inline(always)]
    fn push(&mut self, message: Message) -> bool {
        if !self.has_room() && self.is_released() {
            self.discarded += 1;
            return true;
        }
        self.room = (
            self.room.0.saturating_sub(1),
            self.room.1.saturating_sub(message.len()),
        );
        self.batch_bytes += message.len();
        self.batch.push(message);
        self.has_room() || self.is_released()
    }
}

#[cfg(test)]
mod tests;
