//! What benchmarks measure and fuzz targets drive below the public API, so that nothing private
//! becomes public. Only a build with `--cfg wsync_bench` or `--cfg fuzzing` has it, and nobody may
//! rely on it.

use crate::compression::Compression;
use crate::config::{Limits, QueueConfig};
use crate::message::Message;
use crate::protocol::{
    DeflateSettings, Deflater, Frames, Inbound, Outbound, Part, Piece, Role, Sink, Step,
};
use crate::queue::{self, Exit, Producer, Queue};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

#[cfg(fuzzing)]
pub mod codec;
#[cfg(fuzzing)]
pub mod opening;

/// The same source a second time: only `protocol` sees the module itself.
#[allow(clippy::duplicate_mod)]
// Only masking in place is measured.
#[allow(dead_code)]
#[path = "protocol/mask.rs"]
mod mask;

/// Applies a masking key, and returns it turned by the bytes that it was applied to.
pub fn mask(bytes: &mut [u8], key: u32) -> u32 {
    mask::apply(bytes, key)
}

/// Decodes frames and puts messages together, as the reader of a connection does.
#[derive(Debug)]
pub struct Decoder {
    inbound: Inbound,
    now: Instant,
}

impl Decoder {
    /// A server's, whose frames come masked.
    pub fn server() -> Self {
        Decoder::new(Role::Server)
    }

    /// A client's, whose frames come without a mask.
    pub fn client() -> Self {
        Decoder::new(Role::Client)
    }

    fn new(role: Role) -> Self {
        Decoder {
            inbound: Inbound::new(role, Limits::default(), None),
            now: Instant::now(),
        }
    }

    /// Takes compressed messages too, each without context.
    #[must_use]
    pub fn inflating(mut self) -> Self {
        self.inbound = self.inbound.inflating(false);
        self
    }

    /// Takes what one read brought, which is unmasked in place. Returns the bytes of payload of the
    /// messages that ended in it; fewer than expected after an error.
    pub fn decode(&mut self, mut read: &mut [u8]) -> usize {
        let mut count = Count::default();
        while !read.is_empty() {
            match self.inbound.receive(read, self.now, &mut count) {
                Ok((taken, Step::More)) if taken < read.len() => break,
                Ok((taken, _)) => read = read.get_mut(taken..).unwrap_or_default(),
                Err(_) => break,
            }
        }
        count.0
    }
}

/// Counts bytes, and drops what has them.
#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn push(&mut self, message: Message) -> bool {
        self.0 += black_box(message).len();
        true
    }

    fn room(&self) -> (usize, usize) {
        (usize::MAX, usize::MAX)
    }

    fn push_all(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        self.0 += messages
            .map(|message| black_box(message).len())
            .sum::<usize>();
        true
    }

    fn push_piece(&mut self, piece: Piece) -> bool {
        self.0 += black_box(piece).payload.len();
        true
    }
}

/// Encodes messages into an outbox, as a sender does, and empties it, as the writer does.
#[derive(Debug)]
pub struct Encoder {
    outbound: Outbound,
    frames: Frames,
}

impl Encoder {
    /// A server's, which does not mask.
    pub fn server() -> Self {
        Encoder::new(Role::Server)
    }

    /// A client's, which masks.
    pub fn client() -> Self {
        Encoder::new(Role::Client)
    }

    fn new(role: Role) -> Self {
        Encoder {
            outbound: Outbound::new(role),
            frames: Frames::default(),
        }
    }

    /// Appends a message in one frame.
    pub fn append(&mut self, message: &Message) {
        self.outbound.message(message);
    }

    /// Takes what was appended, and says how many bytes it would have written.
    pub fn take(&mut self) -> usize {
        self.outbound.take(&mut self.frames);
        let length = self.frames.pieces(0).map(|piece| black_box(piece).len());
        let length = length.sum();
        self.frames.clear();
        length
    }
}

/// Compresses messages with the defaults of a server.
#[derive(Debug)]
pub struct Compressor {
    deflater: Deflater,
    out: Vec<u8>,
}

impl Compressor {
    /// One that has seen no message.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let defaults = Compression::server();
        Compressor {
            deflater: Deflater::new(DeflateSettings {
                level: defaults.level,
                window_bits: defaults.server_max_window_bits,
                mem_level: defaults.mem_level,
            }),
            out: Vec::new(),
        }
    }

    /// A message in the context of those before, compressed. Empty without the feature `deflate`.
    pub fn compress(&mut self, message: &[u8]) -> &[u8] {
        self.out.clear();
        self.deflater.deflate(message, Part::Last, &mut self.out);
        &self.out
    }

    /// Forgets the messages before.
    pub fn reset(&mut self) {
        self.deflater.reset();
    }
}

/// The reader's end of a receive queue.
#[derive(Debug)]
pub struct Supply(Producer);

/// The application's end of a receive queue.
#[derive(Debug)]
pub struct Demand(Arc<Queue>);

/// A receive queue with the usual bounds.
pub fn queue() -> (Supply, Demand) {
    let (producer, queue) = queue::queue(&QueueConfig::default(), Exit::ReceiveCalls);
    (Supply(producer), Demand(queue))
}

impl Supply {
    /// Hands messages over as what one read brought, once there is room.
    pub fn hand_over(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            if !self.0.push(message) {
                self.0.deliver(Instant::now());
                self.wait_for_room();
            }
        }
        self.0.deliver(Instant::now());
    }

    fn wait_for_room(&mut self) {
        while self.0.must_wait() {
            self.0.wait_for_room(None);
        }
    }
}

impl Demand {
    /// The next message, waited for; `None` after the last.
    pub fn take(&self) -> Option<Message> {
        let message = self.0.try_take().or_else(|_| {
            self.0.linger();
            self.0.take(None)
        });
        message.ok()
    }
}
