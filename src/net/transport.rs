//! What a connection runs on: a stream whose calls do not wait.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
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
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (_peer, _) = listener.accept()?;
    /// stream.prepare()?;
    /// let error = Transport::read(&stream, &mut [0; 8]).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use wsync::{Interest, Transport};
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// peer.write_all(b"hello")?;
    /// stream.wait(Interest::READABLE, None)?;
    /// let mut buffer = [0; 8];
    /// let read = Transport::read(&stream, &mut buffer)?;
    /// assert_eq!(&buffer[..read], b"hello");
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// peer.write_all(b"hello")?;
    /// let mut buffer = [0; 8];
    /// let read = stream.read_waiting(&mut buffer)?;
    /// assert_eq!(&buffer[..read], b"hello");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    fn read_waiting(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(Interest::READABLE, None)?;
        self.read(buffer)
    }

    /// Writes as much as fits now.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing fits; any other error is final.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (_peer, _) = listener.accept()?;
    /// assert_eq!(Transport::write(&stream, b"hello")?, 5);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes as much of several slices as fits now, in order. Defaults to a write of the first that is not
    /// empty.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Transport::write).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (_peer, _) = listener.accept()?;
    /// let slices = [IoSlice::new(b"header"), IoSlice::new(b"payload")];
    /// assert_eq!(Transport::write_vectored(&stream, &slices)?, 13);
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Interest, Transport};
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (_peer, _) = listener.accept()?;
    /// let ready = stream.wait(Interest::BOTH, None)?;
    /// assert!(ready.writable && !ready.readable);
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::Shutdown;
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// Transport::shutdown(&stream, Shutdown::Write)?;
    /// assert_eq!(peer.read(&mut [0; 8])?, 0, "the end");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// The peer has not taken what it was sent: once the stream is dropped, nothing need be kept for it.
    /// A TCP socket then ends with a reset. Defaults to nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// stream.discard_on_drop();
    /// drop(stream);
    /// let error = peer.read(&mut [0; 8]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    fn discard_on_drop(&self) {}

    /// The address of the peer, if it has one. Defaults to `None`.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (peer, _) = listener.accept()?;
    /// assert_eq!(Transport::peer_addr(&stream), peer.local_addr().ok());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// The address of this end, if it has one. Defaults to `None`.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Transport;
    ///
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (peer, _) = listener.accept()?;
    /// assert_eq!(Transport::local_addr(&stream), peer.peer_addr().ok());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// What to [wait](Transport::wait) for.
///
/// # Examples
///
/// ```
/// use wsync::Interest;
///
/// let interest = Interest { readable: true, ..Interest::default() };
/// assert_eq!(interest, Interest::READABLE);
/// ```
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
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use wsync::{Interest, Ready, Transport};
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (_peer, _) = listener.accept()?;
/// let ready = stream.wait(Interest::READABLE, Some(Instant::now()))?;
/// assert_eq!(ready, Ready::default(), "the peer has said nothing");
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ready {
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
}

impl Ready {
    /// Whether it is ready for anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Ready;
    ///
    /// assert!(Ready { readable: true, writable: false }.any());
    /// assert!(!Ready::default().any());
    /// ```
    pub fn any(self) -> bool {
        self.readable || self.writable
    }
}
