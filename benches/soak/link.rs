//! soak link: one end of a connection, both ends the library's. Each sends numbered messages of changing size for a
//! while, then how many they were and a hash of all of them; and checks number, content and hash of what the other
//! sends.
//!
//!     --listen ADDRESS | --connect URL     who ends it is who connects
//!     --secs 10   --longest 16384 (bytes of a message)   --pause-ms 0 (after each)   --send-buffer BYTES (SO_SNDBUF)
//!     --ping-interval-ms N   --ping-timeout-ms N          (off without them)
//!     --expect closed|timeout.ping         how it must end
//!     --stay on                            nobody ends it: for a link that breaks
//!
//! The line at the end has the time of the end, in milliseconds of the system's clock.

use crate::Failure;
use crate::bytes::{Content, LAST, numbers};
use crate::options::Options;
use crate::report::Report;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use wsync::{ClientBuilder, Config, Error, Keepalive, Server, WebSocket};

/// What is on the way at the end may take this long.
const PATIENCE: Duration = Duration::from_secs(300);

struct Plan {
    time: Duration,
    longest: usize,
    pause: Duration,
    /// Whether this end closes.
    closes: bool,
    /// Which end this is: 1 connects, 0 listens.
    side: u64,
}

/// What one direction came to.
#[derive(Default)]
struct Direction {
    messages: u64,
    bytes: u64,
    hash: u64,
    /// The hash and the number that the sender told.
    told: Option<(u64, u64)>,
    /// Of messages that came: numbers left out, seen before, contents that are others.
    lost: u64,
    doubled: u64,
    torn: u64,
    error: Option<Error>,
}

pub(crate) fn run(options: &mut Options) -> Result<Report, Failure> {
    let listen: Option<SocketAddr> = options.get("listen")?;
    let connect: Option<String> = options.get("connect")?;
    let plan = Plan {
        time: options.seconds("secs", 10.0)?,
        longest: options.or("longest", 16 << 10)?,
        pause: options.millis("pause-ms")?.unwrap_or_default(),
        closes: options.or("stay", "off".to_owned())? != "on" && connect.is_some(),
        side: u64::from(connect.is_some()),
    };
    let mut config = Config::client();
    config.keepalive = Keepalive::off();
    config.keepalive.interval = options.millis("ping-interval-ms")?;
    config.keepalive.timeout = options.millis("ping-timeout-ms")?;
    config.socket.send_buffer = options.get("send-buffer")?;
    config.timeouts.open = Some(PATIENCE);
    config.timeouts.message = Some(PATIENCE);
    config.timeouts.send = Some(PATIENCE);
    config.timeouts.close = Some(PATIENCE);
    let expected: String = options.or("expect", "closed".into())?;
    options.finish()?;
    let ws = match (listen, connect) {
        (Some(address), None) => accept(address, config)?,
        (None, Some(url)) => ClientBuilder::new(url).config(config).connect()?,
        _ => return Err("--listen ADDRESS or --connect URL".into()),
    };
    exchange(ws, &plan, &expected)
}

fn accept(address: SocketAddr, config: Config) -> Result<WebSocket, Failure> {
    let server = Server::builder().config(config).bind(address)?;
    let mut incoming = server.incoming()?;
    println!("listening {}", server.local_addr());
    Ok(incoming.next().ok_or("nobody came")?.accept()?)
}

fn exchange(ws: WebSocket, plan: &Plan, expected: &str) -> Result<Report, Failure> {
    let began = Instant::now();
    let content = Content::up_to(plan.longest);
    let (sent, mut received) = thread::scope(|scope| {
        let sending = scope.spawn(|| send(&ws, plan, &content));
        let received = receive(&ws, &content, plan);
        sending.join().map(|sent| (sent, received))
    })
    .map_err(|_| "the sender panicked")?;
    if plan.closes && received.error.is_none() {
        received.error = Some(
            ws.close()
                .map_or_else(|error| error, |closed| Error::Closed(closed.into())),
        );
    }
    let ended = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let end = match &received.error {
        Some(Error::Closed(closed)) if closed.is_normal() => "closed",
        Some(error) => error.kind(),
        None => "none",
    };

    let mut report = Report::new("link");
    report.decimal("secs", began.elapsed().as_secs_f64());
    report.text("end", end);
    report.field("ended_ms", ended.as_millis());
    report.field("sent", sent.messages);
    report.field("sent_bytes", sent.bytes);
    report.field("received", received.messages);
    report.field("received_bytes", received.bytes);
    report.field("lost", received.lost);
    report.field("doubled", received.doubled);
    report.field("torn", received.torn);
    let equal = received.told == Some((received.messages, received.hash));
    report.field("hashes_equal", equal);
    if let Some(error) = &sent.error {
        report.text("send_error", error.kind());
    }

    report.bound(end != expected, format_args!("ends with {expected}"));
    let wrong = received.lost + received.doubled + received.torn;
    report.bound(wrong > 0, "each message once, whole and in order");
    let complete = expected == "closed";
    report.bound(
        complete && !equal,
        "as many as were sent, and with the same hash",
    );
    report.bound(complete && sent.error.is_some(), "all can be sent");
    Ok(report)
}

/// FNV-1a.
fn hashed(hash: u64, bytes: &[u8]) -> u64 {
    let start = if hash == 0 {
        0xcbf2_9ce4_8422_2325
    } else {
        hash
    };
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(start, step)
}

fn send(ws: &WebSocket, plan: &Plan, content: &Content) -> Direction {
    let mut sent = Direction::default();
    let until = Instant::now() + plan.time;
    let from = plan.side;
    while sent.error.is_none() && Instant::now() < until {
        let mut message = Vec::new();
        content.append(&mut message, from, sent.messages);
        sent.hash = hashed(sent.hash, &message);
        sent.bytes += message.len() as u64;
        sent.messages += 1;
        sent.error = ws.send(message).err().map(Error::from);
        thread::sleep(plan.pause);
    }
    if sent.error.is_none() {
        let last = [LAST, sent.messages, sent.hash];
        let last: Vec<u8> = last.into_iter().flat_map(u64::to_be_bytes).collect();
        sent.error = ws.send(last).err().map(Error::from);
    }
    sent
}

/// Until the connection ends, or all have come and it is ours to close.
fn receive(ws: &WebSocket, content: &Content, plan: &Plan) -> Direction {
    let mut received = Direction::default();
    let from = 1 - plan.side;
    loop {
        let message = match ws.recv() {
            Ok(message) => message,
            Err(error) => {
                received.error = Some(error.into());
                return received;
            }
        };
        let bytes = message.as_bytes();
        match (numbers(bytes), numbers(bytes.get(8..).unwrap_or_default())) {
            (Some((LAST, count)), Some((_, hash))) => {
                received.told = Some((count, hash));
                received.lost += count.saturating_sub(received.messages);
                if plan.closes {
                    return received;
                }
            }
            (Some((n, _)), _) => received.take(n, bytes, content, from),
            _ => received.torn += 1,
        }
    }
}

impl Direction {
    fn take(&mut self, n: u64, bytes: &[u8], content: &Content, from: u64) {
        match n.checked_sub(self.messages) {
            None => return self.doubled += 1,
            Some(gap) => self.lost += gap,
        }
        self.torn += u64::from(!content.is(bytes, from, n));
        self.hash = hashed(self.hash, bytes);
        self.bytes += bytes.len() as u64;
        self.messages = n + 1;
    }
}
