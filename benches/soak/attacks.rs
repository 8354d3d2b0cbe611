//! What hostile clients do. The bytes are made beforehand, and each attack has a bound in bytes and in time.

use crate::bytes::mixed;
use crate::common::{BINARY, KEY, TEXT, append_frame, fragments, frames};
use crate::raw;
use socket2::SockRef;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long an attack holds its connection.
const HOLD: Duration = Duration::from_secs(3);

/// In which the server must have ended the connection of one that it cannot tolerate.
const END: Duration = Duration::from_secs(5);

/// From byte to byte of what drips.
const DRIP: Duration = Duration::from_millis(50);

/// How much a flood is, in bytes.
const FLOOD: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// A request, byte by byte.
    DrippedRequest,
    /// A connection that says nothing.
    Silence,
    /// Bytes that are no HTTP, or the beginning of TLS.
    Garbage,
    /// Pings, and no pong is read.
    PingFlood,
    /// Empty messages.
    TinyFrames,
    /// A message of empty fragments.
    FragmentBomb,
    /// A frame of 2^63 - 1 bytes, or of just too many.
    Oversize,
    /// Large messages whose echoes are not read.
    NeverReading,
    /// A RST in the middle of a message.
    Reset,
    /// What RFC 6455 does not allow.
    InvalidFrame,
    /// After the Close frame bytes drip on.
    CloseDrip,
    /// A small message that is 16 MiB when it is inflated.
    DeflateBomb,
}

/// How an attack went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should, or there is nothing to be told.
    Done,
    /// The server should have ended the connection, and has not.
    Tolerated,
    /// There was no connection to attack over.
    Refused,
}

/// The bytes.
#[derive(Debug)]
pub(crate) struct Ammunition {
    garbage: Vec<u8>,
    pings: Vec<u8>,
    tiny: Vec<u8>,
    fragments: Vec<u8>,
    large: Vec<u8>,
    invalid: Vec<Vec<u8>>,
    bomb: Vec<u8>,
}

impl Attack {
    pub(crate) const ALL: [Attack; 12] = [
        Attack::DrippedRequest,
        Attack::Silence,
        Attack::Garbage,
        Attack::PingFlood,
        Attack::TinyFrames,
        Attack::FragmentBomb,
        Attack::Oversize,
        Attack::NeverReading,
        Attack::Reset,
        Attack::InvalidFrame,
        Attack::CloseDrip,
        Attack::DeflateBomb,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Attack::DrippedRequest => "dripped_request",
            Attack::Silence => "silence",
            Attack::Garbage => "garbage",
            Attack::PingFlood => "ping_flood",
            Attack::TinyFrames => "tiny_frames",
            Attack::FragmentBomb => "fragment_bomb",
            Attack::Oversize => "oversize",
            Attack::NeverReading => "never_reading",
            Attack::Reset => "reset",
            Attack::InvalidFrame => "invalid_frame",
            Attack::CloseDrip => "close_drip",
            Attack::DeflateBomb => "deflate_bomb",
        }
    }

    /// The attack as client number `n`.
    pub(crate) fn run(self, server: SocketAddr, n: usize, with: &Ammunition) -> Outcome {
        let early = matches!(
            self,
            Attack::DrippedRequest | Attack::Silence | Attack::Garbage
        );
        let request = match self {
            Attack::DeflateBomb => raw::REQUEST_DEFLATE,
            _ => raw::REQUEST,
        };
        let connected = match early {
            true => raw::connect(server, n),
            false => raw::open_with(server, n, request),
        };
        match connected {
            Ok(stream) => self.over(stream, n, with),
            Err(_) => Outcome::Refused,
        }
    }

    fn over(self, mut stream: TcpStream, n: usize, with: &Ammunition) -> Outcome {
        // What cannot be written was refused; `judge` sees that.
        match self {
            Attack::DrippedRequest => drip(&mut stream, raw::REQUEST.iter().copied()),
            Attack::Silence => {}
            Attack::Garbage => write(&mut stream, &with.garbage),
            Attack::PingFlood => return unread(&mut stream, &with.pings),
            Attack::TinyFrames => return unread(&mut stream, &with.tiny),
            Attack::FragmentBomb => write(&mut stream, &with.fragments),
            Attack::Oversize => write(&mut stream, oversize(n)),
            Attack::NeverReading => {
                // Then the server has to keep the echoes.
                let _ = SockRef::from(&stream).set_recv_buffer_size(4 << 10);
                let _ = unread(&mut stream, &with.large);
            }
            Attack::Reset => {
                write(&mut stream, &with.large[..with.large.len() / 8 + 1]);
                let _ = raw::reset(stream);
                return Outcome::Done;
            }
            Attack::InvalidFrame => write(&mut stream, &with.invalid[n % with.invalid.len()]),
            Attack::CloseDrip => {
                write(&mut stream, &raw::close_frame());
                drip(&mut stream, std::iter::repeat(0x82));
            }
            Attack::DeflateBomb => write(&mut stream, &with.bomb),
        }
        match raw::drained(&mut stream, END) {
            true => Outcome::Done,
            false => Outcome::Tolerated,
        }
    }
}

