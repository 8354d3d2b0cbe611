//! What a peer may send that is made to cost much: a server is told to inflate it in a process of its own, whose
//! memory is measured, while another client of it goes on.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::codec::{Codec, TAIL, compressing, prose};
use common::peer::{BINARY, CLOSE, CONTINUATION, FIN, Ours, Peer, RSV1, frame};
use common::{LATE, Scheme, Serving, client_builder, eventually, numbers, spawn, watchdog};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};
use wsync::{Compression, Server};

/// The limit of a message on a server, by default.
const LIMIT: usize = 1 << 20;

/// What a connection may cost beyond the message: inflating 64 KiB. A message that grows may be moved, with half of
/// it there twice; the rest is buffers and stacks.
const MORE: usize = (64 << 10) + LIMIT / 2 + (256 << 10);

/// On a machine without load none of it takes a tenth of this.
const SOON: Duration = Duration::from_secs(10);

const CHILD: &str = "WSYNC_TEST_SERVE";

/// The server: an echo, until its standard input ends.
#[test]
#[ignore = "is started by the others as a process of its own"]
fn serve() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let builder = Server::builder().compression(Compression::server());
    let serving = Serving::echo(builder);
    println!("\nlistening {}", serving.port);
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A server in a process of its own, that ends with this.
struct Process {
    child: Child,
    _stdin: ChildStdin,
    port: u16,
}

impl Process {
    fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["serve", "--exact", "--ignored", "--nocapture"])
            .env(CHILD, "1")
            // glibc gives back what is freed, so that an attack does not look better for those before it.
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let port = output
            .lines()
            .find_map(|line| line.unwrap().strip_prefix("listening ")?.parse().ok());
        Process {
            _stdin: child.stdin.take().unwrap(),
            child,
            port: port.expect("the server tells its port"),
        }
    }

    /// Something of its memory, in bytes.
    fn memory(&self, what: &str) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(what))?;
        let number = line.split_ascii_whitespace().nth(1)?;
        Some(number.parse::<usize>().unwrap() << 10)
    }

    /// Its peak is to be measured from now on, where that is possible.
    fn reset_peak(&self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the same server that goes on meanwhile.
struct Bystander {
    over: Arc<AtomicBool>,
    echoes: Arc<AtomicU64>,
    task: common::Task<Duration>,
}

impl Bystander {
    fn start(port: u16) -> Self {
        let (over, echoes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stop, count) = (Arc::clone(&over), Arc::clone(&echoes));
        let task = spawn(move || {
            let builder = client_builder(Scheme::Ws, port);
            let ws = builder
                .config(compressing(Ours::Client, true))
                .connect()
                .unwrap();
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::SeqCst) {
                let message = prose(count.load(Ordering::SeqCst), 500);
                let began = Instant::now();
                ws.send(message.as_slice()).unwrap();
                assert!(ws.recv_timeout(LATE).unwrap().as_bytes() == message);
                longest = longest.max(began.elapsed());
                count.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(1));
            }
            assert!(ws.close().unwrap().is_normal());
            longest
        });
        Bystander { over, echoes, task }
    }

    /// Until its messages have gone to and fro since this call.
    fn answers(&self) {
        let before = self.echoes.load(Ordering::SeqCst);
        eventually("an echo", || {
            self.echoes.load(Ordering::SeqCst) > before + 1
        });
    }
}

/// How an attack ends: with this code, or with the echo of so many bytes before that.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Code(Option<u16>),
    Echo(usize),
}

/// Sends `bytes` to a new connection, as far as it takes them.
fn attack(port: u16, bytes: &[u8]) -> Outcome {
    let mut peer = Peer::connect(port, Scheme::Ws);
    peer.request(Some(Compression::client()));
    // It may be refused before all of it is sent.
    let _ = peer.try_bytes(bytes);
    let frame = peer.read();
    match frame.opcode {
        CLOSE => Outcome::Code(frame.code()),
        _ if frame.packed => Outcome::Echo(Codec::new(true).unpack(&frame.payload).len()),
        _ => Outcome::Echo(frame.payload.len()),
    }
}

