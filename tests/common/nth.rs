//! A stream one of whose operations fails: the N-th.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use wsync::{Interest, Ready, Transport};

/// How the operation fails. All others go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Reset,
    BrokenPipe,
    /// A read or write of 0 bytes.
    Zero,
    /// Nothing for now, of a read or write.
    WouldBlock,
    Interrupted,
}

impl Failure {
    pub(crate) const ALL: [Failure; 5] = [
        Failure::Reset,
        Failure::BrokenPipe,
        Failure::Zero,
        Failure::WouldBlock,
        Failure::Interrupted,
    ];

    /// Whether nothing of it may be seen.
    pub(crate) fn is_passing(self) -> bool {
        matches!(self, Failure::WouldBlock | Failure::Interrupted)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Prepare,
    Read,
    Write,
    Wait,
    Shutdown,
}

/// Which operation fails, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Counted from 1.
    nth: usize,
    failure: Failure,
    calls: AtomicUsize,
    failed: OnceLock<Operation>,
}

impl Plan {
    pub(crate) fn new(nth: usize, failure: Failure) -> Arc<Self> {
        Arc::new(Plan {
            nth,
            failure,
            calls: AtomicUsize::new(0),
            failed: OnceLock::new(),
        })
    }

    /// Whether there were as many operations.
    pub(crate) fn was_reached(&self) -> bool {
        self.calls.load(Ordering::SeqCst) >= self.nth
    }

    /// Which operation failed; none if the failure is none that this operation may have.
    pub(crate) fn failed(&self) -> Option<Operation> {
        self.failed.get().copied()
    }

    /// The kind of error that is to be told.
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        Some(match (self.failure, self.failed()?) {
            (Failure::Reset, _) => ErrorKind::ConnectionReset,
            (Failure::BrokenPipe, _) => ErrorKind::BrokenPipe,
            (Failure::Zero, Operation::Read) => ErrorKind::UnexpectedEof,
            (Failure::Zero, _) => ErrorKind::WriteZero,
            _ => return None,
        })
    }

    /// Counts an operation. Returns how it ends, if this is the one.
    fn count(&self, operation: Operation) -> Option<io::Result<usize>> {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 != self.nth {
            return None;
        }
        let moves = matches!(operation, Operation::Read | Operation::Write);
        let result = match self.failure {
            Failure::Reset => Err(ErrorKind::ConnectionReset.into()),
            Failure::BrokenPipe => Err(ErrorKind::BrokenPipe.into()),
            Failure::Zero if moves => Ok(0),
            Failure::WouldBlock if moves => Err(ErrorKind::WouldBlock.into()),
            Failure::Interrupted if moves => Err(ErrorKind::Interrupted.into()),
            _ => return None,
        };
        self.failed.set(operation).expect("once");
        Some(result)
    }
}

/// A TCP stream with a plan.
#[derive(Debug)]
pub(crate) struct Nth {
    pub(crate) stream: TcpStream,
    pub(crate) plan: Arc<Plan>,
}

impl Nth {
    fn instead<T>(
        &self,
        operation: Operation,
        usual: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self.plan.count(operation) {
            Some(Err(error)) => Err(error),
            _ => usual(),
        }
    }

    fn moving(
        &self,
        operation: Operation,
        usual: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.plan.count(operation).unwrap_or_else(usual)
    }
}

impl Transport for Nth {
    fn prepare(&self) -> io::Result<()> {
        self.instead(Operation::Prepare, || self.stream.prepare())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.moving(Operation::Read, || Transport::read(&self.stream, buffer))
    }

    fn read_waiting(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.moving(Operation::Read, || self.stream.read_waiting(buffer))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.moving(Operation::Write, || Transport::write(&self.stream, bytes))
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.moving(Operation::Write, || {
            Transport::write_vectored(&self.stream, slices)
        })
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        self.instead(Operation::Wait, || self.stream.wait(interest, deadline))
    }

    /// It is shut down whatever is told: a socket whose `shutdown` fails is not connected any more.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let done = Transport::shutdown(&self.stream, how);
        self.instead(Operation::Shutdown, || done)
    }
}
