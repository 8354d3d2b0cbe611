//! Processes of their own: a test starts another of its file, which is ignored otherwise.

use super::{LATE, eventually};
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// What tells such a test that it is meant, and what for.
const TOLD: &str = "WSYNC_TEST_PROCESS";

/// What the process was told, if it was started by [`Process::start`].
pub(crate) fn told() -> Option<String> {
    env::var(TOLD).ok()
}

/// Tells the one who started this process.
pub(crate) fn tell(word: &str, value: impl std::fmt::Display) {
    // What libtest has printed has no end of line.
    println!("\n{word} {value}");
}

/// The next line that this process is told; empty when nobody is there any more.
pub(crate) fn next_line() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Until whoever has started this process is gone.
pub(crate) fn wait_for_the_end() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A process that ends with this.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    /// The test of this name, which must be ignored.
    pub(crate) fn start(test: &str, told: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env(TOLD, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Process {
            stdin: child.stdin.take().unwrap(),
            child,
            lines,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// What the process tells next with this word.
    pub(crate) fn hear(&self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LATE);
            let line = line.unwrap_or_else(|e| panic!("no {word:?}: {e}"));
            if let Some(value) = line
                .strip_prefix(word)
                .and_then(|rest| rest.strip_prefix(' '))
            {
                return value.to_owned();
            }
        }
    }

    /// Kills it: everything that it had told with this word.
    pub(crate) fn killed(mut self, word: &str) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let lines = self.lines.iter();
        lines
            .filter_map(|line| {
                line.strip_prefix(word)?
                    .strip_prefix(' ')
                    .map(str::to_owned)
            })
            .collect()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of it, which must be a success.
    pub(crate) fn succeeds(&mut self) {
        eventually("the end of the process", || !self.is_running());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// The time that it has had of a processor, all threads together.
    #[cfg(target_os = "linux")]
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // After the name in parentheses come the state and ten numbers, then these.
        let rest = stat.rsplit_once(") ").unwrap().1;
        let ticks: u64 = rest
            .split(' ')
            .skip(11)
            .take(2)
            .map(|n| n.parse::<u64>().unwrap())
            .sum();
        // A hundred a second, on every Linux that shows them.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
