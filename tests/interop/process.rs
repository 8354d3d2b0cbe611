//! Other implementations as processes: installed by `setup.sh`, killed when they are left over.

#![allow(dead_code, clippy::unwrap_used)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// An installation, with downloads.
const SETUP: Duration = Duration::from_secs(300);
/// One answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// A running peer. It is killed when it is dropped.
pub(crate) struct Peer {
    child: Child,
    /// A server ends when this is closed.
    pub(crate) stdin: Option<ChildStdin>,
    /// What it prints, until it ends.
    pub(crate) lines: mpsc::Receiver<String>,
}

impl Peer {
    pub(crate) fn start<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Self {
        Peer::run(Command::new(installed().join(program)).args(arguments))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Peer {
            stdin: child.stdin.take(),
            child,
            lines,
        }
    }

    /// The next line that it prints; a panic when there is none in time.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(ANSWER)
            .expect("a line from the peer")
    }

    /// Where a server listens.
    pub(crate) fn port(&self) -> u16 {
        let line = self.line();
        let port = line.strip_prefix("listening ").expect("its port");
        port.parse().unwrap()
    }

    /// Ends a server.
    pub(crate) fn stop(&mut self) {
        drop(self.stdin.take());
        let status = self.wait(ANSWER);
        assert!(status.success(), "{status}");
    }

    /// Kills it: everything that it had printed and nobody has read.
    pub(crate) fn killed(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    /// Its exit status; a panic when it is not done in time.
    pub(crate) fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "not done within {timeout:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both do nothing when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn certs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs")
}

/// The folder of the peers, set up by the first test that asks.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut setup = Peer::run(Command::new("bash").arg(project.join("tests/interop/setup.sh")));
        let status = setup.wait(SETUP);
        assert!(status.success(), "tests/interop/setup.sh: {status}");
        project.join("target/interop")
    })
}
