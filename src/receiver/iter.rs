//! Receiving in iterations.

use super::Receiver;
use crate::error::Error;
use crate::message::Message;
use crate::queue::Empty;
use std::fmt;

impl Receiver {
    /// Messages until the connection ends. An abnormal end is the last item; a normal one just ends
    /// the iteration, and [`closed`](Self::closed) tells how.
    ///
    /// # Blocking
    ///
    /// Each step as [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["a", "b", "c"])?;
    /// for message in receiver.iter().take(3) {
    ///     println!("{:?}", message?.as_text());
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            receiver: self,
            ended: false,
        }
    }

    /// The messages that are queued, without waiting. An abnormal end is the last item.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send_all(["a", "b", "c"])?;
    /// let first = receiver.recv()?;
    /// for message in receiver.try_iter() {
    ///     println!("{:?} was there already", message?);
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn try_iter(&self) -> TryIter<'_> {
        TryIter {
            receiver: self,
            ended: false,
        }
    }

    fn next(&self, ended: &mut bool) -> Option<Result<Message, Error>> {
        match self.take(None) {
            _ if *ended => None,
            Ok(message) => Some(Ok(message)),
            Err(_) => self.end_once(ended),
        }
    }

    fn try_next(&self, ended: &mut bool) -> Option<Result<Message, Error>> {
        match self.try_take() {
            _ if *ended => None,
            Ok(message) => Some(Ok(message)),
            Err(Empty::Now) => None,
            Err(Empty::ForEver) => self.end_once(ended),
        }
    }
}

/// The iterator of [`Receiver::iter`].
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, receiver) = wsync::connect(&url)?.split();
/// sender.send_all(["1", "2", "3"])?;
/// let first: Vec<_> = receiver.iter().take(2).collect::<Result<_, _>>()?;
/// assert_eq!(first, ["1".into(), "2".into()]);
/// assert_eq!(receiver.recv()?.as_text(), Some("3"));
/// # Ok::<(), wsync::Error>(())
/// ```
pub struct Iter<'a> {
    receiver: &'a Receiver,
    ended: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.next(&mut self.ended)
    }
}

/// The iterator of [`Receiver::try_iter`].
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (_sender, receiver) = wsync::connect(&url)?.split();
/// assert_eq!(receiver.try_iter().count(), 0, "nothing is there");
/// # Ok::<(), wsync::Error>(())
/// ```
pub struct TryIter<'a> {
    receiver: &'a Receiver,
    ended: bool,
}

impl Iterator for TryIter<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.try_next(&mut self.ended)
    }
}

/// The iterator of `for message in receiver`. Dropping it drops the receiver.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, receiver) = wsync::connect(&url)?.split();
/// sender.send_all(["1", "2"])?;
/// sender.close()?;
/// for message in receiver {
///     println!("{:?}", message?.as_text());
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
pub struct IntoIter {
    receiver: Receiver,
    ended: bool,
}

impl Iterator for IntoIter {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.next(&mut self.ended)
    }
}

impl IntoIterator for Receiver {
    type Item = Result<Message, Error>;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter {
            receiver: self,
            ended: false,
        }
    }
}

impl<'a> IntoIterator for &'a Receiver {
    type Item = Result<Message, Error>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

macro_rules! debug_by_name {
    ($($iterator:ty),*) => {$(
        impl fmt::Debug for $iterator {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($iterator)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_name!(Iter<'_>, TryIter<'_>, IntoIter);
