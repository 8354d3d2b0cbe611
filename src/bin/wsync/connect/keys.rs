//! The keys that bytes of a terminal stand for.

/// A key, by what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Text(String),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    DeleteWordLeft,
    DeleteWordRight,
    DeleteToStart,
    DeleteToEnd,
    Yank,
    Transpose,
    ClearScreen,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    /// Ctrl-Z.
    Suspend,
}

/// Takes bytes as they come, perhaps in the middle of a key.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pending: Vec<u8>,
}

const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

impl Keys {
    /// Appends the keys that these bytes complete.
    pub(super) fn feed(&mut self, bytes: &[u8], keys: &mut Vec<Key>) {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((length, key)) = next(&self.pending[at..]) {
            at += length;
            keys.extend(key);
        }
        self.pending.drain(..at);
    }

    /// Whether a key is half there.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Nothing has followed: Escape was pressed alone, which does nothing.
    pub(super) fn give_up(&mut self) {
        if !self.pending.starts_with(PASTE_BEGINS) {
            self.pending.clear();
        }
    }
}

/// The first key and its length; `None` as long as it is not complete.
fn next(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    match *bytes.first()? {
        0x1b => escape(bytes),
        byte if byte < 0x20 || byte == 0x7f => Some((1, control(byte))),
        _ => text(bytes),
    }
}

/// All text up to the next key that is none.
fn text(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let is_text = |byte: &u8| *byte >= 0x20 && *byte != 0x7f;
    let length = bytes.iter().take_while(|byte| is_text(byte)).count();
    match std::str::from_utf8(&bytes[..length]) {
        Ok(text) => Some((length, Some(Key::Text(text.to_owned())))),
        Err(e) if e.valid_up_to() > 0 => {
            let text = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
            Some((e.valid_up_to(), Some(Key::Text(text.into_owned()))))
        }
        // A character that is not complete, or none at all.
        Err(e) => match e.error_len() {
            None if length == bytes.len() => None,
            wrong => Some((wrong.unwrap_or(length), None)),
        },
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x7f | 0x08 => Key::Backspace,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x0b => Key::DeleteToEnd,
        0x0c => Key::ClearScreen,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x14 => Key::Transpose,
        0x15 => Key::DeleteToStart,
        0x17 => Key::DeleteWordLeft,
        0x19 => Key::Yank,
        0x1a => Key::Suspend,
        _ => return None,
    })
}

/// What begins with Escape: ECMA-48 section 5.4, and what xterm makes of it.
fn escape(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    if bytes.starts_with(PASTE_BEGINS) {
        return paste(bytes);
    }
    match *bytes.get(1)? {
        b'[' => {
            let length = 2 + bytes[2..]
                .iter()
                .position(|byte| (0x40..=0x7e).contains(byte))?;
            Some((length + 1, sequence(&bytes[2..length], bytes[length])))
        }
        b'O' => Some((3, sequence(&[], *bytes.get(2)?))),
        b'b' => Some((2, Some(Key::WordLeft))),
        b'f' => Some((2, Some(Key::WordRight))),
        b'd' => Some((2, Some(Key::DeleteWordRight))),
        0x7f | 0x08 => Some((2, Some(Key::DeleteWordLeft))),
        0x1b => Some((1, None)),
        _ => Some((2, None)),
    }
}

fn sequence(parameters: &[u8], last: u8) -> Option<Key> {
    // 3, 5 and 7 behind the semicolon are Alt, Control and both.
    let modified =
        parameters.ends_with(b";3") || parameters.ends_with(b";5") || parameters.ends_with(b";7");
    Some(match (last, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if modified => Key::WordRight,
        (b'D', _) if modified => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        (b'~', _) if parameters.starts_with(b"3;") => Key::DeleteWordRight,
        _ => return None,
    })
}

fn paste(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let pasted = &bytes[PASTE_BEGINS.len()..];
    let end = pasted
        .windows(PASTE_ENDS.len())
        .position(|window| window == PASTE_ENDS)?;
    // Terminals send what Enter does for an end of line.
    let text = String::from_utf8_lossy(&pasted[..end])
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    Some((
        PASTE_BEGINS.len() + end + PASTE_ENDS.len(),
        Some(Key::Text(text)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut found = Vec::new();
        Keys::default().feed(bytes, &mut found);
        found
    }

    #[test]
    fn keys_are_told_apart() {
        let text = |text: &str| Key::Text(text.into());
        assert_eq!(keys("hé\r".as_bytes()), [text("hé"), Key::Enter]);
        assert_eq!(
            keys(b"\x1b[D\x1bOC\x1b[1;5C\x1bb"),
            [Key::Left, Key::Right, Key::WordRight, Key::WordLeft]
        );
        assert_eq!(
            keys(b"\x1b[3~\x1b[H\x1b[4~\x7f"),
            [Key::Delete, Key::Home, Key::End, Key::Backspace]
        );
        assert_eq!(
            keys(b"a\x1b[200~x\ry\x1b[201~b"),
            [text("a"), text("x\ny"), text("b")]
        );
        assert_eq!(keys(b"\xffa\x1b[99zb"), [text("a"), text("b")]);
    }

    #[test]
    fn a_lone_escape_is_given_up() {
        let (mut keys, mut found) = (Keys::default(), Vec::new());
        keys.feed(b"\x1b", &mut found);
        assert!(keys.is_pending() && found.is_empty());
        keys.give_up();
        keys.feed(b"[A", &mut found);
        assert_eq!(found, [Key::Text("[A".into())]);
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_changes_nothing(text in "[ -~é\u{1F600}\r\t]{0,20}", at in 0usize..80) {
            let bytes = format!("{text}\x1b[C\x1b[200~{text}\x1b[201~\x1b[3;5~{text}");
            let (first, second) = bytes.as_bytes().split_at(at.min(bytes.len()));
            let (mut keys, mut found) = (Keys::default(), Vec::new());
            keys.feed(first, &mut found);
            keys.feed(second, &mut found);
            prop_assert_eq!(joined(found), joined(self::keys(bytes.as_bytes())));
        }
    }

    fn joined(keys: Vec<Key>) -> String {
        let one = |key: Key| match key {
            Key::Text(text) => text,
            key => format!("<{key:?}>"),
        };
        keys.into_iter().map(one).collect()
    }
}
