//! soak hostile: attacks of all kinds, while well-behaved connections are measured; before that the same connections
//! alone.
//!
//!     --secs 600   --alone-secs 60   --attacks-per-s 20   --seed 1
//!     --connections 100   --interval-ms 100   --compression on|off (on: and deflate bombs)
//!     --max-ratio 3 (of p99, under attack and alone; 0: any)   --serve 'OPTIONS' (more of the testee)
//!
//! What attackers write was made beforehand, and each is done within seconds, so that they take little of the
//! processor from the server.

use crate::Failure;
use crate::attacks::{Ammunition, Attack, Outcome};
use crate::bytes::mixed;
use crate::load::{Load, Seen};
use crate::options::Options;
use crate::process::{Testee, Usage, Watch, at_rest, settle};
use crate::report::Report;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

/// Shorter than those of the attacks.
const TIMEOUTS: [&str; 8] = [
    "--open-timeout-ms",
    "2000",
    "--send-timeout-ms",
    "2000",
    "--close-timeout-ms",
    "1000",
    "--message-timeout-ms",
    "2000",
];

const SETTLING: Duration = Duration::from_secs(15);

const WARM_UP: Duration = Duration::from_secs(2);

/// How many attacks of each kind there were, and how many the server did not answer as it should.
type Counts = BTreeMap<&'static str, [usize; 3]>;

pub(crate) fn run(options: &mut Options) -> Result<Report, Failure> {
    let time = options.seconds("secs", 600.0)?;
    let alone = options.seconds("alone-secs", 60.0)?;
    let rate: f64 = options.or("attacks-per-s", 20.0)?;
    let seed: u64 = options.or("seed", 1)?;
    let connections: usize = options.or("connections", 100)?;
    let interval = options
        .millis("interval-ms")?
        .unwrap_or(Duration::from_millis(100));
    let max_ratio = options.or("max-ratio", 3.0)?;
    let compression = options.or("compression", "on".to_owned())? == "on";
    let mut words = TIMEOUTS.to_vec();
    words.extend(compression.then_some("--compression"));
    let mut testee = Testee::start(options, &words)?;
    let rest = options.rest()?;
    options.finish()?;

    let mut load = Load::open(testee.address, connections, 1)?;
    let before = load.run_for(interval, alone);
    let attack = Plan {
        kinds: Attack::ALL.len() - usize::from(!compression),
        server: testee.address,
        rate,
        seed,
    };
    // Threads that live once per process come with the first attacks.
    attack.run(&mut load, interval, WARM_UP);
    let mut start = at_rest(testee.id(), rest)?;
    // `ws-monitor` lives once it has been of use, which may come late.
    start.threads += 1;
    let watch = Watch::start(testee.id(), Duration::from_millis(100));
    let (under_attack, counts) = attack.run(&mut load, interval, time);
    let peak = watch.peak(start);
    settle(testee.id(), &start, SETTLING)?;
    let end = Usage::of(testee.id())?;
    let not_closed = load.close();

    let mut report = Report::new("hostile");
    report.decimal("secs", time.as_secs_f64());
    report.field("connections", connections);
    report.field("alone", &before);
    report.field("under_attack", &under_attack);
    let ratio = |share| under_attack.times.quantile(share) / before.times.quantile(share);
    report.decimal("p50_ratio", ratio(0.5));
    report.decimal("p99_ratio", ratio(0.99));
    report_attacks(&counts, &mut report);
    report.field("start", start);
    report.field("peak", peak);
    report.field("end", end);
    report.field("not_closed", not_closed);
    let ends = testee.ends();
    report.counts("ends", ends.iter().map(|(kind, n)| (kind.as_str(), *n)));

    under_attack.judge(&mut report);
    report.bound(!testee.is_running(), "the server runs");
    report.bound(before.errors + not_closed > 0, "all can be closed");
    let judged = max_ratio > 0.0;
    report.bound(
        judged && ratio(0.99) > max_ratio,
        format_args!("p99 <= {max_ratio} times"),
    );
    report.bound(
        !end.is_back_to(&start),
        "threads and descriptors as at the start",
    );
    Ok(report)
}

fn report_attacks(counts: &Counts, report: &mut Report) {
    let sum = |n: usize| counts.values().map(|of_kind| of_kind[n]).sum::<usize>();
    let (tried, tolerated, refused) = (sum(0), sum(1), sum(2));
    report.field("attacks", tried);
    report.counts("by_kind", counts.iter().map(|(kind, n)| (*kind, n[0])));
    let wrong = counts.iter().filter(|(_, n)| n[1] > 0);
    report.counts("tolerated", wrong.map(|(kind, n)| (*kind, n[1])));
    report.field("refused", refused);
    report.bound(tried == 0, "attacks");
    report.bound(tolerated > 0, "no attack is tolerated that must not be");
    report.bound(refused > 0, "no attacker finds the door closed");
}

struct Plan {
    server: SocketAddr,
    kinds: usize,
    /// Attacks that begin in a second.
    rate: f64,
    seed: u64,
}

impl Plan {
    /// Measures and attacks for so long.
    fn run(&self, load: &mut Load, interval: Duration, time: Duration) -> (Seen, Counts) {
        let (stop, counts) = (AtomicBool::new(false), Mutex::new(Counts::new()));
        let with = Ammunition::new();
        let seen = thread::scope(|scope| {
            let measuring = scope.spawn(|| load.run(interval, &stop));
            self.attack(time, &with, &counts);
            stop.store(true, Ordering::Relaxed);
            measuring.join()
        });
        // A panic has been printed.
        let seen = seen.unwrap_or_else(|_| std::process::exit(2));
        (seen, counts.into_inner().unwrap_or_default())
    }

    /// Begins one after the other, and waits for the last.
    fn attack(&self, time: Duration, with: &Ammunition, counts: &Mutex<Counts>) {
        let began = Instant::now();
        thread::scope(|scope| {
            for n in 0.. {
                let due = Duration::from_secs_f64(n as f64 / self.rate);
                if due >= time {
                    break;
                }
                thread::sleep(due.saturating_sub(began.elapsed()));
                let kind = Attack::ALL[mixed(self.seed << 32 ^ n) as usize % self.kinds];
                let attack = move || {
                    let outcome = kind.run(self.server, n as usize, with);
                    if let Ok(mut counts) = counts.lock() {
                        let of_kind = counts.entry(kind.name()).or_default();
                        of_kind[0] += 1;
                        of_kind[1] += usize::from(outcome == Outcome::Tolerated);
                        of_kind[2] += usize::from(outcome == Outcome::Refused);
                    }
                };
                let small = Builder::new().stack_size(128 << 10);
                let _ = small.spawn_scoped(scope, attack);
            }
        });
    }
}
