//! The producers: `soak produce`, the process that `soak slow-consumer` starts.

use crate::Failure;
use crate::bytes::{Content, LAST, append_plain};
use crate::options::Options;
use crate::raw;
use crate::report::Report;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 2;

/// How long a consumer may go on after the last message was made.
const PATIENCE: Duration = Duration::from_secs(300);

/// What they did, as the other process is told.
pub(super) struct Produced {
    pub(super) messages: u64,
    pub(super) failures: usize,
    /// Of the longest times that the connections did not get on, the shortest, in seconds.
    pub(super) least_stall: f64,
}

impl Produced {
    /// What the process says at its end.
    pub(super) fn of(child: Child) -> Result<Self, Failure> {
        let output = child.wait_with_output()?;
        let output = String::from_utf8(output.stdout)?;
        let value = |name: &str| -> Result<String, Failure> {
            let start = format!("\"{name}\":");
            let (_, rest) = output.split_once(&start).ok_or(format!("no {name}"))?;
            Ok(rest.split([',', '}']).next().unwrap_or_default().to_owned())
        };
        Ok(Produced {
            messages: value("messages")?.parse()?,
            failures: value("failures")?.parse()?,
            least_stall: value("least_stall")?.parse()?,
        })
    }
}

/// One connection.
struct Producer {
    stream: TcpStream,
    connection: u64,
    messages: u64,
    /// What is to be written, and how much of it was.
    bytes: Vec<u8>,
    written: usize,
    /// When it got on last, and the longest time that it did not.
    progress: Instant,
    stall: Duration,
    /// The last message and the Close frame are in `bytes`.
    ending: bool,
    done: bool,
    failed: bool,
}

pub(crate) fn run(options: &mut Options) -> Result<Report, Failure> {
    let server: SocketAddr = options.get("server")?.ok_or("--server ADDRESS")?;
    let connections: usize = options.or("connections", 100)?;
    let time = options.seconds("secs", 10.0)?;
    options.finish()?;
    let producers = (0..connections).map(|n| Producer::open(server, n));
    let mut producers = producers.collect::<Result<Vec<_>, Failure>>()?;
    let (content, until) = (Content::new(), Instant::now() + time);
    let share = connections.div_ceil(THREADS);
    thread::scope(|scope| {
        for mine in producers.chunks_mut(share.max(1)) {
            scope.spawn(|| work(mine, &content, until));
        }
    });
    let mut report = Report::new("produce");
    let failed = |producer: &&Producer| producer.failed;
    report.field(
        "messages",
        producers.iter().map(|p| p.messages).sum::<u64>(),
    );
    report.field("failures", producers.iter().filter(failed).count());
    let least = producers.iter().map(|p| p.stall).min().unwrap_or_default();
    report.decimal("least_stall", least.as_secs_f64());
    Ok(report)
}

fn work(producers: &mut [Producer], content: &Content, until: Instant) {
    let give_up = until + PATIENCE;
    while producers.iter().any(|p| !p.done) && Instant::now() < give_up {
        let mut fds: Vec<_> = producers
            .iter()
            .filter(|p| !p.done)
            .map(|p| PollFd::new(&p.stream, PollFlags::OUT))
            .collect();
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        if poll(&mut fds, Some(&tick)).is_err() {
            continue;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let waiting = producers.iter_mut().filter(|p| !p.done);
        for (producer, _) in waiting.zip(ready).filter(|(_, ready)| *ready) {
            producer.write(content, until);
        }
    }
    for producer in producers {
        let ended = producer.stream.set_nonblocking(false).is_ok()
            && raw::drained(&mut producer.stream, PATIENCE);
        producer.failed |= !producer.done || !ended;
    }
}

impl Producer {
    fn open(server: SocketAddr, n: usize) -> Result<Self, Failure> {
        let stream = raw::open(server, n)?;
        stream.set_nonblocking(true)?;
        Ok(Producer {
            stream,
            connection: n as u64,
            messages: 0,
            bytes: Vec::new(),
            written: 0,
            progress: Instant::now(),
            stall: Duration::ZERO,
            ending: false,
            done: false,
            failed: false,
        })
    }

    /// Writes what the socket takes at once.
    fn write(&mut self, content: &Content, until: Instant) {
        if self.written == self.bytes.len() {
            match self.ending {
                true => return self.done = true,
                false => self.next(content, Instant::now() >= until),
            }
        }
        match self.stream.write(&self.bytes[self.written..]) {
            Ok(n) => {
                self.written += n;
                self.stall = self.stall.max(self.progress.elapsed());
                self.progress = Instant::now();
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => (self.done, self.failed) = (true, true),
        }
    }

    /// The next message, or the last.
    fn next(&mut self, content: &Content, last: bool) {
        self.bytes.clear();
        self.written = 0;
        if !last {
            let (connection, n) = (self.connection, self.messages);
            append_plain(&mut self.bytes, |out| content.append(out, connection, n));
            self.messages += 1;
            return;
        }
        let numbers = [LAST, self.messages];
        append_plain(&mut self.bytes, |out| {
            out.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        });
        self.bytes.extend_from_slice(&raw::close_frame());
        self.ending = true;
    }
}
