//! A message is sent when another one is back.

use super::load::{Tally, Task, differs, lost, silent};
use crate::failure::Failure;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;
use wsync::{RecvTimeoutError, WebSocket};

pub(super) fn run(ws: &WebSocket, task: &Task, window: usize) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut under_way = VecDeque::with_capacity(window);
    let (mut sent, mut back) = (0, 0);
    loop {
        let mut now = Instant::now();
        while under_way.len() < window && now < task.until {
            let message = task.payload.message(sent);
            now = Instant::now();
            ws.send(message).map_err(|e| lost(&e.error))?;
            under_way.push_back(now);
            sent += 1;
        }
        let Some(began) = under_way.pop_front() else {
            return Ok(tally);
        };
        let message = match ws.recv_timeout(task.timeout) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return Err(silent(task, sent - back)),
            Err(RecvTimeoutError::Closed(error)) => return Err(lost(&error)),
        };
        let now = Instant::now();
        if !task.payload.is(back, &message) {
            return Err(differs(task, back, &message));
        }
        back += 1;
        task.done.fetch_add(1, Ordering::Relaxed);
        if began >= task.from {
            Tally::record(&mut tally.latencies, now - began);
        }
        if now >= task.from && now <= task.until {
            tally.in_time += 1;
        }
    }
}
