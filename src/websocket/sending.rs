//! Sending and closing, as the [`Sender`](crate::Sender) does.

use super::WebSocket;
use crate::close::{CloseCode, Closed};
use crate::compression::{PreparedMessage, SendOptions};
use crate::error::{Error, SendError};
use crate::message::{Message, MessageKind, Text};
use crate::message_writer::MessageWriter;

impl WebSocket {
    /// Sends a message: [`Sender::send`](crate::Sender::send).
    ///
    /// # Errors
    ///
    /// As [`Sender::send`](crate::Sender::send).
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`](crate::Sender::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send("text")?;
    /// ws.send(vec![1, 2, 3])?;
    /// assert_eq!(ws.recv()?.as_text(), Some("text"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send(message)
    }

    /// Sends a message with choices of its own: [`Sender::send_with`](crate::Sender::send_with).
    ///
    /// # Errors
    ///
    /// As [`Sender::send`](crate::Sender::send).
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`](crate::Sender::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::SendOptions;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send_with("a secret", SendOptions::new().compress(false))?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_with(
        &self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.sender.send_with(message, options)
    }

    /// Sends a message that goes to many peers: [`Sender::send_prepared`](crate::Sender::send_prepared).
    ///
    /// # Errors
    ///
    /// As [`Sender::send`](crate::Sender::send).
    ///
    /// # Blocking
    ///
    /// As [`Sender::send`](crate::Sender::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::PreparedMessage;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let news = PreparedMessage::new("for all");
    /// ws.send_prepared(&news)?;
    /// assert_eq!(&ws.recv()?, news.message());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_prepared(&self, message: &PreparedMessage) -> Result<(), SendError> {
        self.sender.send_prepared(message)
    }

    /// Puts a message into the outbox: [`Sender::feed`](crate::Sender::feed).
    ///
    /// # Errors
    ///
    /// As [`Sender::feed`](crate::Sender::feed).
    ///
    /// # Blocking
    ///
    /// As [`Sender::feed`](crate::Sender::feed).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// for n in 0..1000 {
    ///     ws.feed(format!("line {n}"))?;
    /// }
    /// ws.flush()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn feed(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.feed(message)
    }

    /// Writes the outbox: [`Sender::flush`](crate::Sender::flush).
    ///
    /// # Errors
    ///
    /// As [`Sender::flush`](crate::Sender::flush).
    ///
    /// # Blocking
    ///
    /// As [`Sender::flush`](crate::Sender::flush).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.feed("one")?;
    /// ws.flush()?;
    /// assert_eq!(ws.recv()?.as_text(), Some("one"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn flush(&self) -> Result<(), Error> {
        self.sender.flush()
    }

    /// Sends all messages with as few writes as possible: [`Sender::send_all`](crate::Sender::send_all).
    ///
    /// # Errors
    ///
    /// As [`Sender::send_all`](crate::Sender::send_all).
    ///
    /// # Blocking
    ///
    /// As [`Sender::send_all`](crate::Sender::send_all).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// ws.send_all(["a", "b", "c"])?;
    /// assert_eq!(ws.recv()?.as_text(), Some("a"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_all<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), SendError> {
        self.sender.send_all(messages)
    }

    /// Begins a message that is written piece by piece: [`Sender::send_streaming`](crate::Sender::send_streaming).
    ///
    /// # Errors
    ///
    /// As [`Sender::send_streaming`](crate::Sender::send_streaming).
    ///
    /// # Blocking
    ///
    /// As [`Sender::send_streaming`](crate::Sender::send_streaming).
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
    /// # let ws = wsync::connect(&url)?;
    /// let mut writer = ws.send_streaming(MessageKind::Text)?;
    /// writeln!(writer, "a line")?;
    /// writer.finish()?;
    /// assert_eq!(ws.recv()?.as_text(), Some("a line\n"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_streaming(&self, kind: MessageKind) -> Result<MessageWriter<'_>, Error> {
        self.sender.send_streaming(kind)
    }

    /// Begins a message with choices for it: [`Sender::send_streaming_with`](crate::Sender::send_streaming_with).
    ///
    /// # Errors
    ///
    /// As [`Sender::send_streaming`](crate::Sender::send_streaming).
    ///
    /// # Blocking
    ///
    /// As [`Sender::send_streaming`](crate::Sender::send_streaming).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use wsync::{MessageKind, SendOptions};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let plain = SendOptions::new().compress(false);
    /// let mut writer = ws.send_streaming_with(MessageKind::Binary, plain)?;
    /// writer.write_all(&[0xff; 1000])?;
    /// writer.finish()?;
    /// assert_eq!(ws.recv()?.len(), 1000);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn send_streaming_with(
        &self,
        kind: MessageKind,
        options: SendOptions,
    ) -> Result<MessageWriter<'_>, Error> {
        self.sender.send_streaming_with(kind, options)
    }

    /// Closes with 1000 and waits: [`Sender::close`](crate::Sender::close).
    ///
    /// # Errors
    ///
    /// As [`Sender::close_with`](crate::Sender::close_with).
    ///
    /// # Blocking
    ///
    /// As [`Sender::close_with`](crate::Sender::close_with).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert!(ws.close()?.is_normal());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn close(&self) -> Result<Closed, Error> {
        self.sender.close()
    }

    /// Closes with a code and a reason and waits: [`Sender::close_with`](crate::Sender::close_with).
    ///
    /// # Errors
    ///
    /// As [`Sender::close_with`](crate::Sender::close_with).
    ///
    /// # Blocking
    ///
    /// As [`Sender::close_with`](crate::Sender::close_with).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CloseCode;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let closed = ws.close_with(CloseCode::GOING_AWAY, "lunch")?;
    /// assert_eq!(closed.sent.map(|frame| frame.code), Some(CloseCode::GOING_AWAY));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn close_with(
        &self,
        code: impl Into<CloseCode>,
        reason: impl Into<Text>,
    ) -> Result<Closed, Error> {
        self.sender.close_with(code, reason)
    }
}
