//! Messages to many connections.

use super::{ConnectionId, Hub};
use crate::close::CloseFrame;
use crate::compression::PreparedMessage;
use crate::connection::Refusal;
use crate::message::Message;
use crate::sender::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// How often a connection that has no room is looked at again.
const AGAIN: Duration = Duration::from_millis(1);

/// What a broadcast does with a connection that has no room: its peer does not read as fast as is sent, and
/// [`Limits::outbox`](crate::Limits::outbox) bytes wait.
///
/// # Examples
///
/// ```
/// use wsync::{Hub, Slow};
///
/// let hub = Hub::new(1000).slow(Slow::Close);
/// ```
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
/// let report = hub.broadcast("hello");
/// println!("{} got it, {} are too slow", report.sent, report.skipped.len());
/// assert_eq!(report.sent, 1);
/// # Ok::<(), wsync::Error>(())
/// ```
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

impl Hub {
    /// Sends a message to all connections.
    ///
    /// # Blocking
    ///
    /// Only with [`Slow::Wait`].
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
    /// hub.broadcast("for all");
    /// assert_eq!(ws.recv()?.as_text(), Some("for all"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn broadcast(&self, message: impl Into<Message>) -> BroadcastReport {
        self.send_to(self.members.all(), message.into())
    }

    /// Sends a message to the connections that a filter lets pass.
    ///
    /// # Blocking
    ///
    /// As [`broadcast`](Self::broadcast).
    ///
    /// # Examples
    ///
    /// All but the one who said it:
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let hub = wsync::Hub::new(100);
    /// # let serving = hub.clone();
    /// # std::thread::spawn(move || serving.serve(&server));
    /// # let ws = wsync::connect(&url)?;
    /// # let id = *hub.events().recv().expect("a client comes").key();
    /// let report = hub.broadcast_to(|to| to != id, "somebody said something");
    /// assert_eq!(report.sent, 0, "there is nobody else");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn broadcast_to(
        &self,
        filter: impl Fn(ConnectionId) -> bool,
        message: impl Into<Message>,
    ) -> BroadcastReport {
        let mut to = self.members.all();
        to.retain(|(id, _)| filter(*id));
        self.send_to(to, message.into())
    }

    /// Lets a connection have what is published on a topic. Returns false if the connection is not there.
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
    /// assert!(hub.subscribe(id, "weather"));
    /// hub.publish("weather", "it rains");
    /// assert_eq!(ws.recv()?.as_text(), Some("it rains"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn subscribe(&self, id: ConnectionId, topic: impl AsRef<str>) -> bool {
        self.members.subscribe(id, topic.as_ref())
    }

    /// Ends a subscription. Returns false if there was none.
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
    /// hub.subscribe(id, "weather");
    /// assert!(hub.unsubscribe(id, "weather"));
    /// assert_eq!(hub.publish("weather", "it rains").sent, 0);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn unsubscribe(&self, id: ConnectionId, topic: impl AsRef<str>) -> bool {
        self.members.unsubscribe(id, topic.as_ref())
    }

    /// Sends a message to all that are subscribed to a topic.
    ///
    /// # Blocking
    ///
    /// As [`broadcast`](Self::broadcast).
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
    /// hub.subscribe(id, "weather");
    /// assert_eq!(hub.publish("weather", "it rains").sent, 1);
    /// assert_eq!(hub.publish("football", "no goals").sent, 0);
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
