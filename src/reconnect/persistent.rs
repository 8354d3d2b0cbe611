//! A handle that outlives its connections.

use super::outgoing::Shared;
use super::unsent::WhileDown;
use super::{Reconnect, ReconnectPolicy};
use crate::client::ClientBuilder;
use crate::close::Closed;
use crate::error::{Error, RecvTimeoutError, SendError, TryRecvError};
use crate::message::Message;
use crate::receiver::CancelToken;
use crate::sender::Sender;
use crate::websocket::WebSocket;
use crossbeam_channel::{Receiver, bounded, select};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, thread};

/// What comes of a [`Persistent`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PersistentEvent {
    /// A connection is open: what comes from here on comes over it.
    Connected {
        /// How many there were before: 0 for the first.
        reconnects: u64,
    },
    /// A message came.
    Message(Message),
    /// The connection has ended. Messages that the server sent since are not known here.
    Disconnected {
        /// How it ended.
        closed: Closed,
        /// Why, if not by a closing handshake.
        error: Option<Error>,
    },
}

/// A client that connects again whenever its connection ends: one queue and one place to send for all its
/// connections. See [`ClientBuilder::persistent`].
///
/// Clones are the same client. When the last is dropped, or [`stop`](Self::stop) is called, its connection is
/// closed and no other made. What was received waits in a queue of
/// [`QueueConfig::messages`](crate::QueueConfig::messages) events, behind which that of the connection fills.
#[derive(Clone)]
pub struct Persistent {
    shared: Arc<Shared>,
    events: Receiver<PersistentEvent>,
    /// Cancelled with the last handle.
    _guard: Arc<Guard>,
}

struct Guard(CancelToken);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Persistent {
    /// The next event: a message, or a change of the connection.
    ///
    /// # Errors
    ///
    /// Once nothing more will come: after an error that the policy does not retry that error, after
    /// [`stop`](Self::stop) [`Error::Stopped`].
    ///
    /// # Blocking
    ///
    /// Until there is one.
    pub fn recv(&self) -> Result<PersistentEvent, Error> {
        let event = self.events.recv();
        event.map_err(|_| self.over())
    }

