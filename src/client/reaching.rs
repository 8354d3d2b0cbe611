//! Choices of how the server is reached.

use super::ClientBuilder;
use super::route::Via;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::error::Misuse;
use crate::proxy::Proxy;
use crate::receiver::CancelToken;
use crate::reconnect::{PersistentBuilder, Reconnect, ReconnectPolicy};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

impl ClientBuilder {
    /// How long one address of the host may take to answer. Defaults to `None`: the open timeout alone
    /// bounds it. The addresses are tried in turn, IPv6 and IPv4 alternating, each 250 ms after the one
    /// before or as soon as that has failed; the first that answers is taken (RFC 8305).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url).connect_timeout(Duration::from_secs(2)).connect()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.route.dial.timeout = timeout.into();
        self
    }

    /// The address of this machine to connect from. Only addresses of its family are tried then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{IpAddr, Ipv4Addr};
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// let ws = ClientBuilder::new(&url).source_address(source).connect()?;
    /// assert_eq!(ws.local_addr().map(|address| address.ip()), Some(source));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn source_address(mut self, address: IpAddr) -> Self {
        self.route.dial.source = Some(address);
        self
    }

    /// Finds addresses in place of the system's resolver: of the server, or of the proxy. It gets host and
    /// port, and runs on a thread that is left to itself when the open timeout passes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://example.org:{}/", server.local_addr().port());
    /// # std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
    /// let ws = ClientBuilder::new(&url)
    ///     .resolver(|_host, port| Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]))
    ///     .connect()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn resolver(
        mut self,
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.route.resolver = Some(Arc::new(resolve));
        self
    }

    /// Reaches the server through a proxy; `None` through none, as is the default.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{ClientBuilder, Proxy};
    ///
    /// let proxy = Proxy::parse("http://proxy.example:3128")?;
    /// let ws = ClientBuilder::new("wss://example.org/feed").proxy(proxy).connect()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<Option<Proxy>>) -> Self {
        self.route.via = match proxy.into() {
            Some(proxy) => Via::Proxy(Box::new(proxy)),
            None => Via::Nothing,
        };
        self
    }

    /// Reaches the server through the proxy that the environment names, if it does: see
    /// [`Proxy::from_env`]. It is asked at each connect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::ClientBuilder;
    ///
    /// let ws = ClientBuilder::new("wss://example.org/feed").proxy_from_env().connect()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn proxy_from_env(mut self) -> Self {
        self.route.via = Via::Environment;
        self
    }

    /// Follows up to `most` redirects (301, 302, 303, 307, 308). Defaults to 0: a redirect is a refusal.
    ///
    /// None leads from `wss` to `ws`, and another origin gets no `Authorization`, `Cookie` and
    /// `Proxy-Authorization` that were set as headers. The open timeout is for all of it together. Without effect on
    /// [`connect_over`](Self::connect_over).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, Server};
    ///
    /// # let there = Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/new", there.local_addr());
    /// # std::thread::spawn(move || there.serve(|ws| drop(ws.send("you are here"))));
    /// # let server = Server::bind("127.0.0.1:0")?;
    /// # let moved = format!("ws://{}/old", server.local_addr());
    /// # std::thread::spawn(move || {
    /// #     server.serve_upgrades(move |upgrade| {
    /// #         let elsewhere = http::Response::builder().status(301).header("Location", &url).body("");
    /// #         let _ = upgrade.map(|upgrade| upgrade.respond(elsewhere.expect("it is valid")));
    /// #     })
    /// # });
    /// let ws = ClientBuilder::new(&moved).follow_redirects(3).connect()?;
    /// assert_eq!(ws.recv()?.as_text(), Some("you are here"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn follow_redirects(mut self, most: usize) -> Self {
        self.redirects = most;
        self
    }

    /// Sends a user name and a password (RFC 7617), as they may also stand in the address:
    /// `wss://user:password@host/`.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url).basic_auth("Aladdin", "open sesame").connect()?;
    /// assert_eq!(ws.request().headers()["Authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn basic_auth(mut self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        let (user, password) = (user.as_ref().into(), password.as_ref().into());
        match Credentials::new(user, password) {
            Ok(credentials) => drop(self.headers.insert(AUTHORIZATION, credentials.basic())),
            Err(_) => self.misuse = Some(Misuse::Header),
        }
        self
    }

    /// Sends a bearer token (RFC 6750 section 2.1).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::ClientBuilder;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = ClientBuilder::new(&url).bearer_auth("mF_9.B5f-4.1JqM").connect()?;
    /// assert_eq!(ws.request().headers()["Authorization"], "Bearer mF_9.B5f-4.1JqM");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn bearer_auth(mut self, token: impl AsRef<str>) -> Self {
        match HeaderValue::from_str(&format!("Bearer {}", token.as_ref())) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(_) => self.misuse = Some(Misuse::Header),
        }
        self
    }

    /// Answers a challenge of the server's (RFC 7616): a 401 that asks for Digest is followed by one more
    /// request, with the answer to it, at most once for each [`connect`](Self::connect). MD5, SHA-256 and
    /// SHA-512-256 are known, with `userhash` and the quality `auth`; of several the first that can be
    /// answered is. The password never leaves this machine, and what is made of it goes to the origin of the
    /// address only, wherever redirects lead. Without effect on [`connect_over`](Self::connect_over).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::ClientBuilder;
    ///
    /// let ws = ClientBuilder::new("ws://camera.example/live").digest_auth("user", "password").connect()?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[cfg(feature = "digest")]
    #[must_use]
    pub fn digest_auth(mut self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        let (user, password) = (user.as_ref().into(), password.as_ref().into());
        match Credentials::new(user, password) {
            Ok(credentials) => self.digest = Some(credentials),
            Err(_) => self.misuse = Some(Misuse::Header),
        }
        self
    }

    /// Sends the cookies of this jar that are for the address, and puts into it those that come with any
    /// response: the one that opens the connection, a redirect, a refusal. So redirects and reconnects
    /// return what the server gave. They stand behind those of a `Cookie` header that was set with
    /// [`header`](Self::header), in the same line.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, CookieJar};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let accept = |upgrade: wsync::Upgrade| {
    /// #     upgrade.accept_with(wsync::Accept::new().header("Set-Cookie", "session=31d4"))
    /// # };
    /// # std::thread::spawn(move || server.serve_upgrades(move |upgrade| drop(upgrade.and_then(accept))));
    /// let jar = CookieJar::new();
    /// let ws = ClientBuilder::new(&url).cookie_jar(jar.clone()).connect()?;
    /// assert_eq!(jar.cookies(&url)?.as_deref(), Some("session=31d4"));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[cfg(feature = "cookies")]
    #[must_use]
    pub fn cookie_jar(mut self, jar: super::CookieJar) -> Self {
        self.cookies = Some(jar);
        self
    }

    /// Connections one after the other: whenever the last has been dropped or has ended, the next step of the
    /// iteration connects again, after a delay.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{ClientBuilder, ReconnectPolicy};
    ///
    /// for ws in ClientBuilder::new("wss://example.org/feed").reconnect(ReconnectPolicy::default()) {
    ///     let ws = ws?;
    ///     ws.send("subscribe")?;
    ///     for message in &ws {
    ///         let Ok(message) = message else { break };
    ///         println!("{message:?}");
    ///     }
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn reconnect(&self, policy: ReconnectPolicy) -> Reconnect {
        Reconnect::new(self.clone(), policy, CancelToken::new())
    }

    /// A client that connects again whenever its connection ends, with one queue for all of them.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{ClientBuilder, PersistentEvent, ReconnectPolicy, WhileDown};
    ///
    /// let feed = ClientBuilder::new("wss://example.org/feed")
    ///     .persistent(ReconnectPolicy::default())
    ///     .while_down(WhileDown::hold())
    ///     .on_open(|sender| Ok(sender.send("subscribe")?))
    ///     .start()?;
    /// feed.send("hello")?;
    /// loop {
    ///     match feed.recv()? {
    ///         PersistentEvent::Message(message) => println!("{message:?}"),
    ///         PersistentEvent::Connected { reconnects } => println!("connected again: {reconnects}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn persistent(&self, policy: ReconnectPolicy) -> PersistentBuilder {
        PersistentBuilder::new(self.clone(), policy)
    }

    pub(crate) fn config_so_far(&self) -> &Config {
        &self.config
    }
}
