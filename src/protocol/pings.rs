//! Pings of ours that have no answer yet, and when the next is due (RFC 6455 sections 5.5.2, 5.5.3).

use crate::keepalive::{Keepalive, Latency};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a ping of ours carries: nothing that a peer could know without having read it.
pub(crate) type PingPayload = [u8; 8];

/// Of those that nobody waits for, so many are remembered.
const REMEMBERED: usize = 16;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    /// Nothing has come since a ping for as long as may be.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Pings {
    keepalive: Keepalive,
    /// When the next ping is due.
    next: Option<Instant>,
    /// When the first ping went since anything has come.
    silent_since: Option<Instant>,
    /// The oldest first.
    sent: VecDeque<Sent>,
    latency: Option<Latency>,
}

#[derive(Debug)]
struct Sent {
    payload: PingPayload,
    at: Instant,
    /// Somebody waits for the answer, and takes it away.
    waited_for: bool,
    took: Option<Duration>,
}

impl Pings {
    pub(crate) fn new(keepalive: Keepalive, now: Instant) -> Self {
        let mut pings = Pings {
            keepalive,
            next: None,
            silent_since: None,
            sent: VecDeque::new(),
            latency: None,
        };
        pings.configure(keepalive, now);
        pings
    }

    /// From now on.
    pub(crate) fn configure(&mut self, keepalive: Keepalive, now: Instant) {
        self.keepalive = keepalive;
        self.next = keepalive.interval.and_then(|i| now.checked_add(i));
        self.silent_since = None;
    }

    pub(crate) fn keepalive(&self) -> Keepalive {
        self.keepalive
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        self.latency
    }

    /// When to ask [`due`](Self::due) next.
    pub(crate) fn next(&self) -> Option<Instant> {
        [self.next, self.lost_at()].into_iter().flatten().min()
    }

    /// `heard`: something has come since the last question.
    pub(crate) fn due(&mut self, heard: bool, now: Instant) -> Due {
        if heard {
            self.silent_since = None;
        }
        if self.lost_at().is_some_and(|at| at <= now) {
            return Due::Lost;
        }
        match self.keepalive.interval {
            Some(interval) if self.next.is_some_and(|next| next <= now) => {
                self.next = now.checked_add(interval);
                self.silent_since.get_or_insert(now);
                Due::Ping
            }
            _ => Due::Nothing,
        }
    }

    /// The peer is there all the same: what it sent waits to be read.
    pub(crate) fn excuse(&mut self) {
        self.silent_since = None;
    }

    /// A ping, to be sent after all before it. Whether somebody waits for its answer, and forgets it then.
    pub(crate) fn send(&mut self, now: Instant, waited_for: bool) -> PingPayload {
        let payload = rand::random();
        let unasked = |sent: &Sent| !sent.waited_for;
        if !waited_for && self.sent.iter().filter(|sent| unasked(sent)).count() >= REMEMBERED {
            let oldest = self.sent.iter().position(unasked);
            oldest.map(|oldest| self.sent.remove(oldest));
        }
        self.sent.push_back(Sent {
            payload,
            at: now,
            waited_for,
            took: None,
        });
        payload
    }

    /// How long the answer took, if it has come.
    pub(crate) fn answer(&self, ping: PingPayload) -> Option<Duration> {
        self.sent.iter().find(|sent| sent.payload == ping)?.took
    }

    /// Nobody waits for it any more.
    pub(crate) fn forget(&mut self, ping: PingPayload) {
        self.sent.retain(|sent| sent.payload != ping);
    }

    /// A pong has come. Tells how long it took, if it answers one of these. A peer may answer only the
    /// newest ping (section 5.5.3), so those before are answered, too.
    pub(crate) fn pong(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let answers = |sent: &Sent| sent.payload == payload && sent.took.is_none();
        let position = self.sent.iter().position(answers)?;
        let mut took = Duration::ZERO;
        for sent in self.sent.iter_mut().take(position.saturating_add(1)) {
            took = now.saturating_duration_since(sent.at);
            sent.took.get_or_insert(took);
        }
        self.sent
            .retain(|sent| sent.waited_for || sent.took.is_none());
        self.latency = Some(Latency::measured(self.latency, took));
        Some(took)
    }

    fn lost_at(&self) -> Option<Instant> {
        self.silent_since?.checked_add(self.keepalive.timeout?)
    }
}
