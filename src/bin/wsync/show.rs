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
pub(crate) fn dump(bytes: &[u8], most: usize, indent: &str) -> String {
    let mut dump = String::new();
    let shown = &bytes[..bytes.len().min(most)];
    for (n, row) in shown.chunks(16).enumerate() {
        let _ = write!(dump, "{indent}{:08x} ", n * 16);
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
        let _ = writeln!(dump, "  |{}|", ascii.collect::<String>());
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
            error: AnsiColor::Red.on_default().bold(),
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
