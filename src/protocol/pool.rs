//! Buffers of large messages, used again: the memory of a message that was dropped takes the next.
//!
//! A fresh buffer of this size costs the kernel more, in pages that it clears and takes back, than
//! its bytes cost to read.

use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is kept, in bytes.
const KEEP: usize = 2 << 20;

/// Clones share the buffers.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    /// Large messages come; otherwise what is given back is freed.
    active: bool,
}

/// The payload of a message, whose buffer goes back when the last clone is dropped.
struct Payload {
    buffer: Vec<u8>,
    length: usize,
    pool: Pool,
}

impl Pool {
    /// A buffer of at least so many bytes, initialized, and at most twice as many. Empty if none is
    /// kept.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        let mut kept = self.lock();
        kept.active = true;
        let fits = |buffer: &Vec<u8>| (length..=length.saturating_mul(2)).contains(&buffer.len());
        match kept.buffers.iter().rposition(fits) {
            Some(n) => {
                let buffer = kept.buffers.swap_remove(n);
                kept.bytes -= buffer.capacity();
                buffer
            }
            None => Vec::new(),
        }
    }

    /// The first `length` bytes as a payload.
    pub(super) fn payload(&self, buffer: Vec<u8>, length: usize) -> Bytes {
        Bytes::from_owner(Payload {
            buffer,
            length,
            pool: self.clone(),
        })
    }

    /// Frees what is kept.
    pub(super) fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut kept = self.lock();
        if kept.active && kept.bytes + buffer.capacity() <= KEEP {
            kept.bytes += buffer.capacity();
            kept.buffers.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_payload_gives_its_buffer_to_the_next() {
        let pool = Pool::default();
        assert!(pool.take(20_000).is_empty());
        let payload = pool.payload(vec![7; 30_000], 20_000);
        let clone = payload.clone();
        drop(payload);
        assert_eq!(clone, vec![7; 20_000]);
        assert!(pool.take(20_000).is_empty(), "a clone is alive");
        drop(clone);
        assert!(
            pool.take(14_999).is_empty(),
            "it would waste more than half"
        );
        assert_eq!(pool.take(20_000).len(), 30_000);
    }

    #[test]
    fn what_is_kept_is_bounded_and_freed_when_it_is_quiet() {
        let pool = Pool::default();
        pool.take(1);
        for _ in 0..5 {
            drop(pool.payload(vec![0; 1 << 20], 1));
        }
        assert_eq!(pool.lock().buffers.len(), 2);
        pool.clear();
        drop(pool.payload(vec![0; 1 << 20], 1));
        assert_eq!(pool.lock().buffers.len(), 0);
    }
}
