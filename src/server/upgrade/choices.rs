//! What may be chosen before a request is accepted.

use super::Upgrade;
use crate::compression::Compression;
use crate::delivery::{Delivery, Event, OnPong};
use crate::keepalive::Pong;
use crate::message::Message;
use crate::sender::Sender;

impl Upgrade {
    /// Sets the compression of this connection (RFC 7692), if the client offers it; `None` turns it off.
    /// Goes before [`Config::compression`](crate::Config::compression), be it the server's or that of
    /// [`Accept::config`](crate::Accept::config).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Compression;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/archive", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// # if cfg!(not(feature = "deflate")) {
    /// #     return Ok(());
    /// # }
    /// let mut compression = Compression::server();
    /// compression.level = if upgrade.request().uri().path() == "/archive" { 9 } else { 1 };
    /// let ws = upgrade.compression(compression).accept()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compression = Some(compression.into());
        self
    }

    /// Lets messages go to `events`, with `key` to tell the connection:
    /// [`ClientBuilder::deliver_to`](crate::ClientBuilder::deliver_to) says how.
    ///
    /// # Examples
    ///
    /// One thread for all connections:
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use wsync::{Event, Server};
    ///
    /// let server = Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let stopper = server.clone();
    /// # let visitor = std::thread::spawn(move || {
    /// #     let answer = wsync::connect(&url).and_then(|ws| { ws.send("hello")?; Ok(ws.recv()?) });
    /// #     stopper.shutdown().and(answer)
    /// # });
    /// let (events, inbox) = crossbeam_channel::bounded(1000);
    /// let incoming = server.incoming()?;
    /// std::thread::spawn(move || {
    ///     for (number, upgrade) in incoming.enumerate() {
    ///         let _ = upgrade.deliver_to(events.clone(), number).accept();
    ///     }
    /// });
    /// let mut senders = HashMap::new();
    /// for event in inbox {
    ///     match event {
    ///         Event::Opened { key, sender } => drop(senders.insert(key, sender)),
    ///         Event::Message { key, message } => drop(senders[&key].send(message)),
    ///         Event::Closed { key, .. } => drop(senders.remove(&key)),
    ///         _ => {}
    ///     }
    /// }
    /// # assert_eq!(visitor.join().expect("it does not panic")?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn deliver_to<K>(mut self, events: crossbeam_channel::Sender<Event<K>>, key: K) -> Self
    where
        K: Clone + Send + Sync + 'static,
    {
        self.delivery = Delivery::to_channel(events, key);
        self
    }

    /// Calls `handler` with each message, on the reader thread:
    /// [`ClientBuilder::on_message`](crate::ClientBuilder::on_message) says how.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let stopper = server.clone();
    /// # let visitor = std::thread::spawn(move || {
    /// #     let answer = wsync::connect(&url).and_then(|ws| { ws.send("hello")?; Ok(ws.recv()?) });
    /// #     stopper.shutdown().and(answer)
    /// # });
    /// server.serve_upgrades(|upgrade| {
    ///     let echo = |sender: &wsync::Sender, message| drop(sender.send(message));
    ///     if let Ok(ws) = upgrade.and_then(|upgrade| upgrade.on_message(echo).accept()) {
    ///         // Until the end.
    ///         let _ = ws.recv();
    ///     }
    /// })?;
    /// # assert_eq!(visitor.join().expect("it does not panic")?.as_text(), Some("hello"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn on_message(
        mut self,
        handler: impl Fn(&Sender, Message) + Send + Sync + 'static,
    ) -> Self {
        self.delivery = Delivery::to_callback(handler);
        self
    }

    /// Calls `handler` with each pong that comes:
    /// [`ClientBuilder::on_pong`](crate::ClientBuilder::on_pong) says how.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let ws = upgrade.on_pong(|pong| println!("after {:?}", pong.latency)).accept()?;
    /// ws.ping("are you there?")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn on_pong(mut self, handler: impl Fn(Pong) + Send + Sync + 'static) -> Self {
        self.on_pong = OnPong::calling(handler);
        self
    }
}
