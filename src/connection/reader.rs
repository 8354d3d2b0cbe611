//! Reading: socket in, queue out. It never waits for writing.
//!
//! The value that reads belongs to the reader thread, or for a while to a consumer that found the
//! queue empty ([`Source`]).

use super::deferring::TICK;
use super::intake::{Got, Intake};
use super::outlet::Outlets;
use super::{Connection, STACK};
use crate::error::{Error, Timeout};
use crate::net::{Interest, Ready};
use crate::protocol::Step;
use crate::queue::{Outcome, Producer, Source};
use crate::sender::Sender;
use crate::sync::{Builder, Ordering};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After so much quiet the memory for reading is given back.
const QUIET: Duration = Duration::from_secs(1);

/// While the queue is full, how often what waits to be written is looked at.
pub(super) const RETRY: Duration = Duration::from_millis(2);

/// While a writer holds up the end of deferring, the pause between looks grows to this.
const LONGEST_TICK: Duration = Duration::from_millis(50);

/// A consumer that comes back to read after less than this is likely to do so again.
const QUICK: Duration = Duration::from_micros(500);

/// When several consumers take turns, the thread reads for so many of them before it tries to leave it
/// to them again.
const SHARED: u32 = 1000;

pub(crate) struct Reader {
    pub(super) connection: Arc<Connection>,
    pub(super) producer: Producer,
    intake: Intake,
    pub(super) outlets: Outlets,
    /// Frames of ours that the kernel did not take, and no writer has.
    pub(super) leftover: bool,
    /// Sends may be deferred, and the reader comes by after so long.
    tick: Option<Duration>,
    /// When a read last brought several messages.
    burst: Option<Instant>,
    /// The last read found as much as there was room for, or the end is known.
    more: bool,
    /// A consumer reads, not the thread.
    direct: bool,
    /// A consumer was woken that can read in the thread's place.
    replaced: bool,
    /// So many such have to come first.
    shared: u32,
    /// Since when nobody reads, while a message is on its way.
    left: Option<Instant>,
    /// How reading ended, for the thread to see to.
    result: Option<Result<(), Error>>,
}

/// Why reading came to a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Both Close frames have gone.
    Closed,
    /// Somebody else goes on.
    Replaced,
}

impl Reader {
    pub(super) fn new(connection: Arc<Connection>, producer: Producer, intake: Intake) -> Self {
        Reader {
            // The end may have come with the opening handshake, behind the first frames.
            more: intake.has_ended(),
            connection,
            producer,
            intake,
            outlets: Outlets::default(),
            leftover: false,
            tick: None,
            burst: None,
            direct: false,
            replaced: false,
            shared: 0,
            left: None,
            result: None,
        }
    }

    /// Begins to read. `sender` is for the outlet, if there is one.
    pub(crate) fn start(mut self: Box<Self>, sender: &Sender) -> Result<(), Error> {
        let queue = Arc::clone(&self.connection.queue);
        self.begin(sender);
        let outlet = self.outlets.outlet.as_ref();
        let mut thread = Builder::new().name("ws-read".into());
        if !outlet.is_some_and(|outlet| outlet.runs_application()) {
            thread = thread.stack_size(STACK);
        }
        let direct = outlet.is_none() && self.consumers_may_read();
        let mut reader: Box<dyn Source> = self;
        if direct {
            match queue.lease(reader) {
                Ok(()) => return Ok(()),
                Err(not_leased) => reader = not_leased,
            }
        }
        thread.spawn(move || queue.serve(reader))?;
        Ok(())
    }

    /// Reads in this thread until the end, for an outlet.
    pub(crate) fn run(mut self: Box<Self>, sender: &Sender) {
        let queue = Arc::clone(&self.connection.queue);
        self.begin(sender);
        queue.serve(self);
    }

    fn begin(&mut self, sender: &Sender) {
        self.connection.begin_keepalive();
        if self.outlets.outlet.is_some() {
            self.outlets.opened = Some(sender.clone());
        }
    }

    /// Until both Close frames have gone, a consumer can go on, or the connection is lost or failed.
    fn receive(&mut self) -> Result<Stop, Error> {
        loop {
            if self.take_events()? {
                return Ok(Stop::Closed);
            }
            if std::mem::take(&mut self.replaced) && self.may_leave() {
                return Ok(Stop::Replaced);
            }
            // After a read that took all there was, another would most likely find nothing.
            self.wait_and_read(!self.more, None)?;
        }
    }

    /// For a consumer: until something is queued, or the deadline has passed.
    fn receive_until(&mut self, deadline: Option<Instant>) -> Result<Stop, Error> {
        let mut last = has_passed(deadline);
        loop {
            if self.take_events()? {
                return Ok(Stop::Closed);
            }
            if self.producer.has_queued() {
                return Ok(Stop::Replaced);
            }
            self.wait_and_read(!self.more && !last, deadline)?;
            if last {
                let closed = self.take_events()?;
                return Ok(if closed { Stop::Closed } else { Stop::Replaced });
            }
            last = has_passed(deadline);
        }
    }

