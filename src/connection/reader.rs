//! The reader thread: socket in, queue out. It never waits for writing.

use super::Connection;
use super::read_buffer::ReadBuffer;
use crate::close::{CloseCode, CloseFrame};
use crate::error::{Error, Timeout};
use crate::net::{Interest, Ready};
use crate::protocol::{Event, Inbound, Role};
use crate::queue::Producer;
use bytes::Bytes;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long the peer may take to end TCP after the closing handshake, or after a failure.
const LINGER: Duration = Duration::from_secs(1);

/// How long a Close frame for a failure may take to leave.
const FAREWELL: Duration = Duration::from_millis(100);

/// After so much quiet a buffer that a burst made large is given back.
const QUIET: Duration = Duration::from_secs(1);

/// While the queue is full, how often bytes that the kernel did not take are tried again.
const RETRY: Duration = Duration::from_millis(10);

/// The receive path, and the only owner of it.
pub(super) struct Reader {
    connection: Arc<Connection>,
    producer: Producer,
    inbound: Inbound,
    /// What the socket gave: frames, or ciphertext.
    socket: ReadBuffer,
    /// With TLS: decrypted bytes, and how many of them are taken.
    plain: Vec<u8>,
    taken: usize,
    /// Frames of ours that the kernel did not take, and no writer has.
    leftover: bool,
    discarded: usize,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Bytes,
    /// As many as there was room for: more may wait.
    Full,
    Nothing,
    End,
}

impl Reader {
    pub(super) fn new(connection: Arc<Connection>, producer: Producer, rest: Vec<u8>) -> Self {
        let (frames, plain) = match connection.tls {
            None => (rest, Vec::new()),
            Some(_) => (Vec::new(), rest),
        };
        Reader {
            inbound: Inbound::new(connection.role, connection.config.limits.clone()),
            socket: ReadBuffer::new(&frames),
            plain,
            taken: 0,
            leftover: false,
            discarded: 0,
            connection,
            producer,
        }
    }

    pub(super) fn run(mut self) {
        let result = self.receive();
        self.producer.deliver();
        match &result {
            Ok(()) => {
                let deadline = self.connection.lock_send().outbound.deadline();
                self.settle(deadline);
            }
            Err(error) => self.say_goodbye(error),
        }
        let Reader {
            connection,
            producer,
            mut socket,
            discarded,
            ..
        } = self;
        let told = result
            .as_ref()
            .err()
            .is_none_or(|error| error.close_code().is_some());
        connection.finish(result.err(), discarded);
        // Consumers learn from the end of the channel that there is an end to look at.
        drop(producer);
        if told {
            connection.linger(socket.space());
        }
        let _ = connection.transport.shutdown(Shutdown::Both);
    }

    /// Until both Close frames have gone, or the connection is lost or failed.
    fn receive(&mut self) -> Result<(), Error> {
        // After a read that took all there was, another would most likely find nothing.
        let mut more = false;
        loop {
            if self.take_events()? {
                return Ok(());
            }
            if !more {
                self.wait()?;
            }
            more = match self.read()? {
                Got::End => return Err(self.lost()),
                Got::Nothing | Got::Bytes => false,
                Got::Full => true,
            };
        }
    }

    /// Takes all frames that are there. Returns whether the closing handshake is done.
    fn take_events(&mut self) -> Result<bool, Error> {
        let mut now = Instant::now();
        let mut answered = false;
        let result = loop {
            if self.producer.is_full() && !self.producer.is_released() && self.has_unread() {
                self.pause(answered);
                now = Instant::now();
            }
            let (unread, inbound) = match self.connection.tls {
                None => (self.socket.unread(), &mut self.inbound),
                Some(_) => (&mut self.plain[self.taken..], &mut self.inbound),
            };
            let (n, event) = inbound.receive(unread, now)?;
            self.consume(n);
            match event {
                None => break Ok(false),
                Some(Event::Message(message)) => self.queue(message),
                Some(Event::Ping(payload)) => {
                    self.connection.answer(payload);
                    answered = true;
                }
                Some(Event::Pong(_)) => {}
                Some(Event::Close(frame)) => {
                    log::debug!("received Close: {frame}");
                    let timeout = self.connection.config.timeouts.close;
                    self.connection
                        .lock_send()
                        .outbound
                        .receive_close(frame, now, timeout);
                    break Ok(true);
                }
            }
        };
        self.producer.deliver();
        if answered {
            self.flush();
        }
        result
    }

