//! The bounds of the queue, changeable while it is in use.

use crate::config::{Overflow, QueueConfig};
use crate::sync::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// A [`QueueConfig`] in parts. One thread may see some of them changed and others not yet.
#[derive(Debug)]
pub(super) struct Bounds {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    low_messages: AtomicUsize,
    low_bytes: AtomicUsize,
    overflow: AtomicU32,
    /// The producer has not looked since they were set.
    changed: AtomicBool,
}

/// In `overflow`, beside the code.
const CLOSE: u32 = 1 << 16;

impl Bounds {
    pub(super) fn new(config: &QueueConfig) -> Self {
        let bounds = Bounds {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            low_messages: AtomicUsize::new(0),
            low_bytes: AtomicUsize::new(0),
            overflow: AtomicU32::new(0),
            changed: AtomicBool::new(false),
        };
        bounds.set(config);
        bounds
    }

    pub(super) fn set(&self, config: &QueueConfig) {
        let (low_messages, low_bytes) = config.low_marks();
        self.messages.store(config.messages, Ordering::Relaxed);
        self.bytes.store(config.bytes, Ordering::Relaxed);
        self.low_messages.store(low_messages, Ordering::Relaxed);
        self.low_bytes.store(low_bytes, Ordering::Relaxed);
        let overflow = match config.overflow {
            Overflow::Block => 0,
            Overflow::DropOldest => 1,
            Overflow::DropNewest => 2,
            Overflow::KeepLatest => 3,
            Overflow::Close(code) => CLOSE | u32::from(u16::from(code)),
        };
        self.overflow.store(overflow, Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// Whether the producer has not looked at them as they are.
    pub(super) fn have_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// The same, for the producer that is about to look.
    pub(super) fn take_change(&self) -> bool {
        self.have_changed() && self.changed.swap(false, Ordering::Acquire)
    }

    /// Messages and bytes.
    pub(super) fn get(&self) -> (usize, usize) {
        (
            self.messages.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    pub(super) fn low_marks(&self) -> (usize, usize) {
        (
            self.low_messages.load(Ordering::Relaxed),
            self.low_bytes.load(Ordering::Relaxed),
        )
    }

    pub(super) fn overflow(&self) -> Overflow {
        match self.overflow.load(Ordering::Relaxed) {
            0 => Overflow::Block,
            1 => Overflow::DropOldest,
            2 => Overflow::DropNewest,
            3 => Overflow::KeepLatest,
            code => Overflow::Close((code as u16).into()),
        }
    }
}
