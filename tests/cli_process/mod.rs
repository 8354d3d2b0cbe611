//! The command as a process: what it prints, how it ends, and signals to it.

#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod recordings;

use super::common::{LATE, eventually};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::{env, fs, process, thread};
use wsync::{ClientBuilder, WebSocket};

/// The command, ready for more than arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsync"));
    command.args(arguments);
    command
}

/// What a command has printed, and how it ended.
pub(crate) struct Output {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Wsync::start(arguments).output()
}

/// The command, while it runs; it ends with this.
pub(crate) struct Wsync {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Wsync {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Wsync::spawn(&mut command(arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
        Wsync {
            stdin: child.stdin.take(),
            stdout: lines(child.stdout.take().unwrap()),
            stderr: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    /// A server, and its address, on a port that the system chooses.
    pub(crate) fn serve(arguments: &[&str]) -> (Self, String) {
        let server = Wsync::start(&[&["serve", "127.0.0.1:0"], arguments].concat());
        let url = server.url();
        (server, url)
    }

    /// Where it listens, once it does.
    pub(crate) fn url(&self) -> String {
        let line = self.stdout.recv_timeout(LATE);
        let line = line.unwrap_or_else(|_| panic!("it does not listen: {}", self.rest()));
        line.strip_prefix("listening ").unwrap().to_owned()
    }

    fn rest(&self) -> String {
        self.stderr.try_iter().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self, bytes: &[u8]) {
        self.stdin.take().unwrap().write_all(bytes).unwrap();
    }

    /// The next line on standard error that has this in it.
    pub(crate) fn tells(&self, part: &str) -> String {
        loop {
            match self.stderr.recv_timeout(LATE) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("{part:?} is not told: {error}"),
            }
        }
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit status, if it was no signal that ended it.
    pub(crate) fn status(&mut self) -> Option<i32> {
        let mut status = None::<ExitStatus>;
        eventually("the end of the command", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    pub(crate) fn output(mut self) -> Output {
        drop(self.stdin.take());
        let status = self.status();
        let text = |lines: &Receiver<String>| lines.iter().map(|line| line + "\n").collect();
        Output {
            status,
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

impl Drop for Wsync {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

/// A client with time for a loaded machine.
pub(crate) fn client(url: &str) -> ClientBuilder {
    ClientBuilder::new(url).config(super::common::patient(wsync::Config::client()))
}

pub(crate) fn connect(url: &str) -> WebSocket {
    client(url).connect().unwrap()
}

/// The next message, as text.
pub(crate) fn hear(ws: &WebSocket) -> String {
    let message = ws.recv_timeout(LATE).unwrap();
    message.as_text().unwrap().to_owned()
}

/// A folder of its own, that goes with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("wsync-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