    fn queue(&mut self, message: crate::Message) {
        // Released: the application is closing, and nothing stops the reader on its way to the
        // peer's Close frame. What the bounds do not hold is dropped.
        if self.producer.is_full() {
            self.discarded += 1;
        } else {
            self.producer.push(message);
        }
    }

    /// Waits until the application has taken most of what is queued.
    fn pause(&mut self, answered: bool) {
        self.producer.deliver();
        if answered {
            self.flush();
        }
        while self.producer.is_full() && !self.producer.is_released() {
            if self.leftover {
                self.flush();
            }
            let retry = self.leftover.then(|| Instant::now() + RETRY);
            self.producer.wait_for_room(retry);
        }
    }

    fn has_unread(&mut self) -> bool {
        match self.connection.tls {
            None => !self.socket.unread().is_empty(),
            Some(_) => self.taken < self.plain.len(),
        }
    }

    fn consume(&mut self, n: usize) {
        if self.connection.tls.is_none() {
            return self.socket.consume(n);
        }
        self.taken += n;
        if self.taken == self.plain.len() {
            self.plain.clear();
            self.taken = 0;
        }
    }

    fn read(&mut self) -> Result<Got, Error> {
        let got = self.read_socket()?;
        match &self.connection.tls {
            Some(_) if matches!(got, Got::Bytes | Got::Full) => self.decrypt(got),
            _ => Ok(got),
        }
    }

    fn read_socket(&mut self) -> Result<Got, Error> {
        loop {
            return match self.connection.transport.read(self.socket.space()) {
                Ok(0) => Ok(Got::End),
                Ok(n) => Ok(if self.socket.filled(n) {
                    Got::Full
                } else {
                    Got::Bytes
                }),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Got::Nothing),
                Err(e) => Err(e.into()),
            };
        }
    }

    fn decrypt(&mut self, got: Got) -> Result<Got, Error> {
        let Some(tls) = &self.connection.tls else {
            return Ok(got);
        };
        self.plain.drain(..std::mem::take(&mut self.taken));
        let cipher = self.socket.unread();
        let length = cipher.len();
        let mut session = tls.session.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = session.receive(cipher, &mut self.plain);
        let has_output = session.has_output();
        drop(session);
        self.socket.consume(length);
        if has_output {
            tls.has_output.store(true, Ordering::SeqCst);
            self.flush();
        }
        // What came before a close_notify is taken first; the next read then tells of the end.
        Ok(if ended? && self.plain.is_empty() {
            Got::End
        } else {
            got
        })
    }

    /// Writes frames of ours as far as the kernel takes them.
    fn flush(&mut self) {
        self.leftover = self.connection.write_without_waiting();
    }

    /// Waits until something can be read, or written if something is left over.
    fn wait(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let timeouts = &self.connection.config.timeouts;
        let message = self
            .inbound
            .message_begun()
            .zip(timeouts.message)
            .map(|(begun, t)| begun + t);
        let close = self.connection.lock_send().outbound.deadline();
        for (deadline, which) in [(message, Timeout::Message), (close, Timeout::Close)] {
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(Error::Timeout(which));
            }
        }
        let quiet = (self.socket.is_large() || self.plain.capacity() > 0).then(|| now + QUIET);
        let deadline = [message, close, quiet].into_iter().flatten().min();
        let interest = if self.leftover {
            Interest::BOTH
        } else {
            Interest::READABLE
        };
        let ready = self.wait_for(interest, deadline)?;
        if !ready.any() && deadline == quiet {
            self.socket.shrink();
            if self.plain.is_empty() {
                self.plain = Vec::new();
            }
        }
        if ready.writable {
            self.flush();
        }
        Ok(())
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
    fn linger(&self, scrap: &mut [u8]) {
        let deadline = Some(Instant::now() + LINGER);
        self.end_tls();
        if self.role == Role::Server {
            let _ = self.transport.shutdown(Shutdown::Write);
        }
        loop {
            match self.transport.read(scrap) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    match self.transport.wait(Interest::READABLE, deadline) {
                        Ok(ready) if ready.any() => {}
                        _ => return,
                    }
                }
                Err(_) => return,
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return;
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
        Error::TooBig { size, limit } => format!("{size}, the limit is {limit}"),
        _ => CloseCode::INTERNAL_ERROR.to_string(),
    }
}
