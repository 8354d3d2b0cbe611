//! Pings of our own. Nobody waits for their time but `ws-timer`, so that a reader can wait in the read
//! itself.

use super::{Connection, timer};
use crate::close::{CloseCode, CloseFrame};
use crate::config::deadline;
use crate::error::{Error, Misuse, Timeout};
use crate::keepalive::{Keepalive, Latency};
use crate::net::Interest;
use crate::protocol::{Due, PingPayload, Pings};
use crate::queue::Summons;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering};
use std::net::Shutdown;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// What is known of the peer's being there.
#[derive(Debug)]
pub(super) struct Life {
    /// Something has come since the last look.
    heard: AtomicBool,
    watch: Mutex<Watch>,
    /// Wakes those that wait for a pong.
    ponged: Condvar,
}

#[derive(Debug)]
struct Watch {
    pings: Pings,
    /// When the timer comes by; a look at another time is an old one.
    look_at: Option<Instant>,
    /// Pongs that came.
    pongs: u64,
}

impl Life {
    pub(super) fn new(keepalive: Keepalive, now: Instant) -> Self {
        Life {
            heard: AtomicBool::new(false),
            watch: Mutex::new(Watch {
                pings: Pings::new(keepalive, now),
                look_at: None,
                pongs: 0,
            }),
            ponged: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ping, under the send lock: a pong that answers it is taken to answer those before.
    fn ping(&self, waited_for: bool) -> PingPayload {
        self.lock().pings.send(Instant::now(), waited_for)
    }

    /// For the reader: bytes have come.
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// For the reader: a pong has come. Tells how long it took, if it answers a ping of these.
    pub(super) fn pong(&self, payload: &[u8]) -> Option<Duration> {
        let mut watch = self.lock();
        watch.pongs += 1;
        let took = watch.pings.pong(payload, Instant::now())?;
        drop(watch);
        self.ponged.notify_all();
        Some(took)
    }

    /// How many pongs came.
    pub(super) fn pongs(&self) -> u64 {
        self.lock().pongs
    }

    /// The connection has ended: nobody waits for a pong any more.
    pub(super) fn end(&self) {
        drop(self.lock());
        self.ponged.notify_all();
    }
}

impl Connection {
    /// Begins with the pings, if there are to be any.
    #[inline(never)] // The stack of who opens the connection is memory that its thread keeps.
    pub(super) fn begin_keepalive(&self) {
        self.set_look(self.life.lock());
    }

    fn set_look(&self, mut watch: MutexGuard<'_, Watch>) {
        watch.look_at = watch.pings.next();
        if let Some(at) = watch.look_at {
            drop(watch);
            timer::keep_alive_at(at, &self.myself);
        }
    }

    pub(crate) fn keepalive(&self) -> Keepalive {
        self.life.lock().pings.keepalive()
    }

    pub(crate) fn set_keepalive(&self, keepalive: Keepalive) -> Result<(), Misuse> {
        keepalive.check()?;
        let mut watch = self.life.lock();
        watch.pings.configure(keepalive, Instant::now());
        self.set_look(watch);
        Ok(())
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        self.life.lock().pings.latency()
    }

    /// For the timer, at the time `at` that was set. Returns when to look again.
    pub(super) fn keep_alive(&self, at: Instant) -> Option<Instant> {
        if self.lock_send().refusal().is_some() {
            // From here on the timeout of closing is in force.
            return None;
        }
        let now = Instant::now();
        let mut watch = self.life.lock();
        if watch.look_at != Some(at) {
            return None;
        }
        let heard = self.life.heard.swap(false, Ordering::Relaxed);
        match watch.pings.due(heard, now) {
            Due::Nothing => {}
            Due::Ping => {
                drop(watch);
                self.ping_unasked();
                watch = self.life.lock();
            }
            Due::Lost => {
                drop(watch);
                if !self.has_unread(now) {
                    self.lose();
                    return None;
                }
                watch = self.life.lock();
                watch.pings.excuse();
            }
        }
        watch.look_at = watch.pings.next();
        watch.look_at
    }

    /// Whether what the peer sent waits to be read, because this side does not read.
    fn has_unread(&self, now: Instant) -> bool {
        let ready = self.transport.wait(Interest::READABLE, Some(now));
        ready.is_ok_and(|ready| ready.readable)
    }

    fn ping_unasked(&self) {
        let mut path = self.lock_send();
        let stalled = path.writing || !path.job_is_done();
        let ping = self.life.ping(false);
        path.outbound.ping_unasked(ping, stalled);
        drop(path);
        self.write_or_leave();
        // Nobody else may be there to read the pong.
        self.queue.summon_if_leased();
    }

    /// Writes as far as the kernel takes it, and leaves the rest to the timer.
    pub(super) fn write_or_leave(&self) {
        if self.write_without_waiting() {
            self.write_soon();
        }
    }

    /// The peer is gone: it is told why if it can be, and all who wait for it go on.
    fn lose(&self) {
        log::debug!("no answer to a ping: the peer is gone");
        let frame = CloseFrame {
            code: CloseCode::INTERNAL_ERROR,
            reason: "ping timeout".into(),
        };
        self.lock_send().outbound.close(frame, Instant::now(), None);
        let _ = self.write_without_waiting();
        self.lock_send().fail(Error::Timeout(Timeout::Ping));
        self.turn.notify_all();
        let _ = self.transport.shutdown(Shutdown::Both);
    }

    /// Sends a ping, and waits for its pong.
    pub(crate) fn ping_wait(&self, timeout: Duration) -> Result<Duration, Error> {
        if self.is_inside() {
            return Err(Misuse::InCallback.into());
        }
        let until = deadline(Instant::now(), Some(timeout));
        let ping = self.ping_without_waiting()?;
        let result = self.wait_for_pong(ping, until);
        self.life.lock().pings.forget(ping);
        result
    }

    /// It has room beside a full outbox: so many as threads wait for a pong cannot fill memory. A deadline
    /// of its own would tear the stream where it stands.
    fn ping_without_waiting(&self) -> Result<PingPayload, Error> {
        let mut path = self.lock_send();
        if let Some(error) = path.refusal() {
            return Err(error);
        }
        path.outbound.settle();
        let ping = self.life.ping(true);
        path.outbound.ping(&ping);
        path.outbound.sent.pings += 1;
        drop(path);
        self.write_or_leave();
        self.queue.summon(Summons::Alone);
        Ok(ping)
    }

    fn wait_for_pong(&self, ping: PingPayload, until: Option<Instant>) -> Result<Duration, Error> {
        let mut watch = self.life.lock();
        loop {
            if let Some(took) = watch.pings.answer(ping) {
                return Ok(took);
            }
            if let Some(end) = self.end() {
                return Err(end.to_error());
            }
            let Some(until) = until else {
                let waited = self.life.ponged.wait(watch);
                watch = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout(Timeout::Ping));
            }
            let waited = self.life.ponged.wait_timeout(watch, left);
            watch = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
