//! The handle of a connection.

mod liveness;
mod opening;
mod parts;

pub use parts::Negotiated;

use crate::close::{CloseCode, Closed};
use crate::compression::{PreparedMessage, SendOptions};
use crate::config::QueueConfig;
use crate::connection::{Connection, ConnectionStats, Opened, Reader};
use crate::error::{
    Error, Misuse, RecvError, RecvOrError, RecvTimeoutError, SendError, TryRecvError,
};
use crate::handle::{Handle, Heads};
use crate::message::{Message, MessageKind, Text};
use crate::message_writer::MessageWriter;
use crate::queue::QueueView;
use crate::receiver::{IntoIter, Iter, MessageReader, Receiver, Stop, TryIter};
use crate::sender::Sender;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// An open WebSocket: a [`Sender`] and a [`Receiver`] in one. All calls take `&self` and may be
/// made from several threads at once.
///
/// The thread of a receive call that waits, or else a reader thread, takes frames from the socket and
/// queues complete messages, answers pings and the closing handshake. Dropping the last handle sends
/// a Close frame with 1001 and does not wait.
///
/// # Examples
///
/// ```no_run
/// let ws = wsync::connect("ws://localhost:9001")?;
/// ws.send("hello")?;
/// println!("{:?}, {} more wait", ws.recv()?, ws.len());
/// ws.close()?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug)]
pub struct WebSocket {
    sender: Sender,
    receiver: Receiver,
}

impl WebSocket {
    /// With its reader, which is yet to be started.
    pub(crate) fn new(
        opened: &mut Opened,
        heads: Heads,
        subprotocol: Option<String>,
    ) -> (Self, Box<Reader>) {
        let (connection, reader) = Connection::new(opened);
        let handle = Arc::new(Handle {
            connection,
            heads,
            subprotocol,
            normal_on_drop: AtomicBool::new(false),
        });
        let sender = Sender {
            handle: Arc::clone(&handle),
        };
        let ws = WebSocket {
            sender,
            receiver: Receiver { handle },
        };
        (ws, reader)
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.sender.handle.connection
    }

    /// Lets the last handle, when it is dropped, close with 1000 rather than 1001.
    pub(crate) fn close_normally_on_drop(&self) {
        self.sender
            .handle
            .normal_on_drop
            .store(true, Ordering::Relaxed);
    }

