//! The line that is being typed, and those before.

use super::command;
use super::keys::Key;
use crate::show;
use rustyline::history::{FileHistory, History, SearchDirection};
use rustyline::line_buffer::{ChangeListener, DeleteListener, Direction, LineBuffer};
use rustyline::{At, Config, Word};
use std::path::{Path, PathBuf};
use std::{env, fs, io};
use unicode_width::UnicodeWidthStr;

/// What comes of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The line may have changed.
    Edited,
    Line(String),
    /// Commands that the line may become.
    Choices(Vec<String>),
    ClearScreen,
    Interrupt,
    EndOfInput,
    Suspend,
}

/// Edits lines, one after the other.
pub(super) struct Editor {
    line: LineBuffer,
    history: FileHistory,
    file: Option<PathBuf>,
    /// The entry of the history that is shown, and the line that was left for it.
    recalled: Option<(usize, String)>,
    /// What was deleted last.
    killed: Killed,
}

/// The most that a line may have, in bytes.
const LONGEST: usize = 64 << 10;

impl Editor {
    /// With the lines of this file.
    pub(super) fn new(file: Option<PathBuf>) -> rustyline::Result<Self> {
        let config = Config::builder()
            .history_ignore_dups(true)?
            .history_ignore_space(true);
        let mut history = FileHistory::with_config(&config.build());
        if let Some(file) = &file {
            // There is none yet, or it cannot be read: then there are no lines of before.
            let _ = history.load(file);
        }
        Ok(Editor {
            line: LineBuffer::with_capacity(LONGEST),
            history,
            file,
            recalled: None,
            killed: Killed::default(),
        })
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: Key) -> Outcome {
        match key {
            Key::Enter => return Outcome::Line(self.take()),
            Key::Interrupt => return Outcome::Interrupt,
            Key::EndOfInput if self.line.is_empty() => return Outcome::EndOfInput,
            Key::Suspend => return Outcome::Suspend,
            Key::ClearScreen => return Outcome::ClearScreen,
            Key::Tab => return self.complete(),
            Key::Up => self.recall(SearchDirection::Reverse),
            Key::Down => self.recall(SearchDirection::Forward),
            key => self.edit(key),
        }
        Outcome::Edited
    }

    /// As much of the line as fits into a width, and how far the cursor is in it: what is longer moves along.
    pub(super) fn view(&self, width: usize) -> (String, usize) {
        let (before, behind) = self.line.as_str().split_at(self.line.pos());
        let (mut before, behind) = (show::line(before), show::line(behind));
        while before.width() >= width && !before.is_empty() {
            // A third of it at once, so that the text does not move with each key.
            let cut: usize = before
                .chars()
                .take((width / 3).max(1))
                .map(char::len_utf8)
                .sum();
            before.drain(..cut);
        }
        let at = before.width();
        let mut view = before;
        for c in behind.chars() {
            view.push(c);
            if view.width() >= width {
                view.pop();
                break;
            }
        }
        (view, at)
    }

    fn edit(&mut self, key: Key) {
        let (line, killed) = (&mut self.line, &mut self.killed);
        match key {
            Key::Text(text) => drop(line.yank(&text, 1, &mut Unnoted)),
            Key::Backspace => drop(line.backspace(1, &mut Unnoted)),
            Key::Delete | Key::EndOfInput => drop(line.delete(1, &mut Unnoted)),
            Key::Left => drop(line.move_backward(1)),
            Key::Right => drop(line.move_forward(1)),
            Key::WordLeft => drop(line.move_to_prev_word(Word::Emacs, 1)),
            Key::WordRight => drop(line.move_to_next_word(At::AfterEnd, Word::Emacs, 1)),
            Key::Home => drop(line.move_buffer_start()),
            Key::End => drop(line.move_buffer_end()),
            Key::DeleteWordLeft => drop(line.delete_prev_word(Word::Big, 1, killed)),
            Key::DeleteWordRight => drop(line.delete_word(At::AfterEnd, Word::Emacs, 1, killed)),
            Key::DeleteToStart => drop(line.discard_buffer(killed)),
            Key::DeleteToEnd => drop(line.kill_buffer(killed)),
            Key::Yank => drop(line.yank(&killed.0.clone(), 1, &mut Unnoted)),
            Key::Transpose => drop(line.transpose_chars(&mut Unnoted)),
            _ => {}
        }
    }

    fn take(&mut self) -> String {
        let line = self.line.as_str().to_owned();
        self.set("");
        self.recalled = None;
        if let (Ok(true), Some(file)) = (self.history.add(&line), &self.file) {
            // The history is a convenience: without it all else works.
            let _ = self.history.append(file);
        }
        line
    }

