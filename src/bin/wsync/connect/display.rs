//! What is shown above the line that is being typed.

use rustyline::ExternalPrinter;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Shows text above the prompt, from any thread, in the order in which it is given.
///
/// rustyline's printer hands text to the editor while that edits, and writes it itself else; one that is handed
/// over just as the line ends waits for the next. So nothing is printed between two prompts: it could come
/// before that.
pub(super) struct Display {
    printer: Mutex<Box<dyn ExternalPrinter + Send>>,
    prompt: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Prompting,
    Gone,
}

/// Nothing to see: up and down again.
const NOTHING: &str = "\x1b[A\n";

impl Display {
    pub(super) fn new(printer: impl ExternalPrinter + Send + 'static) -> Self {
        Display {
            printer: Mutex::new(Box::new(printer)),
            prompt: Mutex::new(State::Between),
            changed: Condvar::new(),
        }
    }

    /// Shows lines, as soon as there is a prompt to show them above.
    pub(super) fn print(&self, mut text: String) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut printer = lock(&self.printer);
        let prompt = lock(&self.prompt);
        drop(
            self.changed
                .wait_while(prompt, |prompt| *prompt == State::Between),
        );
        // It fails when the terminal is gone.
        let _ = printer.print(text);
    }

    /// Waits until all is on the screen that was printed before: the printer holds one text at most that the
    /// editor has not taken.
    pub(super) fn flush(&self) {
        self.print(NOTHING.into());
    }

    /// The editor edits.
    pub(super) fn prompt_begins(&self) {
        self.set(State::Prompting);
    }

    /// There will be no other prompt to wait for.
    pub(super) fn prompt_is_gone(&self) {
        self.set(State::Gone);
    }

    /// The editor is about to leave off.
    pub(super) fn prompt_ends(&self) {
        self.set(State::Between);
        // Who holds the printer for longer has handed its text over, and waits for the next prompt.
        for _ in 0..10 {
            if self.printer.try_lock().is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn set(&self, state: State) {
        *lock(&self.prompt) = state;
        self.changed.notify_all();
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
