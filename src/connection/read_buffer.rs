//! Where the socket's bytes land.

/// The size to begin with: most messages are small, and most connections idle.
const FIRST: usize = 2 << 10;

/// An idle connection's size, at most.
pub(super) const SMALL: usize = 4 << 10;

/// As large as one read gets.
const LARGE: usize = 128 << 10;

/// Bytes that were read and not yet taken, in a buffer that follows the load.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    /// Initialized to its whole length; `start..end` is unread.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// With bytes that were read before. Without any it has no memory until the first read.
    pub(super) fn new(rest: &[u8]) -> Self {
        ReadBuffer {
            bytes: rest.to_vec(),
            start: 0,
            end: rest.len(),
        }
    }

    pub(super) fn unread(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether it has memory already.
    pub(super) fn has_space(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Room for a read: never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            self.bytes.resize(self.end + FIRST, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Notes a read of `n` bytes into [`space`](Self::space). After one that filled all of it the
    /// buffer is larger.
    pub(super) fn filled(&mut self, n: usize) {
        self.end += n;
        if self.end == self.bytes.len() && self.bytes.len() < LARGE {
            self.bytes.resize((self.bytes.len() * 2).min(LARGE), 0);
        }
    }

    /// Whether the load has made it larger than a quiet connection's.
    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() > SMALL
    }

    /// Gives memory back, if nothing is unread.
    pub(super) fn shrink(&mut self) {
        if self.start == self.end {
            *self = ReadBuffer::new(&[]);
        }
    }
}
