//! The line that is being typed, and those before.

use super::command;
use super::display::Display;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::{env, fs, io};

/// Edits lines.
pub(super) struct Prompt {
    editor: Editor<Watcher, FileHistory>,
    display: Arc<Display>,
    history: Option<PathBuf>,
}

/// Watches what the editor does.
#[derive(Default)]
struct Watcher {
    display: OnceLock<Arc<Display>>,
    is_empty: AtomicBool,
}

const PROMPT: &str = "> ";

impl Prompt {
    /// Not on a terminal that cannot move its cursor.
    pub(super) fn new(history: bool) -> rustyline::Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .auto_add_history(false)
            .build();
        let mut editor = Editor::with_config(config)?;
        let display = Arc::new(Display::new(editor.create_external_printer()?));
        let watcher = Watcher::default();
        let _ = watcher.display.set(Arc::clone(&display));
        editor.set_helper(Some(watcher));
        let history = history.then(history_path).flatten();
        if let Some(path) = &history {
            // There is none yet, or it cannot be read: then there are no lines of before.
            let _ = editor.load_history(path);
        }
        Ok(Prompt {
            editor,
            display,
            history,
        })
    }

    pub(super) fn display(&self) -> Arc<Display> {
        Arc::clone(&self.display)
    }

    /// The next line.
    pub(super) fn line(&mut self, shown: bool) -> rustyline::Result<String> {
        let read = self.editor.readline(if shown { PROMPT } else { "" });
        self.display.prompt_ends();
        let line = read?;
        if self.editor.add_history_entry(&line)? {
            if let Some(path) = &self.history {
                // The history is a convenience: without it all else works.
                let _ = self.editor.append_history(path);
            }
        }
        Ok(line)
    }

    /// Takes the prompt off the screen, after the editor was told to leave off, if nothing was typed.
    pub(super) fn erase(&self) {
        if self
            .editor
            .helper()
            .is_some_and(|w| w.is_empty.load(Ordering::SeqCst))
        {
            let mut out = io::stdout();
            let _ = out.write_all(b"\x1b[A\x1b[2K").and_then(|()| out.flush());
        }
    }
}

impl Hinter for Watcher {
    type Hint = String;

    /// Called with the line before it is drawn.
    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.store(line.is_empty(), Ordering::SeqCst);
        if let Some(display) = self.display.get() {
            display.prompt_begins();
        }
        None
    }
}

impl Validator for Watcher {
    /// Called with a line that is done, while the editor still has the terminal.
    fn validate(&self, _: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        if let Some(display) = self.display.get() {
            display.prompt_ends();
        }
        Ok(ValidationResult::Valid(None))
    }
}

impl Completer for Watcher {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((0, command::completions(&line[..at])))
    }
}

impl Highlighter for Watcher {}

impl Helper for Watcher {}

/// Where the lines of before are: in the folder for what programs keep (XDG Base Directory Specification).
fn history_path() -> Option<PathBuf> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state =
        absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("wsync");
    create(&folder).ok()?;
    Some(folder.join("history"))
}

/// For nobody else to look into.
fn create(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}
