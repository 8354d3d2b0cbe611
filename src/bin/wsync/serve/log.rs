//! What a server tells of its clients, on standard error.

use crate::show;
use jiff::Timestamp;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use wsync::{Closed, Error, Initiator, Upgrade, WebSocket};

/// A line for each event, or none.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    quiet: bool,
    visits: Arc<AtomicU64>,
}

/// A client, from its request to its end.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    log: Log,
    number: u64,
    began: Instant,
}

impl Log {
    pub(crate) fn new(quiet: bool) -> Self {
        Log {
            quiet,
            visits: Arc::default(),
        }
    }

    pub(crate) fn line(&self, text: &str) {
        if !self.quiet {
            tell(&format!(
                "{} {text}",
                Timestamp::now().strftime("%H:%M:%SZ")
            ));
        }
    }

    /// A client that is about to get its connection.
    pub(crate) fn visit(&self, upgrade: &Upgrade) -> Visit {
        let visit = Visit {
            log: self.clone(),
            number: self.visits.fetch_add(1, Ordering::Relaxed) + 1,
            began: Instant::now(),
        };
        let peer = upgrade.peer_addr();
        let path = show::line(&upgrade.request().uri().to_string());
        visit.line(&format!("opens {path} from {}", name(peer)));
        visit
    }

    pub(crate) fn refused(&self, error: &Error) {
        self.line(&format!("refused: {}", show::line(&error.to_string())));
    }
}

impl Visit {
    pub(crate) fn line(&self, text: &str) {
        self.log.line(&format!("#{} {text}", self.number));
    }

    /// The end, where the connection is at hand.
    pub(crate) fn ended(&self, ws: &WebSocket, error: Option<&Error>) {
        let stats = ws.stats();
        let counts = format!(", {} in, {} out", stats.queue.received, stats.sent);
        self.closed(&counts, &ws.closed().unwrap_or_default(), error);
    }

    pub(crate) fn closed(&self, counts: &str, closed: &Closed, error: Option<&Error>) {
        let open_for = self.began.elapsed().as_secs_f64();
        let mut why = frames(closed);
        if let Some(error) = error.filter(|error| !matches!(error, Error::Closed(_))) {
            why = format!("{error}; {why}");
        }
        let why = show::line(&why);
        self.line(&format!("closed after {open_for:.1} s{counts}: {why}"));
    }
}

/// A line on standard error, in one piece: other processes may write there, too.
pub(crate) fn tell(text: &str) {
    // Perhaps nobody reads it.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Who closed, and with what; the answer is mostly the same.
fn frames(closed: &Closed) -> String {
    match (closed.initiator, &closed.received, &closed.sent) {
        (Some(Initiator::Remote), Some(frame), _) => format!("client sent {frame}"),
        (Some(Initiator::Local), Some(_), Some(frame)) => format!("sent {frame}"),
        (Some(Initiator::Local), None, Some(frame)) => format!("sent {frame}, not answered"),
        _ => "no Close frame".into(),
    }
}

fn name(peer: Option<SocketAddr>) -> String {
    match peer {
        Some(address) => address.to_string(),
        None => "a Unix socket".into(),
    }
}
