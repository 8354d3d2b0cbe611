//! The terms on which a server accepts.

use crate::config::Config;
use crate::error::Misuse;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// How to accept an [`Upgrade`](crate::Upgrade).
///
/// # Examples
///
/// ```
/// use wsync::Accept;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let client = wsync::ClientBuilder::new(format!("ws://{}/", server.local_addr())).subprotocol("chat.v2");
/// # let client = std::thread::spawn(move || client.connect());
/// # let mut incoming = server.incoming()?;
/// # let upgrade = incoming.next().expect("a client comes");
/// let ws = upgrade.accept_with(Accept::new().subprotocol("chat.v2").header("X-Room", "7"))?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Accept {
    pub(super) subprotocol: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) config: Option<Arc<Config>>,
    pub(super) misuse: Option<Misuse>,
}

impl Accept {
    /// Without a subprotocol or headers of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Accept;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let ws = upgrade.accept_with(Accept::new())?;
    /// assert_eq!(ws.subprotocol(), None);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn new() -> Self {
        Accept::default()
    }

    /// Agrees on a subprotocol, which the client must have offered (RFC 6455 section 1.9).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Accept;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let client = wsync::ClientBuilder::new(format!("ws://{}/", server.local_addr())).subprotocol("chat.v2");
    /// # let client = std::thread::spawn(move || client.connect());
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let ws = upgrade.accept_with(Accept::new().subprotocol("chat.v2"))?;
    /// assert_eq!(ws.subprotocol(), Some("chat.v2"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocol = Some(subprotocol.into());
        self
    }

    /// Adds a header to the response. One that HTTP does not allow, or one of the handshake's own, is a
    /// [`Misuse::Header`] when it is used.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Accept;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let ws = upgrade.accept_with(Accept::new().header("X-Room", "7"))?;
    /// assert_eq!(ws.response().headers()["X-Room"], "7");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        match (
            HeaderName::try_from(name.as_ref()),
            HeaderValue::from_str(value.as_ref()),
        ) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.misuse = Some(Misuse::Header),
        }
        self
    }

    /// Sets limits, timeouts and the bounds of the queue for this connection. Defaults to those of
    /// the server.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Accept, Config};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/chat", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// let mut config = Config::server();
    /// config.queue.messages = 8;
    /// let ws = upgrade.accept_with(Accept::new().config(config))?;
    /// assert_eq!(ws.queue().capacity().messages, 8);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(Arc::new(config));
        self
    }

    /// All of it, if it can be.
    pub(crate) fn terms(self) -> Result<Terms, Misuse> {
        match self.misuse {
            Some(misuse) => Err(misuse),
            None => Ok(Terms {
                subprotocol: self.subprotocol,
                headers: self.headers,
                config: self.config,
            }),
        }
    }
}

/// What an [`Accept`] says.
pub(crate) struct Terms {
    pub(crate) subprotocol: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) config: Option<Arc<Config>>,
}
