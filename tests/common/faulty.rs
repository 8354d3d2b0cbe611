//! A stream that does all that a stream may do.

use super::peer::Peer;
use super::{LATE, Scheme, client_builder, eventually, numbers, spawn};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wsync::{Config, Interest, Ready, Transport, WebSocket};

/// What goes wrong, or is done in another way than usual. All of it can be changed while it is used.
#[derive(Default)]
pub(crate) struct Faults {
    /// Every other read and every other write is interrupted.
    pub(crate) interrupt: AtomicBool,
    /// A read gives no more than so many bytes; 0 for no bound.
    pub(crate) read_at_most: AtomicUsize,
    /// A write takes no more than so many bytes; 0 for no bound.
    pub(crate) write_at_most: AtomicUsize,
    /// A write takes any number of bytes, or none for now.
    pub(crate) write_at_random: AtomicBool,
    /// The buffer of the kernel is full.
    pub(crate) full: AtomicBool,
    /// A write takes 0 bytes.
    pub(crate) write_zero: AtomicBool,
    pub(crate) read_error: Mutex<Option<ErrorKind>>,
    pub(crate) write_error: Mutex<Option<ErrorKind>>,
    pub(crate) calls: AtomicUsize,
    /// How often somebody began to wait for room while there was none.
    pub(crate) waits_for_room: AtomicUsize,
}

impl Faults {
    /// Until somebody waits for room.
    pub(crate) fn wait_for_a_wait(&self) {
        eventually("somebody who waits for room", || {
            self.waits_for_room.load(Ordering::SeqCst) > 0
        });
    }
}

/// A client over a faulty stream, without faults as yet, and the peer at the other end.
pub(crate) struct Open {
    pub(crate) ws: WebSocket,
    pub(crate) peer: Peer,
    pub(crate) faults: Arc<Faults>,
}

pub(crate) fn open(scheme: Scheme, config: Config) -> Open {
    open_with(scheme, config, |_| {})
}

pub(crate) fn open_with(scheme: Scheme, config: Config, prepare: impl FnOnce(&Faults)) -> Open {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let compression = config.compression;
    let peer = spawn(move || {
        let mut peer = Peer::accept(&listener, scheme);
        peer.respond(compression);
        peer
    });
    let faults = Arc::new(Faults::default());
    prepare(&faults);
    let transport = Faulty::new(TcpStream::connect(addr).unwrap(), Arc::clone(&faults));
    let builder = client_builder(scheme, addr.port()).config(config);
    Open {
        ws: builder.connect_over(transport).unwrap(),
        peer: peer.within(LATE, "the peer's handshake"),
        faults,
    }
}

/// A TCP stream with faults.
pub(crate) struct Faulty {
    stream: TcpStream,
    faults: Arc<Faults>,
    random: Mutex<Box<dyn FnMut() -> u64 + Send>>,
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    pub(crate) fn new(stream: TcpStream, faults: Arc<Faults>) -> Self {
        Faulty {
            stream,
            faults,
            random: Mutex::new(Box::new(numbers(1))),
        }
    }

    fn is_interrupted(&self) -> bool {
        let call = self.faults.calls.fetch_add(1, Ordering::SeqCst);
        self.faults.interrupt.load(Ordering::SeqCst) && call % 2 == 0
    }

    fn is_full(&self) -> bool {
        self.faults.full.load(Ordering::SeqCst)
    }
}

fn at_most(length: usize, bound: &AtomicUsize) -> usize {
    match bound.load(Ordering::SeqCst) {
        0 => length,
        bound => bound.min(length),
    }
}

impl Transport for Faulty {
    fn prepare(&self) -> io::Result<()> {
        self.stream.prepare()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        if let Some(kind) = *self.faults.read_error.lock().unwrap() {
            return Err(kind.into());
        }
        let length = at_most(buffer.len(), &self.faults.read_at_most);
        Transport::read(&self.stream, &mut buffer[..length])
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        if let Some(kind) = *self.faults.write_error.lock().unwrap() {
            return Err(kind.into());
        }
        if self.faults.write_zero.load(Ordering::SeqCst) {
            return Ok(0);
        }
        if self.is_full() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut length = at_most(bytes.len(), &self.faults.write_at_most);
        if self.faults.write_at_random.load(Ordering::SeqCst) {
            let random = (self.random.lock().unwrap())() as usize;
            if random % 4 == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            length = length.min(1 + random % 3000);
        }
        Transport::write(&self.stream, &bytes[..length])
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        if interest.writable && self.is_full() {
            self.faults.waits_for_room.fetch_add(1, Ordering::SeqCst);
        }
        loop {
            if !interest.writable || !self.is_full() {
                return self.stream.wait(interest, deadline);
            }
            // Nothing can be written: look now and then for something to read, for the end and for room.
            let tick = Instant::now() + Duration::from_millis(2);
            let readable = Interest {
                writable: false,
                ..interest
            };
            let mut ready = self.stream.wait(readable, Some(tick))?;
            ready.writable |= interest.writable && self.stream.take_error()?.is_some();
            if ready.any() || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(ready);
            }
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            *self.faults.write_error.lock().unwrap() = Some(ErrorKind::BrokenPipe);
            self.faults.full.store(false, Ordering::SeqCst);
        }
        self.stream.shutdown(how)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }
}
