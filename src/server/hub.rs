//! Many connections as one: their events in one channel, and messages to all of them.

mod members;

use super::Server;
use super::accept::Accept;
use super::upgrade::Upgrade;
use crate::close::CloseFrame;
use crate::compression::PreparedMessage;
use crate::connection::Refusal;
use crate::delivery::{Delivery, Event};
use crate::error::{Error, SendError};
use crate::message::Message;
use crate::sender::Sender;
use crossbeam_channel::{Receiver, bounded};
use members::Members;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a connection that has no room is looked at again.
const AGAIN: Duration = Duration::from_millis(1);

/// A connection of a [`Hub`]. No two of a hub have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a broadcast does with a connection that has no room: its peer does not read as fast as is sent, and
/// [`Limits::outbox`](crate::Limits::outbox) bytes wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Slow {
    /// It does not get the message.
    #[default]
    Skip,
    /// It is closed with 1013, "try again later".
    Close,
    /// The call waits until there is room, so long at most for all of them together; who has none then does
    /// not get the message.
    Wait(Duration),
}

/// Who got a broadcast.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastReport {
    /// Connections in whose outbox the message is, or on the wire.
    pub sent: usize,
    /// Connections without room that did not get it.
    pub skipped: Vec<ConnectionId>,
    /// Connections without room that were closed.
    pub closed: Vec<ConnectionId>,
}

/// The connections of a server, in the hands of as few threads as its application wants: events of all come
/// out of one channel, and a message goes to all, or to those that a filter or a topic names.
///
/// A broadcast frames and compresses its message once, and waits for no peer. Clones are the same hub.
///
/// # Examples
///
/// A chat with one room, in one thread of the application:
///
/// ```no_run
/// use wsync::{Event, Hub, Server};
///
/// let server = Server::bind("127.0.0.1:9001")?;
/// let hub = Hub::new(1000);
/// let serving = hub.clone();
/// std::thread::spawn(move || serving.serve(&server));
/// for event in hub.events() {
///     if let Event::Message { message, .. } = event {
///         hub.broadcast(message);
///     }
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Clone)]
pub struct Hub {
    members: Arc<Members>,
    next: Arc<AtomicU64>,
    sender: crossbeam_channel::Sender<Event<ConnectionId>>,
    events: Receiver<Event<ConnectionId>>,
    slow: Slow,
}

impl Hub {
    /// A hub without connections, with room for so many events. When it is full, connections are not read
    /// from until there is room.
    pub fn new(events: usize) -> Self {
        let (sender, events) = bounded(events);
        Hub {
            members: Arc::default(),
            next: Arc::default(),
            sender,
            events,
            slow: Slow::default(),
        }
    }

    /// What broadcasts by this handle do with connections that have no room. Defaults to [`Slow::Skip`].
    #[must_use]
    pub fn slow(mut self, slow: Slow) -> Self {
        self.slow = slow;
        self
    }

    /// The events of all connections.
    pub fn events(&self) -> &Receiver<Event<ConnectionId>> {
        &self.events
    }

    /// Serves all clients of a server.
    ///
    /// # Errors
    ///
    /// As [`Server::serve`].
    ///
    /// # Blocking
    ///
    /// As [`Server::serve`].
    pub fn serve(&self, server: &Server) -> Result<(), Error> {
        let hub = self.clone();
        server.serve_upgrades(move |upgrade| {
            if let Ok(upgrade) = upgrade {
                let _ = hub.run(upgrade);
            }
        })
    }

    /// Accepts a client, and reads from it in this thread until its end: what a handler of
    /// [`Server::serve_upgrades`] does that looks at requests itself.
    ///
    /// # Errors
    ///
    /// As [`Upgrade::run`].
    ///
    /// # Blocking
    ///
    /// Until the end of the connection.
    pub fn run(&self, upgrade: Upgrade) -> Result<ConnectionId, Error> {
        self.take_in(upgrade, None)
    }

