//! Errors of single calls, each around an [`Error`].

use super::{Error, Timeout};
use crate::message::Message;
use std::fmt;

/// A send that failed: why, and the message, which was not sent.
///
/// `?` turns it into an [`Error`].
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// ws.close()?;
/// let error = ws.send("too late").unwrap_err();
/// assert_eq!(error.error.kind(), "closed");
/// assert_eq!(error.message, Some("too late".into()));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SendError {
    /// Why.
    pub error: Error,
    /// The message, to be sent elsewhere or again. `None` when part of it was on the wire already,
    /// which ended the connection.
    pub message: Option<Message>,
}

/// [`try_send`](crate::Sender::try_send) did not send, and hands the message back.
///
/// # Examples
///
/// ```
/// use wsync::TrySendError;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, _receiver) = wsync::connect(&url)?.split();
/// sender.close()?;
/// match sender.try_send("too late") {
///     Err(TrySendError::Closed(why, message)) => println!("{message:?} was not sent: {why}"),
///     result => unreachable!("{result:?}"),
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum TrySendError {
    /// There is no room now: the peer does not read as fast as is sent, or a message in pieces is being sent.
    Full(Message),
    /// The connection has ended or is closing, and why.
    Closed(Error, Message),
}

/// [`recv`](crate::WebSocket::recv) failed: nothing is queued and nothing will come any more.
///
/// # Examples
///
/// ```
/// use wsync::{Error, RecvError};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// ws.close()?;
/// let RecvError(why) = ws.recv().unwrap_err();
/// assert!(matches!(why, Error::Closed(_)));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RecvError(
    /// Why: [`Error::Closed`] after a closing handshake, else what ended the connection.
    pub Error,
);

/// [`try_recv`](crate::WebSocket::try_recv) found nothing.
///
/// # Examples
///
/// ```
/// use wsync::TryRecvError;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// assert!(matches!(ws.try_recv(), Err(TryRecvError::Empty)), "nothing was sent");
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum TryRecvError {
    /// Nothing is queued now.
    Empty,
    /// Nothing is queued and nothing will come any more, and why.
    Closed(Error),
}

/// [`recv_timeout`](crate::WebSocket::recv_timeout) received nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wsync::RecvTimeoutError;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// let result = ws.recv_timeout(Duration::from_millis(1));
/// assert!(matches!(result, Err(RecvTimeoutError::Timeout)));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum RecvTimeoutError {
    /// Nothing came in time.
    Timeout,
    /// Nothing is queued and nothing will come any more, and why.
    Closed(Error),
}

/// [`recv_or`](crate::WebSocket::recv_or) received nothing.
///
/// # Examples
///
/// ```
/// use wsync::{CancelToken, RecvOrError};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// let stop = CancelToken::new();
/// stop.cancel();
/// assert!(matches!(ws.recv_or(&stop), Err(RecvOrError::Stopped)));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum RecvOrError {
    /// It was told to stop.
    Stopped,
    /// Nothing is queued and nothing will come any more, and why.
    Closed(Error),
}

/// Errors around an [`Error`]: `From` into it, text and source through it.
macro_rules! wrapping_error {
    ($name:ident, $self:ident, $error:expr, { $($pattern:pat => $text:literal,)* }) => {
        impl From<$name> for Error {
            fn from($self: $name) -> Self {
                $error
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                #[allow(unreachable_patterns)]
                match self {
                    $($pattern => f.write_str($text),)*
                    other => Error::from(other.clone()).fmt(f),
                }
            }
        }

        impl std::error::Error for $name {}
    };
}

wrapping_error!(SendError, e, e.error, {});
wrapping_error!(RecvError, e, e.0, {});
wrapping_error!(TrySendError, e, match e {
    TrySendError::Full(_) => Error::Timeout(Timeout::Send),
    TrySendError::Closed(error, _) => error,
}, {
    TrySendError::Full(_) => "there is no room for the message",
});

wrapping_error!(TryRecvError, e, match e {
    TryRecvError::Empty => Error::Timeout(Timeout::Recv),
    TryRecvError::Closed(error) => error,
}, { TryRecvError::Empty => "no message is queued", });
wrapping_error!(
    RecvTimeoutError,
    e,
    match e {
        RecvTimeoutError::Timeout => Error::Timeout(Timeout::Recv),
        RecvTimeoutError::Closed(error) => error,
    },
    {}
);
wrapping_error!(
    RecvOrError,
    e,
    match e {
        RecvOrError::Stopped => Error::Stopped,
        RecvOrError::Closed(error) => error,
    },
    {}
);
