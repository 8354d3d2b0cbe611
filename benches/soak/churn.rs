//! soak churn: many connections one after the other. One in ten is cut: by a RST, with half a request, in the middle
//! of a frame, in turn.
//!
//!     --cycles 100000   --workers 4   --warm-up 100000 (cycles before the start that
//!     counts: until then the allocator has not met the worst that happens at once)
//!     --max-heap-kib 64 (how much more of it at the end)
//!     --rest-secs 11 (before the server's state at the start is noted)
//!     --serve 'OPTIONS' more options of the testee

use crate::Failure;
use crate::common::BINARY;
use crate::options::Options;
use crate::process::{Testee, Usage, Watch, at_rest, settle};
use crate::raw;
use crate::report::Report;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// In which all threads of the server that are done have ended; one that is parked takes 10 s.
const SETTLING: Duration = Duration::from_secs(15);

pub(crate) fn run(options: &mut Options) -> Result<Report, Failure> {
    let cycles: usize = options.or("cycles", 100_000)?;
    let workers = options.or("workers", 4_usize)?.max(1);
    let warm_up: usize = options.or("warm-up", 100_000)?;
    let max_heap: usize = options.or("max-heap-kib", 64)?;
    let mut testee = Testee::start(options, &[])?;
    let rest = options.rest()?;
    options.finish()?;

    let fresh = Usage::of(testee.id())?;
    let first = all(testee.address, warm_up, workers);
    let start = at_rest(testee.id(), rest)?;
    let watch = Watch::start(testee.id(), Duration::from_millis(100));
    let began = Instant::now();
    let failures = all(testee.address, cycles, workers);
    let took = began.elapsed();
    let peak = watch.peak(start);
    settle(testee.id(), &start, SETTLING)?;
    let end = at_rest(testee.id(), rest)?;

    let mut report = Report::new("churn");
    report.field("cycles", cycles);
    report.counts("cut", CUTS.map(|cut| (cut.name(), count(cycles, cut))));
    report.decimal("secs", took.as_secs_f64());
    report.decimal("cycles_per_s", cycles as f64 / took.as_secs_f64());
    report.field("failures", failures.len());
    report.field("fresh", fresh);
    report.field("start", start);
    report.field("peak", peak);
    report.field("end", end);
    let more = end.anon as i64 - start.anon as i64;
    report.field("heap_growth_kib", more);
    let ends = testee.ends();
    report.counts("ends", ends.iter().map(|(kind, n)| (kind.as_str(), *n)));
    if let Some(failure) = first.iter().chain(&failures).next() {
        report.field("first_failure", format_args!("{failure:?}"));
    }

    report.bound(!testee.is_running(), "the server runs");
    report.bound(!first.is_empty() || !failures.is_empty(), "no failures");
    report.bound(
        !end.is_back_to(&start),
        "threads and descriptors as at the start",
    );
    report.bound(
        more > max_heap as i64,
        format_args!("heap growth <= {max_heap} KiB"),
    );
    Ok(report)
}

/// How a connection ends that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Reset,
    HalfARequest,
    MidFrame,
}

const CUTS: [Cut; 3] = [Cut::Reset, Cut::HalfARequest, Cut::MidFrame];

impl Cut {
    fn name(self) -> &'static str {
        match self {
            Cut::Reset => "rst",
            Cut::HalfARequest => "half_handshake",
            Cut::MidFrame => "mid_frame",
        }
    }

    /// Which cycle is cut, and how.
    fn of(cycle: usize) -> Option<Cut> {
        (cycle % 10 == 9).then(|| CUTS[cycle / 10 % CUTS.len()])
    }
}

fn count(cycles: usize, cut: Cut) -> usize {
    (0..cycles).filter(|n| Cut::of(*n) == Some(cut)).count()
}

/// What went wrong, over all cycles.
fn all(server: SocketAddr, cycles: usize, workers: usize) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= cycles {
            break;
        }
        if let Err(error) = cycle(server, n) {
            let error = format!("cycle {n}: {error}");
            failures
                .lock()
                .map(|mut all| all.push(error))
                .unwrap_or_default();
        }
    };
    thread::scope(|scope| {
        (0..workers).for_each(|_| drop(scope.spawn(work)));
    });
    failures.into_inner().unwrap_or_default()
}

fn cycle(server: SocketAddr, n: usize) -> Result<(), Failure> {
    let cut = Cut::of(n);
    if cut == Some(Cut::HalfARequest) {
        let mut stream = raw::connect(server, n)?;
        return Ok(stream.write_all(&raw::REQUEST[..raw::REQUEST.len() / 2])?);
    }
    let mut stream = raw::open(server, n)?;
    let payload = [n as u8; 64];
    let frame = raw::frame(BINARY, &payload);
    stream.write_all(&frame)?;
    let mut echo = [0; 66];
    stream.read_exact(&mut echo)?;
    if echo[..2] != [BINARY, 64] || echo[2..] != payload {
        return Err("not the echo".into());
    }
    match cut {
        None => raw::close(stream),
        Some(Cut::Reset) => Ok(raw::reset(stream)?),
        Some(_) => Ok(stream.write_all(&frame[..frame.len() / 2])?),
    }
}
