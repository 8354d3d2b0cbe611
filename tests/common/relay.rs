//! A link between two ends that can be cut, reset or become a black hole.

use super::peer::Ours;
use super::{LATE, Scheme, as_asked, client_builder, patient, server_builder, spawn};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use wsync::{Config, WebSocket};

/// What the link does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Forward,
    /// Takes nothing and says nothing: a black hole.
    Hold,
    /// Both sides see the end.
    End,
    /// Both sides see a reset.
    Reset,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// Bytes until the mode changes, and to what.
    then: Option<(usize, Mode)>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes that the server was given.
    forwarded: AtomicUsize,
}

/// Forwards one connection. Dropped, it ends it.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Relay {
    /// To the server on this port of the loopback.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    mode: Mode::Forward,
                    then: None,
                }),
                changed: Condvar::new(),
                forwarded: AtomicUsize::new(0),
            }),
        };
        let shared = Arc::clone(&relay.shared);
        spawn(move || {
            let (near, _) = listener.accept().unwrap();
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                return;
            };
            for (from, to, counts) in [(&near, &far, true), (&far, &near, false)] {
                from.set_nodelay(true).unwrap();
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                spawn(move || shared.forward(from, to, counts));
            }
        });
        relay
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.state.lock().unwrap().mode = mode;
        self.shared.changed.notify_all();
    }

    /// How many bytes the server was given.
    pub(crate) fn forwarded(&self) -> usize {
        self.shared.forwarded.load(Ordering::SeqCst)
    }

    /// Changes the mode after so many bytes, of both directions together.
    pub(crate) fn set_after(&self, bytes: usize, mode: Mode) {
        self.shared.state.lock().unwrap().then = Some((bytes, mode));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.set(Mode::End);
    }
}

/// Two ends of ours with a link between them, the one under test first.
pub(crate) fn linked(ours: Ours, scheme: Scheme, config: Config) -> (WebSocket, WebSocket, Relay) {
    let other = patient(Config::client());
    let (client, server) = match ours {
        Ours::Client => (config, other),
        Ours::Server => (other, config),
    };
    let listening = server_builder(scheme).config(as_asked(server));
    let listening = listening.bind("127.0.0.1:0").unwrap();
    let relay = Relay::to(listening.local_addr().port());
    let mut incoming = listening.incoming().unwrap();
    let accepted = spawn(move || incoming.next().unwrap().accept().unwrap());
    let builder = client_builder(scheme, relay.port).config(as_asked(client));
    let client = builder.connect().unwrap();
    let server = accepted.within(LATE, "accepting");
    match ours {
        Ours::Client => (client, server, relay),
        Ours::Server => (server, client, relay),
    }
}

impl Shared {
    /// Until the link is cut. It looks at the mode before each read, and before each write.
    fn forward(&self, mut from: TcpStream, mut to: TcpStream, counts: bool) {
        // A mode may change while nothing comes.
        from.set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        let mut bytes = vec![0; 16 << 10];
        loop {
            if self.wait() != Mode::Forward {
                break;
            }
            let read = match from.read(&mut bytes) {
                Ok(0) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(read) => read,
                Err(e) if is_timeout(&e) => continue,
                Err(_) => break,
            };
            let now = self.before_the_change(read);
            let forwarded = to.write_all(&bytes[..now]).is_ok();
            if counts && forwarded {
                self.forwarded.fetch_add(now, Ordering::SeqCst);
            }
            if !forwarded || self.wait() != Mode::Forward {
                break;
            }
            if to.write_all(&bytes[now..read]).is_err() {
                break;
            }
            if counts {
                self.forwarded.fetch_add(read - now, Ordering::SeqCst);
            }
        }
        if self.state.lock().unwrap().mode == Mode::Reset {
            for stream in [&from, &to] {
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
            // Both handles of a socket have to be gone for the reset.
            return;
        }
        for stream in [from, to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many of `read` bytes go before the mode changes.
    fn before_the_change(&self, read: usize) -> usize {
        let mut state = self.state.lock().unwrap();
        if state.mode != Mode::Forward {
            // It has changed since the read began.
            return 0;
        }
        match state.then {
            Some((left, mode)) if left <= read => {
                (state.mode, state.then) = (mode, None);
                self.changed.notify_all();
                left
            }
            Some((left, mode)) => {
                state.then = Some((left - read, mode));
                read
            }
            None => read,
        }
    }

    /// Waits until it is no black hole. The bytes that are left are lost in any mode but `Forward`.
    fn wait(&self) -> Mode {
        let mut state = self.state.lock().unwrap();
        while state.mode == Mode::Hold {
            state = self.changed.wait(state).unwrap();
        }
        state.mode
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut)
}
