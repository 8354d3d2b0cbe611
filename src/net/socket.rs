//! Sockets as transports: their calls do not wait.

use super::poll;
use super::transport::{Interest, Ready, Transport};
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Instant;

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
