//! The reader's end of the queue.

use super::item::{Batch, Item, Items, Weight};
use super::{Queue, give_way};
use crate::close::CloseCode;
use crate::config::Overflow;
use crate::message::Message;
use crate::protocol::{Piece, PieceEnd, Sink};
use crate::sync::{Ordering, fence};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long after it has announced a pause the producer looks again, unasked.
const SECOND_LOOK: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Producer {
    sender: Sender<Batch>,
    queue: Arc<Queue>,
    wake: Receiver<()>,
    /// What the current read brought so far.
    batch: Vec<Item>,
    /// Its bytes of payload.
    batch_bytes: usize,
    /// Items in it that begin no message.
    batch_pieces: usize,
    /// How far the batch may grow before the queue has to be looked at again: items and bytes.
    room: (usize, usize),
    /// The rest of a message in pieces is dropped, because there was no room.
    tearing: bool,
    /// A message came with the queue full, and the policy is to close then.
    overflowed: Option<CloseCode>,
}

impl Producer {
    pub(super) fn new(sender: Sender<Batch>, wake: Receiver<()>, queue: Arc<Queue>) -> Self {
        Producer {
            sender,
            queue,
            wake,
            batch: Vec::new(),
            batch_bytes: 0,
            batch_pieces: 0,
            room: (0, 0),
            tearing: false,
            overflowed: None,
        }
    }

    /// Messages in the batch.
    pub(crate) fn batch_len(&self) -> usize {
        self.batch.len()
    }

    /// Whether the reader has to stop until there is room. A change of the bounds is in force from
    /// here on.
    pub(crate) fn must_wait(&mut self) -> bool {
        if self.queue.bounds.take_change() {
            self.room = (0, 0);
        }
        !self.has_room() && !self.queue.is_open() && self.overflowed.is_none()
    }

    /// Whether nothing holds the reader up, whatever waits.
    pub(crate) fn is_open(&self) -> bool {
        self.queue.is_open()
    }

    /// Ready when [`Queue::release`] or a change of the bounds may end a wait for room elsewhere.
    pub(crate) fn wake(&self) -> &Receiver<()> {
        &self.wake
    }

    /// Nothing follows.
    pub(crate) fn end(&self) {
        self.queue.ended.store(true, Ordering::SeqCst);
        self.queue.wake_consumers(true);
    }

    /// With what code the connection is to be failed because a message found no room, if so.
    pub(crate) fn overflowed(&self) -> Option<CloseCode> {
        self.overflowed
    }

    /// Whether anything is in the queue: a message, or a piece of one.
    pub(crate) fn has_queued(&self) -> bool {
        self.queue.items() > 0
    }

