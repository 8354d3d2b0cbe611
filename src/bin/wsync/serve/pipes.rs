//! From the client to the program's standard input, and from its standard output to the client.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdin, ChildStdout};
use wsync::{CloseCode, Error, RecvError, SendError, Sender, WebSocket};

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// How often it is looked at whether the client is still there, while the program does not read.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};

/// What a message is in a stream of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    Lines {
        longest: usize,
    },
    /// As the bytes come.
    Raw,
}

/// Until the connection ends, and returns why. Then the standard input ends, too.
pub(super) fn forward_input(ws: &WebSocket, stdin: ChildStdin, framing: Framing) -> Error {
    let mut stdin = rustix::io::ioctl_fionbio(&stdin, true)
        .is_ok()
        .then_some(stdin);
    let mut line = Vec::new();
    loop {
        let message = match ws.recv() {
            Ok(message) => message,
            Err(RecvError(error)) => return error,
        };
        let mut bytes = message.as_bytes();
        if let Framing::Lines { .. } = framing {
            line.clear();
            line.extend_from_slice(bytes);
            line.push(b'\n');
            bytes = &line;
        }
        // A program that has closed it may still have something to say.
        stdin = stdin.filter(|stdin| write(stdin, bytes, ws).is_ok());
    }
}

fn write(mut stdin: &ChildStdin, mut bytes: &[u8], ws: &WebSocket) -> io::Result<()> {
    while !bytes.is_empty() {
        match stdin.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(stdin, PollFlags::OUT)];
                if poll(&mut fds, Some(&LOOK)) == Ok(0) {
                    // With a full queue nothing is read, an end neither; but a client that is gone resets.
                    ws.sender().ping("")?;
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Until the output or the connection ends; or, once `program` is closed at its other end, until nothing more
/// is there.
pub(super) fn forward_output(
    mut stdout: ChildStdout,
    program: &UnixStream,
    sender: &Sender,
    framing: Framing,
) {
    if rustix::io::ioctl_fionbio(&stdout, true).is_err() {
        return;
    }
    let mut messages = Messages {
        sender,
        framing,
        line: Vec::new(),
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        let forwarded = match stdout.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => messages.put(&chunk[..read]),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => match is_readable(&stdout, program) {
                true => Ok(()),
                false => break,
            },
            Err(_) => break,
        };
        if forwarded.is_err() {
            return;
        }
    }
    let _ = messages.end();
}

/// Waits until there is something to read, or an end.
fn is_readable(stdout: &ChildStdout, program: &UnixStream) -> bool {
    let mut fds = [
        PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(program.as_fd(), PollFlags::IN),
    ];
    match poll(&mut fds, None) {
        Ok(_) => !fds[0].revents().is_empty(),
        Err(error) => error == rustix::io::Errno::INTR,
    }
}

struct Messages<'a> {
    sender: &'a Sender,
    framing: Framing,
    /// The begin of one.
    line: Vec<u8>,
}

impl Messages<'_> {
    fn put(&mut self, mut bytes: &[u8]) -> Result<(), SendError> {
        let Framing::Lines { longest } = self.framing else {
            return self.sender.send(bytes);
        };
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            self.feed(longest)?;
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        self.check(longest)?;
        self.sender.flush().map_err(unsent)
    }

    /// What is left is a line, too.
    fn end(mut self) -> Result<(), SendError> {
        match self.framing {
            Framing::Lines { longest } if !self.line.is_empty() => {
                self.feed(longest)?;
                self.sender.flush().map_err(unsent)
            }
            _ => Ok(()),
        }
    }

    fn feed(&mut self, longest: usize) -> Result<(), SendError> {
        self.check(longest)?;
        let text = String::from_utf8_lossy(&self.line);
        self.sender.feed(&*text)?;
        self.line.clear();
        Ok(())
    }

    fn check(&self, longest: usize) -> Result<(), SendError> {
        if self.line.len() <= longest {
            return Ok(());
        }
        let reason = format!("a line of more than {longest} bytes");
        let closed = self.sender.close_with(CloseCode::INTERNAL_ERROR, reason);
        Err(unsent(closed.err().unwrap_or(Error::Stopped)))
    }
}

fn unsent(error: Error) -> SendError {
    SendError {
        error,
        message: None,
    }
}
