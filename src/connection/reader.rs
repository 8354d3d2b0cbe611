//! The reader thread: socket in, queue out. It never waits for writing.

use super::intake::{Got, Intake};
use super::outlet::{Outlet, Outlets};
use super::{Connection, STACK};
use crate::close::{CloseCode, CloseFrame};
use crate::error::{Error, Timeout};
use crate::net::{Interest, Ready};
use crate::protocol::{Role, Step};
use crate::queue::Producer;
use crate::sender::Sender;
use bytes::Bytes;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the peer may take to end TCP after the closing handshake, or after a failure.
const LINGER: Duration = Duration::from_secs(1);

/// How long a Close frame for a failure may take to leave.
const FAREWELL: Duration = Duration::from_millis(100);

/// After so much quiet the memory for reading is given back.
const QUIET: Duration = Duration::from_secs(1);

/// While the queue is full, how often what waits to be written is looked at.
pub(super) const RETRY: Duration = Duration::from_millis(2);

/// While a writer holds up the end of deferring, the pause between looks grows to this.
const LONGEST_TICK: Duration = Duration::from_millis(50);

/// How soon the reader comes by to write what sends have left in the outbox.
const TICK: Duration = Duration::from_micros(200);

pub(crate) struct Reader {
    pub(super) connection: Arc<Connection>,
    pub(super) producer: Producer,
    intake: Intake,
    pub(super) outlets: Outlets,
    /// Frames of ours that the kernel did not take, and no writer has.
    pub(super) leftover: bool,
    /// Sends may be deferred, and the reader comes by after so long.
    tick: Option<Duration>,
}

impl Reader {
    pub(super) fn new(
        connection: Arc<Connection>,
        producer: Producer,
        intake: Intake,
        outlet: Option<Box<dyn Outlet>>,
    ) -> Self {
        Reader {
            connection,
            producer,
            intake,
            outlets: Outlets {
                outlet,
                ..Outlets::default()
            },
            leftover: false,
            tick: None,
        }
    }

    /// Starts the thread. `sender` is for the outlet, if there is one.
    pub(crate) fn start(mut self, sender: Sender) -> Result<(), Error> {
        let mut thread = thread::Builder::new().name("ws-read".into());
        let outlet = self.outlets.outlet.as_ref();
        if !outlet.is_some_and(|outlet| outlet.runs_application()) {
            thread = thread.stack_size(STACK);
        }
        if outlet.is_some() {
            self.outlets.opened = Some(sender);
        }
        // On the heap, or its stack would need one page more.
        let reader = Box::new(self);
        thread.spawn(move || reader.run())?;
        Ok(())
    }

    fn run(mut self: Box<Self>) {
        let result = self.receive();
        if self.producer.is_diverted() {
            // The peer is told of the end, whoever waits for room.
            self.connection.queue.release();
        }
        // An outlet that fails now changes nothing any more.
        let _ = self.deliver();
        match &result {
            Ok(()) => {
                let deadline = self.connection.lock_send().outbound.deadline();
                self.settle(deadline);
            }
            Err(error) => self.say_goodbye(error),
        }
        let told = result
            .as_ref()
            .err()
            .is_none_or(|error| error.close_code().is_some());
        self.connection.finish(result.err());
        let handed_on = self.hand_on_end(false);
        // Consumers learn from this that there is an end to look at.
        self.producer.end();
        if told {
            self.connection.linger();
        }
        let _ = self.connection.transport.shutdown(Shutdown::Both);
        // Handles may keep the socket open. Unread bytes would keep a peer waiting that still writes;
        // with room again its next byte is answered by a reset.
        self.connection.drain();
        if !handed_on {
            // Until there is room, or nobody is there to make any.
            self.hand_on_end(true);
        }
    }

    /// Until both Close frames have gone, or the connection is lost or failed.
    fn receive(&mut self) -> Result<(), Error> {
        // The end may have come with the opening handshake, behind the first frames.
        let mut more = self.intake.has_ended();
        loop {
            if self.take_events()? {
                return Ok(());
            }
            if more {
                // A flood never lets the reader wait.
                check(&self.deadlines(), Instant::now())?;
            } else {
                // After a read that took all there was, another would most likely find nothing.
                self.wait()?;
            }
            more = match self.read()? {
                Got::End => return Err(self.lost()),
                Got::Nothing | Got::Bytes => false,
                Got::Full => true,
            };
        }
    }

