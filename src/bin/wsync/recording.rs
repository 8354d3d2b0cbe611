//! The format of recordings: JSON Lines. The first line is a [`Header`], each of the others an [`Entry`].
//!
//! ```text
//! {"wsync_recording":1,"url":"ws://127.0.0.1:9000/feed","time":"2026-01-31T12:00:00.000000Z","subprotocol":null}
//! {"at":0.000512,"kind":"text","data":"hello"}
//! {"at":1.204000,"kind":"binary","data":"AAEC"}
//! {"at":2.000731,"kind":"close","code":1000,"reason":"done"}
//! ```
//!
//! `at` counts seconds from the moment in which the connection was open. The last line tells how it ended:
//! `close` with what the peer sent, `error` with what went wrong, or `stop` when the recording was ended.
//! Keys that a reader does not know are for it to pass over.

use crate::failure::Failure;
use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;
use wsync::{CloseCode, CloseFrame, Message, Misuse};

/// The version that is written; others are not read.
pub(crate) const VERSION: u32 = 1;

/// What was recorded.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) wsync_recording: u32,
    /// Without user name and password.
    pub(crate) url: String,
    pub(crate) time: String,
    pub(crate) subprotocol: Option<String>,
}

/// Something that happened, and when.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(with = "seconds")]
    pub(crate) at: Duration,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum What {
    Text {
        data: String,
    },
    Binary {
        #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
        data: Vec<u8>,
    },
    Close {
        code: u16,
        reason: String,
    },
    Error {
        error: String,
    },
    Stop,
}

impl What {
    pub(crate) fn message(message: &Message) -> Self {
        match message {
            Message::Text(text) => What::Text {
                data: text.to_string(),
            },
            Message::Binary(bytes) => What::Binary {
                data: bytes.to_vec(),
            },
        }
    }

    /// Whether it can be sent.
    fn check(&self) -> Result<(), Misuse> {
        match self {
            What::Close { code, reason } if *code != u16::from(CloseCode::NO_STATUS) => {
                CloseFrame::new(*code, reason.as_str()).map(drop)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn close(frame: &CloseFrame) -> Self {
        What::Close {
            code: frame.code.into(),
            reason: frame.reason.to_string(),
        }
    }
}

/// A recording in memory.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) header: Header,
    pub(crate) entries: Vec<Entry>,
    /// The line that was cut off, if the last one was.
    pub(crate) cut_off: Option<usize>,
}

impl Recording {
    /// Reads a file, or standard input for `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let read = |lines: &mut dyn BufRead| Recording::parse(path, lines);
        match path.to_str() {
            Some("-") => read(&mut io::stdin().lock()),
            _ => read(&mut BufReader::new(
                File::open(path).map_err(|e| Failure::file(path, &e))?,
            )),
        }
    }

    fn parse(path: &Path, lines: &mut dyn BufRead) -> Result<Self, Failure> {
        let mut lines = Lines {
            path,
            lines,
            number: 0,
        };
        let header = match lines.next::<Header>()? {
            Line::Whole(header) if header.wsync_recording == VERSION => header,
            Line::Whole(header) => {
                let version = header.wsync_recording;
                return Err(lines.wrong(format!("version {version}, {VERSION} is known")));
            }
            Line::CutOff | Line::End => return Err(lines.wrong("no recording")),
        };
        let mut recording = Recording {
            header,
            entries: Vec::new(),
            cut_off: None,
        };
        loop {
            match lines.next::<Entry>()? {
                Line::Whole(entry) => {
                    entry.what.check().map_err(|e| lines.wrong(e.to_string()))?;
                    recording.entries.push(entry);
                }
                Line::CutOff => recording.cut_off = Some(lines.number),
                Line::End => return Ok(recording),
            }
        }
    }
}

struct Lines<'a> {
    path: &'a Path,
    lines: &'a mut dyn BufRead,
    number: usize,
}

enum Line<T> {
    Whole(T),
    /// The last one, without its end.
    CutOff,
    End,
}

impl Lines<'_> {
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Line<T>, Failure> {
        let mut line = Vec::new();
        let read = self.lines.read_until(b'\n', &mut line);
        if read.map_err(|e| Failure::file(self.path, &e))? == 0 {
            return Ok(Line::End);
        }
        self.number += 1;
        match serde_json::from_slice(&line) {
            Ok(value) => Ok(Line::Whole(value)),
            Err(_) if line.last() != Some(&b'\n') => Ok(Line::CutOff),
            Err(error) => Err(self.wrong(without_place(&error))),
        }
    }

    fn wrong(&self, what: impl AsRef<str>) -> Failure {
        let (path, number, what) = (self.path.display(), self.number.max(1), what.as_ref());
        Failure::Usage(format!("{path}, line {number}: {what}"))
    }
}

/// Its line would be the first of one.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// Writes a line, which is on its way to the file afterwards.
pub(crate) fn write_line(to: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    to.write_all(&text)
}

fn to_base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(data))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bad = |error| D::Error::custom(format!("data that is not base64: {error}"));
    BASE64.decode(text.as_bytes()).map_err(bad)
}

/// Seconds with up to six digits behind the point.
mod seconds {
    use super::*;

    pub(super) fn serialize<S: Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(at.as_micros() as f64 / 1e6)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|e| D::Error::custom(format!("at {seconds}: {e}")))
    }
}
