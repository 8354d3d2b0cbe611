//! The end of a connection, in its reader thread: what the peer is told, and how TCP ends.

use super::Connection;
use super::reader::Reader;
use crate::close::{CloseCode, CloseFrame};
use crate::error::{Error, Timeout};
use crate::net::Interest;
use crate::protocol::Role;
use std::io;
use std::net::Shutdown;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long the peer may take to end TCP after the closing handshake, or after a failure.
const LINGER: Duration = Duration::from_secs(1);

/// How long a Close frame for a failure may take to leave.
const FAREWELL: Duration = Duration::from_millis(100);

impl Reader {
    /// What the reader thread does last, however reading ended.
    pub(super) fn end(mut self: Box<Self>, result: Result<(), Error>) {
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
        if self.connection.was_too_slow() {
            self.connection.transport.discard_on_drop();
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

    /// Why the connection is lost, when the socket has ended.
    pub(super) fn lost(&self) -> Error {
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

    /// Whether the peer has had time for what it was sent.
    fn was_too_slow(&self) -> bool {
        let error = self.end().and_then(|end| end.error.as_ref());
        matches!(
            error,
            Some(Error::Timeout(
                Timeout::Send | Timeout::Close | Timeout::Ping
            ))
        )
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
