//! Messages are sent at fixed times, by a thread of their own.

use super::load::{Tally, Task, differs, lost, no_times, silent};
use crate::client_options::LONGEST;
use crate::failure::Failure;
use hdrhistogram::Histogram;
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{RecvTimeoutError, Sender, WebSocket};

/// How often it is looked at whether all that was sent is back.
const LOOK: Duration = Duration::from_millis(50);

/// What the thread that sends tells the one that receives.
#[derive(Debug, Default)]
struct Sent {
    messages: AtomicU64,
    is_done: AtomicBool,
}

pub(super) fn run(ws: &WebSocket, task: &Task, rate: f64) -> Result<Tally, Failure> {
    let sent = Arc::<Sent>::default();
    let sending = {
        let (sender, task, sent) = (ws.sender().clone(), task.clone(), Arc::clone(&sent));
        thread::spawn(move || send_all(&sender, &task, rate, &sent))
    };
    let mut tally = receive_all(ws, task, rate, &sent)?;
    if let Ok((lateness, not_sent)) = sending.join() {
        tally.lateness = lateness;
        tally.not_sent = not_sent;
    }
    Ok(tally)
}

/// When a message is due: those of the connections take turns.
fn due(task: &Task, rate: f64, number: u64) -> Instant {
    let place = (number * task.connections + task.index) as f64;
    let after = Duration::try_from_secs_f64(place / rate);
    task.begin + after.map_or(LONGEST, |after| after.min(LONGEST))
}

/// How late messages were sent, and how many were due and not sent any more.
fn send_all(sender: &Sender, task: &Task, rate: f64, sent: &Sent) -> (Histogram<u64>, u64) {
    let mut lateness = no_times();
    let mut number = 0;
    // Linux lets a sleep be up to 50 us longer, unless it is told otherwise.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    loop {
        let due = due(task, rate, number);
        let now = Instant::now();
        if due >= task.until || now >= task.until {
            break;
        }
        thread::sleep(due.saturating_duration_since(now));
        if due >= task.from {
            Tally::record(&mut lateness, due.elapsed());
        }
        // Whoever receives finds out why.
        if sender.send(task.payload.message(number)).is_err() {
            break;
        }
        number += 1;
        sent.messages.store(number, Ordering::Release);
    }
    sent.is_done.store(true, Ordering::Release);
    let places = (task.until - task.begin).as_secs_f64() * rate - task.index as f64;
    let all = (places / task.connections as f64).ceil() as u64;
    (lateness, all.saturating_sub(number))
}

fn receive_all(ws: &WebSocket, task: &Task, rate: f64, sent: &Sent) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut back = 0;
    let mut last = Instant::now();
    loop {
        let is_done = sent.is_done.load(Ordering::Acquire);
        let missing = sent.messages.load(Ordering::Acquire).saturating_sub(back);
        match ws.recv_timeout(LOOK) {
            Ok(message) if task.payload.is(back, &message) => {}
            Ok(message) => return Err(differs(task, back, &message)),
            Err(RecvTimeoutError::Timeout) if missing == 0 && is_done => return Ok(tally),
            Err(RecvTimeoutError::Timeout) if missing == 0 => {
                last = Instant::now();
                continue;
            }
            Err(RecvTimeoutError::Timeout) if last.elapsed() < task.timeout => continue,
            Err(RecvTimeoutError::Timeout) => return Err(silent(task, missing)),
            Err(RecvTimeoutError::Closed(error)) => return Err(lost(&error)),
        }
        last = Instant::now();
        let due = due(task, rate, back);
        back += 1;
        task.done.fetch_add(1, Ordering::Relaxed);
        if due >= task.from {
            Tally::record(&mut tally.latencies, last.saturating_duration_since(due));
        }
        if last >= task.from && last <= task.until {
            tally.in_time += 1;
        }
    }
}