    /// Whether nobody holds the reader up any more, because the connection is closing.
    pub(crate) fn is_released(&self) -> bool {
        self.queue.released.load(Ordering::SeqCst)
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

    /// Hands the batch to the consumers. Returns whether that woke the only one that waits.
    pub(crate) fn deliver(&mut self, now: Instant) -> bool {
        if self.queue.is_diverted() {
            self.enqueue(now);
            return false;
        }
        let several = self.batch.len() > 1;
        let Some(batch) = self.take_batch(now) else {
            return false;
        };
        // The queue holds the receiver, so the channel is connected.
        let _ = self.sender.send(batch);
        self.queue.wake_consumers(several)
    }

    /// The same for who reads and takes in one thread: nobody is woken, and with nothing before it the
    /// batch need not go through the channel.
    pub(crate) fn enqueue(&mut self, now: Instant) {
        let first = self.queue.items() == 0;
        let Some(batch) = self.take_batch(now) else {
            return;
        };
        let mut front = self.queue.lock();
        match first && front.items.is_empty() {
            true => self.queue.take_up(&mut front, batch),
            false => drop(self.sender.send(batch)),
        }
    }

    /// The batch, counted as queued.
    fn take_batch(&mut self, now: Instant) -> Option<Batch> {
        let items = match self.batch.len() {
            0 => return None,
            1 => Items::One(self.batch.pop()?),
            _ => {
                self.batch.reverse();
                Items::Many(std::mem::replace(&mut self.batch, self.queue.take_spare()))
            }
        };
        self.room = (
            self.room.0.saturating_sub(items.len()),
            self.room.1.saturating_sub(self.batch_bytes),
        );
        let pieces = std::mem::take(&mut self.batch_pieces);
        self.queue.put.add(Weight {
            messages: (items.len() - pieces) as u64,
            pieces: pieces as u64,
            bytes: std::mem::take(&mut self.batch_bytes) as u64,
        });
        self.queue.high.note(self.queue.len(), self.queue.bytes());
        Some(Batch { came: now, items })
    }

    /// The next messages of a diverted queue, the first one last. They are still counted.
    pub(crate) fn take_front(&mut self) -> Vec<Item> {
        let mut front = self.queue.lock();
        if front.items.is_empty() {
            let _ = self.queue.refill(&mut front);
        }
        std::mem::take(&mut front.items)
    }

    /// The next of those messages. It counts as delivered from now on.
    #[inline]
    pub(crate) fn take_next(&mut self, items: &mut Vec<Item>) -> Option<Message> {
        let Some(Item::Message(message)) = items.pop() else {
            return None;
        };
        self.count_delivered(message.len());
        Some(message)
    }

    /// Puts back what is left of what [`take_front`](Self::take_front) gave.
    pub(crate) fn put_back(&mut self, mut items: Vec<Item>) {
        let mut front = self.queue.lock();
        // A look at the queue may have taken up the next batch meanwhile.
        match front.items.is_empty() {
            true => front.items = items,
            false => front.items.append(&mut items),
        }
    }

    /// Drops a message that [`take_front`](Self::take_front) gave.
    pub(crate) fn count_dropped(&mut self, length: usize) {
        let front = self.queue.lock();
        self.queue.taken.add(Weight::message(length));
        self.queue.dropped.add(Weight::message(length));
        drop(front);
    }

    /// Whether messages leave by [`take_front`](Self::take_front).
    pub(crate) fn is_diverted(&self) -> bool {
        self.queue.is_diverted()
    }

    /// Drops all messages of a diverted queue, when nobody is left to hand them on to.
    pub(crate) fn discard(&mut self) {
        while self.queue.drop_oldest() {}
    }

    /// Counts a message that [`take_front`](Self::take_front) gave as delivered.
    #[inline]
    pub(crate) fn count_delivered(&mut self, length: usize) {
        self.queue.taken.add(Weight::message(length));
    }

    /// Waits until the queue is low, released, or has other bounds, or the deadline has passed. What
    /// nobody wants makes room at once, so that a message that is skipped does not need a consumer.
    /// Returns false if only the deadline has passed.
    pub(crate) fn wait_for_room(&self, deadline: Option<Instant>) -> bool {
        if self.queue.drop_skipped() {
            return true;
        }
        self.pause(deadline, |queue| {
            queue.is_low() || queue.is_open() || queue.bounds.have_changed()
        })
    }

    /// Waits until a consumer has taken all there is and wants more, or the deadline has passed.
    pub(crate) fn wait_for_consumer(&self, deadline: Instant) {
        self.pause(Some(deadline), |queue| {
            let wanted = queue.is_diverted() || queue.waiting.load(Ordering::SeqCst) > 0;
            queue.len() == 0 && wanted
        });
    }

    /// Counts the time until [`end_pause`](Self::end_pause) as waited for room.
    pub(crate) fn begin_pause(&self) {
        self.queue
            .lock_pauses()
            .since
            .get_or_insert_with(Instant::now);
    }

    pub(crate) fn end_pause(&self) {
        let mut pauses = self.queue.lock_pauses();
        if let Some(since) = pauses.since.take() {
            pauses.total += since.elapsed();
        }
    }

    /// Returns whether it is over, or else the deadline has passed.
    fn pause(&self, deadline: Option<Instant>, is_over: impl Fn(&Queue) -> bool) -> bool {
        let queue = &*self.queue;
        if give_way(|| is_over(queue)) {
            return true;
        }
        let mut pauses = queue.lock_pauses();
        let over = loop {
            let announced = queue.paused.swap(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let now = Instant::now();
            if is_over(queue) {
                break true;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                break false;
            }
            // A taking needs no fence: one that neither saw `paused` nor was seen is seen by then.
            let second_look = (!announced).then(|| now + SECOND_LOOK);
            pauses = match deadline.into_iter().chain(second_look).min() {
                None => queue
                    .resume
                    .wait(pauses)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let result = queue.resume.wait_timeout(pauses, until - now);
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        queue.paused.store(false, Ordering::SeqCst);
        over
    }

    /// Whether the queue and the batch together are below both bounds.
    #[inline]
    fn has_room(&mut self) -> bool {
        self.is_within_room() || self.look_for_room()
    }

    #[inline]
    fn is_within_room(&self) -> bool {
        self.batch.len() < self.room.0 && self.batch_bytes < self.room.1
    }

    fn look_for_room(&mut self) -> bool {
        let (messages, bytes) = match self.overflowed {
            None => self.queue.bounds.get(),
            // What comes behind a message that was dropped would hide the hole.
            Some(_) => (0, 0),
        };
        self.room = (
            messages.saturating_sub(self.queue.items()),
            bytes.saturating_sub(self.queue.bytes()),
        );
        self.is_within_room()
    }

    /// Whether a message may be added, once the policy has done what it does about a full queue.
    #[cold]
    fn admit(&mut self, weight: Weight) -> bool {
        let released = self.queue.released.load(Ordering::SeqCst);
        match self.queue.bounds.overflow() {
            _ if self.overflowed.is_some() => {}
            // On the way to the peer's Close frame, what finds no room is dropped.
            Overflow::Block if !released => return true,
            Overflow::DropOldest => {
                while !self.look_for_room() && self.drop_oldest() {}
                return true;
            }
            Overflow::KeepLatest => {
                while self.drop_oldest() {}
                self.room = (0, 0);
                return true;
            }
            Overflow::Close(code) if !released => self.overflowed = Some(code),
            Overflow::Block | Overflow::DropNewest | Overflow::Close(_) => {}
        }
        self.queue.refused.add(weight);
        false
    }

    fn drop_oldest(&mut self) -> bool {
        if self.queue.items() == 0 {
            self.deliver(Instant::now());
        }
        self.queue.drop_oldest()
    }

    #[inline]
    fn add(&mut self, item: Item, length: usize) {
        self.batch_bytes += length;
        self.batch.push(item);
    }

    /// A diverted queue is to be handed on before its policy is asked.
    #[inline]
    fn wants_more(&mut self) -> bool {
        let goes_on = |producer: &Self| producer.queue.is_open() && producer.overflowed.is_none();
        self.has_room() || (!self.queue.is_diverted() && goes_on(self))
    }
}

impl Sink for Producer {
    #[inline(always)]
    fn push(&mut self, message: Message) -> bool {
        let length = message.len();
        if self.has_room() || self.admit(Weight::message(length)) {
            self.add(Item::Message(message), length);
        }
        self.wants_more()
    }

    #[inline]
    fn room(&self) -> (usize, usize) {
        (
            self.room.0.saturating_sub(self.batch.len()),
            self.room.1.saturating_sub(self.batch_bytes),
        )
    }

    #[inline(always)]
    fn push_all(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        for message in messages {
            let length = message.len();
            self.add(Item::Message(message), length);
        }
        self.wants_more()
    }

    fn push_piece(&mut self, mut piece: Piece) -> bool {
        if piece.first {
            self.tearing = false;
        }
        if self.tearing {
            self.queue.refused.add(Weight {
                pieces: 0,
                ..Weight::piece(&piece)
            });
            return true;
        }
        let weight = Weight::piece(&piece);
        if !self.has_room() && !self.admit(weight) {
            self.tearing = true;
            if piece.first {
                return true;
            }
            (piece.payload, piece.end) = (Bytes::new(), PieceEnd::Torn);
        }
        let length = piece.payload.len();
        self.batch_pieces += usize::from(!piece.first);
        self.add(Item::Piece(Box::new(piece)), length);
        self.wants_more()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Queue {
    fn drop_oldest(&self) -> bool {
        let mut front = self.lock();
        if front.items.is_empty() && self.refill(&mut front).is_err() {
            return false;
        }
        let Some(oldest) = front.items.pop() else {
            return false;
        };
        self.taken(oldest.weight());
        self.dropped.add(oldest.weight());
        drop(front);
        true
    }
}
