//! Receiving, as the [`Receiver`](crate::Receiver) does.

use super::WebSocket;
use crate::config::QueueConfig;
use crate::error::{Error, Misuse, RecvError, RecvOrError, RecvTimeoutError, TryRecvError};
use crate::message::Message;
use crate::queue::QueueView;
use crate::receiver::{IntoIter, Iter, MessageReader, Stop, TryIter};
use std::time::{Duration, Instant};

impl WebSocket {
    /// The next message: [`Receiver::recv`](crate::Receiver::recv).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`](crate::Receiver::recv).
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv`](crate::Receiver::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send("hello")?;
    /// assert_eq!(ws.recv()?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.receiver.recv()
    }

    /// The next message, if it comes in time: [`Receiver::recv_timeout`](crate::Receiver::recv_timeout).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_timeout`](crate::Receiver::recv_timeout).
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_timeout`](crate::Receiver::recv_timeout).
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
    /// ws.send("hello")?;
    /// println!("{:?}", ws.recv_timeout(Duration::from_secs(5))?);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// The next message, if it comes before the deadline: [`Receiver::recv_deadline`](crate::Receiver::recv_deadline).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_deadline`](crate::Receiver::recv_deadline).
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_deadline`](crate::Receiver::recv_deadline).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send_all(["a", "b"])?;
    /// let deadline = Instant::now() + Duration::from_secs(5);
    /// let both = (ws.recv_deadline(deadline)?, ws.recv_deadline(deadline)?);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Message, RecvTimeoutError> {
        self.receiver.recv_deadline(deadline)
    }

    /// The next message, if one is queued: [`Receiver::try_recv`](crate::Receiver::try_recv).
    ///
    /// # Errors
    ///
    /// As [`Receiver::try_recv`](crate::Receiver::try_recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// while let Ok(message) = ws.try_recv() {
    ///     println!("{message:?} was there");
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        self.receiver.try_recv()
    }

    /// At least one message and at most `max`: [`Receiver::recv_batch`](crate::Receiver::recv_batch).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_batch`](crate::Receiver::recv_batch).
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_batch`](crate::Receiver::recv_batch).
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
    /// ws.send_all(["a", "b", "c"])?;
    /// let some = ws.recv_batch(100, Duration::from_secs(5))?;
    /// assert!((1..=3).contains(&some.len()));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_batch(
        &self,
        max: usize,
        timeout: Duration,
    ) -> Result<Vec<Message>, RecvTimeoutError> {
        self.receiver.recv_batch(max, timeout)
    }

    /// The newest message, those before it dropped: [`Receiver::recv_latest`](crate::Receiver::recv_latest).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_latest`](crate::Receiver::recv_latest).
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_latest`](crate::Receiver::recv_latest).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send_all(["stale", "old", "new"])?;
    /// println!("{:?}", ws.recv_latest()?);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_latest(&self) -> Result<Message, RecvError> {
        self.receiver.recv_latest()
    }

    /// The next message, unless told to stop: [`Receiver::recv_or`](crate::Receiver::recv_or).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_or`](crate::Receiver::recv_or).
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_or`](crate::Receiver::recv_or).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CancelToken;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let stop = CancelToken::new();
    /// let stopper = stop.clone();
    /// std::thread::spawn(move || stopper.cancel());
    /// assert!(ws.recv_or(&stop).is_err());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_or(&self, stop: &impl Stop) -> Result<Message, RecvOrError> {
        self.receiver.recv_or(stop)
    }

    /// The next message, to be read in pieces: [`Receiver::recv_streaming`](crate::Receiver::recv_streaming).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_streaming`](crate::Receiver::recv_streaming).
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_streaming`](crate::Receiver::recv_streaming).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send("hello")?;
    /// let text = std::io::read_to_string(ws.recv_streaming()?)?;
    /// assert_eq!(text, "hello");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_streaming(&self) -> Result<MessageReader<'_>, RecvError> {
        self.receiver.recv_streaming()
    }

    /// The messages that are queued, at most `max`: [`Receiver::drain`](crate::Receiver::drain).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// for message in ws.drain(100) {
    ///     println!("{message:?} was there");
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn drain(&self, max: usize) -> Vec<Message> {
        self.receiver.drain(max)
    }

    /// Drops all messages that are queued: [`Receiver::clear`](crate::Receiver::clear).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// println!("{} messages are of no interest any more", ws.clear());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn clear(&self) -> usize {
        self.receiver.clear()
    }

    /// Messages until the connection ends: [`Receiver::iter`](crate::Receiver::iter).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send_all(["a", "b"])?;
    /// for message in ws.iter().take(2) {
    ///     println!("{:?}", message?);
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_> {
        self.receiver.iter()
    }

    /// The messages that are queued: [`Receiver::try_iter`](crate::Receiver::try_iter).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// for message in ws.try_iter() {
    ///     println!("{:?} was there", message?);
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn try_iter(&self) -> TryIter<'_> {
        self.receiver.try_iter()
    }

    /// The queue, to look into: [`Receiver::queue`](crate::Receiver::queue).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let queue = ws.queue();
    /// println!("{} wait, the next is {:?}", queue.len(), queue.peek());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn queue(&self) -> QueueView {
        self.receiver.queue()
    }

    /// Changes the bounds of the queue: [`Receiver::configure_queue`](crate::Receiver::configure_queue).
    ///
    /// # Errors
    ///
    /// As [`Receiver::configure_queue`](crate::Receiver::configure_queue).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::QueueConfig;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let mut queue = QueueConfig::default();
    /// queue.messages = 16;
    /// ws.configure_queue(&queue)?;
    /// assert_eq!(ws.queue().capacity().messages, 16);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn configure_queue(&self, config: &QueueConfig) -> Result<(), Misuse> {
        self.receiver.configure_queue(config)
    }

    /// How many messages are queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// println!("{} messages wait", ws.len());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// How many bytes of payload are queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// println!("{} bytes wait", ws.bytes());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        self.receiver.bytes()
    }

    /// Whether no message is queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert!(ws.is_empty(), "nothing was sent");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

impl IntoIterator for WebSocket {
    type Item = Result<Message, Error>;
    type IntoIter = IntoIter;

    /// Messages until the connection ends. The sending half is dropped: clone it before.
    fn into_iter(self) -> IntoIter {
        self.receiver.into_iter()
    }
}

impl<'a> IntoIterator for &'a WebSocket {
    type Item = Result<Message, Error>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
