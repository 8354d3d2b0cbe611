//! Compressed messages (RFC 7692).

mod limits;
mod properties;
mod reader;
mod referee;
mod refusals;
mod streaming;
mod texts;
mod transcripts;
mod windows;

use super::*;
use crate::protocol::{DeflateSettings, Deflater, Part};

/// A decoder for which permessage-deflate was agreed on.
fn feeder(role: Role, limits: &Limits, takeover: bool) -> Feeder {
    Feeder::of(Inbound::new(role, limits.clone(), None).inflating(takeover))
}

/// `bytes` give `expected` whatever the cuts, with a peer that may refer to messages before.
fn inflated_in_every_cut(role: Role, limits: &Limits, bytes: &[u8], expected: &Outcome) {
    every_cut(bytes.len(), |cuts| {
        let outcome = feeder(role, limits, true).feed_all(cut(bytes, cuts));
        // Long payloads are not printed.
        assert!(
            outcome == *expected,
            "{role:?}, {} bytes in pieces of {cuts:?}: {outcome:?}, not {expected:?}",
            bytes.len()
        );
    });
}

/// Frames to `role`, from their first bytes and payloads in hexadecimal.
fn frames_to(role: Role, frames: &[(u8, &str)]) -> Vec<u8> {
    let encode = |(first, payload): &(u8, &str)| frame(role, *first, &hex(payload));
    frames.iter().flat_map(encode).collect()
}

fn settings(level: u8, window_bits: u8, mem_level: u8) -> DeflateSettings {
    DeflateSettings {
        level,
        window_bits,
        mem_level,
    }
}

/// The payload of a compressed message.
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Deflater::new(settings(6, 15, 8)).deflate(message, Part::Last, &mut out);
    out
}

/// A compressed message in one frame, and in fragments of the given size.
fn compressed(role: Role, kind: u8, payload: &[u8], fragment: usize) -> [Vec<u8>; 2] {
    let whole = frame(role, 0xc0 | kind, payload);
    let mut fragments = Vec::new();
    for (i, piece) in payload.chunks(fragment).enumerate() {
        let first = if i == 0 { 0x40 | kind } else { 0 };
        fragments.extend(frame(role, first, piece));
    }
    fragments.extend(frame(role, 0x80, b""));
    [whole, fragments]
}
