//! What nobody else is there to do in time: one thread for the whole process.
//!
//! A reader sleeps in `poll` with the deadlines it knew when it fell asleep. Whoever sets one for it
//! and waits, such as `close()`, keeps it himself; when nobody waits, as after a drop, it is kept
//! here. The thread starts at the first use.

use super::Connection;
use crate::net::Transport;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often bytes that nobody else is responsible for are tried again.
const RETRY: Duration = Duration::from_millis(20);

struct Timer {
    /// Few at a time.
    tasks: Mutex<Vec<(Instant, Task)>>,
    changed: Condvar,
}

enum Task {
    /// Ends a connection that is closing and that nobody holds any more.
    Shutdown(Weak<dyn Transport>),
    /// Writes what a writer had to leave.
    Write(Weak<Connection>),
}

static TIMER: OnceLock<Option<&'static Timer>> = OnceLock::new();

/// Shuts `transport` down at `deadline`, unless it is gone by then.
pub(super) fn shutdown_at(deadline: Instant, transport: &Arc<dyn Transport>) {
    let task = Task::Shutdown(Arc::downgrade(transport));
    if !add(deadline, task) {
        // Without a thread to wait in, now is the only bounded choice.
        let _ = transport.shutdown(Shutdown::Both);
    }
}

/// Writes what waits, again and again until all is written or somebody else does.
pub(super) fn write_soon(connection: &Weak<Connection>) {
    add(Instant::now() + RETRY, Task::Write(connection.clone()));
}

fn add(at: Instant, task: Task) -> bool {
    let Some(timer) = TIMER.get_or_init(start) else {
        return false;
    };
    let mut tasks = timer.tasks.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.push((at, task));
    timer.changed.notify_one();
    true
}

fn start() -> Option<&'static Timer> {
    let timer: &'static Timer = Box::leak(Box::new(Timer {
        tasks: Mutex::default(),
        changed: Condvar::new(),
    }));
    let thread = thread::Builder::new().name("ws-timer".into());
    match thread.stack_size(super::STACK).spawn(|| timer.run()) {
        Ok(_) => Some(timer),
        Err(e) => {
            log::warn!("no thread for deadlines: {e}");
            None
        }
    }
}

impl Timer {
    fn run(&self) {
        loop {
            for task in self.wait() {
                task.run();
            }
        }
    }

    /// Waits for the next tasks whose time has come.
    fn wait(&self) -> Vec<Task> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            tasks.retain(|(_, task)| task.is_alive());
            let (due, later) = std::mem::take(&mut *tasks)
                .into_iter()
                .partition(|(at, _)| *at <= now);
            *tasks = later;
            if !Vec::is_empty(&due) {
                return due.into_iter().map(|(_, task)| task).collect();
            }
            tasks = match tasks.iter().map(|(at, _)| *at).min() {
                None => self
                    .changed
                    .wait(tasks)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let result = self
                        .changed
                        .wait_timeout(tasks, next.saturating_duration_since(now));
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Task {
    fn is_alive(&self) -> bool {
        match self {
            Task::Shutdown(transport) => transport.strong_count() > 0,
            Task::Write(connection) => connection.strong_count() > 0,
        }
    }

    fn run(self) {
        match self {
            Task::Shutdown(transport) => {
                if let Some(transport) = transport.upgrade() {
                    let _ = transport.shutdown(Shutdown::Both);
                }
            }
            Task::Write(weak) => {
                if weak
                    .upgrade()
                    .is_some_and(|connection| connection.write_without_waiting())
                {
                    write_soon(&weak);
                }
            }
        }
    }
}
