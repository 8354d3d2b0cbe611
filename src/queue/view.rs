//! The queue as the application sees it.

use super::Queue;
use super::front::Front;
use super::item::Item;
use super::role::Summons;
use crate::config::QueueConfig;
use crate::error::Misuse;
use crate::message::Message;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks into the receive queue of a connection, from any thread, and takes nothing from it: no
/// message is lost, doubled or moved by a look. Cloning is cheap. It does not keep the connection
/// open.
///
/// With [`Config::stream_above`](crate::Config::stream_above), a message that arrives in pieces
/// counts from its first piece until that is taken, and its bytes as they come and go; `peek` and
/// `snapshot` leave it out. While a callback or a channel is being given messages, these leave them
/// out too, though they count.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// let queue = ws.queue();
/// ws.send_all(["one", "two", "three"])?;
/// ws.recv()?;
/// println!("{} wait, {} bytes, next: {:?}", queue.len(), queue.bytes(), queue.peek());
/// for message in queue.snapshot() {
///     println!("{:?}", message.as_text());
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct QueueView {
    queue: Arc<Queue>,
}

/// A number of messages and of bytes of payload.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// let bounds = ws.queue().capacity();
/// println!("{} messages, {} bytes", bounds.messages, bounds.bytes);
/// assert!(ws.queue().len() <= bounds.messages);
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueueSize {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload.
    pub bytes: usize,
}

/// The most that waited in a queue.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// ws.send("hello")?;
/// ws.recv()?;
/// let most = ws.queue().high_water();
/// println!("{} at once in the last {:?}", most.messages, most.since.elapsed());
/// assert_eq!((most.messages, most.bytes), (1, 5));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HighWater {
    /// The most messages at once.
    pub messages: usize,
    /// The most bytes of payload at once; perhaps at another time.
    pub bytes: usize,
    /// Since the connection opened, or since [`QueueView::reset_high_water`].
    pub since: Instant,
}

/// What went through a queue. Messages received are those delivered, those dropped, and those that
/// still wait.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// ws.send_all(["one", "two"])?;
/// ws.recv()?;
/// ws.recv()?;
/// let stats = ws.queue().stats();
/// assert_eq!((stats.received, stats.delivered, stats.dropped), (2, 2, 0));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueueStats {
    /// Messages that came from the peer; one in pieces counts from its first piece.
    pub received: u64,
    /// Their payload, in bytes.
    pub received_bytes: u64,
    /// Messages that went to the application, or the first piece of which did.
    pub delivered: u64,
    /// Their payload, in bytes.
    pub delivered_bytes: u64,
    /// Messages that were dropped: by the [`Overflow`](crate::Overflow) policy, by
    /// [`Receiver::clear`](crate::Receiver::clear) or
    /// [`Receiver::recv_latest`](crate::Receiver::recv_latest), or for want of room while closing.
    pub dropped: u64,
    /// Their payload, in bytes.
    pub dropped_bytes: u64,
    /// How long the reader has not read, because the queue was full.
    pub paused: Duration,
}

impl QueueSize {
    /// The higher of both, each for itself.
    pub(crate) fn max(self, other: QueueSize) -> QueueSize {
        QueueSize {
            messages: self.messages.max(other.messages),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

impl QueueStats {
    /// Adds what went through another queue.
    pub(crate) fn add(&mut self, other: &QueueStats) {
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.delivered += other.delivered;
        self.delivered_bytes += other.delivered_bytes;
        self.dropped += other.dropped;
        self.dropped_bytes += other.dropped_bytes;
        self.paused += other.paused;
    }
}

impl QueueView {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        QueueView { queue }
    }

    /// How many messages wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// std::thread::spawn(move || println!("{} wait", queue.len()));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes of payload wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// if queue.bytes() > queue.capacity().bytes / 2 {
    ///     println!("the application falls behind");
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether no message waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert!(ws.queue().is_empty());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bounds: [`QueueConfig::messages`] and [`QueueConfig::bytes`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert_eq!(ws.queue().capacity().messages, 1024);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn capacity(&self) -> QueueSize {
        let (messages, bytes) = self.queue.bounds.get();
        QueueSize { messages, bytes }
    }

    /// The next message, which stays where it is. `None` when none waits.
    ///
    /// Another thread may take it meanwhile: what a later `recv` returns can be a later message.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// match queue.peek() {
    ///     Some(next) => println!("the next is {next:?}"),
    ///     None => println!("none waits"),
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn peek(&self) -> Option<Message> {
        self.queue.look(1).pop()
    }

    /// The next `n` messages or as many as wait, in order. Payloads are shared, not copied.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send_all(["1", "2", "3", "4"])?;
    /// ws.recv()?;
    /// for message in ws.queue().peek_n(2) {
    ///     println!("{message:?} is still there");
    /// }
    /// assert_eq!(ws.recv()?.as_text(), Some("2"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn peek_n(&self, n: usize) -> Vec<Message> {
        self.queue.look(n)
    }

    /// All messages that wait, in order, as of one moment. Payloads are shared, not copied.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let text: usize = ws.queue().snapshot().iter().filter(|message| message.is_text()).count();
    /// println!("{text} lines wait");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn snapshot(&self) -> Vec<Message> {
        self.queue.look(usize::MAX)
    }

    /// How long the next message has waited. `None` when none waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// if queue.oldest_age() > Some(Duration::from_secs(1)) {
    ///     println!("{} messages are late", queue.len());
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn oldest_age(&self) -> Option<Duration> {
        self.queue.oldest().map(|came| came.elapsed())
    }

    /// The most that waited, and since when.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// ws.send("hello")?;
    /// ws.recv()?;
    /// assert_eq!(queue.high_water().bytes, 5);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn high_water(&self) -> HighWater {
        let (messages, bytes, since) = self.queue.high.get();
        HighWater {
            messages,
            bytes,
            since,
        }
    }

