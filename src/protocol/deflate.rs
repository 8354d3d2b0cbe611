//! DEFLATE as permessage-deflate uses it (RFC 7692 section 7.2). Nothing else knows of zlib-rs.

use super::{DeflateSettings, Part};
use crate::error::ProtocolError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, mem};
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

/// How many streams of either kind the process keeps to use again. Making one costs more than some
/// small messages do, and what it leaves behind the allocator can hardly use: it is aligned.
const SPARES: usize = 8;

static DEFLATES: Mutex<Vec<(DeflateSettings, Deflate)>> = Mutex::new(Vec::new());
static INFLATES: Mutex<Vec<Inflate>> = Mutex::new(Vec::new());

/// Compresses messages, each with what came before it as context until [`reset`](Self::reset).
pub(crate) struct Deflater {
    settings: DeflateSettings,
    /// `None` only while it is dropped.
    stream: Option<Box<Deflate>>,
}

impl Deflater {
    pub(crate) fn new(settings: DeflateSettings) -> Self {
        let mut spares = lock(&DEFLATES);
        let found = spares.iter().rposition(|(of, _)| *of == settings);
        let spare = found.map(|at| spares.swap_remove(at).1);
        drop(spares);
        Deflater {
            settings,
            stream: Some(Box::new(spare.unwrap_or_else(|| new_deflate(settings)))),
        }
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
        let Some(stream) = &mut self.stream else {
            return;
        };
        let space = (input.len() / 2).clamp(128, CHUNK);
        loop {
            let (start, before) = (out.len(), (stream.total_in(), stream.total_out()));
            out.resize(start + space, 0);
            // An error would be one of a stream that was not set up: none of those is passed on.
            let room = out.get_mut(start..).unwrap_or_default();
            let result = stream.compress(input, room, flush);
            debug_assert!(result.is_ok(), "{result:?}");
            let taken = (stream.total_in() - before.0) as usize;
            let given = (stream.total_out() - before.1) as usize;
            out.truncate(start + given);
            input = input.get(taken..).unwrap_or_default();
            if result.is_err() || (input.is_empty() && given < space) {
                return;
            }
        }
    }

    /// Forgets the context.
    pub(crate) fn reset(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.reset();
        }
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            stream.reset();
            keep(&DEFLATES, (self.settings, *stream));
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

/// Inflates messages, each with those before it as context.
pub(super) struct Inflater {
    /// `None` until it is needed.
    stream: Option<Box<Inflate>>,
    /// What was inflated and not yet taken is in front. Empty until it is needed.
    space: Vec<u8>,
    filled: usize,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Inflater {
            stream: None,
            space: Vec::new(),
            filled: 0,
        }
    }

    /// Inflates from the front of `input` until the space is full, and says how much it took. With
    /// space left over, all of it.
    pub(super) fn inflate(&mut self, input: &[u8]) -> Result<usize, ProtocolError> {
        if input.is_empty() && self.stream.is_none() {
            // Nothing is had on the word of a header.
            return Ok(0);
        }
        if self.space.is_empty() {
            self.space = vec![0; CHUNK];
        }
        let stream = self.stream.get_or_insert_with(|| {
            let spare = lock(&INFLATES).pop();
            Box::new(spare.unwrap_or_else(|| Inflate::new(false, INFLATE_WINDOW_BITS)))
        });
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let before = (stream.total_in(), stream.total_out());
            let space = self.space.get_mut(self.filled..).unwrap_or_default();
            let result = stream.decompress(rest, space, InflateFlush::NoFlush);
            let status = result.map_err(|_| ProtocolError::Deflate)?;
            let n = (stream.total_in() - before.0) as usize;
            taken += n;
            self.filled += (stream.total_out() - before.1) as usize;
            if status == Status::StreamEnd {
                // A final block is allowed (section 7.2.3.4). What follows begins afresh.
                stream.reset(false);
            }
            if self.filled == CHUNK || taken == input.len() {
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
        let filled = mem::take(&mut self.filled);
        self.space.get(..filled).unwrap_or_default()
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

impl Drop for Inflater {
    fn drop(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            stream.reset(false);
            keep(&INFLATES, *stream);
        }
    }
}

fn new_deflate(settings: DeflateSettings) -> Deflate {
    Deflate::new_with_config(DeflateConfig {
        level: settings.level.into(),
        // Negative: without a header.
        window_bits: -i32::from(settings.window_bits.max(LEAST_WINDOW_BITS)),
        mem_level: settings.mem_level.into(),
        ..DeflateConfig::default()
    })
}

/// Keeps a stream to use again, rather than the one that was kept first.
fn keep<T>(spares: &Mutex<Vec<T>>, stream: T) {
    let mut spares = lock(spares);
    let surplus = (spares.len() == SPARES).then(|| spares.swap_remove(0));
    spares.push(stream);
    drop(spares);
    drop(surplus);
}

fn lock<T>(spares: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    spares.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}
