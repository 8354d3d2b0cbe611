//! Many connections as one: their events in one channel, and messages to all of them.

mod broadcasting;
mod members;

pub use broadcasting::{BroadcastReport, Slow};

use super::Server;
use super::accept::Accept;
use super::upgrade::Upgrade;
use crate::delivery::{Delivery, Event};
use crate::error::{Error, SendError};
use crate::message::Message;
use crate::sender::Sender;
use crossbeam_channel::{Receiver, bounded};
use members::Members;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A connection of a [`Hub`]. No two of a hub have the same.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use wsync::ConnectionId;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # let hub = wsync::Hub::new(100);
/// # let serving = hub.clone();
/// # std::thread::spawn(move || serving.serve(&server));
/// # let ws = wsync::connect(&url)?;
/// # let id = *hub.events().recv().expect("a client comes").key();
/// let mut names: HashMap<ConnectionId, &str> = HashMap::new();
/// names.insert(id, "Ann");
/// println!("{} has connection {id}", names[&id]);
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
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
/// ```
/// use wsync::{Event, Hub, Server};
///
/// let server = Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// let hub = Hub::new(1000);
/// let serving = hub.clone();
/// std::thread::spawn(move || serving.serve(&server));
/// # let ws = wsync::connect(&url)?;
/// # ws.send("hello")?;
/// for event in hub.events() {
///     if let Event::Message { message, .. } = event {
///         hub.broadcast(message);
/// #         break;
///     }
/// }
/// # assert_eq!(ws.recv()?.as_text(), Some("hello"));
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
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Hub;
    ///
    /// let hub = Hub::new(1000);
    /// assert!(hub.is_empty());
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wsync::Slow;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let hub = wsync::Hub::new(100);
    /// # let serving = hub.clone();
    /// # std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// # let id = *hub.events().recv().expect("a client comes").key();
    /// let patient = hub.clone().slow(Slow::Wait(Duration::from_millis(100)));
    /// assert_eq!(patient.broadcast("this is important").sent, 1);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn slow(mut self, slow: Slow) -> Self {
        self.slow = slow;
        self
    }

    /// The events of all connections.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Event;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let hub = wsync::Hub::new(100);
    /// # let serving = hub.clone();
    /// # std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// # let id = *hub.events().recv().expect("a client comes").key();
    /// ws.send("hello")?;
    /// let event = hub.events().recv().expect("the hub has a sender, too");
    /// assert!(matches!(event, Event::Message { message, .. } if message.as_text() == Some("hello")));
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Hub, Server};
    ///
    /// let server = Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// let hub = Hub::new(1000);
    /// let serving = hub.clone();
    /// std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// for event in hub.events() {
    ///     println!("{event:?}");
    /// #     break;
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Hub, Server};
    ///
    /// # let server = Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// let hub = Hub::new(1000);
    /// let members = hub.clone();
    /// std::thread::spawn(move || {
    ///     server.serve_upgrades(move |upgrade| match upgrade {
    ///         Ok(upgrade) if upgrade.request().uri().path() == "/chat" => drop(members.run(upgrade)),
    ///         _ => {} // A dropped request is answered with 503.
    ///     })
    /// });
    /// # let ws = wsync::connect(&url)?;
    /// # hub.events().recv().expect("a client comes");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn run(&self, upgrade: Upgrade) -> Result<ConnectionId, Error> {
        self.take_in(upgrade, None)
    }

    /// Accepts a client as [`run`](Self::run) does, with an answer of one's own.
    ///
    /// # Errors
    ///
    /// As [`Upgrade::run_with`].
    ///
    /// # Blocking
    ///
    /// Until the end of the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Accept, Hub, Server};
    ///
    /// # let server = Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// let hub = Hub::new(1000);
    /// std::thread::spawn(move || {
    ///     server.serve_upgrades(move |upgrade| {
    ///         let room = Accept::new().header("X-Room", "7");
    ///         let _ = upgrade.and_then(|upgrade| hub.run_with(upgrade, room));
    ///     })
    /// });
    /// # let ws = wsync::connect(&url)?;
    /// # assert_eq!(ws.response().headers()["X-Room"], "7");
    /// # Ok::<(), wsync::Error>(())
    /// ```
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

    /// How many connections are open.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let hub = wsync::Hub::new(100);
    /// # let serving = hub.clone();
    /// # std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// # let id = *hub.events().recv().expect("a client comes").key();
    /// println!("{} are here", hub.len());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let hub = wsync::Hub::new(100);
    /// # let serving = hub.clone();
    /// # std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// # let id = *hub.events().recv().expect("a client comes").key();
    /// assert!(!hub.is_empty());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A connection's sender, while it is open.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let hub = wsync::Hub::new(100);
    /// # let serving = hub.clone();
    /// # std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// # let id = *hub.events().recv().expect("a client comes").key();
    /// if let Some(sender) = hub.sender(id) {
    ///     sender.ping("are you there?")?;
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let hub = wsync::Hub::new(100);
    /// # let serving = hub.clone();
    /// # std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// # let id = *hub.events().recv().expect("a client comes").key();
    /// hub.send(id, "for you alone")?;
    /// assert_eq!(ws.recv()?.as_text(), Some("for you alone"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send(&self, id: ConnectionId, message: impl Into<Message>) -> Result<(), SendError> {
        match self.sender(id) {
            Some(sender) => sender.send(message),
            None => Err(SendError {
                error: Error::Stopped,
                message: Some(message.into()),
            }),
        }
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