    fn wait_and_read(&mut self, wait: bool, deadline: Option<Instant>) -> Result<(), Error> {
        let wait = match wait {
            true => self.wait(deadline)?,
            // A flood never lets the reader wait.
            false => check(&self.deadlines(), Instant::now()).map(|()| false)?,
        };
        self.more = match self.read(wait)? {
            Got::End => return Err(self.lost()),
            Got::Nothing => false,
            got => {
                self.connection.life.hear();
                got == Got::Full
            }
        };
        Ok(())
    }

    fn read(&mut self, wait: bool) -> Result<Got, Error> {
        let tls = self.connection.tls.as_ref();
        let transport = &*self.connection.transport;
        let got = self.intake.read(transport, wait, tls, &mut self.producer);
        let came = self.intake.came();
        self.connection.came.store(came, Ordering::Relaxed);
        if tls.is_some_and(|tls| tls.has_output.load(Ordering::SeqCst)) {
            self.flush();
        }
        got
    }

    /// Takes all frames that are there. Returns whether the closing handshake is done.
    fn take_events(&mut self) -> Result<bool, Error> {
        if self.outlets.is_pending() {
            // There may be room by now for what waits, and then for what has come.
            self.deliver()?;
        }
        let mut now = Instant::now();
        let mut answered = false;
        let closed = loop {
            if self.producer.must_wait() && self.intake.has_unread() {
                if self.direct {
                    // The consumer makes room itself.
                    self.check_overflow()?;
                    break false;
                }
                self.pause(answered)?;
                now = Instant::now();
            }
            match self.intake.next(now, &mut self.producer)? {
                Step::More => {
                    // A large message may have come whole without a step of its own.
                    self.check_overflow()?;
                    break false;
                }
                Step::Full => {
                    self.check_overflow()?;
                    if self.producer.is_diverted() && self.producer.is_open() {
                        self.deliver()?;
                    }
                }
                Step::Pong(payload) => self.take_pong(payload)?,
                Step::Ping(payload) => {
                    self.connection.answer(payload);
                    answered = true;
                }
                Step::Close(frame) => {
                    log::debug!("received Close: {}", frame.code);
                    if self.producer.is_diverted() {
                        // A callback may answer what came before.
                        self.connection.queue.release();
                        self.deliver()?;
                        now = Instant::now();
                    }
                    let timeout = self.connection.config.timeouts.close;
                    let mut path = self.connection.lock_send();
                    path.outbound.receive_close(frame, now, timeout);
                    break true;
                }
            }
        };
        self.deliver()?;
        if answered {
            self.flush();
        }
        Ok(closed)
    }

    fn check_overflow(&self) -> Result<(), Error> {
        match self.producer.overflowed() {
            None => Ok(()),
            Some(code) => Err(Error::Overflow(code)),
        }
    }

    /// Hands what came to the consumers. The answers to several messages may go together.
    pub(super) fn deliver(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if self.producer.is_diverted() {
            let idle = self.producer.batch_len() == 0 && !self.outlets.is_pending();
            self.producer.deliver(now);
            if idle {
                return Ok(());
            }
            let result = self.pump();
            // The application may take its time.
            self.intake.excuse(now.elapsed());
            return result;
        }
        if self.tick.is_some() && self.connection.has_deferred() {
            // Bursts without a pause must not keep the answers waiting.
            self.flush();
        }
        if self.producer.batch_len() > 1 {
            let last = self.burst.replace(now);
            let quick = last.is_some_and(|last| now - last < QUICK);
            let direct = self.direct.then_some((now, quick));
            self.connection.start_deferring(direct);
            self.tick = Some(TICK);
        }
        if self.direct {
            self.producer.enqueue(now);
        } else if self.producer.deliver(now) {
            self.shared = self.shared.saturating_sub(1);
            self.replaced = true;
        }
        Ok(())
    }

    /// Waits until the application has taken most of what is queued.
    fn pause(&mut self, answered: bool) -> Result<(), Error> {
        self.deliver()?;
        if self.producer.is_diverted() {
            // There is room: the reader has made it itself.
            return Ok(());
        }
        if answered {
            self.flush();
        }
        let mut before = usize::MAX;
        let began = Instant::now();
        self.producer.begin_pause();
        let mut over = false;
        // A look in between does not end it before the low mark.
        while !over || self.producer.must_wait() {
            let queued = self.producer.queued();
            if queued == before {
                // Nobody takes, so nobody sends answers either.
                self.stop_deferring();
            }
            before = queued;
            if self.leftover || self.connection.has_deferred() {
                self.flush();
            }
            let owing = self.leftover || self.tick.is_some();
            let deadline = owing.then(|| Instant::now() + RETRY);
            over = self.producer.wait_for_room(deadline);
        }
        self.producer.end_pause();
        // The peer was held up, too.
        self.intake.excuse(began.elapsed());
        Ok(())
    }

    /// Before a long wait: no send counts on the reader any more, and what they left is written.
    /// False while a writer is at it.
    fn stop_deferring(&mut self) -> bool {
        if self.tick.is_none() {
            return true;
        }
        if !self.connection.stop_deferring() {
            return false;
        }
        self.tick = None;
        self.flush();
        true
    }

