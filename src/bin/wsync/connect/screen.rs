//! The terminal: what comes stands above the line that is being typed.

use super::editor::Editor;
use crate::show::{self, Paint};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{self, InputModes, LocalModes, OptionalActions, Termios};
use std::io::{self, Write, stdin, stdout};

/// A terminal in whose last row a line is typed. It is as before once this is dropped. That it cannot be written to
/// is no error: then it is gone, and reading tells.
pub(super) struct Screen {
    before: Termios,
    paint: Paint,
    /// The line is shown.
    prompt: bool,
}

const PROMPT: &str = "> ";
/// Bracketed paste: what is pasted comes marked, so that its line ends send nothing.
const BEGIN: &str = "\x1b[?2004h";
const END: &str = "\r\x1b[K\x1b[?2004l";
/// To the begin of the row, which is cleared.
const CLEAR: &str = "\r\x1b[K";

impl Screen {
    pub(super) fn new(paint: Paint) -> io::Result<Self> {
        let screen = Screen {
            before: termios::tcgetattr(stdin())?,
            paint,
            prompt: true,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Shows text above the line, and the line as it is now.
    pub(super) fn show(&self, text: &str, editor: &Editor) {
        let width = usize::from(self.width()).max(20) - PROMPT.len();
        let mark = self.paint.good;
        let mut out = format!("{CLEAR}{text}");
        if self.prompt {
            let (line, at) = editor.view(width);
            out.push_str(&format!(
                "{mark}{PROMPT}{mark:#}{line}\r\x1b[{}C",
                PROMPT.len() + at
            ));
        }
        let _ = write(&out);
    }

    /// Shows a line that was sent where it was typed.
    pub(super) fn keep(&self, line: &str) {
        let (mark, line) = (self.paint.good, show::block(line, "  ", &self.paint));
        let _ = write(&format!("{CLEAR}{mark}{PROMPT}{mark:#}{line}\n"));
    }

    /// Shows no line from now on.
    pub(super) fn hide_prompt(&mut self) {
        self.prompt = false;
    }

    pub(super) fn clear(&self) {
        let _ = write("\x1b[H\x1b[2J");
    }

    /// In columns.
    pub(super) fn width(&self) -> u16 {
        termios::tcgetwinsize(stdout()).map_or(80, |size| size.ws_col)
    }

    /// Stops the program until the shell lets it go on.
    pub(super) fn suspend(&self) {
        self.leave();
        let _ = kill_process(getpid(), Signal::TSTP);
        let _ = self.enter();
    }

    /// Keys come one by one, and show nothing by themselves.
    fn enter(&self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.local_modes -=
            LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
        raw.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IXON;
        termios::tcsetattr(stdin(), OptionalActions::Drain, &raw)?;
        write(BEGIN)
    }

    /// Nothing more can be done about a terminal that is gone.
    fn leave(&self) {
        let _ = write(END);
        let _ = termios::tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