    /// The two halves. Either may go to another thread; the sender may be cloned.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let (sender, receiver) = ws.split();
    /// let sending = std::thread::spawn(move || sender.send("from another thread"));
    /// assert_eq!(receiver.recv()?.as_text(), Some("from another thread"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The sending half, to be cloned.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let sender = ws.sender().clone();
    /// std::thread::spawn(move || sender.send("from another thread"));
    /// assert_eq!(ws.recv()?.as_text(), Some("from another thread"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The receiving half.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Sends a message: [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`].
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send(message)
    }

    /// Sends a message with choices of its own: [`Sender::send_with`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`].
    pub fn send_with(
        &self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.sender.send_with(message, options)
    }

    /// Sends a message that goes to many peers: [`Sender::send_prepared`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`].
    pub fn send_prepared(&self, message: &PreparedMessage) -> Result<(), SendError> {
        self.sender.send_prepared(message)
    }

    /// Puts a message into the outbox: [`Sender::feed`].
    ///
    /// # Errors
    ///
    /// As [`Sender::feed`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::feed`].
    pub fn feed(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.feed(message)
    }

    /// Writes the outbox: [`Sender::flush`].
    ///
    /// # Errors
    ///
    /// As [`Sender::flush`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::flush`].
    pub fn flush(&self) -> Result<(), Error> {
        self.sender.flush()
    }

    /// Sends all messages with as few writes as possible: [`Sender::send_all`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_all`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::send_all`].
    pub fn send_all<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), SendError> {
        self.sender.send_all(messages)
    }

    /// Begins a message that is written piece by piece: [`Sender::send_streaming`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_streaming`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::send_streaming`].
    pub fn send_streaming(&self, kind: MessageKind) -> Result<MessageWriter<'_>, Error> {
        self.sender.send_streaming(kind)
    }

    /// The same with choices for this message: [`Sender::send_streaming_with`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_streaming`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::send_streaming`].
    pub fn send_streaming_with(
        &self,
        kind: MessageKind,
        options: SendOptions,
    ) -> Result<MessageWriter<'_>, Error> {
        self.sender.send_streaming_with(kind, options)
    }

    /// Closes with 1000 and waits: [`Sender::close`].
    ///
    /// # Errors
    ///
    /// As [`Sender::close_with`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::close_with`].
    pub fn close(&self) -> Result<Closed, Error> {
        self.sender.close()
    }

    /// Closes with a code and a reason and waits: [`Sender::close_with`].
    ///
    /// # Errors
    ///
    /// As [`Sender::close_with`].
    ///
    /// # Blocking
    ///
    /// As [`Sender::close_with`].
    pub fn close_with(
        &self,
        code: impl Into<CloseCode>,
        reason: impl Into<Text>,
    ) -> Result<Closed, Error> {
        self.sender.close_with(code, reason)
    }

    /// The next message: [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv`].
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.receiver.recv()
    }

    /// The next message, if it comes in time: [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// The next message, if it comes before the deadline: [`Receiver::recv_deadline`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_deadline`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_deadline`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Message, RecvTimeoutError> {
        self.receiver.recv_deadline(deadline)
    }

    /// The next message, if one is queued: [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::try_recv`].
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        self.receiver.try_recv()
    }

    /// At least one message and at most `max`: [`Receiver::recv_batch`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_batch`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_batch`].
    pub fn recv_batch(
        &self,
        max: usize,
        timeout: Duration,
    ) -> Result<Vec<Message>, RecvTimeoutError> {
        self.receiver.recv_batch(max, timeout)
    }

    /// The newest message, those before it dropped: [`Receiver::recv_latest`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_latest`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_latest`].
    pub fn recv_latest(&self) -> Result<Message, RecvError> {
        self.receiver.recv_latest()
    }

    /// The next message, unless told to stop: [`Receiver::recv_or`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_or`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_or`].
    pub fn recv_or(&self, stop: &impl Stop) -> Result<Message, RecvOrError> {
        self.receiver.recv_or(stop)
    }

    /// The next message, to be read in pieces: [`Receiver::recv_streaming`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_streaming`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::recv_streaming`].
    pub fn recv_streaming(&self) -> Result<MessageReader<'_>, RecvError> {
        self.receiver.recv_streaming()
    }

    /// The messages that are queued, at most `max`: [`Receiver::drain`].
    pub fn drain(&self, max: usize) -> Vec<Message> {
        self.receiver.drain(max)
    }

    /// Drops all messages that are queued: [`Receiver::clear`].
    pub fn clear(&self) -> usize {
        self.receiver.clear()
    }

    /// Messages until the connection ends: [`Receiver::iter`].
    pub fn iter(&self) -> Iter<'_> {
        self.receiver.iter()
    }

    /// The messages that are queued: [`Receiver::try_iter`].
    pub fn try_iter(&self) -> TryIter<'_> {
        self.receiver.try_iter()
    }

    /// The queue, to look into: [`Receiver::queue`].
    pub fn queue(&self) -> QueueView {
        self.receiver.queue()
    }

    /// Changes the bounds of the queue: [`Receiver::configure_queue`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::configure_queue`].
    pub fn configure_queue(&self, config: &QueueConfig) -> Result<(), Misuse> {
        self.receiver.configure_queue(config)
    }

    /// How many messages are queued.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// How many bytes of payload are queued.
    pub fn bytes(&self) -> usize {
        self.receiver.bytes()
    }

    /// Whether no message is queued.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// What the connection has counted: [`Sender::stats`].
    pub fn stats(&self) -> ConnectionStats {
        self.sender.stats()
    }

    /// How the connection ended, once it has. Messages may still be queued.
    pub fn closed(&self) -> Option<Closed> {
        self.sender.closed()
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
