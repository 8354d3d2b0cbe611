//! The handle of a connection.

mod liveness;
mod opening;
mod parts;
mod receiving;
mod sending;

pub use parts::Negotiated;

use crate::close::Closed;
use crate::connection::{Connection, ConnectionStats, Opened, Reader};
use crate::handle::{Handle, Heads};
use crate::receiver::Receiver;
use crate::sender::Sender;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open WebSocket: a [`Sender`] and a [`Receiver`] in one. All calls take `&self` and may be
/// made from several threads at once.
///
/// The thread of a receive call that waits, or else a reader thread, takes frames from the socket and
/// queues complete messages, answers pings and the closing handshake. Dropping the last handle sends
/// a Close frame with 1001 and does not wait.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let ws = wsync::connect(&url)?;
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
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let receiver = ws.receiver();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| receiver.recv());
    ///     ws.send("hello")
    /// })?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What the connection has counted: [`Sender::stats`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send("hello")?;
    /// assert_eq!(ws.stats().sent, 1);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn stats(&self) -> ConnectionStats {
        self.sender.stats()
    }

    /// How the connection ended, once it has. Messages may still be queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert!(ws.closed().is_none());
    /// ws.close()?;
    /// assert!(ws.closed().is_some_and(|closed| closed.is_normal()));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn closed(&self) -> Option<Closed> {
        self.sender.closed()
    }
}
