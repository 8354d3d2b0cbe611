//! Ctrl-C, SIGTERM and SIGHUP.

use crate::failure::Failure;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::process;

/// As a shell tells of a command that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Gets a message when the command is told to stop, by a signal or by the sender. A second signal ends the
/// process at once, after `last` has run.
pub(crate) fn stop(
    last: impl Fn() + Send + 'static,
) -> Result<(Sender<()>, Receiver<()>), Failure> {
    let (sender, stop) = bounded(1);
    let told = sender.clone();
    let mut asked = false;
    let on_signal = move || {
        if asked {
            last();
            process::exit(INTERRUPTED);
        }
        asked = true;
        let _ = told.try_send(());
    };
    ctrlc::set_handler(on_signal).map_err(|e| Failure::Usage(format!("signals: {e}")))?;
    Ok((sender, stop))
}
