//! Counting without read-modify-write: each tally has one writer at a time.

use super::item::Weight;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use std::sync::PoisonError;
use std::time::Instant;

/// What went by, counted since the begin.
#[derive(Debug, Default)]
pub(super) struct Tally {
    messages: AtomicU64,
    pieces: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// For the only writer.
    #[inline]
    pub(super) fn add(&self, weight: Weight) {
        let add = |to: &AtomicU64, n| to.store(to.load(Ordering::Relaxed) + n, Ordering::Release);
        add(&self.bytes, weight.bytes);
        if weight.pieces > 0 {
            add(&self.pieces, weight.pieces);
        }
        add(&self.messages, weight.messages);
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Messages, and pieces of them beyond the first.
    pub(super) fn items(&self) -> u64 {
        self.messages() + self.pieces.load(Ordering::Acquire)
    }
}

/// The most that waited, since when.
#[derive(Debug)]
pub(super) struct HighMark {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    since: Mutex<Instant>,
}

impl HighMark {
    pub(super) fn new() -> Self {
        HighMark {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            since: Mutex::new(Instant::now()),
        }
    }

    /// What waits.
    pub(super) fn note(&self, messages: usize, bytes: usize) {
        for (mark, now) in [(&self.messages, messages), (&self.bytes, bytes)] {
            if mark.load(Ordering::Relaxed) < now {
                mark.fetch_max(now, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn get(&self) -> (usize, usize, Instant) {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        (
            self.messages.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
            since,
        )
    }

    /// Starts again; what waits now has to be noted then.
    pub(super) fn reset(&self) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = Instant::now();
        self.messages.store(0, Ordering::SeqCst);
        self.bytes.store(0, Ordering::SeqCst);
    }
}
