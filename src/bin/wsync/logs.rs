//! Where the lines of the log go.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

type Show = Box<dyn Fn(String) + Send>;

/// In place of standard error.
static SHOWN_BY: Mutex<Option<Show>> = Mutex::new(None);

/// Lets lines be shown by `show`, or go to standard error again.
#[cfg(unix)]
pub(crate) fn shown_by(show: Option<Show>) {
    *SHOWN_BY.lock().unwrap_or_else(PoisonError::into_inner) = show;
}

/// What the logger writes to.
pub(crate) struct Logs;

impl Write for Logs {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let shown_by = SHOWN_BY.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shown_by {
            Some(show) => show(String::from_utf8_lossy(lines).into_owned()),
            None => io::stderr().write_all(lines)?,
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
