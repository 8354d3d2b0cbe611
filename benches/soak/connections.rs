//! soak connections: many connections that are mostly idle, each with a message of 64 bytes now and then.
//!
//!     --connections 10000   --secs 1800   --interval-secs 1   --warm-up-secs 300 (at most half)
//!     --threads 2           of the client
//!     --max-p99-ms 50       --max-slope-kib 1 (a minute, of the RSS after the warm-up; 0: any)
//!     --rest-secs 11 (before the server's state at the start is noted)
//!     --serve 'OPTIONS'     more options of the testee

use crate::Failure;
use crate::load::Load;
use crate::options::Options;
use crate::process::{Testee, Usage, Watch, at_rest, settle};
use crate::raw;
use crate::report::{Report, slope};
use std::time::{Duration, Instant};

/// In which everything must be as it was.
const BACK: Duration = Duration::from_secs(5);

pub(crate) fn run(options: &mut Options) -> Result<Report, Failure> {
    let connections: usize = options.or("connections", 10_000)?;
    let time = options.seconds("secs", 1800.0)?;
    let interval = options.seconds("interval-secs", 1.0)?;
    let warm_up = options.seconds("warm-up-secs", 300.0)?.min(time / 2);
    let threads = options.or("threads", 2_usize)?.max(1);
    let max_p99 = options.or("max-p99-ms", 50.0)?;
    let max_slope = options.or("max-slope-kib", 1.0)?;
    let mut testee = Testee::start(options, &[])?;
    let rest = options.rest()?;
    options.finish()?;

    // Threads that live once per process come with the first connection.
    raw::close(raw::open(testee.address, 0)?)?;
    let start = at_rest(testee.id(), rest)?;
    let began = Instant::now();
    let mut load = Load::open(testee.address, connections, threads)?;
    let opened = began.elapsed();
    let watch = Watch::start(testee.id(), Duration::from_secs(1));
    let seen = load.run_for(interval, time);
    let usages = watch.end();
    let open = Usage::of(testee.id())?;
    let not_closed = load.close();
    let (back, took) = settle(testee.id(), &start, BACK)?;

    let steady = Steady::of(&usages, warm_up);
    let p99 = seen.times.quantile(0.99);
    let mut report = Report::new("connections");
    report.field("connections", connections);
    report.decimal("secs", time.as_secs_f64());
    report.decimal("opening_secs", opened.as_secs_f64());
    report.field("seen", &seen);
    report.decimal("rss_slope_kib_per_min", steady.slope);
    report.field("rss_samples", steady.samples);
    // One a second.
    let minutes: Vec<_> = usages.iter().step_by(60).map(|(_, now)| now.rss).collect();
    report.field("rss_kib_by_minute", format_args!("{minutes:?}"));
    let per_connection = open.rss.saturating_sub(start.rss) as f64 / connections as f64;
    report.decimal("rss_per_connection_kib", per_connection);
    report.field("threads_least", steady.threads.0);
    report.field("threads_most", steady.threads.1);
    report.field("start", start);
    report.field("open", open);
    report.field("end", back);
    report.decimal("back_after_secs", took.as_secs_f64());
    report.field("not_closed", not_closed);

    seen.judge(&mut report);
    report.bound(!testee.is_running(), "the server runs");
    report.bound(not_closed > 0, "all are closed");
    report.bound(p99 >= max_p99, format_args!("p99 < {max_p99} ms"));
    // One cannot tell from less.
    let judged = max_slope > 0.0 && steady.samples >= 300;
    report.bound(
        judged && steady.slope.abs() >= max_slope,
        format_args!("slope < {max_slope}"),
    );
    report.bound(
        steady.threads.0 != steady.threads.1,
        "as many threads all the time",
    );
    report.bound(
        !back.is_back_to(&start),
        "threads and descriptors as at the start",
    );
    Ok(report)
}

/// What the server needed after the warm-up.
struct Steady {
    samples: usize,
    /// Of the RSS, in KiB a minute.
    slope: f64,
    /// The least and the most.
    threads: (usize, usize),
}

impl Steady {
    fn of(usages: &[(f64, Usage)], warm_up: Duration) -> Self {
        let begin = warm_up.as_secs_f64();
        let steady: Vec<_> = usages.iter().filter(|(at, _)| *at >= begin).collect();
        let of_rss = |(at, usage): &&(f64, Usage)| (at / 60.0, usage.rss as f64);
        let threads = || steady.iter().map(|(_, usage)| usage.threads);
        Steady {
            samples: steady.len(),
            slope: slope(&steady.iter().map(of_rss).collect::<Vec<_>>()),
            threads: (
                threads().min().unwrap_or_default(),
                threads().max().unwrap_or_default(),
            ),
        }
    }
}
