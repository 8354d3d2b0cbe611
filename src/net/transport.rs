//! What a connection runs on: sockets whose calls do not wait.

use super::poll;
use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// A byte stream that never blocks, apart from [`wait`](Transport::wait).
///
/// A connection runs on one: a `TcpStream` or, on Unix, a `UnixStream`, whose calls do not wait
/// whatever its mode, or a stream of your own. One thread reads while another writes, and a third may shut it down, so all
/// methods take `&self` and none may hold a lock while it waits.
///
/// [`ErrorKind::Interrupted`](io::ErrorKind::Interrupted) from `read` and `write` means "again".
///
/// # Examples
///
/// A stream that counts what it reads:
///
/// ```
/// use std::io;
/// use std::net::{Shutdown, TcpStream};
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::time::Instant;
/// use wsync::{Interest, Ready, Transport};
///
/// #[derive(Debug)]
/// struct Counted {
///     stream: TcpStream,
///     count: AtomicUsize,
/// }
///
/// impl Transport for Counted {
///     fn prepare(&self) -> io::Result<()> {
///         self.stream.prepare()
///     }
///     fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
///         let read = Transport::read(&self.stream, buffer)?;
///         self.count.fetch_add(read, Ordering::Relaxed);
///         Ok(read)
///     }
///     fn write(&self, bytes: &[u8]) -> io::Result<usize> {
///         Transport::write(&self.stream, bytes)
///     }
///     fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
///         self.stream.wait(interest, deadline)
///     }
///     fn shutdown(&self, how: Shutdown) -> io::Result<()> {
///         self.stream.shutdown(how)
///     }
/// }
/// ```
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// Called once before all others: brings the stream into a state in which it does not block.
    /// Defaults to nothing.
    ///
    /// # Errors
    ///
    /// Those of the operating system; they may mean that the peer is gone already.
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    /// Reads what is there.
    ///
    /// `Ok(0)`, for a buffer that is not empty, is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing is there; any other error is final.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Waits until something is there, and reads it. Defaults to [`wait`](Transport::wait) and
    /// [`read`](Transport::read); where one system call can do both, a message needs one less.
    ///
    /// # Blocking
    ///
    /// As `wait` without a deadline.
    ///
    /// # Errors
    ///
    /// Those of `wait` and `read`; [`WouldBlock`](io::ErrorKind::WouldBlock) means "again".
    fn read_waiting(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(Interest::READABLE, None)?;
        self.read(buffer)
    }

    /// Writes as much as fits now.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing fits; any other error is final.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// The same for several slices, in order. Defaults to a write of the first that is not empty.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Transport::write).
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(slice) => self.write(slice),
            None => Ok(0),
        }
    }

    /// Waits until the stream is ready for what is asked, and tells for what.
    ///
    /// An error or the end of the stream counts as ready for all that was asked, so that the read or
    /// write that follows reports it. Ready is a hint: a read or write may still find
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Blocking
    ///
    /// Until something is ready, the deadline has passed (then nothing is ready; a deadline in the
    /// past just looks), or `shutdown` in another thread wakes it. `None` sets no bound. Being
    /// interrupted by a signal does not end it. With an interest in nothing, only the deadline, an error
    /// or the end of both halves does.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready>;

    /// Shuts down one half of the stream or both.
    ///
    /// With [`Shutdown::Both`] every wait in progress must end, and soon: this is how a connection is
    /// torn down from another thread.
    ///
    /// # Errors
    ///
    /// Those of the operating system, such as [`NotConnected`](io::ErrorKind::NotConnected) when
    /// the peer is gone already.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// The peer has not taken what it was sent: once the stream is dropped, nothing need be kept for it.
    /// A TCP socket then ends with a reset. Defaults to nothing.
    fn discard_on_drop(&self) {}

    /// The address of the peer, if it has one. Defaults to `None`.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// The address of this end, if it has one. Defaults to `None`.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// What to [wait](Transport::wait) for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Bytes to read, or the end.
    pub readable: bool,
    /// Room for bytes to write.
    pub writable: bool,
}

