//! What nobody else is there to do in time: one thread for the whole process.
//!
//! A reader sleeps in `poll` with the deadlines it knew when it fell asleep, or without any in the read
//! itself. Whoever sets one for it and waits, such as `close()`, keeps it himself; when nobody waits,
//! as after a drop, it is kept here, and so are the times of pings. The thread starts at the first use.

use super::Connection;
use crate::net::Transport;
use crate::sync::{Builder, Ordering, yield_now};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often bytes that nobody else is responsible for are tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Tasks of connections that are gone are looked for when there are so many tasks, and at least twice as
/// many as were left the last time.
const PRUNE: usize = 256;

struct Timer {
    schedule: Mutex<Schedule>,
    changed: Condvar,
}

struct Schedule {
    tasks: BinaryHeap<Reverse<Task>>,
    prune_at: usize,
}

struct Task {
    at: Instant,
    what: What,
}

enum What {
    /// Ends a connection that is closing and that nobody holds any more.
    Shutdown(Weak<dyn Transport>),
    /// Writes what a writer had to leave.
    Write(Weak<Connection>),
    /// Looks whether a ping is due, or one without an answer.
    Keepalive(Weak<Connection>),
}

static TIMER: OnceLock<Option<&'static Timer>> = OnceLock::new();

/// Shuts `transport` down at `deadline`, unless it is gone by then.
pub(super) fn shutdown_at(deadline: Instant, transport: &Arc<dyn Transport>) {
    if !add(deadline, What::Shutdown(Arc::downgrade(transport))) {
        // Without a thread to wait in, now is the only bounded choice.
        let _ = transport.shutdown(Shutdown::Both);
    }
}

impl Connection {
    /// Writes what waits, again and again until all is written or somebody else does.
    pub(super) fn write_soon(&self) {
        if !self.writes_soon.swap(true, Ordering::SeqCst) {
            let connection = Weak::clone(&self.myself);
            add(Instant::now() + RETRY, What::Write(connection));
        }
    }
}

/// Looks after the pings of the connection at that time.
pub(super) fn keep_alive_at(at: Instant, connection: &Weak<Connection>) {
    add(at, What::Keepalive(Weak::clone(connection)));
}

fn add(at: Instant, what: What) -> bool {
    if cfg!(wsync_shuttle) {
        return run_in_model(Task { at, what });
    }
    let Some(timer) = TIMER.get_or_init(start) else {
        return false;
    };
    let mut schedule = timer.lock();
    schedule.prune();
    let next = schedule.next();
    schedule.tasks.push(Reverse(Task { at, what }));
    drop(schedule);
    if next.is_none_or(|next| at < next) {
        timer.changed.notify_one();
    }
    true
}

/// There the time comes when the schedule says, but never that of a ping.
fn run_in_model(task: Task) -> bool {
    let is_ping = matches!(task.what, What::Keepalive(_));
    let run = move || {
        yield_now();
        task.run();
    };
    is_ping || Builder::new().spawn(run).is_ok()
}

fn start() -> Option<&'static Timer> {
    let timer: &'static Timer = Box::leak(Box::new(Timer {
        schedule: Mutex::new(Schedule {
            tasks: BinaryHeap::new(),
            prune_at: PRUNE,
        }),
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
    fn lock(&self) -> std::sync::MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let task = self.wait();
            // A logger or a transport of the user's may panic; others' deadlines must be kept.
            let _ = catch_unwind(AssertUnwindSafe(|| task.run()));
        }
    }

    /// Waits for the next task whose time has come.
    fn wait(&self) -> Task {
        let mut schedule = self.lock();
        loop {
            let now = Instant::now();
            schedule = match schedule.next() {
                Some(at) if at <= now => match schedule.tasks.pop() {
                    Some(Reverse(task)) => return task,
                    None => schedule,
                },
                Some(at) => {
                    let left = at.saturating_duration_since(now);
                    let result = self.changed.wait_timeout(schedule, left);
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .changed
                    .wait(schedule)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Schedule {
    fn next(&self) -> Option<Instant> {
        self.tasks.peek().map(|Reverse(task)| task.at)
    }

    /// What is gone holds memory until its time has come.
    fn prune(&mut self) {
        if self.tasks.len() >= self.prune_at {
            self.tasks.retain(|Reverse(task)| task.is_alive());
            self.prune_at = (self.tasks.len() * 2).max(PRUNE);
        }
    }
}

impl Task {
    fn is_alive(&self) -> bool {
        match &self.what {
            What::Shutdown(transport) => transport.strong_count() > 0,
            What::Write(connection) | What::Keepalive(connection) => connection.strong_count() > 0,
        }
    }

    fn run(self) {
        match self.what {
            What::Shutdown(transport) => {
                if let Some(transport) = transport.upgrade() {
                    let _ = transport.shutdown(Shutdown::Both);
                }
            }
            What::Write(connection) => {
                if let Some(connection) = connection.upgrade() {
                    connection.writes_soon.store(false, Ordering::SeqCst);
                    if connection.write_without_waiting() {
                        connection.write_soon();
                    }
                }
            }
            What::Keepalive(weak) => {
                let next = weak
                    .upgrade()
                    .and_then(|connection| connection.keep_alive(self.at));
                if let Some(next) = next {
                    keep_alive_at(next, &weak);
                }
            }
        }
    }
}

/// By time alone: which of two at the same time comes first does not matter.
impl Ord for Task {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Task {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Task {}
