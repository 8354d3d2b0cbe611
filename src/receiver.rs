//! Receiving.

mod batch;
mod iter;
mod stop;
#[cfg(feature = "stream")]
mod stream;
mod streaming;

pub use iter::{IntoIter, Iter, TryIter};
pub use stop::{CancelToken, Stop};
#[cfg(feature = "stream")]
pub use stream::MessageStream;
pub use streaming::{MessageReader, Pieces};

use crate::close::Closed;
use crate::connection::{Connection, ConnectionStats, End};
use crate::error::{Error, Misuse, RecvError, RecvTimeoutError, TryRecvError};
use crate::handle::Handle;
use crate::message::Message;
use crate::queue::{Empty, QueueView};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes messages from the receive queue. All calls may be made from several threads at once: each
/// message goes to exactly one of them, in order.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv().map(|message| ws.send(message)))));
/// let (sender, receiver) = wsync::connect(&url)?.split();
/// sender.send("hello")?;
/// for message in &receiver {
///     println!("{:?}, {} more wait", message?, receiver.len());
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug)]
pub struct Receiver {
    pub(crate) handle: Arc<Handle>,
}

impl Receiver {
    fn connection(&self) -> &Connection {
        self.handle.connection()
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// When the connection has ended and all that came before has been taken:
    /// [`Error::Closed`] after a closing handshake, else what ended the connection.
    ///
    /// # Blocking
    ///
    /// Until a message comes or the connection ends; a close in another thread ends it too.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send("hello")?;
    /// assert_eq!(receiver.recv()?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.take(None).map_err(|_| RecvError(self.end_error()))
    }

    /// The next message, if it comes in time. A timeout of zero takes what is there.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`] when none came in time, [`RecvTimeoutError::Closed`] as
    /// [`recv`](Self::recv).
    ///
    /// # Blocking
    ///
    /// For the timeout at most. Nothing is lost when it passes, even in the middle of a message.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wsync::RecvTimeoutError;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (_sender, receiver) = wsync::connect(&url)?.split();
    /// match receiver.recv_timeout(Duration::from_millis(10)) {
    ///     Ok(message) => println!("{message:?}"),
    ///     Err(RecvTimeoutError::Timeout) => println!("nothing yet"),
    ///     Err(RecvTimeoutError::Closed(why)) => println!("{why}"),
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvTimeoutError> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.recv_deadline(deadline),
            // Longer than the clock goes.
            None => self
                .recv()
                .map_err(|RecvError(error)| RecvTimeoutError::Closed(error)),
        }
    }

    /// The next message, if it comes before the deadline.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Blocking
    ///
    /// Until the deadline at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["a", "b"])?;
    /// // Both within one second.
    /// let deadline = Instant::now() + Duration::from_secs(1);
    /// receiver.recv_deadline(deadline)?;
    /// receiver.recv_deadline(deadline)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Message, RecvTimeoutError> {
        self.take(Some(deadline))
            .map_err(|empty| self.timeout_error(empty))
    }

    /// The next message, if one is queued.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] when none is queued, or when one has only just come and another thread
    /// that waits in [`recv`](Self::recv) is about to take it. [`TryRecvError::Closed`] as `recv`.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TryRecvError;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (_sender, receiver) = wsync::connect(&url)?.split();
    /// match receiver.try_recv() {
    ///     Ok(message) => println!("{message:?}"),
    ///     Err(TryRecvError::Empty) => println!("nothing yet"),
    ///     Err(TryRecvError::Closed(why)) => println!("{why}"),
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        self.try_take().map_err(|empty| match empty {
            Empty::Now => TryRecvError::Empty,
            Empty::ForEver => TryRecvError::Closed(self.end_error()),
        })
    }

    /// The queue, to look into: for this thread or another.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["one", "two", "three"])?;
    /// receiver.recv()?;
    /// let queue = receiver.queue();
    /// println!("{} wait, the next is {:?}", queue.len(), queue.peek());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn queue(&self) -> QueueView {
        QueueView::new(Arc::clone(self.connection().queue()))
    }

    /// How many messages are queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (_sender, receiver) = wsync::connect(&url)?.split();
    /// while receiver.len() > 100 {
    ///     println!("behind: {} dropped", receiver.drain(50).len());
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.connection().queue().len()
    }

    /// How many bytes of payload are queued.
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
    /// assert_eq!(receiver.bytes(), 0, "it was taken");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        self.connection().queue().bytes()
    }

    /// Whether no message is queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (_sender, receiver) = wsync::connect(&url)?.split();
    /// if receiver.is_empty() {
    ///     println!("time for something else");
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the connection has counted: [`Sender::stats`](crate::Sender::stats).
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
    /// assert_eq!(receiver.stats().queue.delivered, 1);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn stats(&self) -> ConnectionStats {
        self.connection().stats()
    }

    /// How the connection ended, once it has. Messages may still be queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.close()?;
    /// let closed = receiver.closed().unwrap_or_default();
    /// assert_eq!(closed.to_string(), "sent 1000 (normal closure); then received 1000 (normal closure)");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn closed(&self) -> Option<Closed> {
        self.handle.closed()
    }

    fn try_take(&self) -> Result<Message, Empty> {
        let queue = self.connection().queue();
        match queue.try_take() {
            Err(Empty::Now) if queue.try_read() => queue.try_take(),
            result => result,
        }
    }

    fn take(&self, deadline: Option<Instant>) -> Result<Message, Empty> {
        let queue = self.connection().queue();
        match queue.try_take() {
            Err(Empty::Now) => {
                self.before_waiting();
                match deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    true => self.try_take(),
                    false => queue.take(self.until(deadline)),
                }
            }
            result => result,
        }
    }

    /// Writes what the answers to earlier messages have left in the outbox.
    fn before_waiting(&self) {
        self.connection().write_deferred();
        self.connection().queue().linger();
    }

    /// In a callback, waiting for the reader would be waiting for oneself.
    fn until(&self, deadline: Option<Instant>) -> Option<Instant> {
        match self.connection().is_inside() {
            true => Some(Instant::now()),
            false => deadline,
        }
    }

    fn timeout_error(&self, empty: Empty) -> RecvTimeoutError {
        match empty {
            Empty::Now => RecvTimeoutError::Timeout,
            Empty::ForEver => RecvTimeoutError::Closed(self.end_error()),
        }
    }

    /// The queue ends after `End` was set, so it is there; or this is a callback.
    fn end_error(&self) -> Error {
        self.connection()
            .end()
            .map_or(Misuse::InCallback.into(), End::to_error)
    }

    /// The last item of an iteration: an abnormal end.
    fn end_once(&self, ended: &mut bool) -> Option<Result<Message, Error>> {
        *ended = true;
        match self.connection().end() {
            Some(end) => end.abnormal().map(Err),
            None => Some(Err(Misuse::InCallback.into())),
        }
    }
}

impl Drop for Receiver {
    /// A sender that lives on must not be stopped by a queue that nobody empties.
    fn drop(&mut self) {
        let queue = self.connection().queue();
        if !queue.is_diverted() {
            queue.release();
        }
    }
}
