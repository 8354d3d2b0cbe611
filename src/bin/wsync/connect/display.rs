//! What threads want to have shown.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// Hands text to the thread that has the terminal, in the order in which it is given. While much waits there,
/// whoever shows something waits, too.
#[derive(Debug)]
pub(super) struct Display {
    texts: Sender<String>,
    wake: UnixStream,
}

/// The other side.
#[derive(Debug)]
pub(super) struct Texts {
    texts: Receiver<String>,
    /// Readable while there may be texts.
    pub(super) woken: UnixStream,
}

/// Texts that wait.
const WAITING: usize = 8;

pub(super) fn display() -> io::Result<(Display, Texts)> {
    let (texts, waiting) = bounded(WAITING);
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((
        Display { texts, wake },
        Texts {
            texts: waiting,
            woken,
        },
    ))
}

impl Display {
    pub(super) fn print(&self, mut text: String) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        // Nobody is there to see it when the program ends.
        let _ = self.texts.send(text);
        self.wake();
    }

    /// Lets the other side look around.
    pub(super) fn wake(&self) {
        // If there is no room, there is enough to wake by.
        let _ = (&self.wake).write(&[0]);
    }
}

impl Texts {
    /// All that waits now.
    pub(super) fn take(&self) -> String {
        let mut bytes = [0; 64];
        loop {
            match (&self.woken).read(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.texts.try_iter().take(WAITING).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}
