//! The choices of a client that connects again, and its start.

use super::{Guard, OnOpen, Persistent, Work};
use crate::client::ClientBuilder;
use crate::error::Error;
use crate::receiver::CancelToken;
use crate::reconnect::outgoing::Shared;
use crate::reconnect::unsent::WhileDown;
use crate::reconnect::{Reconnect, ReconnectPolicy};
use crate::sender::Sender;
use crossbeam_channel::bounded;
use std::sync::Arc;
use std::{fmt, thread};

/// The choices of a [`Persistent`].
///
/// # Examples
///
/// ```
/// use wsync::{ClientBuilder, ReconnectPolicy, WhileDown};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let client = ClientBuilder::new(&url)
///     .persistent(ReconnectPolicy::default())
///     .while_down(WhileDown::resend())
///     .on_open(|sender| Ok(sender.send("subscribe prices")?))
///     .start()?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[must_use]
pub struct PersistentBuilder {
    client: ClientBuilder,
    policy: ReconnectPolicy,
    while_down: WhileDown,
    on_open: OnOpen,
}

impl PersistentBuilder {
    pub(crate) fn new(client: ClientBuilder, policy: ReconnectPolicy) -> Self {
        PersistentBuilder {
            client,
            policy,
            while_down: WhileDown::HandBack,
            on_open: Box::new(|_| Ok(())),
        }
    }

    /// What becomes of messages while there is no connection. Defaults to [`WhileDown::HandBack`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy, WhileDown};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let client = ClientBuilder::new(&url)
    ///     .persistent(ReconnectPolicy::default())
    ///     .while_down(WhileDown::Hold { messages: 10, bytes: 10_000 })
    ///     .start()?;
    /// client.send("now or later")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn while_down(mut self, while_down: WhileDown) -> Self {
        self.while_down = while_down;
        self
    }

    /// Calls `hook` with each new connection, before anything else is sent on it: to subscribe again. If it
    /// fails, the connection is closed, and the next one made after a delay.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, PersistentEvent, ReconnectPolicy};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let client = ClientBuilder::new(&url)
    ///     .persistent(ReconnectPolicy::default())
    ///     .on_open(|sender| Ok(sender.send("subscribe prices")?))
    ///     .start()?;
    /// assert!(matches!(client.recv()?, PersistentEvent::Connected { .. }));
    /// assert!(matches!(client.recv()?, PersistentEvent::Message(echo) if echo.is_text()));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn on_open(mut self, hook: impl Fn(&Sender) -> Result<(), Error> + Send + 'static) -> Self {
        self.on_open = Box::new(hook);
        self
    }

    /// Begins to connect, on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when there is no thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let client = ClientBuilder::new(&url).persistent(ReconnectPolicy::default()).start()?;
    /// println!("{:?}", client.recv()?);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn start(self) -> Result<Persistent, Error> {
        let config = self.client.config_so_far();
        let (sender, events) = bounded(config.queue.messages);
        let stop = CancelToken::new();
        let shared = Shared::new(stop.clone(), self.while_down.clone(), config.timeouts.send);
        let shared = Arc::new(shared);
        let client = match self.while_down {
            WhileDown::Resend { .. } => {
                let confirming = Arc::downgrade(&shared);
                self.client.on_pong(move |pong| {
                    if let Some(shared) = confirming.upgrade() {
                        shared.confirm(&pong);
                    }
                })
            }
            _ => self.client,
        };
        let work = Work {
            shared: Arc::clone(&shared),
            events: sender,
            on_open: self.on_open,
        };
        let reconnect = Reconnect::new(client, self.policy, stop.clone());
        thread::Builder::new()
            .name("ws-persist".into())
            .spawn(move || work.run(reconnect))?;
        Ok(Persistent {
            shared,
            events,
            _guard: Arc::new(Guard(stop)),
        })
    }
}

impl fmt::Debug for PersistentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersistentBuilder")
            .field("client", &self.client)
            .field("policy", &self.policy)
            .field("while_down", &self.while_down)
            .finish_non_exhaustive()
    }
}