impl Interest {
    /// Reading.
    pub const READABLE: Interest = Interest {
        readable: true,
        writable: false,
    };
    /// Writing.
    pub const WRITABLE: Interest = Interest {
        readable: false,
        writable: true,
    };
    /// Either.
    pub const BOTH: Interest = Interest {
        readable: true,
        writable: true,
    };
}

/// What a stream is ready for; nothing when the deadline passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ready {
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
}

impl Ready {
    /// Whether it is ready for anything.
    pub fn any(self) -> bool {
        self.readable || self.writable
    }
}

/// A socket can be in blocking mode, because each call can be told not to wait: then one call waits
/// and reads. On these systems `shutdown` ends that.
const ONE_CALL: bool =
    cfg!(any(target_os = "linux", target_os = "android")) && !cfg!(wsync_fallback_wait);

macro_rules! socket_transport {
    ($socket:ident { $($own:item)* }) => {
        impl Transport for $socket {
            fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                calls::read(self, buffer)
            }

            fn read_waiting(&self, buffer: &mut [u8]) -> io::Result<usize> {
                if ONE_CALL {
                    match Read::read(&mut &*self, buffer) {
                        // Somebody has changed its mode.
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                        result => return result,
                    }
                }
                self.wait(Interest::READABLE, None)?;
                Transport::read(self, buffer)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                calls::write(self, bytes)
            }

            fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                calls::write_vectored(self, slices)
            }

            fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
                poll::wait(self, interest, deadline)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                $socket::shutdown(self, how)
            }

            $($own)*
        }
    };
}

socket_transport!(TcpStream {
    /// In the mode that this needs, and without Nagle's algorithm.
    fn prepare(&self) -> io::Result<()> {
        self.set_nonblocking(!ONE_CALL)?;
        self.set_nodelay(true)
    }

    fn discard_on_drop(&self) {
        let _ = socket2::SockRef::from(self).set_linger(Some(std::time::Duration::ZERO));
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        TcpStream::peer_addr(self).ok()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        TcpStream::local_addr(self).ok()
    }
});

#[cfg(unix)]
socket_transport!(UnixStream {
    fn prepare(&self) -> io::Result<()> {
        self.set_nonblocking(!ONE_CALL)
    }
});

/// Calls that do not wait. std asks for no SIGPIPE on `write` of a TCP socket only: not on
/// `write_vectored`, and on Unix sockets in newer versions only. A program that does not ignore the
/// signal, such as one in C that loads a Rust library, would be killed by a peer that left.
#[cfg(all(unix, not(target_vendor = "apple")))]
mod calls {
    use super::{IoSlice, io};
    use rustix::fd::AsFd;
    use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

    const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

    pub(super) fn read(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        let (n, _) = rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT)?;
        Ok(n)
    }

    /// What Linux takes in one call (`UIO_MAXIOV`); more is an error.
    const MAX_SLICES: usize = 1024;

    pub(super) fn write(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(socket, bytes, FLAGS)?)
    }

    pub(super) fn write_vectored(socket: &impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::net::sendmsg(
            socket,
            &slices[..slices.len().min(MAX_SLICES)],
            &mut SendAncillaryBuffer::default(),
            FLAGS,
        )?)
    }
}

/// No SIGPIPE on Windows; on Apple's systems std turns it off for the sockets that it makes.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
mod calls {
    use super::{IoSlice, io};
    use std::io::{Read, Write};

    pub(super) fn read<S>(socket: &S, buffer: &mut [u8]) -> io::Result<usize>
    where
        for<'a> &'a S: Read,
    {
        (&mut &*socket).read(buffer)
    }

    pub(super) fn write<S>(socket: &S, bytes: &[u8]) -> io::Result<usize>
    where
        for<'a> &'a S: Write,
    {
        (&mut &*socket).write(bytes)
    }

    pub(super) fn write_vectored<S>(socket: &S, slices: &[IoSlice<'_>]) -> io::Result<usize>
    where
        for<'a> &'a S: Write,
    {
        (&mut &*socket).write_vectored(slices)
    }
}
