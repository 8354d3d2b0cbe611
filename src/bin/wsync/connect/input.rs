//! Standard input, on its way to the server.

use super::link::Link;
use crate::failure::Failure;
use std::io::{self, BufRead, ErrorKind, Read, Write, stdin};
use wsync::{Error, Message, MessageKind, Misuse};

/// What goes into one message at most, where the reads of standard input decide.
const CHUNK: usize = 64 << 10;

/// Sends each line as a text message.
pub(super) fn lines(link: &Link) -> Result<(), Failure> {
    let mut input = stdin().lock();
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let text = String::from_utf8(line).map_err(|_| not_text())?;
        if link.send(text.into()).is_err() {
            return Ok(());
        }
    }
}

/// Sends what each read brings as a binary message.
pub(super) fn chunks(link: &Link) -> Result<(), Failure> {
    let (mut input, mut buffer) = (stdin().lock(), vec![0; CHUNK]);
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(unreadable(e)),
        };
        if link.send(Message::from(buffer[..read].to_vec())).is_err() {
            return Ok(());
        }
    }
}

/// Sends all as one message, while it comes.
pub(super) fn whole(link: &Link, kind: MessageKind) -> Result<(), Failure> {
    let Some((ws, _)) = link.connection(0) else {
        return Ok(());
    };
    let sent = ws.send_streaming(kind).and_then(|mut writer| {
        let (mut input, mut buffer) = (stdin().lock(), vec![0; CHUNK]);
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return writer.finish(),
                Ok(read) => writer.write_all(&buffer[..read])?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    });
    match sent {
        Err(Error::Misuse(Misuse::Utf8)) => Err(not_text()),
        // Of the connection tells who receives.
        _ => Ok(()),
    }
}

fn not_text() -> Failure {
    Failure::Usage("standard input is not UTF-8, which text has to be: --binary sends it".into())
}

fn unreadable(error: io::Error) -> Failure {
    Failure::Usage(format!("standard input: {error}"))
}
