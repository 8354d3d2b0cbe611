//! Other ways out of the queue than receive calls: callbacks, and one channel for many connections.

use crate::close::Closed;
use crate::connection::{End, Outlet, OutletEvent, Refused};
use crate::error::{Error, Misuse};
use crate::handle::Handle;
use crate::keepalive::Pong;
use crate::message::Message;
use crate::queue::{Item, Producer};
use crate::sender::Sender;
use crossbeam_channel::{Receiver, TrySendError, select};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What happens on a connection whose messages go to a channel:
/// [`ClientBuilder::deliver_to`](crate::ClientBuilder::deliver_to) and
/// [`Upgrade::deliver_to`](crate::Upgrade::deliver_to).
///
/// For each connection `Opened` comes first, then its messages in order, and `Closed` last.
///
/// # Examples
///
/// ```
/// use wsync::{ClientBuilder, Event};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let (events, inbox) = crossbeam_channel::bounded(100);
/// let ws = ClientBuilder::new(&url).deliver_to(events, "the echo").connect()?;
/// ws.send("hello")?;
/// for event in inbox {
///     match event {
///         Event::Opened { key, .. } => println!("{key} is there"),
///         Event::Message { message, .. } => {
///             assert_eq!(message.as_text(), Some("hello"));
///             ws.close()?;
///         }
///         Event::Closed { closed, .. } => println!("{closed}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<K> {
    /// The connection is open.
    Opened {
        /// Which connection.
        key: K,
        /// To answer. While it is kept the connection stays open.
        sender: Sender,
    },
    /// A message came.
    Message {
        /// On which connection.
        key: K,
        /// The message.
        message: Message,
    },
    /// The connection has ended, and nothing more comes of it.
    Closed {
        /// Which connection.
        key: K,
        /// How it ended.
        closed: Closed,
        /// Why, if not by a closing handshake.
        error: Option<Error>,
    },
}

impl<K> Event<K> {
    /// Which connection it is about.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let (events, inbox) = crossbeam_channel::bounded(100);
    /// let ws = ClientBuilder::new(&url).deliver_to(events, 7).connect()?;
    /// let event = inbox.recv().expect("it is open");
    /// assert_eq!(event.key(), &7);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn key(&self) -> &K {
        match self {
            Event::Opened { key, .. } | Event::Message { key, .. } | Event::Closed { key, .. } => {
                key
            }
        }
    }
}

/// Makes the outlet of each connection of a builder; none if the application receives itself.
#[derive(Clone, Default)]
pub(crate) struct Delivery(Option<Arc<dyn Fn() -> Box<dyn Outlet> + Send + Sync>>);

impl Delivery {
    pub(crate) fn to_channel<K>(events: crossbeam_channel::Sender<Event<K>>, key: K) -> Self
    where
        K: Clone + Send + Sync + 'static,
    {
        Delivery(Some(Arc::new(move || {
            Box::new(Channel {
                events: events.clone(),
                key: key.clone(),
            })
        })))
    }

    /// To a channel, of which `register` is told first.
    pub(crate) fn registered<K>(
        events: crossbeam_channel::Sender<Event<K>>,
        key: K,
        register: Arc<dyn Register<K>>,
    ) -> Self
    where
        K: Clone + Send + Sync + 'static,
    {
        Delivery(Some(Arc::new(move || {
            Box::new(Registered {
                channel: Channel {
                    events: events.clone(),
                    key: key.clone(),
                },
                register: Arc::clone(&register),
            })
        })))
    }

