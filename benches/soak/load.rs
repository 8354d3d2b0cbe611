//! Well-behaved connections that send 64 bytes every so often and time the echo, many to a thread.

use crate::Failure;
use crate::common::{BINARY, KEY, append_frame};
use crate::raw;
use crate::report::{Report, Times};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PAYLOAD: usize = 64;

/// How long the last echoes may take.
const GRACE: Duration = Duration::from_secs(5);

/// One connection.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    /// How many messages were sent: the number of the next, too.
    sent: u64,
    /// When the message was sent whose echo has not come.
    since: Option<Instant>,
    /// What came of the echo.
    echo: Vec<u8>,
    failed: bool,
}

/// What connections saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) times: Times,
    pub(crate) errors: usize,
    /// Messages that were not sent, since the echo of the one before had not come.
    pub(crate) skipped: usize,
    pub(crate) first_error: Option<String>,
}

impl Seen {
    fn new() -> Self {
        Seen {
            times: Times::new(),
            errors: 0,
            skipped: 0,
            first_error: None,
        }
    }

    /// An echo for each message, in time for the next.
    pub(crate) fn judge(&self, report: &mut Report) {
        report.bound(self.errors > 0, "no failures of those that behave");
        report.bound(self.skipped > 0, "an echo before the next message");
        if let Some(error) = &self.first_error {
            report.field("first_error", format_args!("{error:?}"));
        }
    }

    fn merge(&mut self, other: Seen) {
        self.times.merge(&other.times);
        self.errors += other.errors;
        self.skipped += other.skipped;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

impl std::fmt::Display for Seen {
    /// As JSON.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{{\"echoes\":{},\"errors\":{},\"skipped\":{},",
            self.times.count(),
            self.errors,
            self.skipped
        )?;
        let times = &self.times;
        let (p50, p99) = (times.quantile(0.5), times.quantile(0.99));
        let max = times.max();
        write!(
            f,
            "\"p50_ms\":{p50:.3},\"p99_ms\":{p99:.3},\"max_ms\":{max:.3}}}"
        )
    }
}

/// All connections, divided among threads.
#[derive(Debug)]
pub(crate) struct Load {
    shares: Vec<Vec<Client>>,
}

impl Load {
    /// Opens as many; `threads` of them at a time.
    pub(crate) fn open(server: SocketAddr, count: usize, threads: usize) -> Result<Self, Failure> {
        let open = |thread| -> Result<Vec<Client>, Failure> {
            let mine = (0..count).filter(|n| n % threads == thread);
            mine.map(|n| Client::open(server, n)).collect()
        };
        let shares = thread::scope(|scope| {
            let open = &open;
            let tasks: Vec<_> = (0..threads).map(|n| scope.spawn(move || open(n))).collect();
            let shares = tasks.into_iter().map(|task| task.join());
            shares
                .map(|share| share.unwrap_or_else(|_| Err("a thread panicked".into())))
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Load { shares })
    }

    /// Each connection sends once in `interval`, evenly spread, until `stop`.
    pub(crate) fn run(&mut self, interval: Duration, stop: &AtomicBool) -> Seen {
        let mut all = Seen::new();
        thread::scope(|scope| {
            let shares = self.shares.iter_mut();
            let tasks: Vec<_> = shares
                .map(|share| scope.spawn(move || run(share, interval, stop)))
                .collect();
            for task in tasks {
                match task.join() {
                    Ok(seen) => all.merge(seen),
                    Err(_) => all.errors += 1,
                }
            }
        });
        all
    }

    /// Runs for so long.
    pub(crate) fn run_for(&mut self, interval: Duration, time: Duration) -> Seen {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(time);
                stop.store(true, Ordering::Relaxed);
            });
            self.run(interval, &stop)
        })
    }

    /// All Close frames first, then each connection's end: how many did not close properly.
    pub(crate) fn close(self) -> usize {
        let mut clients: Vec<_> = self.shares.into_iter().flatten().collect();
        let mut failed = 0;
        for client in &mut clients {
            let sent = client.stream.write_all(&raw::close_frame());
            client.failed |= sent.is_err();
        }
        for mut client in clients {
            let ended = client.stream.set_nonblocking(false).is_ok()
                && raw::drained(&mut client.stream, raw::PATIENCE);
            failed += usize::from(client.failed || !ended);
        }
        failed
    }
}

