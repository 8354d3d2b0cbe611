//! Receiving in async programs.

use super::Receiver;
use super::stop::Registered;
use crate::error::Error;
use crate::message::Message;
use crate::queue::Empty;
use futures_core::{FusedStream, Stream};
use std::pin::Pin;
use std::task::{Context, Poll};

impl Receiver {
    /// The messages as a stream, for any executor: the reader thread wakes the task.
    ///
    /// Dropping a future that waits for the next message loses nothing. The stream is ready as long as
    /// messages are queued: in a busy task, yield now and then. Sends are blocking calls:
    /// where they may wait for the peer, leave them to a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::StreamExt;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.send("hello"))));
    /// let (sender, receiver) = wsync::connect(&url)?.split();
    /// let mut messages = receiver.into_stream();
    /// futures_executor::block_on(async {
    ///     while let Some(message) = messages.next().await {
    ///         println!("{:?}", message?);
    ///     }
    ///     Ok::<(), wsync::Error>(())
    /// })?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn into_stream(self) -> MessageStream {
        MessageStream {
            registered: Registered::new(self.connection().queue()),
            receiver: self,
            ended: false,
        }
    }
}

/// The stream of [`Receiver::into_stream`]: messages until the connection ends. An abnormal end is
/// the last item; a normal one just ends the stream.
///
/// # Examples
///
/// ```
/// use futures_util::{StreamExt, TryStreamExt};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, receiver) = wsync::connect(&url)?.split();
/// sender.send_all(["1", "2", "3"])?;
/// let messages: Vec<_> = futures_executor::block_on(receiver.into_stream().take(3).try_collect())?;
/// assert_eq!(messages, ["1".into(), "2".into(), "3".into()]);
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug)]
pub struct MessageStream {
    receiver: Receiver,
    registered: Registered,
    ended: bool,
}

impl MessageStream {
    /// The receiver, to look into its queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::StreamExt;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let (sender, receiver) = wsync::connect(&url)?.split();
    /// sender.send("hello")?;
    /// let mut messages = receiver.into_stream();
    /// let first = futures_executor::block_on(messages.next());
    /// println!("{first:?}, {} more wait", messages.receiver().len());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }
}

impl Stream for MessageStream {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let queue = this.receiver.connection().queue();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut result = queue.try_take();
        if result == Err(Empty::Now) {
            this.receiver.connection().write_deferred();
            result = queue.poll_take(this.registered.id, cx.waker());
        }
        match result {
            Ok(message) => Poll::Ready(Some(Ok(message))),
            Err(Empty::Now) => Poll::Pending,
            Err(Empty::ForEver) => Poll::Ready(this.receiver.end_once(&mut this.ended)),
        }
    }
}

impl FusedStream for MessageStream {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}
