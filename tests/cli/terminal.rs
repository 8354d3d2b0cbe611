//! The command at a terminal: a pseudoterminal, and what a person would see on it.

use super::wsync;
use crate::common::LATE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const WIDTH: usize = 80;

/// A terminal in which the command runs.
pub(crate) struct Terminal {
    keyboard: Option<File>,
    hung_up: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    pub(crate) child: Child,
}

impl Terminal {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Terminal::start_in(arguments, &[("XDG_STATE_HOME", "/nonexistent")])
    }

    pub(crate) fn start_in(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let (master, slave) = pair();
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let mut command = wsync();
        command
            .env("TERM", "xterm")
            .envs(variables.iter().copied())
            .args(arguments);
        let child = command
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (hung_up, shows) = (Arc::new(AtomicBool::new(false)), Arc::clone(&seen));
        let (screen, ends) = (master.try_clone().unwrap(), Arc::clone(&hung_up));
        thread::spawn(move || watch(screen, &shows, &ends));
        Terminal {
            hung_up,
            keyboard: Some(master),
            seen,
            child,
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        let mut keyboard = self.keyboard.as_ref().unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// The end of the terminal, not of the program.
    pub(crate) fn hang_up(&mut self) {
        self.keyboard = None;
        self.hung_up.store(true, Ordering::SeqCst);
    }

    /// The rows that are not empty.
    pub(crate) fn rows(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let rows = seen.rows.iter().map(|row| row.iter().collect::<String>());
        rows.map(|row| row.trim_end().to_owned())
            .filter(|row| !row.is_empty())
            .collect()
    }

    /// Waits until the rows are as they should be.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&[String]) -> bool) {
        let began = Instant::now();
        while !is_so(&self.rows()) {
            assert!(
                began.elapsed() < LATE,
                "never seen: {what}\n{}",
                self.rows().join("\n")
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a row is as given.
    #[track_caller]
    pub(crate) fn until_row(&self, wanted: &str) {
        self.until(wanted, |rows| rows.iter().any(|row| row == wanted));
    }

    /// Waits until the last row is as given: the line that is being typed.
    #[track_caller]
    pub(crate) fn until_typed(&self, wanted: &str) {
        self.until(wanted, |rows| rows.last().is_some_and(|row| row == wanted));
    }

    /// The escape sequences that came, each once.
    pub(crate) fn sequences(&self) -> Vec<String> {
        let mut sequences = self.seen.lock().unwrap().sequences.clone();
        sequences.sort();
        sequences.dedup();
        sequences
    }

    /// Waits for the end, and gives the exit status.
    pub(crate) fn status(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                began.elapsed() < LATE,
                "it does not end\n{}",
                self.rows().join("\n")
            );
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes what comes until there is nobody who could send more, or it is told to let go.
fn watch(mut screen: File, shows: &Mutex<Seen>, hung_up: &AtomicBool) {
    let mut bytes = [0; 4096];
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    while !hung_up.load(Ordering::SeqCst) {
        match poll(&mut [PollFd::new(&screen, PollFlags::IN)], Some(&tick)) {
            Ok(0) | Err(_) => continue,
            Ok(_) => {}
        }
        match screen.read(&mut bytes) {
            Ok(read @ 1..) => shows.lock().unwrap().take(&bytes[..read]),
            _ => return,
        }
    }
}

/// No other process is to have it.
#[cfg(target_os = "linux")]
const CLOSED_ON_EXEC: OpenptFlags = OpenptFlags::CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOSED_ON_EXEC: OpenptFlags = OpenptFlags::empty();

fn pair() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | CLOSED_ON_EXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let slave = File::options().read(true).write(true).open(path).unwrap();
    let size = Winsize {
        ws_row: 50,
        ws_col: WIDTH as u16,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).unwrap();
    (File::from(master), slave)
}

/// What stands on the screen. It knows what the command sends, and panics at anything else: a server is not to get
/// a sequence of its own through.
#[derive(Default)]
struct Seen {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    pending: Vec<u8>,
    sequences: Vec<String>,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let valid = match std::str::from_utf8(&pending) {
            Ok(text) => text.len(),
            Err(e) => e.valid_up_to(),
        };
        let mut text = std::str::from_utf8(&pending[..valid]).unwrap();
        while let Some(c) = text.chars().next() {
            let length = match c {
                '\u{1b}' => match text[1..].find(|c: char| c.is_ascii_alphabetic()) {
                    Some(end) => end + 2,
                    None => break,
                },
                c => c.len_utf8(),
            };
            match c {
                '\u{1b}' => self.sequence(&text[1..length]),
                c => self.character(c),
            }
            text = &text[length..];
        }
        let left = text.len() + pending.len() - valid;
        self.pending = pending[pending.len() - left..].to_vec();
    }

    fn character(&mut self, c: char) {
        match c {
            '\r' => self.at.1 = 0,
            '\n' => self.at = (self.at.0 + 1, self.at.1),
            '\t' => self.at.1 = (self.at.1 / 8 + 1) * 8,
            c => {
                assert!(!c.is_control(), "a control got through: {c:?}");
                let (row, column) = self.at;
                self.rows.resize(self.rows.len().max(row + 1), Vec::new());
                let cells = &mut self.rows[row];
                cells.resize(cells.len().max(column + 1), ' ');
                cells[column] = c;
                self.at = if column + 1 == WIDTH {
                    (row + 1, 0)
                } else {
                    (row, column + 1)
                };
            }
        }
    }

    fn sequence(&mut self, sequence: &str) {
        self.sequences.push(sequence.to_owned());
        let (row, column) = self.at;
        match sequence {
            "[K" => {
                if let Some(cells) = self.rows.get_mut(row) {
                    cells.truncate(column);
                }
            }
            "[?2004h" | "[?2004l" => {}
            sequence if sequence.ends_with('C') => {
                self.at.1 += sequence[1..sequence.len() - 1].parse::<usize>().unwrap();
            }
            sequence if sequence.starts_with('[') && sequence.ends_with('m') => {}
            other => panic!("a sequence got through: {other:?}"),
        }
    }
}
