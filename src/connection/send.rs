//! Sending: from any thread, with one writer at a time.

use super::job::{Job, Progress};
use super::timer;
use super::{Connection, SendPath};
use crate::config::deadline;
use crate::error::{Error, Misuse, Timeout};
use crate::net::Interest;
use crate::protocol::MAX_CONTROL;
use crate::queue::Summons;
use crate::sync::{MutexGuard, Ordering};
use std::net::Shutdown;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub(super) type Path<'a> = MutexGuard<'a, SendPath>;

/// How long a reader may go on after a write failed: what came before is still delivered.
const DRAIN: Duration = Duration::from_secs(1);

/// Whether a send may stay in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    Now,
    Later,
}

/// What a write does when the kernel takes no more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// Leaves the rest, and what comes meanwhile, to the reader.
    None,
    /// Waits until then.
    Until(Deadline),
}

/// A deadline that is looked up when the first wait needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    timeout: Option<Duration>,
    at: Option<Instant>,
}

impl Deadline {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Deadline { timeout, at: None }
    }

    /// At `at`, or never.
    fn at(at: Option<Instant>) -> Self {
        Deadline { timeout: None, at }
    }

    pub(super) fn get(&mut self) -> Option<Instant> {
        if self.at.is_none() {
            self.at = deadline(Instant::now(), self.timeout);
        }
        self.at
    }
}

/// A frame that its sender writes itself.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    length: usize,
    /// 1 if a message ends with it.
    messages: usize,
    /// It is compressed, as the connection's message of this number.
    context: Option<u64>,
}

/// What a frame counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// A message of so many bytes before compression.
    Message(usize),
    Ping,
    Pong,
}

/// A write that failed, and whether bytes of the caller's own had left by then.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) torn: bool,
}