    /// The same, with an answer of one's own.
    ///
    /// # Errors
    ///
    /// As [`Upgrade::run_with`].
    ///
    /// # Blocking
    ///
    /// Until the end of the connection.
    pub fn run_with(&self, upgrade: Upgrade, accept: Accept) -> Result<ConnectionId, Error> {
        self.take_in(upgrade, Some(accept))
    }

    fn take_in(&self, mut upgrade: Upgrade, accept: Option<Accept>) -> Result<ConnectionId, Error> {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        let members = Arc::clone(&self.members);
        upgrade.delivery = Delivery::registered(self.sender.clone(), id, members);
        match accept {
            Some(accept) => upgrade.run_with(accept)?,
            None => upgrade.run()?,
        };
        Ok(id)
    }

    /// Connections that are open.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A connection's sender, while it is open.
    pub fn sender(&self, id: ConnectionId) -> Option<Sender> {
        self.members.get(id)
    }

    /// Sends a message to one connection, as [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`]; [`Error::Stopped`] for a connection that is not there.
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`].
    pub fn send(&self, id: ConnectionId, message: impl Into<Message>) -> Result<(), SendError> {
        match self.sender(id) {
            Some(sender) => sender.send(message),
            None => Err(SendError {
                error: Error::Stopped,
                message: Some(message.into()),
            }),
        }
    }

    /// Sends a message to all connections.
    ///
    /// # Blocking
    ///
    /// Only with [`Slow::Wait`].
    pub fn broadcast(&self, message: impl Into<Message>) -> BroadcastReport {
        self.send_to(self.members.all(), message.into())
    }

    /// Sends a message to the connections that a filter lets pass.
    ///
    /// # Blocking
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_to(
        &self,
        filter: impl Fn(ConnectionId) -> bool,
        message: impl Into<Message>,
    ) -> BroadcastReport {
        let mut to = self.members.all();
        to.retain(|(id, _)| filter(*id));
        self.send_to(to, message.into())
    }

    /// Lets a connection have what is published on a topic. False if it is not there.
    pub fn subscribe(&self, id: ConnectionId, topic: impl AsRef<str>) -> bool {
        self.members.subscribe(id, topic.as_ref())
    }

    /// The reverse. False if it was not subscribed.
    pub fn unsubscribe(&self, id: ConnectionId, topic: impl AsRef<str>) -> bool {
        self.members.unsubscribe(id, topic.as_ref())
    }

    /// Sends a message to all that are subscribed to a topic.
    ///
    /// # Blocking
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn publish(&self, topic: impl AsRef<str>, message: impl Into<Message>) -> BroadcastReport {
        self.send_to(self.members.of(topic.as_ref()), message.into())
    }

    fn send_to(&self, to: Vec<(ConnectionId, Sender)>, message: Message) -> BroadcastReport {
        let message = PreparedMessage::new(message);
        let mut report = BroadcastReport::default();
        let mut full = offer(to, &message, &mut report);
        match self.slow {
            Slow::Skip => {}
            Slow::Close => {
                for (id, sender) in full.drain(..) {
                    sender.close_without_waiting(CloseFrame::try_again_later());
                    report.closed.push(id);
                }
            }
            Slow::Wait(timeout) => {
                let began = Instant::now();
                while !full.is_empty() && began.elapsed() < timeout {
                    thread::sleep(AGAIN.min(timeout));
                    full = offer(full, &message, &mut report);
                }
            }
        }
        report.skipped = full.into_iter().map(|(id, _)| id).collect();
        report
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("len", &self.len())
            .field("events", &self.events.len())
            .field("slow", &self.slow)
            .finish_non_exhaustive()
    }
}

/// Those that have no room.
fn offer(
    to: Vec<(ConnectionId, Sender)>,
    message: &PreparedMessage,
    report: &mut BroadcastReport,
) -> Vec<(ConnectionId, Sender)> {
    let mut full = Vec::new();
    for (id, sender) in to {
        match sender.offer(message) {
            Ok(()) => report.sent += 1,
            Err(Refusal::Full) => full.push((id, sender)),
            // It is about to leave.
            Err(Refusal::Ended(_)) => {}
        }
    }
    full
}
