//! Why the command failed, and the exit status of that.

use crate::show;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use wsync::Error;

/// Why the command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no connection: status 1.
    NotConnected(Error),
    /// A server could not listen, where and why: status 1.
    NotListening(String),
    /// What was asked for makes no sense, or a file cannot be read or written: status 2.
    Usage(String),
    /// The connection did not end by a normal close: status 3.
    Abnormal(String),
}

/// So much of what a server says when it refuses is shown.
const BODY: usize = 200;

impl Failure {
    /// A file that cannot be had.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Failure::Usage(format!("{}: {error}", path.display()))
    }

    /// Tells on standard error, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        let style = show::Paint::new(true).error;
        // Without standard error there is the status still.
        let what = show::line(&self.to_string());
        let _ = writeln!(anstream::stderr(), "{style}wsync:{style:#} {what}");
        ExitCode::from(self.status())
    }

    fn status(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::NotConnected(Error::Uri(_) | Error::Misuse(_)) => 2,
            Failure::NotConnected(_) | Failure::NotListening(_) => 1,
            Failure::Abnormal(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotListening(what) => write!(f, "cannot listen on {what}"),
            Failure::NotConnected(error @ (Error::Uri(_) | Error::Misuse(_))) => error.fmt(f),
            Failure::NotConnected(error) => {
                write!(f, "not connected: {error}")?;
                let Some(response) = error.response() else {
                    return Ok(());
                };
                let body = String::from_utf8_lossy(response.body());
                let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
                match show::cut(&body, BODY) {
                    ("", _) => Ok(()),
                    (body, 0) => write!(f, ": {body}"),
                    (body, _) => write!(f, ": {body}…"),
                }
            }
            Failure::Usage(what) | Failure::Abnormal(what) => f.write_str(what),
        }
    }
}