impl Ammunition {
    pub(crate) fn new() -> Self {
        let count = |frame: usize| FLOOD / frame;
        let masked = |count, first, payload: &[u8]| frames(count, first, Some(KEY), payload);
        let mut large = Vec::new();
        // More than sockets hold.
        (0..64).for_each(|_| append_frame(&mut large, BINARY, Some(KEY), &[7; 128 << 10]));
        Ammunition {
            garbage: (0..512).map(|n| mixed(n) as u8 | 0x80).collect(),
            pings: masked(count(131), 0x89, &[7; 125]),
            tiny: masked(count(6), BINARY, &[]),
            fragments: fragments(70_000, Some(KEY), &[]),
            large,
            invalid: invalid(),
            bomb: bomb(),
        }
    }
}

/// Frames that must fail a connection.
fn invalid() -> Vec<Vec<u8>> {
    let unmasked = |first| frames(1, first, None, b"hello");
    let with = |first, payload: &[u8]| raw::frame(first, payload);
    vec![
        unmasked(TEXT),
        // Reserved opcodes and bits.
        with(0x83, b"hello"),
        with(0x8b, b""),
        with(0xc1, b"hello"),
        with(0xa2, b"hello"),
        // Control frames: too long, fragmented.
        with(0x89, &[7; 126]),
        with(0x09, b"hello"),
        // A continuation of nothing.
        with(0x80, b"hello"),
        // A code without its second byte, one that must not be sent, a reason and a text that are not UTF-8.
        with(raw::CLOSE, &[3]),
        with(raw::CLOSE, &1005_u16.to_be_bytes()),
        with(raw::CLOSE, &[3, 0xe8, 0xff]),
        with(TEXT, b"\xc3\x28"),
        // A length in more bytes than it needs.
        vec![0x82, 0xfe, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5],
    ]
}

fn oversize(n: usize) -> &'static [u8] {
    match n % 3 {
        0 => &[
            0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4,
        ],
        1 => &[
            0x82, 0xff, 0xff, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4,
        ],
        // 1 MiB and a byte.
        _ => &[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4],
    }
}

/// 16 MiB of zeros in one frame. A block with the fixed codes (RFC 1951, 3.2.6): a zero, then "258 bytes, as the
/// one before" in 13 bits each.
fn bomb() -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut code = |code: u32, length: u32| {
        bits.extend((0..length).rev().map(|n| code >> n & 1 == 1));
    };
    // Not the last block, and its type.
    code(0b010, 3);
    code(0b0011_0000, 8);
    for _ in 0..(16 << 20) / 258 {
        code(0b1100_0101, 8);
        code(0, 5);
    }
    // Its end, and the header of an empty stored block, which the receiver completes (RFC 7692, 7.2.2).
    code(0, 7);
    code(0, 3);
    let byte = |bits: &[bool]| {
        let weights = bits.iter().enumerate();
        weights.fold(0, |byte, (n, bit)| byte | u8::from(*bit) << n)
    };
    let deflated: Vec<u8> = bits.chunks(8).map(byte).collect();
    raw::frame(BINARY | 0x40, &deflated)
}

fn write(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.set_write_timeout(Some(HOLD));
    let _ = stream.write_all(bytes);
}

/// Until the server has had enough.
fn drip(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) {
    let end = Instant::now() + HOLD;
    for byte in bytes {
        if Instant::now() > end || stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(DRIP);
    }
}

/// Writes as much as the server takes, and reads nothing.
fn unread(stream: &mut TcpStream, bytes: &[u8]) -> Outcome {
    let end = Instant::now() + HOLD;
    let written: io::Result<()> = stream
        .set_write_timeout(Some(HOLD))
        .and_then(|()| stream.write_all(bytes));
    if written.is_ok() {
        thread::sleep(end.saturating_duration_since(Instant::now()));
    }
    Outcome::Done
}
