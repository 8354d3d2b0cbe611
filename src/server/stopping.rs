//! The end of a server.

use super::Server;
use crate::close::CloseFrame;
use crate::config::deadline;
use crate::connection::{Connection, is_in_callback};
use crate::error::{Error, Timeout};
use crate::net::Transport;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Beyond the close timeout, how long handlers may take when the server stops; and how long they may take to
/// see that their connection was cut off.
const GRACE: Duration = Duration::from_secs(1);

/// What [`Server::shutdown_within`] found and left.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # let serving = server.clone();
/// # std::thread::spawn(move || serving.serve(|ws| drop(ws.send("welcome").map(|()| ws.recv()))));
/// let ws = wsync::connect(&url)?;
/// # ws.recv()?;
/// let report = server.shutdown_within(Duration::from_secs(10));
/// assert_eq!((report.told, report.ended, report.cut_off), (1, 1, 0));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Open connections that were told that the server goes away (1001), or were closing already.
    pub told: usize,
    /// Of these, how many ended in time; with those that were still opening when the server was told to stop,
    /// and were gone when it was over, however they ended.
    pub ended: usize,
    /// Of these, how many were cut off: the peer did not answer the Close frame in time.
    pub cut_off: usize,
    /// Opening handshakes that were under way and were refused (503).
    pub refused: usize,
    /// Threads of clients that still run: their handlers have not returned.
    pub busy: usize,
}

impl ShutdownReport {
    /// Whether nothing was cut off and no thread is busy.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// let report = server.shutdown_within(Duration::from_secs(10));
    /// assert!(report.is_clean(), "there was nobody");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_clean(&self) -> bool {
        self.cut_off == 0 && self.busy == 0
    }
}

impl Server {
    /// Stops: accepts nobody any more, refuses handshakes that are under way with 503, closes all
    /// connections with 1001, and waits for their threads. Called from a handler, it does not wait
    /// for that one; called from a callback ([`Upgrade::on_message`](crate::Upgrade::on_message)), it does
    /// not wait at all.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when threads are still busy after
    /// [`Timeouts::close`](crate::Timeouts::close) and a second.
    ///
    /// # Blocking
    ///
    /// At most that long; without a close timeout until all threads are done.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// let serving = server.clone();
    /// let serving = std::thread::spawn(move || serving.serve(|ws| drop(ws.recv())));
    /// server.shutdown()?;
    /// serving.join().expect("the server does not panic")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn shutdown(&self) -> Result<(), Error> {
        drop(self.begin_to_stop(None, |connection| {
            connection.close_without_waiting(CloseFrame::going_away());
        }));
        if is_in_callback() {
            // Handlers may wait for the end of the very connection that this would hold up.
            return Ok(());
        }
        let timeout = self.shared.config.timeouts.close;
        let timeout = timeout.map(|timeout| timeout.saturating_add(GRACE));
        let deadline = deadline(Instant::now(), timeout);
        match self.shared.wait_for_threads(deadline) {
            true => Ok(()),
            false => Err(Error::Timeout(Timeout::Close)),
        }
    }

    /// Stops as [`shutdown`](Self::shutdown) does, with a deadline: peers have so long a time to answer the
    /// Close frame, whatever [`Timeouts::close`](crate::Timeouts::close) says, and handlers to return. Then
    /// what is left is cut off, and its handlers see the end. The report tells what came of it.
    ///
    /// It may be called again, also while another call waits, and with a shorter time. Called from a
    /// callback it does not wait, and the report tells who was told; they are cut off all the same.
    ///
    /// # Blocking
    ///
    /// Until connections and threads have ended, at most so long; a second longer if something has to be cut
    /// off.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// let serving = server.clone();
    /// let serving = std::thread::spawn(move || serving.serve(|ws| drop(ws.recv())));
    /// let report = server.shutdown_within(Duration::from_secs(30));
    /// if !report.is_clean() {
    ///     eprintln!("{} cut off, {} handlers are busy", report.cut_off, report.busy);
    /// }
    /// serving.join().expect("the server does not panic")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn shutdown_within(&self, limit: Duration) -> ShutdownReport {
        let shared = &*self.shared;
        let until = deadline(Instant::now(), Some(limit));
        let mut stopped = self.begin_to_stop(until, |connection| {
            connection.close_soon(CloseFrame::going_away(), Some(limit));
        });
        let mut report = ShutdownReport {
            told: stopped.connections.len(),
            refused: stopped.opening.len(),
            ..ShutdownReport::default()
        };
        if !is_in_callback() {
            let mut in_time = stopped.wait(until) & shared.wait_for_threads(until);
            for late in shared.connections_from(stopped.enlisted) {
                report.told += 1;
                stopped.connections.extend(late);
            }
            in_time &= stopped.wait(until);
            report.cut_off = stopped.cut_off();
            if !in_time && report.cut_off + report.refused > 0 {
                let grace = Some(Instant::now() + GRACE);
                stopped.wait(grace);
                shared.wait_for_threads(grace);
            }
            report.ended = report.told - report.cut_off;
        }
        report.busy = shared.busy();
        report
    }

    fn begin_to_stop(&self, deadline: Option<Instant>, close: impl Fn(&Connection)) -> Stopped {
        let stopped = self.shared.take(self.shared.stop_accepting(deadline));
        for transport in &stopped.opening {
            // Wakes the handshake, which then refuses the client.
            let _ = transport.shutdown(Shutdown::Read);
        }
        for connection in &stopped.connections {
            close(connection);
        }
        stopped
    }
}

/// What was open or opening when the server was told to stop.
pub(super) struct Stopped {
    pub(super) connections: Vec<Arc<Connection>>,
    pub(super) opening: Vec<Arc<dyn Transport>>,
    /// Connections that there have been; those that were accepted meanwhile come behind.
    pub(super) enlisted: usize,
}

impl Stopped {
    /// Until all connections have ended. False when the deadline came first.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut connections = self.connections.iter();
        connections.all(|connection| connection.wait_for_end(deadline))
    }

    /// Ends what is left: how many connections it was, with those whose own timeout was faster.
    fn cut_off(&self) -> usize {
        for client in &self.opening {
            let _ = client.shutdown(Shutdown::Both);
        }
        let cut_off = |connection: &&Arc<Connection>| match connection.end() {
            None => {
                connection.cut_off();
                true
            }
            Some(end) => matches!(end.error, Some(Error::Timeout(Timeout::Close))),
        };
        self.connections.iter().filter(cut_off).count()
    }
}