    /// The same, for so long at most.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvTimeoutError::Timeout`].
    ///
    /// # Blocking
    ///
    /// At most `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<PersistentEvent, RecvTimeoutError> {
        use crossbeam_channel::RecvTimeoutError as E;
        match self.events.recv_timeout(timeout) {
            Ok(event) => Ok(event),
            Err(E::Timeout) => Err(RecvTimeoutError::Timeout),
            Err(E::Disconnected) => Err(RecvTimeoutError::Closed(self.over())),
        }
    }

    /// The same, if it is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`TryRecvError::Empty`].
    pub fn try_recv(&self) -> Result<PersistentEvent, TryRecvError> {
        use crossbeam_channel::TryRecvError as E;
        match self.events.try_recv() {
            Ok(event) => Ok(event),
            Err(E::Empty) => Err(TryRecvError::Empty),
            Err(E::Disconnected) => Err(TryRecvError::Closed(self.over())),
        }
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Messages that wait for a connection, or for the peer's answer.
    pub fn unsent(&self) -> usize {
        self.shared.unsent()
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected()
    }

    /// Sends a message, or does with it what [`WhileDown`] says.
    ///
    /// # Errors
    ///
    /// With the message, when there is no connection and no room for it to wait; [`SendError::message`] has it.
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`], while there is a connection.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.shared.send(message.into())
    }

    /// Ends it: closes the connection with 1000, and makes no other. What came before can be received still.
    /// Returns the messages that were not sent, or not confirmed.
    ///
    /// # Blocking
    ///
    /// No longer than the close timeout.
    pub fn stop(&self) -> Vec<Message> {
        self.shared.end()
    }

    fn over(&self) -> Error {
        self.shared.over().unwrap_or(Error::Stopped)
    }
}

impl fmt::Debug for Persistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Persistent")
            .field("is_connected", &self.is_connected())
            .field("len", &self.len())
            .field("unsent", &self.unsent())
            .finish_non_exhaustive()
    }
}

/// Called with each new connection, before anything else is sent on it.
type OnOpen = Box<dyn Fn(&Sender) -> Result<(), Error> + Send>;

/// The choices of a [`Persistent`].
#[must_use]
pub struct PersistentBuilder {
    client: ClientBuilder,
    policy: ReconnectPolicy,
    while_down: WhileDown,
    on_open: OnOpen,
}

impl PersistentBuilder {
    pub(crate) fn new(client: ClientBuilder, policy: ReconnectPolicy) -> Self {
        PersistentBuilder {
            client,
            policy,
            while_down: WhileDown::HandBack,
            on_open: Box::new(|_| Ok(())),
        }
    }

    /// What becomes of messages while there is no connection. Defaults to [`WhileDown::HandBack`].
    pub fn while_down(mut self, while_down: WhileDown) -> Self {
        self.while_down = while_down;
        self
    }

    /// Calls `hook` with each new connection, before anything else is sent on it: to subscribe again. If it
    /// fails, the connection is closed, and the next one made after a delay.
    pub fn on_open(mut self, hook: impl Fn(&Sender) -> Result<(), Error> + Send + 'static) -> Self {
        self.on_open = Box::new(hook);
        self
    }

    /// Begins to connect, on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when there is no thread.
    pub fn start(self) -> Result<Persistent, Error> {
        let config = self.client.config_so_far();
        let (sender, events) = bounded(config.queue.messages);
        let stop = CancelToken::new();
        let shared = Shared::new(stop.clone(), self.while_down.clone(), config.timeouts.send);
        let shared = Arc::new(shared);
        let client = match self.while_down {
            WhileDown::Resend { .. } => {
                let confirming = Arc::downgrade(&shared);
                self.client.on_pong(move |pong| {
                    if let Some(shared) = confirming.upgrade() {
                        shared.confirm(&pong);
                    }
                })
            }
            _ => self.client,
        };
        let work = Work {
            shared: Arc::clone(&shared),
            events: sender,
            on_open: self.on_open,
        };
        let reconnect = Reconnect::new(client, self.policy, stop.clone());
        thread::Builder::new()
            .name("ws-persist".into())
            .spawn(move || work.run(reconnect))?;
        Ok(Persistent {
            shared,
            events,
            _guard: Arc::new(Guard(stop)),
        })
    }
}

impl fmt::Debug for PersistentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersistentBuilder")
            .field("client", &self.client)
            .field("policy", &self.policy)
            .field("while_down", &self.while_down)
            .finish_non_exhaustive()
    }
}

/// What the thread does: connects, receives, and connects again.
struct Work {
    shared: Arc<Shared>,
    events: crossbeam_channel::Sender<PersistentEvent>,
    on_open: OnOpen,
}

impl Work {
    fn run(self, mut reconnect: Reconnect) {
        for reconnects in 0.. {
            match reconnect.next() {
                Some(Ok(ws)) => self.serve(&ws, reconnects),
                Some(Err(error)) => return self.shared.give_up(error),
                None => return self.shared.give_up(Error::Stopped),
            }
        }
    }

    fn serve(&self, ws: &WebSocket, reconnects: u64) {
        self.put(PersistentEvent::Connected { reconnects });
        let opened = (self.on_open)(ws.sender());
        if opened.is_ok() {
            self.shared.connected(ws.sender());
            while let Ok(message) = ws.recv_or(self.shared.stop()) {
                self.put(PersistentEvent::Message(message));
            }
            self.shared.disconnected();
        }
        let closed = ws.close();
        let (closed, error) = match (closed, opened) {
            (Ok(closed), Ok(())) => (closed, None),
            (Err(error), _) | (_, Err(error)) => (ws.closed().unwrap_or_default(), Some(error)),
        };
        self.put(PersistentEvent::Disconnected { closed, error });
    }

    /// Waits for room, unless it is stopped.
    fn put(&self, event: PersistentEvent) {
        select! {
            send(self.events, event) -> _ => {}
            recv(self.shared.stop().ended()) -> _ => {}
        }
    }
}
