//! Answers that wait for others: to several messages at once they go in one write.

use super::Connection;
use crate::protocol::LARGE;
use crate::sync::{Ordering, thread_local};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How soon the reader comes by to write what sends have left in the outbox. When a consumer reads,
/// they leave nothing after so long.
pub(super) const TICK: Duration = Duration::from_micros(200);

/// Sends may be deferred for as long as the reader thread comes by.
const ALWAYS: u64 = u64::MAX;

/// Set in the time until when sends may be deferred: those of all threads.
const FOR_ALL: u64 = 1;

/// A consumer that needs less than so many nanoseconds for the answers between two looks at the clock
/// gives so many without a look.
const LITTLE: u64 = 50_000;
const UNASKED: u32 = 7;

/// The last messages that this thread has read itself, several at once.
#[derive(Debug, Clone, Copy)]
struct Burst {
    connection: usize,
    /// When the clock was asked, and for how many more answers it need not be.
    asked: u64,
    unasked: u32,
}

thread_local! {
    static BURST: Cell<Burst> = const {
        Cell::new(Burst {
            connection: 0,
            asked: 0,
            unasked: 0,
        })
    };
}

impl Connection {
    /// Whether a send may leave its bytes in the outbox: when a read has just brought several
    /// messages, the answers to all of them go in one write. The reader comes by soon, and a consumer
    /// writes them before it waits for the next message.
    pub(super) fn defer(&self, length: usize) -> bool {
        let until = self.deferring.load(Ordering::SeqCst);
        let defer = until != 0
            && length < LARGE
            && match until == ALWAYS {
                true => self.queue.len() > 0,
                false => self.defer_beside_consumer(until),
            };
        if defer && !self.deferred.load(Ordering::Relaxed) {
            // Who takes it back to false looks into the outbox after this.
            self.deferred.store(true, Ordering::SeqCst);
        }
        defer
    }

    /// The same when a consumer reads: for its own answers as long as there are more messages to
    /// answer, for others if it is known to be quick, and to come by whether or not there are.
    fn defer_beside_consumer(&self, until: u64) -> bool {
        match BURST.with(Cell::get) {
            burst if burst.connection == self.address() => {
                self.queue.len() > 0 && self.answers_quickly(burst, until)
            }
            _ => until & FOR_ALL != 0 && self.clock(Instant::now()) < until,
        }
    }

    /// Whether it is not long since this thread read. The clock is not asked for every answer.
    fn answers_quickly(&self, mut burst: Burst, until: u64) -> bool {
        if burst.unasked > 0 {
            burst.unasked -= 1;
        } else {
            let at = Instant::now();
            let now = self.clock(at);
            if now >= until {
                // All goes now; what follows may wait for as long again.
                self.start_deferring(Some((at, until & FOR_ALL != 0)));
                return false;
            }
            // Another connection may have lived at this address, by a clock of its own.
            let quick = now.saturating_sub(burst.asked) < LITTLE;
            (burst.asked, burst.unasked) = (now, if quick { UNASKED } else { 0 });
        }
        BURST.with(|last| last.set(burst));
        true
    }

    /// Nanoseconds since the connection was opened.
    fn clock(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.opened).as_nanos() as u64
    }

    /// Writes what sends have left, as far as the kernel takes it; the reader sees to the rest.
    pub(crate) fn write_deferred(&self) {
        let left = self.has_deferred() && self.write_without_waiting();
        if left && self.deferring.load(Ordering::SeqCst) == 0 {
            // The reader has been by already.
            self.write_soon();
        }
    }

    /// Whether sends have left something since the last question.
    pub(super) fn has_deferred(&self) -> bool {
        self.deferred.load(Ordering::Relaxed) && self.deferred.swap(false, Ordering::SeqCst)
    }

    /// For the reader, before it delivers several messages at once. With the time if it is a consumer,
    /// which may not come by soon: then sends are deferred for [`TICK`], and only its own unless it has
    /// been quick.
    pub(super) fn start_deferring(&self, direct: Option<(Instant, bool)>) {
        let until = direct.map_or(ALWAYS, |(now, quick)| {
            let burst = Burst {
                connection: self.address(),
                asked: self.clock(now),
                unasked: 0,
            };
            BURST.with(|last| last.set(burst));
            let until = self.clock(now + TICK);
            if quick {
                until | FOR_ALL
            } else {
                until & !FOR_ALL
            }
        });
        self.deferring.store(until, Ordering::SeqCst);
    }

    /// For the reader, before it waits for long. False while somebody writes: what he leaves is the
    /// reader's, so the reader has to come again.
    pub(super) fn stop_deferring(&self) -> bool {
        let path = self.lock_send();
        if !path.writing {
            self.deferring.store(0, Ordering::SeqCst);
        }
        !path.writing
    }
}
