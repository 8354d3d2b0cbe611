//! cargo bench --bench send_latency -- [--rounds N] [--secs S] [--interval-us N] [--pin same|split]
//!
//! How long a send takes while the reader of the same connection is saturated, beside one on an idle
//! connection. A second thread sends 64 bytes every so often and times each call; the main thread
//! takes what comes with `recv`. The peer is another process: it writes ready frames to a bare
//! socket, or through TLS, and throws away what it gets.
//!
//! Each round measures every case once. A line has the medians of the rounds; a ratio is the median
//! of the ratios to the idle connection of the same round. `--pin same` has both processes on core 0,
//! `--pin split` the peer on core 1.

mod common;

use common::{BINARY, KEY, frames, open};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Sender, Server};

/// What the peer sends: messages of so many bytes, or nothing.
const FLOODS: [(usize, &str); 3] = [
    (0, "idle"),
    (64, "flood of 64 B"),
    (64 << 10, "flood of 64 KiB"),
];

/// The least that the peer writes at a time.
const WRITE: usize = 64 << 10;

/// Sends before the first that counts.
const WARM_UP: usize = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Ws,
    Wss,
}

impl Scheme {
    /// Those that the build has.
    fn all() -> &'static [Scheme] {
        match cfg!(feature = "native-tls") {
            true => &[Scheme::Ws, Scheme::Wss],
            false => &[Scheme::Ws],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        }
    }
}

struct Options {
    rounds: usize,
    time: Duration,
    interval: Duration,
    /// The cores of this process and of the peer.
    cores: Option<(usize, usize)>,
}

/// What one case showed in one round.
struct Sample {
    sends: usize,
    p50: f64,
    p99: f64,
    received_per_s: f64,
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["peer", scheme, address, size, core @ ..] = words.as_slice() {
        if let [core] = core {
            pin(core.parse()?)?;
        }
        return peer(scheme, address.parse()?, size.parse()?);
    }
    let options = parse(&words)?;
    if let Some((core, _)) = options.cores {
        pin(core)?;
    }
    for scheme in Scheme::all() {
        let mut samples = [const { Vec::new() }; FLOODS.len()];
        for _ in 0..options.rounds {
            for ((size, _), samples) in FLOODS.iter().zip(&mut samples) {
                samples.push(measure(*scheme, *size, &options)?);
            }
        }
        for ((_, name), of_case) in FLOODS.iter().zip(&samples) {
            report(*scheme, name, of_case, &samples[0]);
        }
    }
    Ok(())
}

fn parse(words: &[&str]) -> Result<Options, Failure> {
    let mut options = Options {
        rounds: 5,
        time: Duration::from_secs(2),
        interval: Duration::from_micros(200),
        cores: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match *word {
            // From `cargo bench`.
            "--bench" => {}
            "--rounds" => options.rounds = value()?.parse()?,
            "--secs" => options.time = Duration::from_secs_f64(value()?.parse()?),
            "--interval-us" => options.interval = Duration::from_micros(value()?.parse()?),
            "--pin" => {
                options.cores = match *value()? {
                    "same" => Some((0, 0)),
                    "split" => Some((0, 1)),
                    other => return Err(format!("--pin {other}: same or split").into()),
                }
            }
            _ => return Err("[--rounds N] [--secs S] [--interval-us N] [--pin same|split]".into()),
        }
    }
    Ok(options)
}

/// This thread, and all that it starts.
fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

fn measure(scheme: Scheme, size: usize, options: &Options) -> Result<Sample, Failure> {
    let server = bind(scheme)?;
    let mut incoming = server.incoming()?;
    let peer = start_peer(scheme, server.local_addr(), size, options.cores)?;
    let upgrade = incoming.next().ok_or("nobody came")?;
    let (sender, receiver) = upgrade.accept()?.split();
    let began = Instant::now();
    let (time, interval) = (options.time, options.interval);
    let sending = thread::spawn(move || send(&sender, time, interval, peer));
    let mut received = 0_u32;
    while receiver.recv().is_ok() {
        received += 1;
    }
    let lasted = began.elapsed().as_secs_f64();
    let mut took = sending.join().map_err(|_| "the sender panicked")??;
    server.shutdown()?;
    took.drain(..WARM_UP.min(took.len()));
    took.sort_unstable();
    let at = |share: f64| match took.len() {
        0 => f64::NAN,
        n => took[((n - 1) as f64 * share) as usize].as_secs_f64() * 1e6,
    };
    Ok(Sample {
        sends: took.len(),
        p50: at(0.5),
        p99: at(0.99),
        received_per_s: f64::from(received) / lasted,
    })
}