    /// Writes frames of ours as far as the kernel takes them.
    pub(super) fn flush(&mut self) {
        self.leftover = self.connection.write_without_waiting();
    }

    /// Whether the thread may leave reading to a consumer.
    fn may_leave(&self) -> bool {
        let quiet = self.shared == 0 && !self.leftover && !self.producer.is_released();
        quiet && self.consumers_may_read()
    }

    /// Not with a policy that drops: what nobody reads in time would not be dropped, but come late.
    fn consumers_may_read(&self) -> bool {
        self.connection.config.direct_read && self.connection.queue.blocks()
    }

    /// Waits until something can be read, or written if something is left over; not beyond `until`.
    /// Or returns at once that the read may wait itself, if there is nothing but that to wait for.
    fn wait(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        let now = Instant::now();
        // A consumer that reads has written what was left.
        let over = self.direct && self.stop_deferring();
        if let Some(tick) = self.tick.filter(|_| !over) {
            let end = until.map_or(now + tick, |until| until.min(now + tick));
            let ready = self.wait_for(self.interest(), Some(end))?;
            if ready.writable {
                self.flush();
            }
            if ready.any() {
                return Ok(false);
            }
            if !self.stop_deferring() {
                self.tick = Some((tick * 2).min(LONGEST_TICK));
                return Ok(false);
            }
        }
        let deadlines = self.deadlines();
        check(&deadlines, now)?;
        let quiet = self.intake.is_large().then(|| now + QUIET);
        let deadlines = deadlines.map(|(at, _)| at);
        let pump = self.outlets.is_pending().then(|| now + self.outlets.retry);
        let others = [quiet, pump, until];
        let deadline = deadlines.into_iter().chain(others).flatten().min();
        if deadline.is_none() && !self.leftover && self.intake.has_space() {
            return Ok(true);
        }
        let ready = self.wait_for(self.interest(), deadline)?;
        if !ready.any() && quiet.is_some() && deadline == quiet {
            self.intake.shrink();
            self.producer.shrink();
        }
        if ready.writable {
            self.flush();
        }
        Ok(false)
    }

    fn deadlines(&self) -> [(Option<Instant>, Timeout); 2] {
        let timeout = self.connection.config.timeouts.message;
        let message = self
            .intake
            .message_begun()
            .zip(timeout)
            .and_then(|(begun, timeout)| begun.checked_add(timeout));
        let close = self.connection.lock_send().outbound.deadline();
        [(message, Timeout::Message), (close, Timeout::Close)]
    }

    fn interest(&self) -> Interest {
        if self.leftover {
            Interest::BOTH
        } else {
            Interest::READABLE
        }
    }

    pub(super) fn wait_for(
        &self,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Result<Ready, Error> {
        Ok(self.connection.transport.wait(interest, deadline)?)
    }
}

impl Source for Reader {
    fn read(&mut self, deadline: Option<Instant>) -> Outcome {
        self.resume(true);
        let result = self.receive_until(deadline);
        self.left = self.intake.message_begun().map(|_| Instant::now());
        match result {
            Ok(Stop::Replaced) if self.leftover => Outcome::Unfinished,
            Ok(Stop::Replaced) => Outcome::Done,
            Ok(Stop::Closed) => self.ended(Ok(())),
            Err(error) => self.ended(Err(error)),
        }
    }

    fn serve(mut self: Box<Self>, shared: bool) -> Option<Box<dyn Source>> {
        self.resume(false);
        self.shared = if shared { SHARED } else { 0 };
        let result = match self.result.take() {
            Some(result) => result,
            None => match self.receive() {
                Ok(Stop::Closed) => Ok(()),
                Err(error) => Err(error),
                Ok(Stop::Replaced) => {
                    if self.tick.is_some() {
                        // Nobody comes by until a consumer reads.
                        self.connection
                            .start_deferring(Some((Instant::now(), false)));
                    }
                    self.left = self.intake.message_begun().map(|_| Instant::now());
                    return Some(self);
                }
            },
        };
        self.end(result);
        None
    }
}

impl Reader {
    fn resume(&mut self, direct: bool) {
        self.direct = direct;
        if let Some(left) = self.left.take() {
            self.intake.excuse(left.elapsed());
        }
    }

    fn ended(&mut self, result: Result<(), Error>) -> Outcome {
        self.result = Some(result);
        Outcome::Unfinished
    }
}

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Which of the deadlines has passed, if one has.
fn check(deadlines: &[(Option<Instant>, Timeout)], now: Instant) -> Result<(), Error> {
    let passed = |(at, _): &&(Option<Instant>, _)| at.is_some_and(|at| at <= now);
    match deadlines.iter().find(passed) {
        Some((_, which)) => Err(Error::Timeout(*which)),
        None => Ok(()),
    }
}

impl Connection {
    fn answer(&self, ping: Bytes) {
        let mut path = self.lock_send();
        let stalled = path.writing || !path.job_is_done();
        path.pings += 1;
        path.outbound.answer(ping, stalled);
    }
}
