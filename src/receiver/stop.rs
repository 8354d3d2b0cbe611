//! Receiving until something else happens.

use super::Receiver;
use crate::error::RecvOrError;
use crate::message::Message;
use crate::queue::{Empty, Queue};
use crossbeam_channel::{Sender, TryRecvError, bounded, select};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

impl Receiver {
    /// The next message, unless `stop` says to stop: a [`CancelToken`], or a
    /// `crossbeam_channel::Receiver<()>`, when it has a message, which is taken, or no sender any
    /// more. The connection stays open, and other receive calls go on.
    ///
    /// # Errors
    ///
    /// [`RecvOrError::Stopped`]; no message is lost then, and none is taken, even if one is queued.
    /// [`RecvOrError::Closed`] as [`recv`](Self::recv).
    ///
    /// # Blocking
    ///
    /// Until a message comes, `stop` says so, or the connection ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{CancelToken, RecvOrError};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (_sender, receiver) = wsync::connect(&url)?.split();
    /// let stop = CancelToken::new();
    /// let stopper = stop.clone();
    /// std::thread::spawn(move || stopper.cancel());
    /// match receiver.recv_or(&stop) {
    ///     Ok(message) => println!("{message:?}"),
    ///     Err(RecvOrError::Stopped) => println!("stopped"),
    ///     Err(RecvOrError::Closed(why)) => println!("{why}"),
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_or(&self, stop: &impl Stop) -> Result<Message, RecvOrError> {
        let (stop, queue) = (stop.signal(), self.connection().queue());
        if !matches!(stop.try_recv(), Err(TryRecvError::Empty)) {
            return Err(RecvOrError::Stopped);
        }
        if self.connection().is_inside() {
            return Err(RecvOrError::Closed(self.end_error()));
        }
        self.before_waiting();
        let (signal, woken) = bounded(1);
        let task = Waker::from(Arc::new(Signal(signal)));
        let registered = Registered::new(queue);
        loop {
            match queue.poll_take(registered.id, &task) {
                Ok(message) => return Ok(message),
                Err(Empty::ForEver) => return Err(RecvOrError::Closed(self.end_error())),
                Err(Empty::Now) => {}
            }
            select! {
                recv(stop) -> _ => return Err(RecvOrError::Stopped),
                recv(woken) -> _ => {}
            }
        }
    }
}

/// A task that is woken when a message comes, for as long as this lives.
#[derive(Debug)]
pub(super) struct Registered {
    queue: Arc<Queue>,
    pub(super) id: u64,
}

impl Registered {
    pub(super) fn new(queue: &Arc<Queue>) -> Self {
        Registered {
            id: queue.new_task(),
            queue: Arc::clone(queue),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.queue.forget_task(self.id);
    }
}

struct Signal(Sender<()>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        // One is enough.
        let _ = self.0.try_send(());
    }
}

/// What [`Receiver::recv_or`] can be stopped by.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (_sender, receiver) = wsync::connect(&url)?.split();
/// let (stop, stopped) = crossbeam_channel::bounded(1);
/// std::thread::spawn(move || stop.send(()));
/// assert!(receiver.recv_or(&stopped).is_err());
/// # Ok::<(), wsync::Error>(())
/// ```
pub trait Stop: sealed::Stop {}

mod sealed {
    use crossbeam_channel::Receiver;

    pub trait Stop {
        fn signal(&self) -> &Receiver<()>;
    }
}

impl Stop for crossbeam_channel::Receiver<()> {}

impl sealed::Stop for crossbeam_channel::Receiver<()> {
    fn signal(&self) -> &crossbeam_channel::Receiver<()> {
        self
    }
}

/// Stops all [`Receiver::recv_or`] calls that have a clone of it, now and later.
///
/// # Examples
///
/// ```
/// let token = wsync::CancelToken::new();
/// let clone = token.clone();
/// clone.cancel();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone)]
pub struct CancelToken {
    /// `None` once it is cancelled: that ends the channel.
    sender: Arc<Mutex<Option<Sender<()>>>>,
    receiver: crossbeam_channel::Receiver<()>,
}

impl CancelToken {
    /// A token that is not cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// let token = wsync::CancelToken::new();
    /// assert!(!token.is_cancelled());
    /// ```
    pub fn new() -> Self {
        let (sender, receiver) = bounded(0);
        CancelToken {
            sender: Arc::new(Mutex::new(Some(sender))),
            receiver,
        }
    }

    /// Cancels it and all its clones, for good.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{CancelToken, RecvOrError};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (_sender, receiver) = wsync::connect(&url)?.split();
    /// let token = CancelToken::new();
    /// let waiting = token.clone();
    /// let waiting = std::thread::spawn(move || receiver.recv_or(&waiting));
    /// token.cancel();
    /// let result = waiting.join().expect("it does not panic");
    /// assert!(matches!(result, Err(RecvOrError::Stopped)));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn cancel(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Disconnected once it is cancelled.
    pub(crate) fn ended(&self) -> &crossbeam_channel::Receiver<()> {
        &self.receiver
    }

    /// Whether it is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// let token = wsync::CancelToken::new();
    /// let worker = token.clone();
    /// let worker = std::thread::spawn(move || while !worker.is_cancelled() { /* Work. */ });
    /// token.cancel();
    /// worker.join().expect("it does not panic");
    /// ```
    pub fn is_cancelled(&self) -> bool {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.is_none()
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

impl Stop for CancelToken {}

impl sealed::Stop for CancelToken {
    fn signal(&self) -> &crossbeam_channel::Receiver<()> {
        &self.receiver
    }
}