impl Connection {
    pub(crate) fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.send_control(payload, Counts::Ping, |path| path.outbound.ping(payload))
    }

    pub(crate) fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        self.send_control(payload, Counts::Pong, |path| path.outbound.pong(payload))
    }

    /// Writes what waits in the outbox, unless somebody is doing so.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let path = self.lock_send();
        if let Some(error) = &path.dead {
            return Err(error.clone());
        }
        if path.writing || !path.has_pending(self.tls.as_ref()) {
            return Ok(());
        }
        if self.is_inside() {
            drop(path);
            // The reader sees to what is left when the callback returns.
            self.write_without_waiting();
            return Ok(());
        }
        let deadline = Deadline::new(self.config.timeouts.send);
        self.write(path, Own::default(), Patience::Until(deadline))
            .map(drop)
            .map_err(|failed| failed.error)
    }

    fn send_control(
        &self,
        payload: &[u8],
        counts: Counts,
        append: impl FnOnce(&mut SendPath),
    ) -> Result<(), Error> {
        if payload.len() > MAX_CONTROL {
            return Err(Misuse::ControlPayload(payload.len()).into());
        }
        self.send_frame(Flush::Now, counts, append)
            .map_err(|failed| failed.error)
    }

    pub(super) fn send_frame(
        &self,
        flush: Flush,
        counts: Counts,
        append: impl FnOnce(&mut SendPath),
    ) -> Result<(), Failed> {
        let data = matches!(counts, Counts::Message(_));
        let mut deadline = Deadline::new(self.config.timeouts.send);
        let path = self.wait_for_turn(self.lock_send(), data, &mut deadline)?;
        let mut path = self.append(path, flush, &mut deadline, append)?;
        let sent = &mut path.outbound.sent;
        match counts {
            Counts::Message(length) => sent.message(length),
            Counts::Ping => sent.pings += 1,
            Counts::Pong => sent.pongs += 1,
        }
        Ok(())
    }

    /// Waits until a frame may be appended: the outbox has room, and for data no other message has the
    /// turn.
    #[inline]
    pub(super) fn wait_for_turn<'a>(
        &'a self,
        path: Path<'a>,
        data: bool,
        deadline: &mut Deadline,
    ) -> Result<Path<'a>, Failed> {
        match path.refuses() || self.must_wait(&path, data) {
            true => self.wait_long_for_turn(path, data, deadline),
            false => Ok(path),
        }
    }

    fn must_wait(&self, path: &SendPath, data: bool) -> bool {
        (data && path.turn_taken) || (path.writing && self.is_full(path))
    }

    #[cold]
    fn wait_long_for_turn<'a>(
        &'a self,
        mut path: Path<'a>,
        data: bool,
        deadline: &mut Deadline,
    ) -> Result<Path<'a>, Failed> {
        loop {
            if let Some(error) = path.refusal() {
                return Err(Failed { error, torn: false });
            }
            if !self.must_wait(&path, data) {
                return Ok(path);
            }
            if !path.writing && path.has_pending(self.tls.as_ref()) {
                // The writer left, and this thread was the one to take over.
                let written = self.write(path, Own::default(), Patience::Until(*deadline));
                path = written.map_err(|failed| Failed {
                    torn: false,
                    ..failed
                })?;
                continue;
            }
            path = self.wait(path, deadline.get()).ok_or(Failed {
                error: Error::Timeout(Timeout::Send),
                torn: false,
            })?;
        }
    }

    /// Waits for `turn`; `None` once the deadline has passed.
    pub(super) fn wait<'a>(
        &self,
        mut path: Path<'a>,
        deadline: Option<Instant>,
    ) -> Option<Path<'a>> {
        path.waiting += 1;
        let mut passed = false;
        path = match deadline {
            None => self.turn.wait(path).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                passed = left.is_zero();
                self.turn
                    .wait_timeout(path, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        path.waiting -= 1;
        (!passed).then_some(path)
    }

    /// Appends a frame, and becomes the writer if there is none and there is reason to write.
    #[inline]
    pub(super) fn append<'a>(
        &'a self,
        mut path: Path<'a>,
        flush: Flush,
        deadline: &mut Deadline,
        append: impl FnOnce(&mut SendPath),
    ) -> Result<Path<'a>, Failed> {
        if !path.writing {
            // The caller's frame is to be the last that this thread takes.
            path.outbound.settle();
        }
        let before = (path.outbound.len(), path.outbound.messages());
        let compressed = path.compressed;
        append(&mut path);
        let length = path.outbound.len() - before.0;
        if path.writing || (!self.is_full(&path) && self.may_stay(flush, length)) {
            return Ok(path);
        }
        let own = match flush {
            Flush::Now => Own {
                length,
                messages: path.outbound.messages() - before.1,
                context: (path.compressed > compressed).then_some(path.compressed),
            },
            Flush::Later => Own::default(),
        };
        self.write(path, own, Patience::Until(*deadline))
    }

    /// Whether what was just appended may stay in the outbox.
    fn may_stay(&self, flush: Flush, length: usize) -> bool {
        flush == Flush::Later || self.is_inside() || self.defer(length)
    }

    /// In a callback, waiting for the peer to read would be to stop reading: there is room for what a
    /// queue would hold. Nobody waits there for what the kernel did not take, so that counts too.
    fn is_full(&self, path: &SendPath) -> bool {
        let limit = self.config.limits.outbox;
        let waiting = path.outbound.len() + path.job.as_ref().map_or(0, |job| job.left());
        // Mostly there is room wherever this is asked.
        waiting >= limit
            && match self.is_inside() {
                true => waiting >= limit.saturating_add(self.config.queue.bytes),
                false => path.outbound.len() >= limit,
            }
    }

    /// Writes as the writer. `own` is the caller's frame, the last one in the outbox.
    ///
    /// Whatever is appended meanwhile is written too, each time under a new deadline; but once the
    /// caller's frame is out, the role goes to a thread that waits, if one does.
    fn write<'a>(
        &'a self,
        mut path: Path<'a>,
        own: Own,
        patience: Patience,
    ) -> Result<Path<'a>, Failed> {
        debug_assert!(!path.writing, "one writer at a time");
        path.writing = true;
        let mut job = path.job.take().unwrap_or_default();
        // Who does not wait would only make a job longer that the kernel does not take.
        let mut filled = job.is_done() || matches!(patience, Patience::Until(_));
        match filled {
            true => path.fill(&mut job),
            false => path.in_flight = job.messages,
        }
        let mut start = job.plain.len() - own.length;
        let mut patience = patience;
        loop {
            if path.waiting > 0 {
                self.turn.notify_all();
            }
            drop(path);
            let before = job.done;
            let result = self.write_job(&mut job, patience);
            path = self.lock_send();
            path.written += (job.done - before) as u64;
            match result {
                Ok(Progress::Blocked) => return Ok(self.leave(path, job)),
                Err(error) => return Err(self.fail_write(path, job, (start, own), error)),
                Ok(Progress::Done) => job.reset(),
            }
            let over = path.dead.is_some() || !path.has_pending(self.tls.as_ref());
            // After a Close frame those that wait are refused, and write nothing.
            let wanted = path.waiting > 0 && path.outbound.is_open();
            let enough = filled && matches!(patience, Patience::None);
            if over || wanted || enough {
                job.shrink();
                return Ok(self.leave(path, job));
            }
            path.fill(&mut job);
            filled = true;
            start = job.plain.len();
            if matches!(patience, Patience::Until(_)) {
                patience = Patience::Until(Deadline::new(self.config.timeouts.send));
            }
        }
    }

    /// Stops being the writer. Whoever waits looks again and takes over what is left.
    fn leave<'a>(&self, mut path: Path<'a>, job: Box<Job>) -> Path<'a> {
        path.writing = false;
        path.in_flight = 0;
        path.job = Some(job);
        if path.dead.is_some() {
            path.abandon();
        }
        if path.waiting > 0 {
            self.turn.notify_all();
        }
        path
    }

    fn write_job(&self, job: &mut Job, mut patience: Patience) -> Result<Progress, Error> {
        if let Some(tls) = &self.tls {
            tls.has_output.store(false, Ordering::SeqCst);
        }
        loop {
            match (
                job.write(&*self.transport, self.tls.as_ref())?,
                &mut patience,
            ) {
                (Progress::Blocked, Patience::Until(deadline)) => {
                    // The peer may do the same: it must be read from.
                    self.queue.summon(Summons::Alone);
                    let ready = self.transport.wait(Interest::WRITABLE, deadline.get())?;
                    if !ready.any() {
                        return Err(Error::Timeout(Timeout::Send));
                    }
                }
                (progress, _) => return Ok(progress),
            }
        }
    }

    /// A write failed. If no byte of the caller's own frame has left, it is taken back; after a
    /// deadline the connection is then as good as before. It cannot be taken back once a message
    /// compressed after it may refer to it.
    fn fail_write(
        &self,
        mut path: Path<'_>,
        mut job: Box<Job>,
        (start, own): (usize, Own),
        error: Error,
    ) -> Failed {
        let referred = |n| path.compressed != n || path.deflater.is_none();
        let torn =
            job.is_past(start) || start == job.plain.len() || own.context.is_some_and(referred);
        let timeout = matches!(error, Error::Timeout(_));
        let between_frames = job.stands_at(start) || job.stands_at(0);
        if timeout && !torn && between_frames && path.dead.is_none() {
            // What was before it stays, if it has not left either.
            job.messages = match job.stands_at(start) {
                true => 0,
                false => job.messages.saturating_sub(own.messages),
            };
            job.plain.truncate(start);
            if let (Some(_), Some(deflater)) = (own.context, &mut path.deflater) {
                // The peer will never see it.
                deflater.reset();
            }
            path = self.leave(path, job);
            let orphaned = path.waiting == 0 && path.has_pending(self.tls.as_ref());
            drop(path);
            if orphaned {
                // Others have been told that their messages go out.
                self.write_soon();
            }
            return Failed { error, torn };
        }
        if !torn {
            job.messages = job.messages.saturating_sub(own.messages);
        }
        path = self.leave(path, job);
        let error = path.fail(error);
        drop(path);
        log::debug!("write failed: {error}");
        if timeout {
            let _ = self.transport.shutdown(Shutdown::Both);
        } else {
            timer::shutdown_at(Instant::now() + DRAIN, &self.transport);
        }
        Failed { error, torn }
    }

    /// Writes what waits as far as the kernel takes it, for the reader. Returns whether anything is
    /// left that no writer has.
    pub(super) fn write_without_waiting(&self) -> bool {
        let path = self.lock_send();
        if path.writing || path.dead.is_some() || !path.has_pending(self.tls.as_ref()) {
            return false;
        }
        match self.write(path, Own::default(), Patience::None) {
            Ok(path) => !path.writing && path.dead.is_none() && path.has_pending(self.tls.as_ref()),
            Err(_) => false,
        }
    }

    /// Writes what waits, patiently, for a close.
    pub(super) fn write_until(&self, path: Path<'_>, deadline: Option<Instant>) {
        if !path.writing && path.dead.is_none() {
            // A failure is in the end of the connection.
            let patience = Patience::Until(Deadline::at(deadline));
            drop(self.write(path, Own::default(), patience));
        }
    }
}

impl SendPath {
    fn refuses(&self) -> bool {
        self.dead.is_some() || !self.outbound.is_open()
    }

    /// Why nothing may be sent, if so.
    pub(super) fn refusal(&self) -> Option<Error> {
        if let Some(error) = &self.dead {
            return Some(error.clone());
        }
        let open = self.outbound.is_open();
        (!open).then(|| Error::Closed(Arc::new(self.outbound.closed().clone())))
    }

    fn fill(&mut self, job: &mut Job) {
        job.messages += self.outbound.take(&mut job.plain);
        self.in_flight = job.messages;
    }
}
