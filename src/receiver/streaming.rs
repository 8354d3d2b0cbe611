//! Receiving a message in pieces while it arrives.

use super::Receiver;
use crate::config;
use crate::error::{Error, RecvError, Timeout};
use crate::message::MessageKind;
use crate::queue::{Begun, Empty, Next};
use bytes::Bytes;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::time::{Duration, Instant};

impl Receiver {
    /// The next message, to be read in pieces: while it arrives, if it is longer than
    /// [`Config::stream_above`](crate::Config::stream_above) and does not come at once. The queue
    /// holds no more of it than its bounds allow, then the peer feels it.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Blocking
    ///
    /// As [`recv`](Self::recv), until the message begins. Other receive calls wait until the reader
    /// has come to its end or is dropped, since the messages behind it are theirs.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, Config};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.send(vec![7; 4 << 20]))));
    /// # let path = std::env::temp_dir().join(format!("backup-{}", std::process::id()));
    /// let mut config = Config::client();
    /// config.limits.message = 10 << 30;
    /// config.stream_above = Some(1 << 20);
    /// let ws = ClientBuilder::new(&url).config(config).connect()?;
    /// let mut file = std::fs::File::create(&path)?;
    /// let length = std::io::copy(&mut ws.recv_streaming()?, &mut file)?;
    /// # std::fs::remove_file(path)?;
    /// # assert_eq!(length, 4 << 20);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn recv_streaming(&self) -> Result<MessageReader<'_>, RecvError> {
        let queue = self.connection().queue();
        let mut begun = queue.begin_pieces(Some(Instant::now()));
        if matches!(begun, Err(Empty::Now)) {
            self.before_waiting();
            begun = queue.begin_pieces(self.until(None));
        }
        let (kind, next) = match begun.map_err(|_| RecvError(self.end_error()))? {
            Begun::Whole(message) => (message.kind(), Next::Last(message.into_bytes())),
            Begun::InPieces { kind, next } => (kind, next),
        };
        let mut reader = MessageReader {
            receiver: self,
            kind,
            timeout: None,
            piece: Bytes::new(),
            progress: Progress::Open,
        };
        reader.accept(next);
        Ok(reader)
    }
}

/// A message that is read while it arrives: an [`io::Read`], or [`pieces`](Self::pieces) of it.
///
/// When the connection ends before the message does, what had come is read first, and then each read
/// fails with why. A receive call in the thread that holds the reader waits for itself.
///
/// Dropped before the end of the message, it skips the rest of this message, and counts its bytes as
/// dropped.
///
/// # Examples
///
/// ```
/// use std::io::BufRead;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, receiver) = wsync::connect(&url)?.split();
/// sender.send("first\nsecond\n")?;
/// let lines: Vec<String> = receiver.recv_streaming()?.lines().collect::<Result<_, _>>()?;
/// assert_eq!(lines, ["first", "second"]);
/// # Ok::<(), wsync::Error>(())
/// ```
pub struct MessageReader<'a> {
    receiver: &'a Receiver,
    kind: MessageKind,
    timeout: Option<Duration>,
    /// What came and was not read.
    piece: Bytes,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// More is to come, and for this reader only.
    Open,
    Whole,
    /// The message ended before its end.
    Failed,
}

impl<'a> MessageReader<'a> {
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
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send(vec![1, 2, 3])?;
    /// assert_eq!(receiver.recv_streaming()?.kind(), MessageKind::Binary);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Sets how long a read waits for the next piece; then it fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut), loses nothing and can be tried again. Defaults to
    /// `None`: until [`Timeouts::message`](crate::Timeouts::message), which counts from piece to piece
    /// here, fails the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use std::time::Duration;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send("hello")?;
    /// let mut reader = receiver.recv_streaming()?;
    /// reader.set_timeout(Some(Duration::from_secs(5)));
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text)?;
    /// assert_eq!(text, "hello");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// What came, piece by piece, without copying it. A piece is what came since the one before; of a
    /// text, it may end within a character. Each step waits as a read does; after a timeout the iteration can
    /// go on.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send(vec![0; 1000])?;
    /// let mut length = 0;
    /// for piece in receiver.recv_streaming()?.pieces() {
    ///     length += piece?.len();
    /// }
    /// assert_eq!(length, 1000);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn pieces(self) -> Pieces<'a> {
        Pieces {
            reader: self,
            ended: false,
        }
    }

    /// The next bytes that came; `None` at the end of the message.
    fn next_piece(&mut self) -> Result<Option<Bytes>, Error> {
        let deadline = config::deadline(Instant::now(), self.timeout);
        while self.piece.is_empty() {
            match self.progress {
                Progress::Open => self.wait_for_piece(deadline)?,
                Progress::Whole => return Ok(None),
                // A close tears a message before the connection has ended.
                Progress::Failed if self.receiver.connection().wait_for_end(deadline) => {
                    return Err(self.receiver.end_error());
                }
                Progress::Failed => return Err(Error::Timeout(Timeout::Recv)),
            }
        }
        Ok(Some(std::mem::take(&mut self.piece)))
    }

    fn wait_for_piece(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        let queue = self.receiver.connection().queue();
        let mut next = queue.next_piece(Some(Instant::now()));
        if matches!(next, Err(Empty::Now)) {
            self.receiver.before_waiting();
            next = queue.next_piece(self.receiver.until(deadline));
        }
        match next {
            Ok(next) => self.accept(next),
            Err(Empty::Now) => return Err(Error::Timeout(Timeout::Recv)),
            Err(Empty::ForEver) => {
                queue.abandon_pieces();
                self.progress = Progress::Failed;
            }
        }
        Ok(())
    }

    fn accept(&mut self, next: Next) {
        (self.piece, self.progress) = match next {
            Next::Piece(piece) => (piece, Progress::Open),
            Next::Last(piece) => (piece, Progress::Whole),
            Next::Torn => (Bytes::new(), Progress::Failed),
        };
    }
}

impl fmt::Debug for MessageReader<'_> {
    /// Nothing of the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReader")
            .field("kind", &self.kind)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// The iterator of [`MessageReader::pieces`].
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, receiver) = wsync::connect(&url)?.split();
/// sender.send(vec![7; 10])?;
/// let mut pieces = receiver.recv_streaming()?.pieces();
/// assert_eq!(pieces.next().transpose()?.as_deref(), Some(&[7; 10][..]));
/// assert!(pieces.next().is_none());
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug)]
pub struct Pieces<'a> {
    reader: MessageReader<'a>,
    /// An error was told after which nothing comes.
    ended: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.reader.next_piece();
        self.ended = match &next {
            Err(error) => !matches!(error, Error::Timeout(Timeout::Recv)),
            Ok(_) => false,
        };
        next.transpose()
    }
}

impl BufRead for MessageReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(piece) = self.next_piece()? {
            self.piece = piece;
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        let _ = self.piece.split_to(amount.min(self.piece.len()));
    }
}

impl Read for MessageReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl Drop for MessageReader<'_> {
    fn drop(&mut self) {
        if self.progress == Progress::Open {
            self.receiver.connection().queue().abandon_pieces();
        }
    }
}
