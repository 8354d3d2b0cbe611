//! One measurement: connections, a thread for each, and what they count together.

use super::closed_loop;
use super::paced;
use super::payload::Payload;
use crate::failure::Failure;
use crate::show;
use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{ClientBuilder, Error, QueueConfig, RecvTimeoutError as Nothing, WebSocket};

/// Messages that a server may say before it echoes the first one.
const GREETINGS: usize = 16;

/// How long the echo may take once something else came.
const AFTER_GREETING: Duration = Duration::from_secs(2);

/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(100);

/// What all measurements have in common.
pub(super) struct Load {
    pub(super) builder: ClientBuilder,
    pub(super) payload: Payload,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    /// How long nothing may come back.
    pub(super) timeout: Duration,
}

/// When messages are sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// When another one is back; so many are under way.
    Window(usize),
    /// So many a second, on all connections together.
    Rate(f64),
}

/// What the thread of a connection is to do.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) payload: Payload,
    pub(super) timeout: Duration,
    /// The begin of the warm-up.
    pub(super) begin: Instant,
    /// Before it, nothing counts.
    pub(super) from: Instant,
    /// After it, nothing is sent.
    pub(super) until: Instant,
    /// Which connection of how many.
    pub(super) index: u64,
    pub(super) connections: u64,
    /// All messages that came back, for the progress.
    pub(super) done: Arc<AtomicU64>,
}

/// What was counted. Times are in nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// Of messages that were sent while it counted.
    pub(super) latencies: Histogram<u64>,
    /// How late they were sent, where there was a time for that.
    pub(super) lateness: Histogram<u64>,
    /// Messages that came back while it counted.
    pub(super) in_time: u64,
    /// Messages that were due and not sent.
    pub(super) not_sent: u64,
}

/// A histogram that grows with what it holds, with three digits.
pub(super) fn no_times() -> Histogram<u64> {
    Histogram::new(3).expect("no more than five digits")
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            latencies: no_times(),
            lateness: no_times(),
            in_time: 0,
            not_sent: 0,
        }
    }
}

impl Tally {
    pub(super) fn record(histogram: &mut Histogram<u64>, time: Duration) {
        // It grows: there is none for which it has no room.
        let _ = histogram.record(time.as_nanos() as u64);
    }

    fn add(&mut self, other: &Tally) {
        // They have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        let _ = self.lateness.add(&other.lateness);
        self.in_time += other.in_time;
        self.not_sent += other.not_sent;
    }
}

/// What a measurement found.
pub(super) struct Measured {
    pub(super) tally: Tally,
    pub(super) connections: u32,
    pub(super) pace: Pace,
    pub(super) seconds: f64,
    pub(super) compressed: bool,
}

impl Load {
    pub(super) fn apply(
        &self,
        name: &'static str,
        connections: u32,
        pace: Pace,
    ) -> Result<Measured, Failure> {
        let sockets = (0..connections).map(|_| self.open(pace));
        let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
        let compressed = sockets.iter().any(|ws| ws.compression().is_some());
        let done = Arc::<AtomicU64>::default();
        let (results, all) = unbounded();
        let begin = Instant::now();
        let from = begin + self.warm_up;
        for (index, ws) in (0..).zip(sockets) {
            let task = Task {
                payload: self.payload.clone(),
                timeout: self.timeout,
                begin,
                from,
                until: from + self.duration,
                index,
                connections: connections.into(),
                done: Arc::clone(&done),
            };
            let results = results.clone();
            thread::spawn(move || {
                let result = match pace {
                    Pace::Window(window) => closed_loop::run(&ws, &task, window),
                    Pace::Rate(rate) => paced::run(&ws, &task, rate),
                };
                let _ = results.send(result.and_then(|tally| close(&ws).map(|()| tally)));
            });
        }
        let tally = collect(&all, connections, &self.progress(name), &done)?;
        let seconds = self.duration.as_secs_f64();
        Ok(Measured {
            tally,
            connections,
            pace,
            seconds,
            compressed,
        })
    }

