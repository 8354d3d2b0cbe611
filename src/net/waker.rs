//! Waiting for several sockets, until another thread says that it is enough.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use std::io;
use std::time::Duration;

/// Once it was woken, nobody waits any more.
#[derive(Debug)]
pub(crate) struct Waker(pair::Pair);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Waker(pair::Pair::new()?))
    }

    pub(crate) fn wake(&self) {
        if let Err(e) = self.0.wake() {
            log::debug!("waking: {e}");
        }
    }

    /// Whether it was woken, within so long a time.
    pub(crate) fn was_woken(&self, within: Duration) -> bool {
        let timeout = Timespec {
            tv_sec: within.as_secs() as _,
            tv_nsec: within.subsec_nanos() as _,
        };
        let mut sockets = [PollFd::new(self.0.woken(), PollFlags::IN)];
        matches!(poll(&mut sockets, Some(&timeout)), Ok(1..))
    }

    /// Waits for the sockets that something has come to, or that are broken: which of them. `None` once it
    /// was woken.
    ///
    /// # Blocking
    ///
    /// Without a bound: [`wake`](Self::wake) ends it.
    pub(crate) fn wait(&self, sockets: &[BorrowedFd<'_>]) -> io::Result<Option<Vec<usize>>> {
        let mut asked = vec![PollFd::new(self.0.woken(), PollFlags::IN)];
        asked.extend(sockets.iter().map(|s| PollFd::new(s, PollFlags::IN)));
        match poll(&mut asked, None) {
            Err(rustix::io::Errno::INTR) => return Ok(Some(Vec::new())),
            result => result?,
        };
        if !asked[0].revents().is_empty() {
            return Ok(None);
        }
        let is_ready = |at: &usize| !asked[at + 1].revents().is_empty();
        Ok(Some((0..sockets.len()).filter(is_ready).collect()))
    }
}

#[cfg(all(unix, not(wsync_fallback_wait)))]
mod pair {
    use std::io;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    /// The end of one is there for the other to read, as often as it likes.
    #[derive(Debug)]
    pub(super) struct Pair(UnixStream, UnixStream);

    impl Pair {
        pub(super) fn new() -> io::Result<Self> {
            UnixStream::pair().map(|(one, other)| Pair(one, other))
        }

        pub(super) fn wake(&self) -> io::Result<()> {
            self.1.shutdown(Shutdown::Both)
        }

        pub(super) fn woken(&self) -> &UnixStream {
            &self.0
        }
    }
}

#[cfg(any(not(unix), wsync_fallback_wait))]
mod pair {
    use std::io;
    use std::net::{Ipv4Addr, UdpSocket};

    /// A socket that is connected to itself: what it says to itself is not read, and so stays there.
    #[derive(Debug)]
    pub(super) struct Pair(UdpSocket);

    impl Pair {
        pub(super) fn new() -> io::Result<Self> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(socket.local_addr()?)?;
            Ok(Pair(socket))
        }

        pub(super) fn wake(&self) -> io::Result<()> {
            self.0.send(&[0]).map(drop)
        }

        pub(super) fn woken(&self) -> &UdpSocket {
            &self.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn it_tells_which_sockets_something_has_come_to_and_wakes_for_good() {
        let waker = Arc::new(Waker::new().unwrap());
        let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [_, second, third] = &sockets;
        let all = sockets.each_ref().map(AsFd::as_fd);
        let mut come = Vec::new();
        for listener in [third, second] {
            come.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        }
        assert_eq!(waker.wait(&all).unwrap(), Some(vec![1, 2]));
        second.accept().unwrap();
        assert_eq!(waker.wait(&all).unwrap(), Some(vec![2]));
        third.accept().unwrap();
        assert!(!waker.was_woken(Duration::from_millis(1)));
        let waiting = Arc::clone(&waker);
        let waiting =
            thread::spawn(move || waiting.wait(&sockets.each_ref().map(AsFd::as_fd)).unwrap());
        waker.wake();
        assert_eq!(waiting.join().unwrap(), None);
        for _ in 0..2 {
            assert!(waker.was_woken(Duration::from_secs(60)));
            assert_eq!(waker.wait(&[]).unwrap(), None);
        }
    }
}
