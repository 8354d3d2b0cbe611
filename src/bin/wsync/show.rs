//! How what a peer sends is shown to a person: nothing of it reaches the terminal as a control.

use anstyle::{AnsiColor, Style};
use std::fmt::Write;
use std::time::Duration;

/// So many bytes of a binary message are shown, and so many of a text, unless all are asked for.
pub(crate) const DUMPED: usize = 256;
pub(crate) const SHOWN: usize = 16 << 10;

/// Text of one line, with all that a terminal would act on, or not show at all, in place of it written out.
pub(crate) fn line(text: &str) -> String {
    escaped(text, Style::new(), |_| false)
}

/// The same with what was written out set off from what was there.
pub(crate) fn styled_line(text: &str, paint: &Paint) -> String {
    escaped(text, paint.escape, |_| false)
}

/// Text of several lines: tabs stay, and each further line begins with `indent`. An end of line behind the last
/// is written out, for nothing would show it.
pub(crate) fn block(text: &str, indent: &str, paint: &Paint) -> String {
    let (text, end) = match text.strip_suffix('\n') {
        Some(text) => (text, styled_line("\n", paint)),
        None => (text, String::new()),
    };
    let lines = text
        .split('\n')
        .map(|line| escaped(line, paint.escape, |c| c == '\t'));
    lines.collect::<Vec<_>>().join(&format!("\n{indent}")) + &end
}

/// Bytes by offset, in hexadecimal and as ASCII, and how many are left out.
pub(crate) fn dump(bytes: &[u8], most: usize, indent: &str, paint: &Paint) -> String {
    let note = paint.note;
    let mut dump = String::new();
    let shown = &bytes[..bytes.len().min(most)];
    for (n, row) in shown.chunks(16).enumerate() {
        let _ = write!(dump, "{indent}{note}{:08x}{note:#} ", n * 16);
        for i in 0..16 {
            let gap = if i == 8 { "  " } else { " " };
            match row.get(i) {
                Some(byte) => drop(write!(dump, "{gap}{byte:02x}")),
                None => drop(write!(dump, "{gap}  ")),
            }
        }
        let ascii = row.iter().map(|&b| match b {
            b' '..=b'~' => b as char,
            _ => '.',
        });
        let _ = writeln!(
            dump,
            "  {note}|{note:#}{}{note}|{note:#}",
            ascii.collect::<String>()
        );
    }
    match bytes.len() - shown.len() {
        0 => {}
        rest => drop(writeln!(
            dump,
            "{indent}… and {}",
            count(rest as u64, "byte")
        )),
    }
    dump
}

/// The first part of a text that is too long, cut between characters, and how many bytes are left out.
pub(crate) fn cut(text: &str, most: usize) -> (&str, usize) {
    if text.len() <= most {
        return (text, 0);
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], text.len() - end)
}

/// A number of things, with spaces between thousands.
pub(crate) fn count(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", number(n))
}

/// A number with spaces between thousands.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut spaced = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            spaced.push(' ');
        }
        spaced.push(digit);
    }
    spaced
}

/// A number of bytes in the unit that a person would use.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => count(bytes, "byte"),
        10_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A duration with three digits.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
    }
}

/// The styles of what is shown, all plain where there are to be no colours.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paint {
    /// The mark before a message that came.
    pub(crate) incoming: Style,
    /// What the program says of itself.
    pub(crate) note: Style,
    /// What went wrong.
    pub(crate) error: Style,
    /// What was good to hear.
    pub(crate) good: Style,
    /// What was written out in place of a control.
    pub(crate) escape: Style,
}

impl Paint {
    /// The styles, if there are to be any.
    pub(crate) fn new(colours: bool) -> Self {
        if !colours {
            return Paint::default();
        }
        Paint {
            incoming: AnsiColor::Cyan.on_default().bold(),
            note: Style::new().dimmed(),
            error: AnsiColor::Red.on_default(),
            good: AnsiColor::Green.on_default().bold(),
            escape: AnsiColor::Yellow.on_default(),
        }
    }
}

fn escaped(text: &str, style: Style, stays: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) || !is_hidden(c) {
            escaped.push(c);
            continue;
        }
        let _ = match c {
            '\n' => write!(escaped, "{style}\\n{style:#}"),
            '\r' => write!(escaped, "{style}\\r{style:#}"),
            '\t' => write!(escaped, "{style}\\t{style:#}"),
            '\0'..='\u{ff}' => write!(escaped, "{style}\\x{:02x}{style:#}", u32::from(c)),
            c => write!(escaped, "{style}\\u{{{:x}}}{style:#}", u32::from(c)),
        };
    }
    escaped
}

