//! The server as a process, and what /proc says of it.

use crate::Failure;
use crate::options::Options;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// As many descriptors as the system allows; a child inherits that.
pub(crate) fn raise_limit() -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// How connections ended, as the testee tells it: how many of each kind.
type Ends = Arc<Mutex<BTreeMap<String, usize>>>;

/// `testee serve`, until this is dropped.
#[derive(Debug)]
pub(crate) struct Testee {
    child: Child,
    pub(crate) address: SocketAddr,
    ends: Ends,
}

impl Testee {
    pub(crate) fn start(options: &mut Options, words: &[&str]) -> Result<Self, Failure> {
        let path = match options.get::<PathBuf>("testee")? {
            Some(path) => path,
            None => {
                std::env::var_os("TESTEE").map_or_else(beside_this_program, |p| Ok(p.into()))?
            }
        };
        // More of the testee's options, in one word.
        let more: String = options.or("serve", String::new())?;
        let mut child = Command::new(&path)
            .arg("serve")
            .args(words)
            .args(more.split_whitespace())
            .arg("0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening ").ok_or("no address")?;
        let ends = Ends::default();
        let counting = Arc::clone(&ends);
        thread::spawn(move || count_ends(output, &counting));
        Ok(Testee {
            address: address.parse()?,
            child,
            ends,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn ends(&self) -> BTreeMap<String, usize> {
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Testee {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// target/release/deps/soak-... has target/release/examples/testee beside it.
fn beside_this_program() -> Result<PathBuf, Failure> {
    let this = std::env::current_exe()?;
    let release = this.parent().and_then(|deps| deps.parent());
    Ok(release.ok_or("no --testee")?.join("examples/testee"))
}

/// A line is `{"event":"closed",...,"error":null,...}` or has the kind of an error there.
fn count_ends(output: BufReader<ChildStdout>, ends: &Ends) {
    for line in output.lines().map_while(Result::ok) {
        let kind = line.split_once("\"error\":").map_or("?", |(_, rest)| rest);
        let kind = kind.split([',', '}']).next().unwrap_or("?");
        let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(kind.trim_matches('"').to_owned()).or_default() += 1;
    }
}

/// What a process needs at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// In KiB.
    pub(crate) rss: usize,
    /// The part of it that is no file's: heap and stacks. In KiB.
    pub(crate) anon: usize,
    pub(crate) threads: usize,
    /// Descriptors.
    pub(crate) fds: usize,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Result<Self, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let value = |name: &str| -> Result<usize, Failure> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            Ok(number.ok_or(format!("no {name}"))?.parse()?)
        };
        Ok(Usage {
            rss: value("VmRSS:")?,
            anon: value("RssAnon:")?,
            threads: value("Threads:")?,
            fds: std::fs::read_dir(format!("/proc/{process}/fd"))?.count(),
        })
    }

    /// The larger of each.
    pub(crate) fn max(self, other: Usage) -> Usage {
        Usage {
            rss: self.rss.max(other.rss),
            anon: self.anon.max(other.anon),
            threads: self.threads.max(other.threads),
            fds: self.fds.max(other.fds),
        }
    }

    /// No more threads and descriptors than there.
    pub(crate) fn is_back_to(&self, start: &Usage) -> bool {
        self.threads <= start.threads && self.fds <= start.fds
    }
}

impl std::fmt::Display for Usage {
    /// As JSON.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{{\"rss_kib\":{},\"anon_kib\":{},\"threads\":{},\"fds\":{}}}",
            self.rss, self.anon, self.threads, self.fds
        )
    }
}

/// Waits until a process is back to what it needed at the start, at most so long; what it needs then, and after
/// what time.
pub(crate) fn settle(
    process: u32,
    start: &Usage,
    patience: Duration,
) -> Result<(Usage, Duration), Failure> {
    let began = Instant::now();
    loop {
        let now = Usage::of(process)?;
        if now.is_back_to(start) || began.elapsed() > patience {
            return Ok((now, began.elapsed()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What a process needs when it has rested for a while: threads that were idle for 10 s have ended.
pub(crate) fn at_rest(process: u32, rest: Duration) -> Result<Usage, Failure> {
    thread::sleep(rest);
    Usage::of(process)
}

/// Looks at a process every so often, until told to stop.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(f64, Usage)>>,
}

impl Watch {
    pub(crate) fn start(process: u32, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let began = Instant::now();
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(usage) = Usage::of(process) {
                    seen.push((began.elapsed().as_secs_f64(), usage));
                }
                thread::park_timeout(every);
            }
            seen
        });
        Watch { stop, thread }
    }

    /// The most that was needed, at least `start`.
    pub(crate) fn peak(self, start: Usage) -> Usage {
        let seen = self.end();
        seen.iter().fold(start, |peak, (_, now)| peak.max(*now))
    }

    /// Seconds since the start, and what was needed then.
    pub(crate) fn end(self) -> Vec<(f64, Usage)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_default()
    }
}
