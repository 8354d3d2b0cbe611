//! What all clients together have seen.

use crate::client::{Course, Seen};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) struct Outcome {
    said: usize,
    acknowledged: usize,
    expected: usize,
    delivered: usize,
    doubled: usize,
    /// Clients that had another order than the first of their room.
    out_of_order: usize,
    reconnects: usize,
    refused: usize,
    longest_interruption: Duration,
    resent: usize,
    gaps: usize,
    errors: BTreeMap<String, usize>,
    clients: usize,
    rooms: usize,
    /// From the first message said until the last came to the last client.
    took: Duration,
    latencies: Vec<u32>,
}

impl Outcome {
    pub(crate) fn of(course: &Course, mut clients: Vec<Seen>) -> Self {
        let sum = |of: fn(&Seen) -> usize| clients.iter().map(of).sum();
        let expected = |client: &Seen| course.messages_of(client.room);
        let began = clients.iter().filter_map(|client| client.began).min();
        let ended = clients.iter().filter_map(|client| client.complete).max();
        let longest = clients
            .iter()
            .map(|client| client.longest_interruption)
            .max();
        let mut outcome = Outcome {
            said: (0..course.rooms).map(|room| course.messages_of(room)).sum(),
            acknowledged: sum(|client| client.acknowledged),
            expected: clients.iter().map(expected).sum(),
            delivered: sum(|client| client.order.len()),
            doubled: sum(|client| client.doubled),
            out_of_order: out_of_order(course.rooms, &clients),
            reconnects: sum(|client| client.reconnects),
            refused: sum(|client| client.refused),
            longest_interruption: longest.unwrap_or_default(),
            resent: sum(|client| client.resent),
            gaps: sum(|client| client.gaps),
            errors: BTreeMap::new(),
            clients: course.clients,
            rooms: course.rooms,
            took: ended.unwrap_or_else(Instant::now) - began.unwrap_or_else(Instant::now),
            latencies: Vec::new(),
        };
        for client in &mut clients {
            outcome.latencies.append(&mut client.latencies);
            for (text, count) in std::mem::take(&mut client.errors) {
                *outcome.errors.entry(text).or_default() += count;
            }
        }
        outcome.latencies.sort_unstable();
        outcome
    }

    /// Every message was acknowledged, and came to everyone once and in the same order.
    pub(crate) fn is_good(&self) -> bool {
        self.acknowledged == self.said
            && self.delivered == self.expected
            && (self.doubled, self.out_of_order) == (0, 0)
    }

    pub(crate) fn json(&self) -> Value {
        let secs = self.took.as_secs_f64();
        json!({
            "good": self.is_good(),
            "clients": self.clients,
            "rooms": self.rooms,
            "said": self.said,
            "acknowledged": self.acknowledged,
            "expected": self.expected,
            "delivered": self.delivered,
            "missing": self.expected.saturating_sub(self.delivered),
            "doubled": self.doubled,
            "out_of_order": self.out_of_order,
            "reconnects": self.reconnects,
            "refused": self.refused,
            "longest_interruption_ms": millis(self.longest_interruption.as_micros() as f64),
            "resent": self.resent,
            "gaps": self.gaps,
            "errors": self.errors,
            "secs": millis(secs * 1e6) / 1000.0,
            "delivered_per_s": (self.delivered as f64 / secs).round(),
            "latency_ms": {"p50": self.latency(50), "p99": self.latency(99), "most": self.latency(100)},
        })
    }

    fn latency(&self, percent: usize) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        Some(millis(self.latencies[last * percent / 100].into()))
    }
}

/// To the microsecond.
fn millis(micros: f64) -> f64 {
    micros.round() / 1000.0
}

fn out_of_order(rooms: usize, clients: &[Seen]) -> usize {
    let differing = |room: usize| {
        let mut members = clients.iter().filter(|client| client.room == room);
        let first = members.next().map(|client| &client.order);
        members
            .filter(|client| Some(&client.order) != first)
            .count()
    };
    (0..rooms).map(differing).sum()
}
