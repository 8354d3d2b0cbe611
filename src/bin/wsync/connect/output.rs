//! Messages on standard output.

use crate::show::{self, Paint};
use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use data_encoding::{BASE64, HEXLOWER};
use serde::Serialize;
use std::io::{self, IsTerminal, StdoutLock, Write, stdout};
use std::time::{SystemTime, UNIX_EPOCH};
use wsync::Message;

/// How binary messages are written.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryAs {
    /// As they are, with nothing between them
    Raw,
    /// A line of hexadecimal digits each
    Hex,
    /// A line of base64 each
    Base64,
}

/// Writes messages.
pub(super) struct Output {
    out: io::BufWriter<StdoutLock<'static>>,
    form: Form,
    binary_as: BinaryAs,
}

enum Form {
    Plain,
    Json,
    /// For the eyes: nothing of a message acts on the terminal.
    Shown(Paint),
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'a str,
    data: &'a str,
    time: f64,
}

impl Output {
    pub(super) fn new(json: bool, binary_as: Option<BinaryAs>, otherwise: BinaryAs) -> Self {
        let colours = AutoStream::choice(&stdout()) != ColorChoice::Never;
        Output {
            out: io::BufWriter::new(stdout().lock()),
            form: match json {
                true => Form::Json,
                false if stdout().is_terminal() && binary_as.is_none() => {
                    Form::Shown(Paint::new(colours))
                }
                false => Form::Plain,
            },
            binary_as: binary_as.unwrap_or(otherwise),
        }
    }

    pub(super) fn write(&mut self, message: &Message) -> io::Result<()> {
        match (&self.form, message) {
            (Form::Json, message) => self.json(message),
            (Form::Shown(paint), Message::Text(text)) => {
                writeln!(self.out, "{}", show::block(text, "", paint))
            }
            (Form::Shown(paint), Message::Binary(bytes)) => {
                write!(self.out, "{}", show::dump(bytes, usize::MAX, "", paint))
            }
            (Form::Plain, Message::Text(text)) => writeln!(self.out, "{}", text.as_str()),
            (Form::Plain, Message::Binary(bytes)) => match self.binary_as {
                BinaryAs::Raw => self.out.write_all(bytes),
                BinaryAs::Hex => writeln!(self.out, "{}", HEXLOWER.encode(bytes)),
                BinaryAs::Base64 => writeln!(self.out, "{}", BASE64.encode(bytes)),
            },
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn json(&mut self, message: &Message) -> io::Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let base64;
        let (r#type, data) = match message {
            Message::Text(text) => ("text", text.as_str()),
            Message::Binary(bytes) => {
                base64 = BASE64.encode(bytes);
                ("binary", base64.as_str())
            }
        };
        let time = now.as_micros() as f64 / 1e6;
        serde_json::to_writer(&mut self.out, &Line { r#type, data, time })?;
        self.out.write_all(b"\n")
    }
}
