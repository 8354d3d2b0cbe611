//! Receiving.

use crate::close::Closed;
use crate::connection::{Connection, End};
use crate::error::{Error, RecvError, RecvTimeoutError, TryRecvError};
use crate::message::Message;
use crate::queue::Empty;
use crate::websocket::Handle;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes messages from the receive queue. All calls may be made from several threads at once: each
/// message goes to exactly one of them, in order.
///
/// # Examples
///
/// ```no_run
/// let (sender, receiver) = wsync::connect("ws://localhost:9001")?.split();
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
    /// ```no_run
    /// # let (_, receiver) = wsync::connect("ws://localhost:9001")?.split();
    /// let message = receiver.recv()?;
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
    /// ```no_run
    /// use std::time::Duration;
    /// use wsync::RecvTimeoutError;
    ///
    /// # let (_, receiver) = wsync::connect("ws://localhost:9001")?.split();
    /// match receiver.recv_timeout(Duration::from_secs(1)) {
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
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Message, RecvTimeoutError> {
        self.take(Some(deadline)).map_err(|empty| match empty {
            Empty::Now => RecvTimeoutError::Timeout,
            Empty::ForEver => RecvTimeoutError::Closed(self.end_error()),
        })
    }

    /// The next message, if one is queued.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] when none is queued, or when one has only just come and another thread
    /// that waits in [`recv`](Self::recv) is about to take it. [`TryRecvError::Closed`] as `recv`.
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        self.connection()
            .queue()
            .try_take()
            .map_err(|empty| match empty {
                Empty::Now => TryRecvError::Empty,
                Empty::ForEver => TryRecvError::Closed(self.end_error()),
            })
    }

    /// Messages until the connection ends. An abnormal end is the last item; a normal one just ends
    /// the iteration, and [`closed`](Self::closed) tells how.
    ///
    /// # Blocking
    ///
    /// Each step as [`recv`](Self::recv).
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            receiver: self,
            ended: false,
        }
    }

    /// The messages that are queued, without waiting. An abnormal end is the last item.
    pub fn try_iter(&self) -> TryIter<'_> {
        TryIter {
            receiver: self,
            ended: false,
        }
    }

    /// How many messages are queued.
    pub fn len(&self) -> usize {
        self.connection().queue().len()
    }

    /// How many bytes of payload are queued.
    pub fn bytes(&self) -> usize {
        self.connection().queue().bytes()
    }

    /// Whether no message is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the connection ended, once it has. Messages may still be queued.
    pub fn closed(&self) -> Option<Closed> {
        self.handle.closed()
    }

    /// Before it waits, it writes what the answers to earlier messages have left in the outbox.
    fn take(&self, deadline: Option<Instant>) -> Result<Message, Empty> {
        let connection = self.connection();
        match connection.queue().try_take() {
            Err(Empty::Now) => {
                connection.write_deferred();
                connection.queue().take(deadline)
            }
            result => result,
        }
    }

    /// The queue ends after `End` was set, so it is there.
    fn end_error(&self) -> Error {
        self.connection()
            .end()
            .map_or_else(Error::eof, End::to_error)
    }

    fn step(
        &self,
        taken: Result<Message, TryRecvError>,
        ended: &mut bool,
    ) -> Option<Result<Message, Error>> {
        if *ended {
            return None;
        }
        match taken {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed(_)) => {
                *ended = true;
                self.connection().end()?.abnormal().map(Err)
            }
        }
    }
}

/// The iterator of [`Receiver::iter`].
pub struct Iter<'a> {
    receiver: &'a Receiver,
    ended: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self
            .receiver
            .recv()
            .map_err(|RecvError(error)| TryRecvError::Closed(error));
        self.receiver.step(taken, &mut self.ended)
    }
}

/// The iterator of [`Receiver::try_iter`].
pub struct TryIter<'a> {
    receiver: &'a Receiver,
    ended: bool,
}

impl Iterator for TryIter<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver
            .step(self.receiver.try_recv(), &mut self.ended)
    }
}

/// The iterator of `for message in receiver`. Dropping it drops the receiver.
pub struct IntoIter {
    receiver: Receiver,
    ended: bool,
}

impl Iterator for IntoIter {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self
            .receiver
            .recv()
            .map_err(|RecvError(error)| TryRecvError::Closed(error));
        self.receiver.step(taken, &mut self.ended)
    }
}

impl IntoIterator for Receiver {
    type Item = Result<Message, Error>;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter {
            receiver: self,
            ended: false,
        }
    }
}

impl Drop for Receiver {
    /// A sender that lives on must not be stopped by a queue that nobody empties.
    fn drop(&mut self) {
        self.connection().queue().release();
    }
}

impl<'a> IntoIterator for &'a Receiver {
    type Item = Result<Message, Error>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

macro_rules! debug_by_name {
    ($($iterator:ty),*) => {$(
        impl fmt::Debug for $iterator {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($iterator)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_name!(Iter<'_>, TryIter<'_>, IntoIter);
