//! A handle that outlives its connections.

mod builder;

pub use builder::PersistentBuilder;

use super::Reconnect;
use super::outgoing::Shared;
use crate::close::Closed;
use crate::error::{Error, RecvTimeoutError, SendError, TryRecvError};
use crate::message::Message;
use crate::receiver::CancelToken;
use crate::sender::Sender;
use crate::websocket::WebSocket;
use crossbeam_channel::{Receiver, select};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What comes of a [`Persistent`].
///
/// # Examples
///
/// ```
/// use wsync::{ClientBuilder, PersistentEvent, ReconnectPolicy};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let client = ClientBuilder::new(&url).persistent(ReconnectPolicy::default()).start()?;
/// match client.recv()? {
///     PersistentEvent::Connected { reconnects } => assert_eq!(reconnects, 0),
///     event => unreachable!("{event:?} before there is a connection"),
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
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
/// connections. See [`ClientBuilder::persistent`](crate::ClientBuilder::persistent).
///
/// Clones are the same client. When the last is dropped, or [`stop`](Self::stop) is called, its connection is
/// closed and no other made. What was received waits in a queue of
/// [`QueueConfig::messages`](crate::QueueConfig::messages) events, behind which that of the connection fills.
///
/// # Examples
///
/// ```
/// use wsync::{ClientBuilder, PersistentEvent, ReconnectPolicy, WhileDown};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let policy = ReconnectPolicy::default();
/// let client = ClientBuilder::new(&url).persistent(policy).while_down(WhileDown::hold()).start()?;
/// client.send("hello")?; // Whether it is connected by now or not.
/// while let Ok(event) = client.recv() {
///     if let PersistentEvent::Message(message) = event {
///         assert_eq!(message.as_text(), Some("hello"));
///         client.stop();
///     }
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
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
    /// Once nothing more will come: the error that the policy does not retry, or [`Error::Stopped`] after
    /// [`stop`](Self::stop).
    ///
    /// # Blocking
    ///
    /// Until there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, PersistentEvent, ReconnectPolicy, WhileDown};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let builder = ClientBuilder::new(&url).persistent(ReconnectPolicy::default());
    /// let client = builder.while_down(WhileDown::hold()).start()?;
    /// client.send("hello")?;
    /// assert!(matches!(client.recv()?, PersistentEvent::Connected { .. }));
    /// assert!(matches!(client.recv()?, PersistentEvent::Message(_)));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv(&self) -> Result<PersistentEvent, Error> {
        let event = self.events.recv();
        event.map_err(|_| self.over())
    }

    /// The next event, if it comes in time.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvTimeoutError::Timeout`].
    ///
    /// # Blocking
    ///
    /// At most `timeout`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let client = ClientBuilder::new(&url).persistent(ReconnectPolicy::default()).start()?;
    /// let event = client.recv_timeout(Duration::from_secs(10))?;
    /// println!("{event:?}");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<PersistentEvent, RecvTimeoutError> {
        use crossbeam_channel::RecvTimeoutError as E;
        match self.events.recv_timeout(timeout) {
            Ok(event) => Ok(event),
            Err(E::Timeout) => Err(RecvTimeoutError::Timeout),
            Err(E::Disconnected) => Err(RecvTimeoutError::Closed(self.over())),
        }
    }

    /// The next event, if one waits.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`TryRecvError::Empty`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy, TryRecvError};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let client = ClientBuilder::new(&url).persistent(ReconnectPolicy::default()).start()?;
    /// match client.try_recv() {
    ///     Ok(event) => println!("{event:?}"),
    ///     Err(TryRecvError::Empty) => println!("not yet"),
    ///     Err(TryRecvError::Closed(why)) => println!("never again: {why}"),
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn try_recv(&self) -> Result<PersistentEvent, TryRecvError> {
        use crossbeam_channel::TryRecvError as E;
        match self.events.try_recv() {
            Ok(event) => Ok(event),
            Err(E::Empty) => Err(TryRecvError::Empty),
            Err(E::Disconnected) => Err(TryRecvError::Closed(self.over())),
        }
    }

    /// How many events wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let client = ClientBuilder::new(&url).persistent(ReconnectPolicy::default()).start()?;
    /// client.recv()?;
    /// println!("{} more wait", client.len());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let client = ClientBuilder::new(&url).persistent(ReconnectPolicy::default()).start()?;
    /// client.recv()?;
    /// assert!(client.is_empty(), "it is connected, and that was all");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many messages wait for a connection, or for the peer's answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy, WhileDown};
    ///
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", silent.local_addr()?);
    /// let nobody = ClientBuilder::new(&url).persistent(ReconnectPolicy::default());
    /// let client = nobody.while_down(WhileDown::hold()).start()?;
    /// client.send("for later")?;
    /// assert_eq!(client.unsent(), 1);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn unsent(&self) -> usize {
        self.shared.unsent()
    }

    /// Whether there is a connection now.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", silent.local_addr()?);
    /// let nobody = ClientBuilder::new(&url).persistent(ReconnectPolicy::default());
    /// assert!(!nobody.start()?.is_connected());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected()
    }

    /// Sends a message, or does with it what [`WhileDown`](crate::WhileDown) says.
    ///
    /// # Errors
    ///
    /// When there is no connection and no room for the message to wait; [`SendError::message`] hands it back.
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`], while there is a connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", silent.local_addr()?);
    /// let nobody = ClientBuilder::new(&url).persistent(ReconnectPolicy::default());
    /// let client = nobody.start()?;
    /// let error = client.send("hello").unwrap_err();
    /// assert_eq!(error.message, Some("hello".into()), "it is handed back");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.shared.send(message.into())
    }

    /// Closes the connection with 1000, and makes no other. What came before can still be received.
    /// Returns the messages that were not sent, or not confirmed.
    ///
    /// # Blocking
    ///
    /// No longer than [`Timeouts::close`](crate::Timeouts::close) and a second.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy, WhileDown};
    ///
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", silent.local_addr()?);
    /// let nobody = ClientBuilder::new(&url).persistent(ReconnectPolicy::default());
    /// let client = nobody.while_down(WhileDown::hold()).start()?;
    /// client.send("for later")?;
    /// assert_eq!(client.stop(), ["for later".into()]);
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
        let opened = (self.on_open)(ws.sender());
        if opened.is_ok() {
            self.shared.connected(ws.sender());
        }
        self.put(PersistentEvent::Connected { reconnects });
        if opened.is_ok() {
            self.shared.send_waiting();
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
