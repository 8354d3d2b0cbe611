//! What a connection counts, for whoever asks.

use super::Connection;
use crate::queue::{QueueSize, QueueStats};
use crate::sync::Ordering;
use std::time::{Duration, Instant};

/// What a connection has counted since its opening handshake: from
/// [`WebSocket::stats`](crate::WebSocket::stats). All is counted always, at the cost of some additions for a
/// message, and stays as it was at the end. In [`ServerStats::total`](crate::ServerStats::total) it is of many
/// connections together.
///
/// Messages that came are in [`queue`](Self::queue). Its parts are read one after the other while the
/// connection goes on, each as it is at some moment of the call; none but `high_water` ever gets less.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// ws.send("hello")?;
/// ws.recv()?;
/// let stats = ws.stats();
/// println!("{} messages in {:?}, {} bytes on the wire", stats.sent, stats.open_for, stats.wire_sent);
/// assert_eq!((stats.sent_bytes, stats.queue.received_bytes), (5, 5));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// How long the connection has been open, or was until its end.
    pub open_for: Duration,
    /// Messages that were sent: accepted for sending as a whole, and not handed back.
    /// [`Closed::unsent`](crate::Closed::unsent) tells how many of them could not be written after all.
    pub sent: u64,
    /// Their payload before compression, in bytes.
    pub sent_bytes: u64,
    /// What came over the wire, in bytes of the WebSocket stream: frames of all kinds with their headers,
    /// compressed if they are; within TLS, and without the opening handshake.
    pub wire_received: u64,
    /// The same of what was written. It is counted when a write has ended, so that a send that is under way
    /// may not be in it.
    pub wire_sent: u64,
    /// Pings that came.
    pub pings_received: u64,
    /// Pings that were sent, by calls and unasked.
    pub pings_sent: u64,
    /// Pongs that came, asked for or not.
    pub pongs_received: u64,
    /// Pongs that were sent: answers and others.
    pub pongs_sent: u64,
    /// Messages that came, and what became of them; how long the full queue held the reader up, with a pause
    /// that is under way.
    pub queue: QueueStats,
    /// The most that waited in the queue: [`QueueView::high_water`](crate::QueueView::high_water).
    pub high_water: QueueSize,
}

impl ConnectionStats {
    /// Adds what another connection has counted; of `high_water`, the higher.
    pub(crate) fn add(&mut self, other: &ConnectionStats) {
        self.open_for += other.open_for;
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.wire_received += other.wire_received;
        self.wire_sent += other.wire_sent;
        self.pings_received += other.pings_received;
        self.pings_sent += other.pings_sent;
        self.pongs_received += other.pongs_received;
        self.pongs_sent += other.pongs_sent;
        self.queue.add(&other.queue);
        self.high_water = self.high_water.max(other.high_water);
    }
}

impl Connection {
    pub(crate) fn stats(&self) -> ConnectionStats {
        let path = self.lock_send();
        let sent = path.outbound.sent;
        let (wire_sent, pings_received) = (path.written, path.pings);
        // Under the lock: the end is not to be before it.
        let open_for = path.ended.unwrap_or_else(Instant::now) - self.opened;
        drop(path);
        ConnectionStats {
            open_for,
            sent: sent.messages,
            sent_bytes: sent.bytes,
            wire_received: self.came.load(Ordering::Relaxed),
            wire_sent,
            pings_received,
            pings_sent: sent.pings,
            pongs_received: self.life.pongs(),
            pongs_sent: sent.pongs,
            queue: self.queue.stats(),
            high_water: self.queue.high_water(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.leave(self);
        }
    }
}
