//! Sending.

mod liveness;

use crate::close::{CloseCode, CloseFrame, Closed};
use crate::compression::{PreparedMessage, SendOptions};
use crate::connection::{Connection, ConnectionStats, Flush, Refusal};
use crate::error::{Error, SendError, TrySendError};
use crate::handle::Handle;
use crate::message::{Message, MessageKind, Text};
use crate::message_writer::MessageWriter;
use std::sync::Arc;

/// Sends messages, from any thread at any time, whatever receivers do. Cloning is cheap.
///
/// A message above [`Config::fragment_size`](crate::Config::fragment_size) goes in fragments, so
/// that a pong can go between them; two such messages do not mix. Where compression with context
/// takeover was agreed on, messages are compressed one after the other, each in the thread that sends
/// it.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let (sender, receiver) = wsync::connect(&url)?.split();
/// let other = sender.clone();
/// std::thread::spawn(move || other.send("from another thread"));
/// sender.send("from this one")?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sender {
    pub(crate) handle: Arc<Handle>,
}

impl Sender {
    fn connection(&self) -> &Connection {
        self.handle.connection()
    }

    /// Sends a message and returns when its bytes are with the operating system, or with a thread
    /// that is writing and takes them along. Right after several messages came at once, while some
    /// of them are still queued, a small answer may stay in the outbox for some hundred microseconds,
    /// so that the answers go together; a receive call that finds the queue empty writes them.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the closing handshake has begun, [`Error::Timeout`] after
    /// [`Timeouts::send`](crate::Timeouts::send), else what ended the connection. The error hands the
    /// message back unless part of it is on the wire. After a timeout the connection is still good,
    /// unless part of a frame had left or, over TLS, was encrypted, or a message that was compressed
    /// later refers to it: then it is failed.
    ///
    /// # Blocking
    ///
    /// While the peer does not read and the buffers are full, until the send timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// sender.send("text")?;
    /// sender.send(vec![1, 2, 3])?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.send_with(message, SendOptions::new())
    }

    /// Sends a message if there is room for it in the outbox, and never waits for the peer: what the system
    /// does not take is written later.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] when [`Limits::outbox`](crate::Limits::outbox) bytes wait;
    /// [`TrySendError::Closed`] as [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TrySendError;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// match sender.try_send("position 17") {
    ///     Err(TrySendError::Full(_)) => {} // The next one will do.
    ///     result => result?,
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        let prepared = PreparedMessage::new(message);
        let message = || prepared.message().clone();
        self.offer(&prepared).map_err(|refusal| match refusal {
            Refusal::Full => TrySendError::Full(message()),
            Refusal::Ended(error) => TrySendError::Closed(error, message()),
        })
    }

    /// Sends a message as [`send`](Self::send) does, with choices for it: whether it is compressed.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::SendOptions;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// sender.send_with("a secret", SendOptions::new().compress(false))?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_with(
        &self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.connection().send(message.into(), Flush::Now, options)
    }

    /// Sends a message that goes to many peers: where there is no context takeover, it is compressed
    /// only once for all with the same settings.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::PreparedMessage;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// # let senders = [sender];
    /// let message = PreparedMessage::new("for all");
    /// for sender in &senders {
    ///     sender.send_prepared(&message)?;
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_prepared(&self, message: &PreparedMessage) -> Result<(), SendError> {
        self.connection().send_prepared(message)
    }

    /// Puts a message into the outbox; it is written with the next [`flush`](Self::flush) or send,
    /// or when [`Limits::outbox`](crate::Limits::outbox) is reached. Many small messages cost far
    /// less this way.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send), when the outbox is full.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// for n in 0..1000 {
    ///     sender.feed(format!("line {n}"))?;
    /// }
    /// sender.flush()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn feed(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.connection()
            .send(message.into(), Flush::Later, SendOptions::new())
    }

    /// Writes what [`feed`](Self::feed) has put into the outbox.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after [`Timeouts::send`](crate::Timeouts::send), which fails the
    /// connection; else what ended the connection.
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.feed("one")?;
    /// sender.feed("two")?;
    /// sender.flush()?;
    /// assert_eq!(receiver.recv()?.as_text(), Some("one"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn flush(&self) -> Result<(), Error> {
        self.connection().flush()
    }

    /// Sends all messages with as few writes as possible.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). Messages that the iterator has not given yet stay in it if it is
    /// passed by reference.
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["a", "b", "c"])?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_all<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), SendError> {
        for message in messages {
            self.feed(message)?;
        }
        self.flush().map_err(|error| SendError {
            error,
            message: None,
        })
    }

    /// Begins a message whose bytes come piece by piece: what is written to the [`MessageWriter`] goes out
    /// in fragments (RFC 6455 section 5.4), and [`MessageWriter::finish`] ends the message.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the closing handshake has begun, [`Error::Timeout`] when another message is
    /// still being sent in fragments after [`Timeouts::send`](crate::Timeouts::send), else what ended
    /// the connection.
    ///
    /// # Blocking
    ///
    /// While another message is being sent in fragments, until the send timeout: for ever, if there is
    /// none and this thread has the [`MessageWriter`] of that message.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use wsync::MessageKind;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// let mut writer = sender.send_streaming(MessageKind::Text)?;
    /// for n in 1..=3 {
    ///     writeln!(writer, "line {n}")?;
    /// }
    /// writer.finish()?;
    /// assert_eq!(receiver.recv()?.as_text(), Some("line 1\nline 2\nline 3\n"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_streaming(&self, kind: MessageKind) -> Result<MessageWriter<'_>, Error> {
        self.send_streaming_with(kind, SendOptions::new())
    }

    /// Begins a message as [`send_streaming`](Self::send_streaming) does, with choices for it: it is
    /// compressed, if compression was agreed on, unless they say no.
    ///
    /// # Errors
    ///
    /// As [`send_streaming`](Self::send_streaming).
    ///
    /// # Blocking
    ///
    /// As [`send_streaming`](Self::send_streaming).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{MessageKind, SendOptions};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// let plain = SendOptions::new().compress(false);
    /// let mut writer = sender.send_streaming_with(MessageKind::Binary, plain)?;
    /// std::io::copy(&mut std::fs::File::open("Cargo.lock")?, &mut writer)?;
    /// writer.finish()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_streaming_with(
        &self,
        kind: MessageKind,
        options: SendOptions,
    ) -> Result<MessageWriter<'_>, Error> {
        self.connection()
            .fragments(kind, options)
            .map(MessageWriter::new)
    }

    /// Closes with 1000 and waits for the peer's Close frame: [`close_with`](Self::close_with).
    ///
    /// # Errors
    ///
    /// As [`close_with`](Self::close_with).
    ///
    /// # Blocking
    ///
    /// As [`close_with`](Self::close_with).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// let closed = sender.close()?;
    /// assert!(closed.is_normal());
    /// // What the server had sent before is still there, and then the iteration ends.
    /// assert_eq!(receiver.iter().count(), 0);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn close(&self) -> Result<Closed, Error> {
        self.close_with(CloseCode::NORMAL, "")
    }

    /// Sends a Close frame, waits for the peer's and returns how the connection ended (RFC 6455
    /// section 7). If the closing handshake is under way or over, its end is waited for and returned.
    ///
    /// Blocked calls of other threads end. Messages that came before stay in the queue; those that
    /// come while closing join them as far as the queue's bounds hold them.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a code or reason that must not be sent: nothing happens then.
    /// [`Error::Timeout`] when the peer does not answer in [`Timeouts::close`](crate::Timeouts::close);
    /// else what ended the connection. It has ended in either case.
    ///
    /// # Blocking
    ///
    /// Until the peer's Close frame has come, at most [`Timeouts::close`](crate::Timeouts::close) and a
    /// second.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CloseCode;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// let closed = sender.close_with(CloseCode::GOING_AWAY, "lunch")?;
    /// assert!(closed.is_normal());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn close_with(
        &self,
        code: impl Into<CloseCode>,
        reason: impl Into<Text>,
    ) -> Result<Closed, Error> {
        self.connection().close(CloseFrame::new(code, reason)?)
    }

    /// Sends a close frame, and does not wait.
    pub(crate) fn close_without_waiting(&self, frame: CloseFrame) {
        self.connection().close_without_waiting(frame);
    }

    /// Sends a message in one frame if there is room, and does not wait.
    pub(crate) fn offer(&self, message: &PreparedMessage) -> Result<(), Refusal> {
        self.connection().offer(message)
    }

    /// What the connection has counted so far, or until its end.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send("hello")?;
    /// receiver.recv()?;
    /// let stats = sender.stats();
    /// assert_eq!((stats.sent, stats.sent_bytes), (1, 5));
    /// assert_eq!((stats.queue.received, stats.queue.received_bytes), (1, 5));
    /// assert_eq!(stats.wire_sent, 11, "a client's header and mask have 6 bytes");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn stats(&self) -> ConnectionStats {
        self.connection().stats()
    }

    /// How the connection ended, once it has.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// assert!(sender.closed().is_none());
    /// sender.close()?;
    /// assert!(sender.closed().is_some());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn closed(&self) -> Option<Closed> {
        self.handle.closed()
    }
}