    /// Lets [`high_water`](Self::high_water) start again, from what waits now.
    ///
    /// # Examples
    ///
    /// The most of each minute:
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// ws.send("hello")?;
    /// ws.recv()?;
    /// println!("{} messages at most", queue.high_water().messages);
    /// queue.reset_high_water();
    /// assert_eq!(queue.high_water().messages, 0);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn reset_high_water(&self) {
        self.queue.high.reset();
        self.queue.high.note(self.len(), self.bytes());
    }

    /// What went through the queue since the connection opened.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// ws.send("hello")?;
    /// ws.recv()?;
    /// let stats = queue.stats();
    /// assert_eq!((stats.received_bytes, stats.delivered_bytes), (5, 5));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn stats(&self) -> QueueStats {
        self.queue.stats()
    }
}

impl Queue {
    /// Changes the bounds and the policy.
    pub(crate) fn configure(&self, config: &QueueConfig) -> Result<(), Misuse> {
        config.check()?;
        // One after the other: a mixture of two could have its low mark above the bound.
        let pauses = self.lock_pauses();
        self.bounds.set(config);
        drop(pauses);
        self.wake_producer();
        if !self.blocks() {
            self.summon(Summons::Alone);
        }
        Ok(())
    }

    pub(crate) fn stats(&self) -> QueueStats {
        let front = self.lock();
        let (taken, taken_bytes) = (self.taken.messages(), self.taken.bytes());
        let (dropped, dropped_bytes) = (self.dropped.messages(), self.dropped.bytes());
        let (put, put_bytes) = (self.put.messages(), self.put.bytes());
        drop(front);
        let (refused, refused_bytes) = (self.refused.messages(), self.refused.bytes());
        let pauses = self.lock_pauses();
        let going_on = pauses.since.map(|since| since.elapsed());
        QueueStats {
            received: put + refused,
            received_bytes: put_bytes + refused_bytes,
            delivered: taken - dropped,
            delivered_bytes: taken_bytes - dropped_bytes,
            dropped: dropped + refused,
            dropped_bytes: dropped_bytes + refused_bytes,
            paused: pauses.total + going_on.unwrap_or_default(),
        }
    }

    /// The most that waited.
    pub(crate) fn high_water(&self) -> QueueSize {
        let (messages, bytes, _) = self.high.get();
        QueueSize { messages, bytes }
    }

    fn look(&self, n: usize) -> Vec<Message> {
        let mut front = self.lock();
        self.gather(&mut front, n);
        front.messages().take(n).cloned().collect()
    }

    /// Takes nothing up: the reader may have the front in its hands.
    fn oldest(&self) -> Option<Instant> {
        let mut front = self.lock();
        self.gather(&mut front, 1);
        match front.items.is_empty() {
            false => front.came,
            true => front.aside.front().map(|batch| batch.came),
        }
    }

    /// Moves batches from the channel to where they can be looked at, until there are `n` messages.
    fn gather(&self, front: &mut Front, n: usize) {
        // What comes meanwhile could keep this going for ever.
        let n = n.min(self.len());
        let mut gathered = front.messages().take(n).count();
        while gathered < n {
            let Ok(batch) = self.receiver.try_recv() else {
                return;
            };
            gathered += batch.items.iter().filter_map(Item::message).count();
            front.aside.push_back(batch);
        }
    }
}
