//! Why the command failed, and the exit status of that.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Why the command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no connection: status 1.
    NotConnected(wsync::Error),
    /// A server could not listen, where and why: status 1.
    NotListening(String),
    /// What was asked for makes no sense, or a file cannot be read or written: status 2.
    Usage(String),
    /// The connection did not end by a normal close: status 3.
    Abnormal(String),
}

impl Failure {
    /// A file that cannot be had.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Failure::Usage(format!("{}: {error}", path.display()))
    }

    /// Tells on standard error, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("wsync: {self}");
        ExitCode::from(match self {
            Failure::NotConnected(_) | Failure::NotListening(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Abnormal(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotConnected(error) => write!(f, "not connected: {error}"),
            Failure::NotListening(what) => write!(f, "cannot listen on {what}"),
            Failure::Usage(what) | Failure::Abnormal(what) => f.write_str(what),
        }
    }
}
