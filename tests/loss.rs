//! What is lost, and who is told of it, when a connection ends at any moment: messages carry numbers, and
//! faults come at random places, the same in every run.

#![allow(clippy::unwrap_used)]

mod common;

use common::relay::{Mode, Relay};
use common::{
    LATE, Scheme, as_asked, client_builder, numbers, patient, server_builder, spawn, watchdog,
};
use crossbeam_channel::{Receiver, unbounded};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wsync::{Closed, Config, Error, Event, Interest, Message, Ready, Sender, Transport, WebSocket};

const RUNS: u64 = 300;

/// Runs at the same time.
const AT_ONCE: u64 = 25;

/// Threads that send on one connection.
const THREADS: u8 = 2;

/// Messages that each of them sends, if nothing goes wrong.
const EACH: u64 = 60;

/// What happens in a run.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// The link changes after so many bytes.
    Link(usize, Mode),
    /// The one that receives leaves after so many messages.
    Leaves(u64),
    /// The operating system takes no more than so many bytes, and fails.
    Write(usize),
}

/// A run, as its number has it.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u64,
    scheme: Scheme,
    fault: Fault,
    /// The client sends; otherwise the server does.
    client_sends: bool,
    /// Messages go to a channel.
    channel: bool,
}

impl Run {
    fn new(number: u64) -> Self {
        let mut next = numbers(number + 1);
        let schemes = Scheme::all();
        let scheme = schemes[next() as usize % schemes.len()];
        // TLS takes some thousand bytes to begin with.
        let bytes = 200 + next() as usize % 400_000 / (1 + next() as usize % 20);
        let fault = match next() % 8 {
            0 => Fault::None,
            1 | 2 => Fault::Link(bytes, Mode::End),
            3 => Fault::Link(bytes, Mode::Reset),
            4 => Fault::Link(bytes, Mode::Hold),
            5 => Fault::Leaves(next() % (2 * EACH)),
            _ => Fault::Write(bytes),
        };
        let client_sends = matches!(fault, Fault::Write(_)) || next() % 3 > 0;
        Run {
            number,
            scheme,
            fault,
            client_sends,
            channel: next() % 2 == 0,
        }
    }

    /// Whether what the operating system took is what the messages are made of.
    fn can_be_counted(self) -> bool {
        self.client_sends && self.scheme == Scheme::Ws
    }
}

/// Keeps what the operating system took, up to a number of bytes: after them it fails.
#[derive(Debug)]
struct Recorder {
    stream: TcpStream,
    taken: Arc<Mutex<Vec<u8>>>,
    most: usize,
}

impl Transport for Recorder {
    fn prepare(&self) -> io::Result<()> {
        self.stream.prepare()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Transport::read(&self.stream, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = self.taken.lock().unwrap();
        let room = self.most.saturating_sub(taken.len());
        if room == 0 {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let written = Transport::write(&self.stream, &bytes[..bytes.len().min(room)])?;
        taken.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        self.stream.wait(interest, deadline)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Transport::shutdown(&self.stream, how)
    }
}

/// How many whole messages stand in what a client has written, behind its request.
fn messages_in(bytes: &[u8]) -> u64 {
    let request = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(begin) = request else { return 0 };
    let mut rest = &bytes[begin + 4..];
    let mut count = 0;
    while let [first, second, tail @ ..] = rest {
        let (length, header) = match second & 0x7f {
            126 if tail.len() >= 2 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), 2),
            127 if tail.len() >= 8 => (
                u64::from_be_bytes(tail[..8].try_into().unwrap()) as usize,
                8,
            ),
            126 | 127 => break,
            length => (usize::from(length), 0),
        };
        // The header, and the masking key.
        let Some(after) = tail.get(header + 4 + length..) else {
            break;
        };
        count += u64::from(first & 0x80 != 0 && first & 0xf < 8);
        rest = after;
    }
    count
}

fn message(thread: u8, n: u64, next: &mut impl FnMut() -> u64) -> Vec<u8> {
    let length = match next() % 10 {
        0 => next() as usize % 40_000,
        _ => next() as usize % 1500,
    };
    let mut bytes = vec![thread];
    bytes.extend(n.to_be_bytes());
    bytes.resize(9 + length, thread ^ n as u8);
    bytes
}