/// Controls, what changes the direction of text, and what has no shape of its own: the categories Cc, Cf, Zl
/// and Zp of Unicode, and what else it says to ignore by default. The selector of colour in emoji (U+FE0F) hides
/// nothing and is common.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{13455}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Paint = Paint {
        incoming: Style::new(),
        note: Style::new(),
        error: Style::new(),
        good: Style::new(),
        escape: Style::new(),
    };

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        for (text, shown) in [
            ("\u{1b}[2J", "\\x1b[2J"),
            ("\u{9b}31m\u{7f}\u{7}", "\\x9b31m\\x7f\\x07"),
            ("a\tb\nc\r", "a\\tb\\nc\\r"),
            ("abc\u{202e}def\u{2066}", "abc\\u{202e}def\\u{2066}"),
            (
                "\u{200b}\u{feff}\u{e0041}\u{ad}",
                "\\u{200b}\\u{feff}\\u{e0041}\\xad",
            ),
            (
                "gr\u{fc}\u{df}e \u{4f60}\u{597d} \u{2764}\u{fe0f}",
                "gr\u{fc}\u{df}e \u{4f60}\u{597d} \u{2764}\u{fe0f}",
            ),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn a_block_keeps_its_lines_and_tabs_and_shows_its_last_end() {
        assert_eq!(block("a\tb\nc", "  ", &PLAIN), "a\tb\n  c");
        assert_eq!(block("a\r\nb\n", "", &PLAIN), "a\\r\nb\\n");
        assert_eq!(block("", "  ", &PLAIN), "");
    }

    #[test]
    fn bytes_are_dumped_in_rows_of_sixteen_and_cut() {
        let bytes: Vec<u8> = (0x3c..0x50).collect();
        let expected = "  00000000  3c 3d 3e 3f 40 41 42 43  44 45 46 47 48 49 4a 4b  |<=>?@ABCDEFGHIJK|\n  \
                        00000010  4c 4d 4e 4f                                       |LMNO|\n";
        assert_eq!(dump(&bytes, 100, "  ", &PLAIN), expected);
        assert_eq!(
            dump(&bytes, 1, "", &PLAIN),
            format!("00000000  3c{}|<|\n\u{2026} and 19 bytes\n", " ".repeat(48))
        );
        assert_eq!(dump(&[], 1, "", &PLAIN), "");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(number(1_234_567), "1 234 567");
        assert_eq!(
            (count(1, "byte"), count(0, "byte")),
            ("1 byte".into(), "0 bytes".into())
        );
        assert_eq!(
            (size(9_999), size(1_250_000)),
            ("9 999 bytes".into(), "1.2 MB".into())
        );
        let times = [
            (7, "7 \u{b5}s"),
            (1_500, "1.5 ms"),
            (2_340_000, "2.3 s"),
            (95_000_000, "1 min 35 s"),
        ];
        for (micros, shown) in times {
            assert_eq!(duration(Duration::from_micros(micros)), shown);
        }
    }

    /// Characters that are likely to be hidden, beside any.
    fn hostile() -> impl Strategy<Value = String> {
        let likely = prop_oneof![
            any::<char>(),
            (0u32..0x100).prop_map(|c| char::from_u32(c).unwrap()),
            (0x2000u32..0x2070).prop_map(|c| char::from_u32(c).unwrap()),
            (0xe0000u32..0xe0200).prop_map(|c| char::from_u32(c).unwrap()),
        ];
        proptest::collection::vec(likely, 0..50).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_ever_shown(text in hostile()) {
            prop_assert!(!line(&text).chars().any(is_hidden));
            let shown = block(&text, "  ", &PLAIN);
            prop_assert!(!shown.chars().any(|c| is_hidden(c) && c != '\t' && c != '\n'));
            // The styles are the only controls where there are colours.
            let mut coloured = styled_line(&text, &Paint::new(true));
            for style in ["\u{1b}[33m", "\u{1b}[0m"] {
                coloured = coloured.replace(style, "");
            }
            prop_assert_eq!(coloured, line(&text));
        }

        #[test]
        fn a_dump_has_only_what_is_printed(bytes in any::<Vec<u8>>(), most in 0usize..40) {
            let dump = dump(&bytes, most, "", &PLAIN);
            prop_assert!(!dump.chars().any(|c| is_hidden(c) && c != '\n'));
            prop_assert_eq!(dump.lines().count(), most.min(bytes.len()).div_ceil(16) + usize::from(bytes.len() > most));
        }

        #[test]
        fn a_cut_loses_nothing(text in any::<String>(), most in 0usize..20) {
            let (kept, rest) = cut(&text, most);
            prop_assert!(text.starts_with(kept) && kept.len() + rest == text.len() && kept.len() <= most);
        }
    }
}
