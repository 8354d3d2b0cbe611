//! A message that is written piece by piece.

use crate::connection::Fragments;
use crate::error::{Error, Misuse};
use crate::message::MessageKind;
use crate::protocol::{Part, Utf8};
use std::fmt;
use std::io::{self, Write};

/// Sends one message in fragments (RFC 6455 section 5.4), of which its bytes need not be there at once:
/// from [`Sender::send_streaming`](crate::Sender::send_streaming).
///
/// Bytes are collected to pieces of [`Config::fragment_size`](crate::Config::fragment_size), at most
/// 64 KiB. A full piece goes out as a fragment when more bytes follow it, what has been collected by
/// then with [`flush`](Write::flush), and the rest with [`finish`](Self::finish). A message that fits
/// into one piece, and was not flushed, is one frame without fragments. Text must be UTF-8 as a
/// whole; a character may be cut by writes and by fragments.
///
/// Where compression was agreed on, pieces are compressed on their way: a fragment may then bring less
/// or more than one of them, and [`flush`](Write::flush) lets the peer read all that was written. With
/// context takeover other messages wait from the first piece that is compressed, sent or not.
///
/// # Other messages
///
/// Pings, pongs and the Close frame go between the fragments. Other messages, which the protocol
/// keeps out, wait from the first fragment to `finish`, each for
/// [`Timeouts::send`](crate::Timeouts::send) at most. So a thread that sends another message
/// between the fragments of its own writer waits in vain, and gets [`Error::Timeout`].
///
/// # Dropping
///
/// Only `finish` ends the message. A writer that is dropped without, or whose `finish` has failed,
/// leaves the connection alone if no fragment was sent. Otherwise the message can neither be taken
/// back nor ended, so that the connection is failed: a Close frame with 1011 (internal error) is
/// sent, without waiting, and who waits to send gets [`Error::Closed`] at once.
///
/// # Examples
///
/// ```
/// use wsync::MessageKind;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, receiver) = wsync::connect(&url)?.split();
/// let mut file = std::fs::File::open("Cargo.toml")?;
/// let mut writer = sender.send_streaming(MessageKind::Binary)?;
/// let length = std::io::copy(&mut file, &mut writer)?;
/// writer.finish()?;
/// assert_eq!(receiver.recv()?.len() as u64, length);
/// # Ok::<(), wsync::Error>(())
/// ```
pub struct MessageWriter<'a> {
    fragments: Fragments<'a>,
    /// What no fragment has yet: no more than a piece.
    collected: Vec<u8>,
    /// Over all that was written, if it is text.
    utf8: Utf8,
}

impl<'a> MessageWriter<'a> {
    pub(crate) fn new(fragments: Fragments<'a>) -> Self {
        MessageWriter {
            fragments,
            collected: Vec::new(),
            utf8: Utf8::default(),
        }
    }

    /// Whether the message is text or binary.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::MessageKind;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, _receiver) = wsync::connect(&url)?.split();
    /// let writer = sender.send_streaming(MessageKind::Text)?;
    /// assert_eq!(writer.kind(), MessageKind::Text);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn kind(&self) -> MessageKind {
        self.fragments.kind()
    }

    /// Sends what is left as the last fragment, or the whole message in one frame if no fragment was sent
    /// before.
    ///
    /// # Errors
    ///
    /// [`Misuse::Utf8`] for text that ends within a character, else as
    /// [`Sender::send`](crate::Sender::send). After an error the message is given up, as by a drop: the
    /// connection is failed if a fragment was sent. To be able to try again after a timeout, call
    /// [`flush`](Write::flush) before: little is then left that can fail.
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`](crate::Sender::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use wsync::MessageKind;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// let mut writer = sender.send_streaming(MessageKind::Text)?;
    /// writer.write_all("caf".as_bytes())?;
    /// writer.flush()?; // The first fragment.
    /// writer.write_all("é".as_bytes())?;
    /// writer.finish()?; // The last.
    /// assert_eq!(receiver.recv()?.as_text(), Some("café"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn finish(mut self) -> Result<(), Error> {
        self.utf8.finish().map_err(|_| Misuse::Utf8)?;
        self.fragments.send(&mut self.collected, Part::Last)
    }

    /// Goes on with the check of UTF-8, unless the bytes are wrong.
    fn check_text(&mut self, bytes: &[u8]) -> Result<(), Misuse> {
        if self.kind() == MessageKind::Text {
            let mut utf8 = self.utf8.clone();
            utf8.receive(bytes).map_err(|_| Misuse::Utf8)?;
            self.utf8 = utf8;
        }
        Ok(())
    }
}

impl Write for MessageWriter<'_> {
    /// Takes bytes up to the end of a piece. If one is full, it is sent before.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send`](crate::Sender::send) as `io::Error`, from which `?` makes an [`Error`]
    /// again: `NotConnected` for [`Error::Closed`], `TimedOut` for [`Error::Timeout`]; and `InvalidData`
    /// for [`Misuse::Utf8`]. None of `bytes` is then taken. After a timeout with the connection still
    /// open nothing is lost of what was taken before, and the call may be repeated; `write_all` does
    /// not tell how much it had taken.
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`](crate::Sender::send) when a piece is full, and for its first fragment while
    /// another message is being sent in fragments; otherwise not.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fragments.check()?;
        let piece = self.fragments.piece();
        if self.collected.len() >= piece && !bytes.is_empty() {
            self.fragments.send(&mut self.collected, Part::More)?;
        }
        let taken = bytes.len().min(piece - self.collected.len());
        let taken = bytes.get(..taken).unwrap_or_default();
        self.check_text(taken).map_err(Error::from)?;
        self.collected.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Sends what is collected, if anything is, as a fragment.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`](crate::Sender::send), and for the first fragment while another message is being
    /// sent in fragments.
    fn flush(&mut self) -> io::Result<()> {
        self.fragments.check()?;
        if !self.collected.is_empty() || self.fragments.is_owing() {
            self.fragments.send(&mut self.collected, Part::Flush)?;
        }
        Ok(())
    }
}

impl fmt::Debug for MessageWriter<'_> {
    /// Shows the kind and how much is collected, never the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter")
            .field("kind", &self.kind())
            .field("collected", &self.collected.len())
            .finish_non_exhaustive()
    }
}
