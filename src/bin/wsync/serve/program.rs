//! A process with all that it starts, and the end of it.

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

/// How often it is looked at whether a group is gone.
const LOOK: Duration = Duration::from_millis(10);

/// The programs that run.
#[derive(Clone, Default)]
pub(super) struct Programs(Arc<Mutex<HashSet<Group>>>);

/// A program that runs, and leads a group of its own. It ends with this.
pub(super) struct Program {
    child: Child,
    group: Group,
    programs: Programs,
}

/// The group of a program: its process, and those that it has started and that have not left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Group(Pid);

pub(super) struct Streams {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    /// If it was asked for.
    pub(super) stderr: Option<ChildStderr>,
}

impl Programs {
    pub(super) fn start(&self, command: &mut Command) -> io::Result<(Program, Streams)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let group = Group(Pid::from_child(&child));
        self.lock().insert(group);
        let streams = child.stdin.take().zip(child.stdout.take());
        let stderr = child.stderr.take();
        let program = Program {
            child,
            group,
            programs: self.clone(),
        };
        let (stdin, stdout) = streams.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((
            program,
            Streams {
                stdin,
                stdout,
                stderr,
            },
        ))
    }

    pub(super) fn kill_all(&self) {
        for group in &*self.lock() {
            group.signal(Signal::KILL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Program {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// Waits for its end, and then ends what it has left in its group.
    pub(super) fn wait(mut self, grace: Duration) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.group.signal(Signal::TERM);
        let until = Instant::now() + grace;
        while !self.group.is_gone() && Instant::now() < until {
            thread::sleep(LOOK);
        }
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.group.signal(Signal::KILL);
        // At once, unless it was waited for already.
        let _ = self.child.wait();
        self.programs.lock().remove(&self.group);
    }
}

impl Group {
    /// Waits until the program has ended; if that takes too long it is told, then made to.
    pub(super) fn end_once(self, has_exited: &Receiver<()>, grace: Duration) {
        for signal in [Signal::TERM, Signal::KILL] {
            if has_exited.recv_timeout(grace) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            self.signal(signal);
        }
        let _ = has_exited.recv();
    }

    /// A number that is free is not given to another group soon: a signal that comes too late meets nobody.
    fn signal(self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }

    fn is_gone(self) -> bool {
        test_kill_process_group(self.0).is_err()
    }
}
