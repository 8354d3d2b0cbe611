//! permessage-deflate (RFC 7692) as a peer has it that knows zlib and nothing of ours.

use super::patient;
use super::peer::{BINARY, CONTINUATION, FIN, Ours, Peer, RSV1, TEXT};
use wsync::{Compression, Config};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

/// What a flush ends with, and a message does not have.
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Both directions of a connection, as its peer sees them.
pub(crate) struct Codec {
    deflate: Deflate,
    inflate: Inflate,
    takeover: bool,
}

impl Codec {
    pub(crate) fn new(takeover: bool) -> Self {
        Codec {
            deflate: Deflate::new(6, false, 15),
            inflate: Inflate::new(false, 15),
            takeover,
        }
    }

    /// Deflates up to a flush, whose end stays.
    pub(crate) fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = vec![0; message.len() + message.len() / 8 + 64];
        let before = self.deflate.total_out();
        let result = (self.deflate).compress(message, &mut out, DeflateFlush::SyncFlush);
        assert_eq!(result.unwrap(), Status::Ok);
        out.truncate((self.deflate.total_out() - before) as usize);
        out
    }

    /// The payload of a message.
    pub(crate) fn pack(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.deflate.reset();
        }
        let mut packed = self.deflate(message);
        assert!(packed.ends_with(&TAIL));
        packed.truncate(packed.len() - TAIL.len());
        packed
    }

    /// What can be read of a message by now.
    pub(crate) fn inflate(&mut self, mut packed: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        let mut space = vec![0; 64 << 10];
        loop {
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let result = (self.inflate).decompress(packed, &mut space, InflateFlush::NoFlush);
            let status =
                result.expect("what was sent is DEFLATE, in the context of what was before");
            assert_ne!(status, Status::StreamEnd, "no block is final");
            packed = &packed[(self.inflate.total_in() - before.0) as usize..];
            let given = (self.inflate.total_out() - before.1) as usize;
            message.extend_from_slice(&space[..given]);
            if given < space.len() {
                assert_eq!(packed, b"");
                return message;
            }
        }
    }

    /// The message whose payload this is.
    pub(crate) fn unpack(&mut self, packed: &[u8]) -> Vec<u8> {
        let mut message = self.inflate(packed);
        message.append(&mut self.inflate(&TAIL));
        if !self.takeover {
            self.inflate.reset(false);
        }
        message
    }
}

/// A message as it came, with its fragments put together and inflated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) opcode: u8,
    pub(crate) packed: bool,
    pub(crate) frames: usize,
    pub(crate) message: Vec<u8>,
}

impl Peer {
    /// Sends a compressed message in one frame.
    pub(crate) fn send_packed(&mut self, codec: &mut Codec, message: &[u8]) {
        let packed = codec.pack(message);
        self.frame(FIN | RSV1 | BINARY, &packed);
    }

    /// A message, compressed or not, without other frames between its own.
    pub(crate) fn receive(&mut self, codec: &mut Codec) -> Received {
        let first = self.read();
        assert!(matches!(first.opcode, TEXT | BINARY), "{:x}", first.opcode);
        let (mut payload, mut fin, mut frames) = (first.payload, first.fin, 1);
        while !fin {
            let mut frame = self.read();
            let (opcode, packed) = (frame.opcode, frame.packed);
            assert_eq!(
                (opcode, packed),
                (CONTINUATION, false),
                "RSV1 is for the first"
            );
            payload.append(&mut frame.payload);
            (fin, frames) = (frame.fin, frames + 1);
        }
        Received {
            opcode: first.opcode,
            packed: first.packed,
            frames,
            message: match first.packed {
                true => codec.unpack(&payload),
                false => payload,
            },
        }
    }

    /// The next message, which has to be compressed.
    pub(crate) fn receive_packed(&mut self, codec: &mut Codec) -> Vec<u8> {
        let received = self.receive(codec);
        assert!(received.packed, "{} bytes", received.message.len());
        received.message
    }
}

/// A configuration in which everything is compressed, each message with those before as context if
/// there is `takeover`.
pub(crate) fn compressing(ours: Ours, takeover: bool) -> Config {
    let mut compression = match ours {
        Ours::Client => Compression::client(),
        Ours::Server => Compression::server(),
    };
    compression.server_no_context_takeover = !takeover;
    compression.client_no_context_takeover = !takeover;
    compression.min_size = 0;
    let mut config = patient(ours.config());
    config.compression = Some(compression);
    config
}

/// Text that compresses as prose does, different for each seed.
pub(crate) fn prose(seed: u64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "message ",
        "of ",
        "the ",
        "peer ",
        "frame ",
        "and ",
        "window ",
        "a ",
        "socket ",
        "to ",
        "reader, ",
        "thread ",
        "is ",
        "context.\n",
        "in ",
        "deadline ",
    ];
    let mut next = super::numbers(seed + 1);
    let mut text = format!("{seed}: ").into_bytes();
    while text.len() < length {
        text.extend_from_slice(WORDS[(next() % 16) as usize].as_bytes());
    }
    text.truncate(length);
    text
}