impl Client {
    fn open(server: SocketAddr, n: usize) -> Result<Self, Failure> {
        let stream = raw::open(server, n).map_err(|e| format!("connection {n}: {e}"))?;
        stream.set_nonblocking(true)?;
        Ok(Client {
            stream,
            sent: 0,
            since: None,
            echo: Vec::with_capacity(2 + PAYLOAD),
            failed: false,
        })
    }

    /// A message is its number over and over.
    fn payload(&self) -> [u8; PAYLOAD] {
        let mut payload = [0; PAYLOAD];
        for eight in payload.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.sent.to_be_bytes());
        }
        payload
    }

    fn send(&mut self) -> Result<(), String> {
        self.sent += 1;
        let mut frame = Vec::with_capacity(6 + PAYLOAD);
        append_frame(&mut frame, BINARY, Some(KEY), &self.payload());
        self.since = Some(Instant::now());
        self.stream.write_all(&frame).map_err(|e| e.to_string())
    }

    /// What the echo took, once it is whole.
    fn receive(&mut self) -> Result<Option<Duration>, String> {
        let mut some = [0; 256];
        match self.stream.read(&mut some) {
            Ok(0) => return Err("the server has ended the connection".into()),
            Ok(n) => self.echo.extend_from_slice(&some[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e.to_string()),
        }
        if self.echo.len() < 2 + PAYLOAD {
            return Ok(None);
        }
        let mut expected = Vec::with_capacity(2 + PAYLOAD);
        append_frame(&mut expected, BINARY, None, &self.payload());
        if self.echo != expected {
            return Err(format!("not the echo: {:?}", self.echo));
        }
        self.echo.clear();
        Ok(self.since.take().map(|since| since.elapsed()))
    }
}

fn run(clients: &mut [Client], interval: Duration, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::new();
    let begin = Instant::now();
    let all = clients.len() as f64;
    let due = |n: usize| begin + interval.mul_f64(n as f64 / all);
    let (mut next, mut waiting, mut ending) = (0, Vec::new(), None);
    while !clients.is_empty() {
        let now = Instant::now();
        if ending.is_none() && stop.load(Ordering::Relaxed) {
            ending = Some(now + GRACE);
        }
        if let Some(end) = ending {
            if waiting.is_empty() || now > end {
                break;
            }
        }
        while ending.is_none() && due(next) <= now {
            let n = next % clients.len();
            next += 1;
            start(&mut clients[n], n, &mut waiting, &mut seen);
        }
        let until = ending.unwrap_or_else(|| due(next).min(now + GRACE));
        wait(
            clients,
            &mut waiting,
            until.saturating_duration_since(now),
            &mut seen,
        );
    }
    for n in waiting {
        fail(&mut clients[n], "no echo".into(), &mut seen);
    }
    seen
}

fn fail(client: &mut Client, error: String, seen: &mut Seen) {
    client.failed = true;
    seen.errors += 1;
    seen.first_error.get_or_insert(error);
}

fn start(client: &mut Client, n: usize, waiting: &mut Vec<usize>, seen: &mut Seen) {
    if client.failed {
        return;
    }
    if client.since.is_some() {
        seen.skipped += 1;
        return;
    }
    match client.send() {
        Ok(()) => waiting.push(n),
        Err(error) => fail(client, error, seen),
    }
}

/// Waits for echoes, at most so long, and takes those that are there.
fn wait(clients: &mut [Client], waiting: &mut Vec<usize>, at_most: Duration, seen: &mut Seen) {
    let mut fds: Vec<_> = waiting
        .iter()
        .map(|n| PollFd::new(&clients[*n].stream, PollFlags::IN))
        .collect();
    let timeout = Timespec::try_from(at_most).ok();
    if poll(&mut fds, timeout.as_ref()).is_err() {
        return;
    }
    let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(fds);
    let mut ready = ready.into_iter();
    waiting.retain(|n| {
        if !ready.next().unwrap_or_default() {
            return true;
        }
        match clients[*n].receive() {
            Ok(None) => true,
            Ok(Some(time)) => {
                seen.times.add(time);
                false
            }
            Err(error) => {
                fail(&mut clients[*n], error, seen);
                false
            }
        }
    });
}
