//! What is known of a connection since its opening handshake.

use super::WebSocket;
use crate::compression::DeflateParams;
use std::net::SocketAddr;

impl WebSocket {
    /// The peer's address, if the connection runs over TCP.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert_eq!(ws.peer_addr().map(|address| format!("ws://{address}/")), Some(url));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection().transport().peer_addr()
    }

    /// This side's address, if the connection runs over TCP.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert!(ws.local_addr().is_some_and(|address| address.ip().is_loopback()));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.connection().transport().local_addr()
    }

    /// The subprotocol that was agreed on (RFC 6455 section 1.9).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// match ws.subprotocol() {
    ///     Some(name) => println!("we speak {name}"),
    ///     None => println!("the server has agreed on none"),
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn subprotocol(&self) -> Option<&str> {
        self.sender.handle.subprotocol.as_deref()
    }

    /// What was agreed on about compression (RFC 7692); `None` if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// let ws = wsync::connect(&url)?;
    /// assert_eq!(ws.compression(), None, "not unless it is asked for");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn compression(&self) -> Option<DeflateParams> {
        self.connection().deflate()
    }

    /// The request of the opening handshake.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert_eq!(ws.request().uri().path(), "/");
    /// assert_eq!(ws.response().status(), http::StatusCode::SWITCHING_PROTOCOLS);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn request(&self) -> &http::Request<()> {
        &self.sender.handle.heads.request
    }

    /// The response of the opening handshake.
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert_eq!(ws.response().headers()["Upgrade"], "websocket");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn response(&self) -> &http::Response<()> {
        self.sender.handle.heads.response.get()
    }
}