/// Sends until something fails; nothing is accepted after that. Returns how many were.
fn send(sender: &Sender, run: Run, thread: u8) -> u64 {
    let mut next = numbers(run.number << 8 | u64::from(thread));
    for n in 0..EACH {
        let bytes = message(thread, n, &mut next);
        let fed = next() % 4 == 0;
        let sent = match fed {
            true => sender.feed(bytes),
            false => sender.send(bytes),
        };
        if let Err(error) = sent {
            // A timeout that took nothing with it leaves the connection as it was; it is ended here.
            if error.message.is_some() && error.error.is_timeout() {
                drop(sender.close());
            }
            assert!(sender.send("later").is_err(), "{run:?}: {}", error.error);
            assert!(sender.feed("later").is_err() && sender.ping("").is_err());
            return n;
        }
    }
    EACH
}

/// What came of each thread: its messages from the first on, each whole.
#[derive(Default)]
struct Arrivals {
    next: [u64; THREADS as usize],
}

impl Arrivals {
    fn take(&mut self, message: &Message) {
        let bytes = message.as_bytes();
        let (thread, n) = (
            bytes[0],
            u64::from_be_bytes(bytes[1..9].try_into().unwrap()),
        );
        let next = &mut self.next[usize::from(thread)];
        assert_eq!(n, *next, "a gap or a double");
        *next += 1;
        assert!(
            bytes[9..].iter().all(|&byte| byte == thread ^ n as u8),
            "torn"
        );
    }

    fn count(&self) -> u64 {
        self.next.iter().sum()
    }
}

/// Takes messages until the end, or leaves.
fn receive(ws: WebSocket, run: Run) -> Arrivals {
    let mut arrivals = Arrivals::default();
    loop {
        if matches!(run.fault, Fault::Leaves(after) if arrivals.count() == after) {
            return arrivals;
        }
        match ws.recv() {
            Ok(message) => arrivals.take(&message),
            Err(error) => {
                assert!(
                    !matches!(error.0, Error::Protocol(_)),
                    "{run:?}: {}",
                    error.0
                );
                assert!(ws.recv().is_err() && ws.send("later").is_err());
                return arrivals;
            }
        }
    }
}

/// The same from a channel: exactly one end, and nothing after it.
fn receive_events(ws: WebSocket, events: &Receiver<Event<u64>>, run: Run) -> Arrivals {
    let mut arrivals = Arrivals::default();
    let mut ws = Some(ws);
    let mut ends = 0;
    // It ends when all that can send into the channel is gone.
    for event in events {
        assert_eq!((*event.key(), ends), (run.number, 0));
        match event {
            Event::Message { message, .. } => arrivals.take(&message),
            Event::Closed { error, .. } => {
                assert!(!matches!(error, Some(Error::Protocol(_))), "{run:?}");
                ends += 1;
            }
            _ => {}
        }
        if matches!(run.fault, Fault::Leaves(after) if arrivals.count() >= after) {
            ws = None;
        }
    }
    assert_eq!(ends, 1, "{run:?}");
    drop(ws);
    arrivals
}

fn config(run: Run, config: Config) -> Config {
    let mut config = as_asked(patient(config));
    config.fragment_size = Some(10_000);
    if matches!(run.fault, Fault::Link(_, Mode::Hold)) {
        let soon = Some(Duration::from_millis(150));
        (config.timeouts.send, config.timeouts.close) = (soon, soon);
        // It may be one before the connection is open.
        config.timeouts.open = Some(Duration::from_secs(1));
    }
    config
}

/// An end that sends, one that receives with perhaps a channel, and the link; `None` if the fault was before
/// the connection was open.
struct Opened {
    sends: WebSocket,
    receives: WebSocket,
    events: Receiver<Event<u64>>,
    relay: Relay,
    taken: Arc<Mutex<Vec<u8>>>,
}