    fn read(&mut self) -> Result<Got, Error> {
        let tls = self.connection.tls.as_ref();
        let transport = &*self.connection.transport;
        let got = self.intake.read(transport, tls, &mut self.producer);
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
                Step::Pong(_) => {}
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
    fn deliver(&mut self) -> Result<(), Error> {
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
            self.connection.start_deferring();
            self.tick = Some(TICK);
        }
        self.producer.deliver(now);
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

    /// Waits until something can be read, or written if something is left over.
    fn wait(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if let Some(tick) = self.tick {
            let ready = self.wait_for(self.interest(), Some(now + tick))?;
            if ready.writable {
                self.flush();
            }
            if ready.any() {
                return Ok(());
            }
            if !self.stop_deferring() {
                self.tick = Some((tick * 2).min(LONGEST_TICK));
                return Ok(());
            }
        }
        let deadlines = self.deadlines();
        check(&deadlines, now)?;
        let quiet = self.intake.is_large().then(|| now + QUIET);
        let deadlines = deadlines.map(|(at, _)| at);
        let pump = self.outlets.is_pending().then(|| now + self.outlets.retry);
        let deadline = deadlines.into_iter().chain([quiet, pump]).flatten().min();
        let ready = self.wait_for(self.interest(), deadline)?;
        if !ready.any() && deadline == quiet {
            self.intake.shrink();
            self.producer.shrink();
        }
        if ready.writable {
            self.flush();
        }
        Ok(())
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

    fn wait_for(&self, interest: Interest, deadline: Option<Instant>) -> Result<Ready, Error> {
        Ok(self.connection.transport.wait(interest, deadline)?)
    }

    /// Why the connection is lost, when the socket has ended.
    fn lost(&self) -> Error {
        let close = self.connection.lock_send().outbound.deadline();
        match close.is_some_and(|deadline| deadline <= Instant::now()) {
            true => Error::Timeout(Timeout::Close),
            false => Error::eof(),
        }
    }

    /// Tells the peer why the connection is failed (RFC 6455 section 7.1.7), if it can be told.
    fn say_goodbye(&mut self, error: &Error) {
        let Some(code) = error.close_code() else {
            return;
        };
        log::debug!("failing the connection with {code}: {error}");
        // What came before is good: the application may answer it.
        self.producer.wait_for_consumer(Instant::now() + FAREWELL);
        let frame = CloseFrame {
            code,
            reason: reason(error).into(),
        };
        let now = Instant::now();
        self.connection
            .lock_send()
            .outbound
            .close(frame, now, Some(LINGER));
        self.settle(Some(now + FAREWELL));
    }

    /// Waits until all that is appended is written, or the deadline has passed.
    fn settle(&mut self, deadline: Option<Instant>) {
        self.flush();
        loop {
            if self.leftover {
                match self.wait_for(Interest::WRITABLE, deadline) {
                    Ok(ready) if ready.any() => self.flush(),
                    _ => return,
                }
            } else if !self.connection.wait_for_writer(deadline) {
                return;
            } else {
                self.flush();
                if !self.leftover && !self.connection.lock_send().writing {
                    return;
                }
            }
        }
    }
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
        let stalled = path.writing || !path.job.is_done();
        path.outbound.answer(ping, stalled);
    }

    /// Waits until nobody writes. False when the deadline came first.
    fn wait_for_writer(&self, deadline: Option<Instant>) -> bool {
        let mut path = self.lock_send();
        while path.writing {
            match self.wait(path, deadline) {
                Some(waited) => path = waited,
                None => return false,
            }
        }
        true
    }

    /// Ends TCP: the server first (RFC 6455 section 7.1.1). Reads on for a while, since closing a
    /// socket with unread bytes would reset it and take our last frames along.
    fn linger(&self) {
        self.end_tls();
        if self.role == Role::Server {
            let _ = self.transport.shutdown(Shutdown::Write);
        }
        self.drain();
    }

    /// Discards what comes until the end, for a bounded time.
    fn drain(&self) {
        let deadline = Instant::now() + LINGER;
        let mut scrap = vec![0; 4096];
        while Instant::now() < deadline {
            match self.transport.read(&mut scrap) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    match self.transport.wait(Interest::READABLE, Some(deadline)) {
                        Ok(ready) if ready.any() => {}
                        _ => return,
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Sends close_notify, as far as the kernel takes it.
    fn end_tls(&self) {
        let Some(tls) = &self.tls else {
            return;
        };
        let mut output = Vec::new();
        let mut session = tls.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.close();
        session.take_output(&mut output);
        drop(session);
        // Only behind whole records.
        if !self.lock_send().writing {
            let _ = self.transport.write(&output);
        }
    }
}

/// A reason for a Close frame: at most 123 bytes, and nothing the peer sent.
fn reason(error: &Error) -> String {
    match error {
        Error::Protocol(e) => e.to_string(),
        Error::Timeout(Timeout::Message) => "message timeout".into(),
        Error::Overflow(_) => "the receive queue is full".into(),
        Error::TooBig { size, limit } => format!("{size}, the limit is {limit}"),
        _ => CloseCode::INTERNAL_ERROR.to_string(),
    }
}