/// Runs the attacks one after the other, and asserts that none takes long or much memory, or disturbs others.
fn withstands(attacks: Vec<(&str, Outcome, Vec<u8>)>) {
    let process = Process::start();
    let bystander = Bystander::start(process.port);
    // From here on its code is there, and the buffers that it keeps.
    for n in 0..3 {
        let small = Codec::new(true).pack(&prose(n, 1000));
        assert_eq!(attack(process.port, &packed(&small)), Outcome::Echo(1000));
    }
    bystander.answers();
    let before = process.memory("VmRSS:");
    for (name, expected, bytes) in attacks {
        bystander.answers();
        process.reset_peak();
        let began = Instant::now();
        let outcome = attack(process.port, &bytes);
        let took = began.elapsed();
        bystander.answers();
        let peak = process.memory("VmHWM:");
        let grown = peak
            .zip(before)
            .map(|(peak, before)| peak.saturating_sub(before));
        println!(
            "{name}: {took:?}, {} KiB",
            grown.map_or("?".into(), |n| (n >> 10).to_string())
        );
        assert_eq!(outcome, expected, "{name}");
        assert!(took < SOON, "{name}: {took:?}");
        assert!(
            grown.is_none_or(|n| n <= LIMIT + MORE),
            "{name}: {grown:?} bytes"
        );
    }
    bystander.over.store(true, Ordering::SeqCst);
    println!(
        "others waited for {:?} at most",
        bystander.task.within(LATE, "the other client")
    );
}

/// A message in one frame.
fn packed(payload: &[u8]) -> Vec<u8> {
    frame(FIN | RSV1 | BINARY, true, payload)
}

/// A frame of which little more than its length comes.
fn announced(length: u64) -> Vec<u8> {
    let mut bytes = vec![FIN | RSV1 | BINARY, 0x80 | 127];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes
}

/// A message in many.
fn fragmented<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, payload) in payloads.into_iter().enumerate() {
        let first = if n == 0 { RSV1 | BINARY } else { CONTINUATION };
        bytes.extend(frame(first, true, payload));
    }
    bytes.extend(frame(FIN | CONTINUATION, true, &[0]));
    bytes
}

/// A GiB of zeros, MiB by MiB; all but the first are deflated to the same.
fn gib_of_zeros() -> Vec<Vec<u8>> {
    let mut codec = Codec::new(true);
    let zeros = vec![0; 1 << 20];
    let first = codec.deflate(&zeros);
    let next = codec.deflate(&zeros);
    assert_eq!(codec.deflate(&zeros), next);
    let mut all = vec![first];
    all.resize(1024, next);
    all
}

#[test]
fn bombs_are_refused_at_the_limit() {
    watchdog(120, || {
        let bomb = gib_of_zeros();
        let whole = bomb.concat();
        println!("1 GiB of zeros is {} bytes", whole.len());
        assert!(
            whole.len() < LIMIT + LIMIT / 8,
            "it is not refused for its frame"
        );
        let refused = || Outcome::Code(Some(1009));
        withstands(vec![
            ("1 GiB of zeros in one frame", refused(), packed(&whole)),
            (
                "1 GiB of zeros in 1024 frames",
                refused(),
                fragmented(bomb.iter().map(Vec::as_slice)),
            ),
            (
                "1 GiB of zeros in frames of 7 bytes",
                refused(),
                fragmented(whole.chunks(7)),
            ),
            (
                "a frame that announces 1 GiB",
                refused(),
                announced(1 << 30),
            ),
        ]);
    });
}

/// So many bytes of this again and again.
fn cycle(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes
        .iter()
        .copied()
        .cycle()
        .take(length / bytes.len() * bytes.len())
        .collect()
}