fn open(run: Run) -> Option<Opened> {
    let server = server_builder(run.scheme).config(config(run, Config::server()));
    let server = server.bind("127.0.0.1:0").unwrap();
    let relay = Relay::to(server.local_addr().port());
    let mut incoming = server.incoming().unwrap();
    let (sender, events) = unbounded();
    let diverted = sender.clone();
    let accepted = spawn(move || {
        let upgrade = incoming.next()?;
        match run.channel && run.client_sends {
            true => upgrade.deliver_to(diverted, run.number).accept().ok(),
            false => upgrade.accept().ok(),
        }
    });
    let taken = Arc::new(Mutex::new(Vec::new()));
    let recorder = Recorder {
        stream: TcpStream::connect(("127.0.0.1", relay.port)).unwrap(),
        taken: Arc::clone(&taken),
        most: match run.fault {
            Fault::Write(bytes) => bytes,
            _ => usize::MAX,
        },
    };
    if let Fault::Link(bytes, mode) = run.fault {
        relay.set_after(bytes, mode);
    }
    let mut builder = client_builder(run.scheme, relay.port).config(config(run, Config::client()));
    if run.channel && !run.client_sends {
        builder = builder.deliver_to(sender.clone(), run.number);
    }
    drop(sender);
    let Ok(client) = builder.connect_over(recorder) else {
        server.shutdown().unwrap();
        return None;
    };
    drop(builder);
    let (sends, receives) = match (run.client_sends, accepted.within(LATE, "accepting")?) {
        (true, server) => (client, server),
        (false, server) => (server, client),
    };
    Some(Opened {
        sends,
        receives,
        events,
        relay,
        taken,
    })
}

/// Returns whether it was open at all.
fn try_run(run: Run) -> bool {
    let Some(opened) = open(run) else {
        return false;
    };
    let Opened {
        sends,
        receives,
        events,
        relay,
        taken,
    } = opened;
    let receiving = spawn(move || match run.channel {
        true => receive_events(receives, &events, run),
        false => receive(receives, run),
    });
    let sending: Vec<_> = (0..THREADS)
        .map(|thread| {
            let sender = sends.sender().clone();
            spawn(move || send(&sender, run, thread))
        })
        .collect();
    let accepted: Vec<u64> = sending
        .into_iter()
        .map(|task| task.within(LATE, "a thread that sends"))
        .collect();
    let result = sends.close();
    let closed = sends.closed().unwrap();
    let forwarded = relay.forwarded();
    if matches!(run.fault, Fault::Link(_, Mode::Hold)) {
        // What is in a black hole is lost; the other side hears of it.
        relay.set(Mode::End);
    }
    let arrivals = receiving.within(LATE, "receiving");
    let taken = taken.lock().unwrap();
    check(run, &accepted, &arrivals, &closed, &taken);
    match run.fault {
        Fault::None => {
            assert!(result.unwrap().is_normal(), "{run:?}");
            assert_eq!(
                (arrivals.count(), closed.unsent),
                (u64::from(THREADS) * EACH, 0)
            );
        }
        Fault::Link(_, Mode::End) if run.can_be_counted() => {
            let whole = messages_in(&taken[..forwarded]);
            assert_eq!(arrivals.count(), whole, "{run:?}: what came was delivered");
        }
        _ => {}
    }
    true
}

fn check(run: Run, accepted: &[u64], arrivals: &Arrivals, closed: &Closed, taken: &[u8]) {
    let sum: u64 = accepted.iter().sum();
    if run.can_be_counted() {
        let whole = messages_in(taken);
        let unsent = closed.unsent as u64;
        assert!(
            sum <= whole + unsent,
            "{run:?}: of {sum} less {unsent} left {whole}"
        );
        assert!(arrivals.count() <= whole, "{run:?}");
    }
    for (arrived, accepted) in arrivals.next.iter().zip(accepted) {
        // The one that failed may have left all the same.
        assert!(*arrived <= accepted + 1, "{run:?}");
    }
}

#[test]
fn what_arrives_is_the_begin_of_what_was_sent_and_the_rest_is_accounted_for() {
    watchdog(120, || {
        let began = Instant::now();
        let mut opened = 0;
        for first in (0..RUNS).step_by(AT_ONCE as usize) {
            let runs = (first..first + AT_ONCE).map(|number| {
                let run = Run::new(number);
                (run, spawn(move || try_run(run)))
            });
            for (run, task) in runs.collect::<Vec<_>>() {
                opened += u64::from(task.within(3 * LATE, &format!("{run:?}")));
            }
        }
        println!("{opened} of {RUNS} runs were open, {:?}", began.elapsed());
        assert!(opened > RUNS / 2, "{opened}");
    });
}