/// Times each call; then ends the peer, which ends the connection.
fn send(
    sender: &Sender,
    time: Duration,
    interval: Duration,
    mut peer: Child,
) -> Result<Vec<Duration>, Failure> {
    let payload = bytes(64);
    let end = Instant::now() + time;
    let mut took = Vec::new();
    let mut sent = Ok(());
    while sent.is_ok() && Instant::now() < end {
        let message = payload.clone();
        let began = Instant::now();
        sent = sender.send(message);
        took.push(began.elapsed());
        thread::sleep(interval);
    }
    peer.kill()?;
    peer.wait()?;
    sent?;
    Ok(took)
}

fn bytes(length: usize) -> Vec<u8> {
    vec![b'x'; length]
}

#[cfg(feature = "native-tls")]
fn bind(scheme: Scheme) -> Result<Server, Failure> {
    let chain = include_bytes!("../tests/certs/server.pem");
    let key = include_bytes!("../tests/certs/server.key");
    let mut builder = Server::builder();
    if scheme == Scheme::Wss {
        builder = builder.tls(wsync::TlsConfig::server(chain, key)?);
    }
    Ok(builder.bind("127.0.0.1:0")?)
}

#[cfg(not(feature = "native-tls"))]
fn bind(_: Scheme) -> Result<Server, Failure> {
    Ok(Server::bind("127.0.0.1:0")?)
}

fn start_peer(
    scheme: Scheme,
    address: SocketAddr,
    size: usize,
    cores: Option<(usize, usize)>,
) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "peer",
        scheme.name(),
        &address.to_string(),
        &size.to_string(),
    ]);
    if let Some((_, core)) = cores {
        command.arg(core.to_string());
    }
    command.spawn()
}

/// Runs until it is killed, or the connection ends.
fn peer(scheme: &str, address: SocketAddr, size: usize) -> Result<(), Failure> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let raw = stream.try_clone()?;
    match scheme {
        "ws" => flood(stream, raw, size),
        _ => flood(through_tls(stream)?, raw, size),
    }
}

/// Nobody else is on the address, so the certificate says nothing.
fn through_tls(stream: TcpStream) -> Result<impl Read + Write, Failure> {
    let connector = native_tls::TlsConnector::builder()
        .danger_accept_invalid_certs(true)
        .build()?;
    Ok(connector.connect("localhost", stream)?)
}

fn flood(mut stream: impl Read + Write, mut raw: TcpStream, size: usize) -> Result<(), Failure> {
    open(&mut stream);
    // What comes is not decrypted: TLS 1.2 needs nothing of it to go on writing.
    let reading = thread::spawn(move || io::copy(&mut raw, &mut io::sink()));
    if size > 0 {
        let count = (WRITE / size).max(1);
        let frames = frames(count, BINARY, Some(KEY), &bytes(size));
        while stream.write_all(&frames).is_ok() {}
    }
    let _ = reading.join();
    Ok(())
}

fn report(scheme: Scheme, name: &str, samples: &[Sample], idle: &[Sample]) {
    let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
    let ratio = |figure: fn(&Sample) -> f64| {
        let pairs = samples.iter().zip(idle);
        median(
            pairs
                .map(|(one, other)| figure(one) / figure(other))
                .collect(),
        )
    };
    println!(
        "{{\"scheme\":\"{}\",\"peer\":\"{name}\",\"p50_us\":{:.1},\"p99_us\":{:.1},\"p50_ratio\":{:.2},\
         \"p99_ratio\":{:.2},\"sends\":{},\"received_per_s\":{:.0}}}",
        scheme.name(),
        of(|sample| sample.p50),
        of(|sample| sample.p99),
        ratio(|sample| sample.p50),
        ratio(|sample| sample.p99),
        samples.iter().map(|sample| sample.sends).sum::<usize>(),
        of(|sample| sample.received_per_s),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
