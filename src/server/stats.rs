//! What a server counts: its clients, and what their connections have counted.

use super::Server;
use super::limits;
use crate::connection::{Connection, ConnectionStats, Place};
use crate::sync::{Mutex, MutexGuard, yield_now};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};

/// What a server has counted since it was bound: from [`Server::stats`].
///
/// Each client that was [`accepted`](Self::accepted) is under way ([`opening`](Self::opening)), or has become
/// one of [`answered`](Self::answered), [`refused`](Self::refused) and [`opened`](Self::opened).
///
/// # Examples
///
/// ```
/// let server = wsync::Server::bind("127.0.0.1:0")?;
/// let stats = server.stats();
/// println!("{} open, {} refused, {} bytes out", stats.open, stats.refused, stats.total.wire_sent);
/// assert_eq!(stats.accepted, stats.opening + stats.answered + stats.refused + stats.opened);
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerStats {
    /// TCP connections that were accepted.
    pub accepted: u64,
    /// Clients whose request was for something else than a WebSocket, and was answered:
    /// [`ServerBuilder::on_request`](crate::ServerBuilder::on_request).
    pub answered: u64,
    /// Clients that did not get a connection: they asked wrongly, too slowly or not at all, were rejected, or
    /// found no place.
    pub refused: u64,
    /// Those of them for whom there was no place ([`ServerLimits`](crate::ServerLimits)).
    pub no_place: u64,
    /// WebSocket connections that were opened.
    pub opened: u64,
    /// Those of them that are open now.
    pub open: u64,
    /// Clients that are between the two now: in the opening handshake, or with an
    /// [`Upgrade`](crate::Upgrade) that nobody has answered, or being refused.
    pub opening: u64,
    /// What all connections have counted, those that are there and those that were. Of
    /// [`high_water`](ConnectionStats::high_water) it is the highest of any.
    pub total: ConnectionStats,
}

impl Server {
    /// What the server has counted so far, and its connections. Nothing is lost or counted twice when a
    /// connection ends meanwhile, so that of two calls, one after the other, the second returns no less.
    /// Each looks at all connections there are; they are not held up.
    ///
    /// # Blocking
    ///
    /// No longer than that takes, and never for a peer.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// let url = format!("ws://{}/", server.local_addr());
    /// let serving = server.clone();
    /// std::thread::spawn(move || serving.serve(|ws| ws.iter().for_each(drop)));
    /// let ws = wsync::connect(&url)?;
    /// ws.send("hello")?;
    /// ws.close()?;
    /// let stats = server.stats();
    /// assert_eq!((stats.accepted, stats.opened), (1, 1));
    /// assert_eq!(stats.total.queue.received_bytes, 5);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn stats(&self) -> ServerStats {
        self.shared.census.stats()
    }
}

/// A server's clients.
#[derive(Debug, Default)]
pub(super) struct Census(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    answered: u64,
    refused: u64,
    no_place: u64,
    opened: u64,
    /// By their address. Each is here until it has been added to `gone`.
    connections: BTreeMap<usize, Weak<Connection>>,
    /// What those have counted that are not there any more.
    gone: ConnectionStats,
}

impl Census {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that there is no place for has come.
    pub(super) fn turn_away(&self) {
        let mut counts = self.lock();
        counts.accepted += 1;
        counts.refused += 1;
        counts.no_place += 1;
    }

    /// A connection is open.
    pub(super) fn enlist(&self, connection: &Arc<Connection>) {
        let mut counts = self.lock();
        counts.opened += 1;
        let weak = Arc::downgrade(connection);
        counts.connections.insert(connection.address(), weak);
    }

    fn stats(&self) -> ServerStats {
        let (mut stats, connections) = loop {
            let counts = self.lock();
            let connections: Vec<_> = counts
                .connections
                .values()
                .filter_map(Weak::upgrade)
                .collect();
            let whole = connections.len() == counts.connections.len();
            let stats = counts.stats();
            drop(counts);
            if whole {
                break (stats, connections);
            }
            // A thread is dropping one, and adds it to those that are gone before anything else.
            yield_now();
        };
        // Without the lock: each has locks of its own, and this may be its last handle.
        for connection in connections {
            stats.open += u64::from(connection.end().is_none());
            stats.total.add(&connection.stats());
        }
        stats
    }
}

impl Counts {
    /// Without the connections that are there.
    fn stats(&self) -> ServerStats {
        ServerStats {
            accepted: self.accepted,
            answered: self.answered,
            refused: self.refused,
            no_place: self.no_place,
            opened: self.opened,
            open: 0,
            opening: self.accepted - self.answered - self.refused - self.opened,
            total: self.gone,
        }
    }
}

/// A client with a place, up to the end of the opening handshake. Dropped before, it was refused.
#[derive(Debug)]
pub(super) struct Guest {
    /// `None` once it is known what became of it.
    place: Option<limits::Place>,
    census: Arc<Census>,
}

impl Guest {
    pub(super) fn new(place: limits::Place, census: &Arc<Census>) -> Self {
        census.lock().accepted += 1;
        Guest {
            place: Some(place),
            census: Arc::clone(census),
        }
    }

    /// Its request was for something else.
    pub(super) fn leave_answered(mut self) {
        self.place = None;
        self.census.lock().answered += 1;
    }

    /// It has a connection, which is [enlisted](Census::enlist).
    pub(super) fn stay(mut self) -> Box<dyn Place> {
        Box::new(Member {
            _place: self.place.take(),
            census: Arc::clone(&self.census),
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.place.take().is_some() {
            self.census.lock().refused += 1;
        }
    }
}

#[derive(Debug)]
struct Member {
    _place: Option<limits::Place>,
    census: Arc<Census>,
}

impl Place for Member {
    fn leave(&self, connection: &Connection) {
        let stats = connection.stats();
        let mut counts = self.census.lock();
        counts.gone.add(&stats);
        counts.connections.remove(&connection.address());
    }
}
