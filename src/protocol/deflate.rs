//! DEFLATE as permessage-deflate uses it (RFC 7692 section 7.2). Nothing else knows of zlib-rs.

use super::{DeflateSettings, Part};
use crate::error::ProtocolError;
use std::fmt;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

/// The end of a flush. It is not sent, and put back before a message is inflated (sections 7.2.1 and
/// 7.2.2).
pub(super) const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// An empty block without the tail: a message to which the compressor adds nothing (section 7.2.3.6).
const EMPTY: u8 = 0x00;

/// The most that is inflated before it is counted, in bytes.
pub(super) const CHUNK: usize = 16 << 10;

/// Inflating takes the largest window: it reads what was deflated with any, and costs no more.
const INFLATE_WINDOW_BITS: u8 = 15;

/// The smallest window with which zlib deflates. It reaches back 250 bytes at most, so this is within
/// a window of 8 bits, too.
const LEAST_WINDOW_BITS: u8 = 9;

/// Compresses messages, each with what came before it as context until [`reset`](Self::reset).
pub(crate) struct Deflater(Deflate);

impl Deflater {
    pub(crate) fn new(settings: DeflateSettings) -> Self {
        Deflater(Deflate::new_with_config(DeflateConfig {
            level: settings.level.into(),
            // Negative: without a header.
            window_bits: -i32::from(settings.window_bits.max(LEAST_WINDOW_BITS)),
            mem_level: settings.mem_level.into(),
            ..DeflateConfig::default()
        }))
    }

    /// Appends the compressed `input` to `out`, as far as `part` asks for it.
    pub(crate) fn deflate(&mut self, input: &[u8], part: Part, out: &mut Vec<u8>) {
        let start = out.len();
        let flush = match part {
            Part::More => DeflateFlush::NoFlush,
            Part::Flush | Part::Last => DeflateFlush::SyncFlush,
        };
        self.run(input, flush, out);
        if part == Part::Last {
            match out.len() - start {
                // zlib does not flush twice at the same place.
                0 => out.push(EMPTY),
                _ => out.truncate(out.len() - TAIL.len()),
            }
        }
    }

    /// Runs until all of `input` is taken and there is space left over behind what it gave.
    fn run(&mut self, mut input: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) {
        let space = (input.len() / 2).clamp(128, CHUNK);
        loop {
            let (start, before) = (out.len(), (self.0.total_in(), self.0.total_out()));
            out.resize(start + space, 0);
            // An error would be one of a stream that was not set up: none of those is passed on.
            let result = self.0.compress(input, &mut out[start..], flush);
            debug_assert!(result.is_ok(), "{result:?}");
            let taken = (self.0.total_in() - before.0) as usize;
            let given = (self.0.total_out() - before.1) as usize;
            out.truncate(start + given);
            input = input.get(taken..).unwrap_or_default();
            if result.is_err() || (input.is_empty() && given < space) {
                return;
            }
        }
    }

    /// Forgets the context.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

/// Inflates messages, each with those before it as context.
pub(super) struct Inflater {
    stream: Inflate,
    /// What was inflated and not yet taken is in front. Empty until it is needed.
    space: Vec<u8>,
    filled: usize,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Inflater {
            stream: Inflate::new(false, INFLATE_WINDOW_BITS),
            space: Vec::new(),
            filled: 0,
        }
    }

    /// Inflates from the front of `input` until the space is full, and says how much it took. With
    /// space left over, all of it.
    pub(super) fn inflate(&mut self, input: &[u8]) -> Result<usize, ProtocolError> {
        if self.space.is_empty() {
            self.space = vec![0; CHUNK];
        }
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let before = (self.stream.total_in(), self.stream.total_out());
            let space = &mut self.space[self.filled..];
            let result = self.stream.decompress(rest, space, InflateFlush::NoFlush);
            let status = result.map_err(|_| ProtocolError::Deflate)?;
            let n = (self.stream.total_in() - before.0) as usize;
            taken += n;
            self.filled += (self.stream.total_out() - before.1) as usize;
            if status == Status::StreamEnd {
                // A final block is allowed (section 7.2.3.4). What follows begins afresh.
                self.stream.reset(false);
            }
            if self.is_full() || taken == input.len() {
                return Ok(taken);
            }
            // The end of a final block may be in what was taken before.
            if n == 0 && status != Status::StreamEnd {
                return Err(ProtocolError::Deflate);
            }
        }
    }

    /// Whether there may be more of what was put in.
    pub(super) fn is_full(&self) -> bool {
        self.filled == CHUNK
    }

    /// What was inflated since the last call.
    pub(super) fn take(&mut self) -> &[u8] {
        let filled = std::mem::take(&mut self.filled);
        &self.space[..filled]
    }

    /// Gives back memory that only a load needs.
    pub(super) fn shrink(&mut self) {
        if self.filled == 0 {
            self.space = Vec::new();
        }
    }

    /// Whether [`shrink`](Self::shrink) has something to give.
    pub(super) fn is_large(&self) -> bool {
        !self.space.is_empty()
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}
