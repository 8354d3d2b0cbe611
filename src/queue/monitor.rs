//! The thread that ends leases which nobody comes back to: one for the whole process.

use super::Queue;
use crate::connection::STACK;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The pause between two looks. A lease lasts for one to two of them: it must not be shorter than a
/// busy machine takes to let a consumer run.
const LOOK: Duration = Duration::from_millis(20);

static LEASES: Mutex<Vec<Weak<Queue>>> = Mutex::new(Vec::new());
static ADDED: Condvar = Condvar::new();
static RUNNING: OnceLock<bool> = OnceLock::new();

/// Whether leases are looked after. The thread starts at the first question.
pub(super) fn is_running() -> bool {
    if cfg!(wsync_shuttle) {
        // A model looks itself.
        return true;
    }
    *RUNNING.get_or_init(|| {
        let thread = thread::Builder::new().name("ws-monitor".into());
        let started = thread.stack_size(STACK).spawn(run);
        if let Err(e) = &started {
            log::warn!("no thread for leases: {e}");
        }
        started.is_ok()
    })
}

/// Looks at the lease of a queue until it has ended.
pub(super) fn look_after(queue: &Weak<Queue>) {
    if cfg!(wsync_shuttle) {
        return;
    }
    let mut leases = LEASES.lock().unwrap_or_else(PoisonError::into_inner);
    leases.push(Weak::clone(queue));
    let first = leases.len() == 1;
    drop(leases);
    if first {
        ADDED.notify_one();
    }
}

fn run() {
    loop {
        let leases = LEASES.lock().unwrap_or_else(PoisonError::into_inner);
        drop(ADDED.wait_while(leases, |leases| leases.is_empty()));
        thread::sleep(LOOK);
        let mut leases = LEASES.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked = std::mem::take(&mut *leases);
        drop(leases);
        looked.retain(|queue| {
            let look = || queue.upgrade().is_some_and(|queue| queue.look_at_lease());
            // It may log, and a logger may panic.
            catch_unwind(AssertUnwindSafe(look)).unwrap_or(true)
        });
        let mut leases = LEASES.lock().unwrap_or_else(PoisonError::into_inner);
        leases.append(&mut looked);
    }
}
