//! Shutting a socket down later, when nobody waits for it: one thread for the whole process.
//!
//! A reader sleeps in `poll` with the deadlines it knew when it fell asleep. Whoever sets one for it
//! and waits, such as `close()`, keeps it himself; when nobody waits, as after a drop, it is kept
//! here. The thread starts at the first use.

use crate::net::Transport;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Instant;

struct Timer {
    /// Few at a time: connections that nobody holds any more.
    entries: Mutex<Vec<(Instant, Weak<dyn Transport>)>>,
    changed: Condvar,
}

static TIMER: OnceLock<Option<&'static Timer>> = OnceLock::new();

/// Shuts `transport` down at `deadline`, unless it is gone by then.
pub(super) fn shutdown_at(deadline: Instant, transport: &Arc<dyn Transport>) {
    let Some(timer) = TIMER.get_or_init(start) else {
        // Without a thread to wait in, now is the only bounded choice.
        let _ = transport.shutdown(Shutdown::Both);
        return;
    };
    let mut entries = timer.entries.lock().unwrap_or_else(PoisonError::into_inner);
    entries.push((deadline, Arc::downgrade(transport)));
    timer.changed.notify_one();
}

fn start() -> Option<&'static Timer> {
    let timer: &'static Timer = Box::leak(Box::new(Timer {
        entries: Mutex::default(),
        changed: Condvar::new(),
    }));
    let thread = thread::Builder::new()
        .name("ws-timer".into())
        .stack_size(super::STACK);
    match thread.spawn(|| timer.run()) {
        Ok(_) => Some(timer),
        Err(e) => {
            log::warn!("no thread for deadlines: {e}");
            None
        }
    }
}

impl Timer {
    fn run(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            entries.retain(|(deadline, transport)| {
                let Some(transport) = transport.upgrade() else {
                    return false;
                };
                if *deadline <= now {
                    // Does not block, so the lock may be held.
                    let _ = transport.shutdown(Shutdown::Both);
                }
                *deadline > now
            });
            let next = entries.iter().map(|(deadline, _)| *deadline).min();
            entries = match next {
                None => self
                    .changed
                    .wait(entries)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let result = self
                        .changed
                        .wait_timeout(entries, next.saturating_duration_since(now));
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
