//! A stream that gives and takes a byte at a time, without a system call for each.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use wsync::{Interest, Ready, Transport};

/// What the stream does, and has done.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    /// One byte per read.
    pub(crate) reading: AtomicBool,
    /// One byte per write, and nobody gets it.
    pub(crate) writing: AtomicBool,
    pub(crate) written: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Trickle {
    stream: TcpStream,
    ahead: Mutex<VecDeque<u8>>,
    drops: Arc<Drops>,
}

impl Trickle {
    pub(crate) fn new(stream: TcpStream, drops: Arc<Drops>) -> Self {
        Trickle {
            stream,
            ahead: Mutex::default(),
            drops,
        }
    }
}

impl Transport for Trickle {
    fn prepare(&self) -> io::Result<()> {
        self.stream.prepare()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.drops.reading.load(Ordering::Relaxed) {
            return Transport::read(&self.stream, buffer);
        }
        let mut ahead = self.ahead.lock().unwrap();
        if ahead.is_empty() {
            let mut bytes = vec![0; 128 << 10];
            let read = Transport::read(&self.stream, &mut bytes)?;
            ahead.extend(&bytes[..read]);
        }
        match ahead.pop_front() {
            Some(byte) => {
                buffer[0] = byte;
                Ok(1)
            }
            None => Ok(0),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !self.drops.writing.load(Ordering::Relaxed) {
            return Transport::write(&self.stream, bytes);
        }
        match bytes.is_empty() {
            true => Err(ErrorKind::InvalidInput.into()),
            false => {
                self.drops.written.fetch_add(1, Ordering::Relaxed);
                Ok(1)
            }
        }
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        if interest.readable && !self.ahead.lock().unwrap().is_empty() {
            return Ok(Ready {
                readable: true,
                writable: false,
            });
        }
        self.stream.wait(interest, deadline)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Transport::shutdown(&self.stream, how)
    }
}