    pub(crate) fn to_callback(handler: impl Fn(&Sender, Message) + Send + Sync + 'static) -> Self {
        let handler = Arc::new(handler);
        Delivery(Some(Arc::new(move || {
            Box::new(Callback {
                handler: Arc::clone(&handler),
                handle: Weak::new(),
            })
        })))
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn outlet(&self) -> Option<Box<dyn Outlet>> {
        self.0.as_ref().map(|make| make())
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

/// What is called with each pong, if anything is.
#[derive(Clone, Default)]
pub(crate) struct OnPong(Option<Arc<dyn Fn(Pong) + Send + Sync>>);

impl OnPong {
    pub(crate) fn calling(handler: impl Fn(Pong) + Send + Sync + 'static) -> Self {
        OnPong(Some(Arc::new(handler)))
    }

    /// Returns whether there is a handler. An error fails the connection.
    pub(crate) fn call(&self, pong: Pong) -> Result<bool, Error> {
        let Some(handler) = &self.0 else {
            return Ok(false);
        };
        let called = catch_unwind(AssertUnwindSafe(|| handler(pong)));
        called.map(|()| true).map_err(|_| Misuse::Panic.into())
    }
}

impl fmt::Debug for OnPong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnPong").finish_non_exhaustive()
    }
}

/// Is told of each connection that opens and ends, before the channel is.
pub(crate) trait Register<K>: Send + Sync {
    fn opened(&self, key: &K, sender: &Sender);
    fn closed(&self, key: &K);
}

struct Channel<K> {
    events: crossbeam_channel::Sender<Event<K>>,
    key: K,
}

impl<K: Clone + Send> Channel<K> {
    fn wrap(&self, event: OutletEvent) -> Event<K> {
        let key = self.key.clone();
        match event {
            OutletEvent::Opened(sender) => Event::Opened { key, sender },
            OutletEvent::Message(message) => Event::Message { key, message },
            OutletEvent::Closed(End { closed, error }) => Event::Closed {
                key,
                closed: Closed::clone(&closed),
                error,
            },
        }
    }
}

impl<K> Event<K> {
    fn unwrap(self) -> OutletEvent {
        match self {
            Event::Opened { sender, .. } => OutletEvent::Opened(sender),
            Event::Message { message, .. } => OutletEvent::Message(message),
            Event::Closed { closed, error, .. } => OutletEvent::Closed(End {
                closed: Arc::new(closed),
                error,
            }),
        }
    }
}

impl<K: Clone + Send> Outlet for Channel<K> {
    fn runs_application(&self) -> bool {
        false
    }

    fn put(&mut self, event: OutletEvent) -> Result<(), Refused> {
        match self.events.try_send(self.wrap(event)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(event)) => Err(Refused::Full(event.unwrap())),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Gone),
        }
    }

    fn put_waiting(
        &mut self,
        event: OutletEvent,
        wake: &Receiver<()>,
        timeout: Duration,
    ) -> Result<(), Refused> {
        select! {
            send(self.events, self.wrap(event)) -> result => result.map_err(|_| Refused::Gone),
            recv(wake) -> _ => Err(Refused::Full(event)),
            default(timeout) => Err(Refused::Full(event)),
        }
    }
}

struct Registered<K> {
    channel: Channel<K>,
    register: Arc<dyn Register<K>>,
}

impl<K> Registered<K> {
    /// Again for an event that found no room, which changes nothing.
    fn note(&self, event: &OutletEvent) {
        match event {
            OutletEvent::Opened(sender) => self.register.opened(&self.channel.key, sender),
            OutletEvent::Closed(_) => self.register.closed(&self.channel.key),
            OutletEvent::Message(_) => {}
        }
    }
}

impl<K: Clone + Send> Outlet for Registered<K> {
    fn runs_application(&self) -> bool {
        false
    }

    fn put(&mut self, event: OutletEvent) -> Result<(), Refused> {
        self.note(&event);
        self.channel.put(event)
    }

    fn put_waiting(
        &mut self,
        event: OutletEvent,
        wake: &Receiver<()>,
        timeout: Duration,
    ) -> Result<(), Refused> {
        self.channel.put_waiting(event, wake, timeout)
    }
}

struct Callback<F> {
    handler: Arc<F>,
    /// The reader must not keep the connection open that it reads.
    handle: Weak<Handle>,
}

impl<F: Fn(&Sender, Message) + Send + Sync> Outlet for Callback<F> {
    fn runs_application(&self) -> bool {
        true
    }

    fn pull(&mut self, items: &mut Vec<Item>, producer: &mut Producer) -> Result<(), Error> {
        let Some(handle) = self.handle.upgrade() else {
            return Ok(());
        };
        let sender = Sender { handle };
        let handle_all = || {
            // As long as somebody else holds the connection, too.
            while Arc::strong_count(&sender.handle) > 1 {
                match producer.take_next(items) {
                    Some(message) => (self.handler)(&sender, message),
                    None => return,
                }
            }
        };
        catch_unwind(AssertUnwindSafe(handle_all)).map_err(|_| Misuse::Panic.into())
    }

    fn put(&mut self, event: OutletEvent) -> Result<(), Refused> {
        match event {
            OutletEvent::Opened(sender) => self.handle = Arc::downgrade(&sender.handle),
            OutletEvent::Message(_) => return Err(Refused::Gone),
            OutletEvent::Closed(_) => {}
        }
        Ok(())
    }

    fn put_waiting(
        &mut self,
        event: OutletEvent,
        _wake: &Receiver<()>,
        _timeout: Duration,
    ) -> Result<(), Refused> {
        self.put(event)
    }
}