    /// The next line of before that begins with what was typed.
    fn recall(&mut self, direction: SearchDirection) {
        let (from, typed) = match (&self.recalled, direction) {
            (None, SearchDirection::Forward) => return,
            (None, SearchDirection::Reverse) => (
                self.history.len().checked_sub(1),
                self.line.as_str().to_owned(),
            ),
            (Some((at, typed)), SearchDirection::Reverse) => (at.checked_sub(1), typed.clone()),
            (Some((at, typed)), SearchDirection::Forward) => (Some(at + 1), typed.clone()),
        };
        let found = from.and_then(|from| {
            let history = &self.history;
            let found = match typed.as_str() {
                "" => history.get(from, direction),
                typed => history.starts_with(typed, from, direction),
            };
            found
                .ok()?
                .map(|found| (found.idx, found.entry.into_owned()))
        });
        match found {
            Some((at, entry)) => {
                self.set(&entry);
                self.recalled = Some((at, typed));
            }
            None if direction == SearchDirection::Forward => {
                self.set(&typed);
                self.recalled = None;
            }
            None => {}
        }
    }

    fn complete(&mut self) -> Outcome {
        let choices = command::completions(&self.line.as_str()[..self.line.pos()]);
        if choices.len() > 1 {
            return Outcome::Choices(choices);
        }
        if let Some(choice) = choices.first() {
            self.set(choice);
        }
        Outcome::Edited
    }

    fn set(&mut self, text: &str) {
        self.line.update(text, text.len(), &mut Unnoted);
    }
}

/// Where the lines of before are: in the folder for what programs keep (XDG Base Directory Specification).
pub(super) fn history_file() -> Option<PathBuf> {
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
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// What was deleted, to be put back.
#[derive(Default)]
struct Killed(String);

impl DeleteListener for Killed {
    fn delete(&mut self, _: usize, text: &str, _: Direction) {
        text.clone_into(&mut self.0);
    }
}

/// For changes that nobody has to hear of.
struct Unnoted;

impl DeleteListener for Unnoted {
    fn delete(&mut self, _: usize, _: &str, _: Direction) {}
}

impl ChangeListener for Unnoted {
    fn insert_char(&mut self, _: usize, _: char) {}

    fn insert_str(&mut self, _: usize, _: &str) {}

    fn replace(&mut self, _: usize, _: &str, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(editor: &mut Editor, text: &str) {
        editor.press(Key::Text(text.into()));
    }

    fn editor() -> Editor {
        Editor::new(None).unwrap()
    }

    #[test]
    fn keys_edit_the_line() {
        let mut editor = editor();
        typed(&mut editor, "hello wörld");
        for key in [
            Key::WordLeft,
            Key::Backspace,
            Key::Text(", ".into()),
            Key::End,
            Key::Text("!".into()),
        ] {
            assert_eq!(editor.press(key), Outcome::Edited);
        }
        assert_eq!(
            editor.press(Key::Enter),
            Outcome::Line("hello, wörld!".into())
        );
        assert!(editor.line.is_empty());
        typed(&mut editor, "one two");
        editor.press(Key::DeleteWordLeft);
        editor.press(Key::Home);
        editor.press(Key::Yank);
        assert_eq!(editor.press(Key::Enter), Outcome::Line("twoone ".into()));
    }

    #[test]
    fn lines_of_before_that_begin_so_come_back() {
        let mut editor = editor();
        for line in ["first", "second", "fifth"] {
            typed(&mut editor, line);
            editor.press(Key::Enter);
        }
        editor.press(Key::Up);
        editor.press(Key::Up);
        assert_eq!(editor.press(Key::Enter), Outcome::Line("second".into()));
        typed(&mut editor, "fi");
        let shown = |editor: &Editor| editor.line.as_str().to_owned();
        for (key, expected) in [
            (Key::Up, "fifth"),
            (Key::Up, "first"),
            (Key::Up, "first"),
            (Key::Down, "fifth"),
            (Key::Down, "fi"),
        ] {
            editor.press(key);
            assert_eq!(shown(&editor), expected);
        }
    }

    #[test]
    fn control_d_ends_only_where_nothing_is_typed() {
        let mut editor = editor();
        assert_eq!(editor.press(Key::EndOfInput), Outcome::EndOfInput);
        typed(&mut editor, "x");
        assert_eq!(editor.press(Key::EndOfInput), Outcome::Edited);
    }

    #[test]
    fn commands_are_completed() {
        let mut editor = editor();
        typed(&mut editor, "/pi");
        editor.press(Key::Tab);
        assert_eq!(editor.press(Key::Enter), Outcome::Line("/ping".into()));
        typed(&mut editor, "/p");
        assert_eq!(
            editor.press(Key::Tab),
            Outcome::Choices(vec!["/ping".into(), "/pause".into()])
        );
    }

    proptest! {
        #[test]
        fn the_view_has_the_cursor_in_it_and_nothing_hidden(text in any::<String>(), left in 0usize..40, width in 4usize..60) {
            let mut editor = editor();
            typed(&mut editor, &text);
            (0..left).for_each(|_| drop(editor.press(Key::Left)));
            let (view, at) = editor.view(width);
            prop_assert!(at < width && view.width() < width + 1);
            prop_assert_eq!(show::line(&view), view);
        }
    }
}