    /// A connection to a server that has shown that it echoes.
    fn open(&self, pace: Pace) -> Result<WebSocket, Failure> {
        let ws = self.builder.connect().map_err(Failure::NotConnected)?;
        if let Pace::Window(window) = pace {
            // Else a server that waits for its answers to be read would not read on.
            let mut queue = QueueConfig::default();
            queue.messages = queue.messages.max(window + 1);
            queue.bytes = queue
                .bytes
                .max((window + 1).saturating_mul(self.payload.len()));
            ws.configure_queue(&queue)
                .map_err(|e| Failure::Usage(e.to_string()))?;
        }
        match self.probe(&ws) {
            Ok(()) => Ok(ws),
            Err(why) => Err(Failure::Abnormal(format!(
                "the server does not echo: {why}"
            ))),
        }
    }

    /// Some servers greet before they echo.
    fn probe(&self, ws: &WebSocket) -> Result<(), String> {
        let number = u64::from(u32::MAX);
        ws.send(self.payload.message(number))
            .map_err(|e| e.to_string())?;
        let mut until = Instant::now() + self.timeout;
        let mut other = None;
        for _ in 0..GREETINGS {
            match ws.recv_deadline(until) {
                Ok(message) if self.payload.is(number, &message) => return Ok(()),
                Ok(message) => {
                    until = until.min(Instant::now() + AFTER_GREETING);
                    other = Some(self.payload.difference(number, &message));
                }
                Err(Nothing::Timeout) => break,
                Err(Nothing::Closed(error)) => return Err(show::line(&error.to_string())),
            }
        }
        let timeout = self.timeout.as_secs_f64();
        Err(other.unwrap_or_else(|| format!("nothing came back for {timeout} s")))
    }

    fn progress(&self, name: &'static str) -> ProgressBar {
        let total = self.warm_up + self.duration;
        let bar = ProgressBar::new(total.as_millis() as u64);
        let style = ProgressStyle::with_template("{prefix:10} ▕{bar:40}▏ {msg}");
        bar.set_style(style.map_or_else(
            |_| ProgressStyle::default_bar(),
            |s| s.progress_chars("█▉▊▋▌▍▎▏ "),
        ));
        bar.set_prefix(name);
        bar
    }
}

/// Adds up what the threads have counted; the first that fails fails the measurement.
fn collect(
    results: &Receiver<Result<Tally, Failure>>,
    connections: u32,
    bar: &ProgressBar,
    done: &AtomicU64,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut missing = connections;
    let (began, mut seen) = (Instant::now(), 0);
    while missing > 0 {
        match results.recv_timeout(TICK) {
            Ok(result) => {
                tally.add(&result?);
                missing -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = done.load(Ordering::Relaxed);
                let rate = (now - seen) as f64 / TICK.as_secs_f64();
                seen = now;
                bar.set_message(format!("{} messages/s", show::number(rate as u64)));
                bar.set_position(began.elapsed().as_millis() as u64);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Abnormal(
                    "a thread of the measurement ended".into(),
                ));
            }
        }
    }
    bar.finish_and_clear();
    Ok(tally)
}

fn close(ws: &WebSocket) -> Result<(), Failure> {
    match ws.close() {
        Ok(closed) if closed.is_normal() => Ok(()),
        Ok(closed) => Err(Failure::Abnormal(closed.to_string())),
        Err(error) => Err(lost(&error)),
    }
}

/// The connection ended within the measurement.
pub(super) fn lost(error: &Error) -> Failure {
    let error = show::line(&error.to_string());
    Failure::Abnormal(format!("the measurement was cut short: {error}"))
}

/// Something came back that was not to come.
pub(super) fn differs(task: &Task, number: u64, message: &wsync::Message) -> Failure {
    Failure::Abnormal(format!(
        "the server does not echo: {}",
        task.payload.difference(number, message)
    ))
}

/// Nothing came back any more.
pub(super) fn silent(task: &Task, missing: u64) -> Failure {
    let timeout = task.timeout.as_secs_f64();
    Failure::Abnormal(format!(
        "the server does not echo: nothing came back for {timeout} s, {missing} messages are missing"
    ))
}
