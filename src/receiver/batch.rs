//! Receiving several messages at once, or only the newest.

use super::Receiver;
use crate::config::QueueConfig;
use crate::error::{Misuse, RecvError, RecvTimeoutError};
use crate::message::Message;
use crate::queue::Empty;
use std::time::{Duration, Instant};

impl Receiver {
    /// The messages that are queued, at most `max`, in order. Empty when none is: whether more may
    /// come, [`recv`](Self::recv) or [`closed`](Self::closed) tells.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["a", "b", "c"])?;
    /// let first = receiver.recv()?;
    /// for message in receiver.drain(100) {
    ///     println!("{message:?} was there already");
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn drain(&self, max: usize) -> Vec<Message> {
        let queue = self.connection().queue();
        match queue.try_take_many(max) {
            Err(Empty::Now) if queue.try_read() => queue.try_take_many(max),
            result => result,
        }
        .unwrap_or_default()
    }

    /// At least one message and at most `max`, in order: as many as are queued as soon as there are
    /// any. A burst costs one wake-up.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout). A `max` of 0 is taken as 1.
    ///
    /// # Blocking
    ///
    /// For the timeout at most; [`Duration::MAX`] sets no bound.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["a", "b", "c"])?;
    /// let lines = receiver.recv_batch(100, Duration::from_secs(10))?;
    /// println!("{} at once", lines.len());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_batch(
        &self,
        max: usize,
        timeout: Duration,
    ) -> Result<Vec<Message>, RecvTimeoutError> {
        let (queue, max) = (self.connection().queue(), max.max(1));
        let result = match queue.try_take_many(max) {
            Err(Empty::Now) => {
                self.before_waiting();
                if timeout.is_zero() {
                    queue.try_read();
                }
                // A timeout beyond what the clock can tell sets no bound.
                queue.take_many(max, self.until(Instant::now().checked_add(timeout)))
            }
            result => result,
        };
        result.map_err(|empty| self.timeout_error(empty))
    }

    /// The newest message; those before it are dropped and counted
    /// ([`QueueStats::dropped`](crate::QueueStats::dropped)).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Blocking
    ///
    /// As [`recv`](Self::recv), if none is queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["stale", "old", "new"])?;
    /// println!("{:?}", receiver.recv_latest()?);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_latest(&self) -> Result<Message, RecvError> {
        self.before_waiting();
        self.connection().queue().try_read();
        let newest = self.connection().queue().take_latest(self.until(None));
        newest.map_err(|_| RecvError(self.end_error()))
    }

    /// Drops all messages that are queued, counts them
    /// ([`QueueStats::dropped`](crate::QueueStats::dropped)), and returns how many.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (_sender, receiver) = wsync::connect(&url)?.split();
    /// let missed = receiver.clear();
    /// println!("{missed} messages are of no interest any more");
    /// assert_eq!(receiver.queue().stats().dropped, missed as u64);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn clear(&self) -> usize {
        self.connection().queue().try_read();
        self.connection().queue().clear()
    }

    /// Changes the bounds of the queue and its policy. What is queued stays; a reader that waits for
    /// room looks again.
    ///
    /// # Errors
    ///
    /// [`Misuse`] as when connecting; nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Overflow, QueueConfig};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// let mut queue = QueueConfig::default();
    /// queue.messages = 16;
    /// queue.overflow = Overflow::DropOldest;
    /// receiver.configure_queue(&queue)?;
    /// assert_eq!(receiver.queue().capacity().messages, 16);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn configure_queue(&self, config: &QueueConfig) -> Result<(), Misuse> {
        self.connection().configure_queue(config)
    }
}