#[test]
fn blocks_with_nothing_in_them_cost_no_more_than_their_bytes() {
    watchdog(120, || {
        // As much as the frames of a message may have.
        let most = LIMIT + LIMIT / 8;
        let stored = cycle(&[0x00, 0x00, 0x00, 0xff, 0xff], most);
        // Four of ten bits each.
        let fixed = cycle(&[0x02, 0x08, 0x20, 0x80, 0x00], most);
        let last = cycle(&[0x03, 0x00], most);
        let (empty, refused) = (|| Outcome::Echo(0), || Outcome::Code(Some(1009)));
        let too_many = |payload: &[u8]| fragmented([payload; 3]);
        withstands(vec![
            (
                "empty stored blocks",
                empty(),
                packed(&[&stored[..], &[0]].concat()),
            ),
            (
                "empty stored blocks in frames",
                empty(),
                fragmented(stored.chunks(500)),
            ),
            (
                "empty fixed blocks",
                empty(),
                packed(&[&fixed[..], &[0]].concat()),
            ),
            ("final blocks", empty(), packed(&[&last[..], &[0]].concat())),
            (
                "final blocks in frames",
                empty(),
                fragmented(last.chunks(333)),
            ),
            ("too many empty stored blocks", refused(), too_many(&stored)),
            ("too many empty fixed blocks", refused(), too_many(&fixed)),
            ("too many final blocks", refused(), too_many(&last)),
        ]);
    });
}

#[test]
fn what_is_not_deflate_is_refused_with_1002() {
    watchdog(120, || {
        let refused = || Outcome::Code(Some(1002));
        let mut codec = Codec::new(true);
        let first = codec.pack(&prose(1, 1000));
        // Both refer to the first.
        let second = codec.pack(&prose(1, 1000));
        let mut attacks = vec![
            (
                "a reference to before the begin",
                refused(),
                packed(&second),
            ),
            ("a block of no type", refused(), packed(&[0x07])),
            (
                "a stored block whose length is not confirmed",
                refused(),
                packed(&[0x00, 0x05, 0x00, 0xff, 0xff]),
            ),
            (
                "input behind a final block that is none",
                refused(),
                packed(&[&[0x03, 0x00][..], &[0xff; 1000]].concat()),
            ),
            (
                "a reference to before a final block",
                refused(),
                packed(&[&first[..], &TAIL, &[0x03, 0x00], &second].concat()),
            ),
            (
                "a length that no block has",
                refused(),
                // Fixed codes; 286 is no length.
                packed(&[0x1b, 0x03]),
            ),
        ];
        for seed in 0..20 {
            let mut next = numbers(seed);
            let mut garbage: Vec<_> = (0..20_000).flat_map(|_| next().to_le_bytes()).collect();
            // Codes of its own, or a stored block.
            garbage[0] = [0x04, 0x05, 0x00][seed as usize % 3];
            attacks.push(("garbage", refused(), packed(&garbage)));
        }
        withstands(attacks);
    });
}

#[test]
fn without_takeover_nothing_of_a_message_is_there_for_the_next() {
    watchdog(60, || {
        let serving = Serving::echo(Server::builder().compression(Compression::server()));
        let mut codec = Codec::new(true);
        let (first, second) = (codec.pack(&prose(1, 900)), codec.pack(&prose(1, 900)));
        let both = [packed(&first), packed(&second)].concat();
        let mut outcomes = Vec::new();
        for takeover in [true, false] {
            let mut compression = Compression::client();
            compression.client_no_context_takeover = !takeover;
            let mut peer = Peer::connect(serving.port, Scheme::Ws);
            peer.request(Some(compression));
            peer.bytes(&both);
            let mut codec = Codec::new(true);
            assert!(peer.receive_packed(&mut codec) == prose(1, 900));
            let frame = peer.read();
            outcomes.push(match frame.opcode {
                CLOSE => frame.code(),
                _ => {
                    assert!(codec.unpack(&frame.payload) == prose(1, 900));
                    None
                }
            });
        }
        assert_eq!(outcomes, [None, Some(1002)]);
    });
}

#[test]
fn streams_that_are_cut_short_end_in_bounded_time() {
    watchdog(120, || {
        let serving = Serving::echo(Server::builder().compression(Compression::server()));
        let whole = Codec::new(true).pack(&prose(1, 2000));
        for cut in 0..whole.len() {
            let began = Instant::now();
            let outcome = attack(serving.port, &packed(&whole[..cut]));
            assert!(
                began.elapsed() < SOON,
                "cut at {cut}: {:?}",
                began.elapsed()
            );
            // What the rest of a block would have been is not told from what is there.
            let fits = match outcome {
                Outcome::Code(code) => code == Some(1002),
                Outcome::Echo(length) => length < 2300,
            };
            assert!(fits, "cut at {cut}: {outcome:?}");
        }
    });
}
