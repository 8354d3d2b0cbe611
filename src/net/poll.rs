//! Waiting until a socket is ready: `poll(2)`, with no descriptor of its own.
//!
//! On Unix, `shutdown` wakes whoever waits. On Windows it does not (rust-lang/rust#121594), and a
//! waker would take an unsafe registration of the socket. So there, and under
//! `--cfg wsync_fallback_wait`, a wait is cut into `TICK`s, and a peek after each finds a socket
//! that was shut down. Bytes that arrive still wake at once; an idle connection wakes for each tick.

use super::transport::{Interest, Ready};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::io;
use std::time::{Duration, Instant};

/// See [`Transport::wait`](super::Transport::wait).
pub(super) fn wait(
    socket: &impl AsFd,
    interest: Interest,
    deadline: Option<Instant>,
) -> io::Result<Ready> {
    let mut asked = PollFlags::empty();
    asked.set(PollFlags::IN, interest.readable);
    asked.set(PollFlags::OUT, interest.writable);
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let slice = slice(left);
        let timeout = slice.map(|slice| Timespec {
            tv_sec: slice.as_secs() as _,
            tv_nsec: slice.subsec_nanos() as _,
        });
        let mut sockets = [PollFd::new(socket, asked)];
        match poll(&mut sockets, timeout.as_ref()) {
            Ok(0) => {
                let ended = ended(socket, interest);
                if ended.any() || left.is_some() && left <= slice {
                    return Ok(ended);
                }
            }
            Ok(_) => return Ok(ready(sockets[0].revents(), interest)),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// An error or the end counts as whatever was asked for: the read or write that follows reports it.
fn ready(found: PollFlags, interest: Interest) -> Ready {
    let failed = found.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
    Ready {
        readable: interest.readable && (failed || found.contains(PollFlags::IN)),
        writable: interest.writable && (failed || found.contains(PollFlags::OUT)),
    }
}

#[cfg(all(unix, not(wsync_fallback_wait)))]
use whole::{ended, slice};

#[cfg(all(unix, not(wsync_fallback_wait)))]
mod whole {
    use super::*;

    /// Some platforms refuse a timeout whose milliseconds do not fit an `int`.
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    pub(super) fn slice(left: Option<Duration>) -> Option<Duration> {
        left.map(|left| left.min(LONGEST))
    }

    pub(super) fn ended(_: &impl AsFd, _: Interest) -> Ready {
        Ready::default()
    }
}

#[cfg(any(not(unix), wsync_fallback_wait))]
use ticks::{ended, slice};

#[cfg(any(not(unix), wsync_fallback_wait))]
mod ticks {
    use super::*;
    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};

    /// The longest time for which a shutdown goes unnoticed.
    const TICK: Duration = Duration::from_millis(50);

    pub(super) fn slice(left: Option<Duration>) -> Option<Duration> {
        Some(left.unwrap_or(TICK).min(TICK))
    }

    pub(super) fn ended(socket: &impl AsFd, interest: Interest) -> Ready {
        match recv(socket, &mut [0; 1], RecvFlags::PEEK) {
            Ok(_) => Ready {
                readable: interest.readable,
                writable: false,
            },
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ready::default(),
            Err(_) => Ready {
                readable: interest.readable,
                writable: interest.writable,
            },
        }
    }
}
