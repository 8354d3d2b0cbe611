//! WebSockets ([RFC 6455]) for programs that use threads: a client and a server with blocking
//! calls, over `ws` and `wss`.
//!
//! Each connection puts complete messages into a queue, from which the application takes them when
//! it likes. A thread that waits for one reads the socket itself; while none does, a reader thread
//! does. Sending does not wait for receiving: any thread may send at any time.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//!
//! # A first example
//!
//! A server that sends everything back, and a client of it:
//!
//! ```
//! use std::thread;
//! use wsync::Server;
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let address = format!("ws://{}/", server.local_addr());
//! let serving = server.clone();
//! let serving = thread::spawn(move || {
//!     serving.serve(|ws| {
//!         for message in ws.iter().map_while(Result::ok) {
//!             let _ = ws.send(message);
//!         }
//!     })
//! });
//!
//! let ws = wsync::connect(&address)?;
//! ws.send("hello")?;
//! ws.send(vec![1, 2, 3])?;
//! assert_eq!(ws.recv()?.as_text(), Some("hello"));
//! assert_eq!(ws.recv()?.as_bytes(), [1, 2, 3]);
//! let closed = ws.close()?;
//! assert!(closed.is_normal());
//!
//! server.shutdown()?;
//! serving.join().expect("the server does not panic")?;
//! # Ok::<(), wsync::Error>(())
//! ```
//!
//! # Ways in and out
//!
//! | to open | |
//! |---|---|
//! | a client | [`connect`] with the defaults, [`ClientBuilder`] with choices; again and again: [`ClientBuilder::reconnect`], [`ClientBuilder::persistent`] |
//! | a server | [`Server::bind`], [`Server::builder`]; handlers by [`Server::serve`], [`Server::serve_upgrades`] or [`Server::incoming`] |
//! | over a stream of your own | [`ClientBuilder::connect_over`], [`WebSocket::from_parts`] |
//!
//! | to receive | |
//! |---|---|
//! | calls and loops, from any thread | [`Receiver`] |
//! | a callback | [`ClientBuilder::on_message`], [`Upgrade::on_message`] |
//! | a channel for many connections | [`ClientBuilder::deliver_to`], [`Upgrade::deliver_to`], [`Hub`] |
//! | a `Stream` | `Receiver::into_stream`, with the feature `stream` |
//! | a look, without taking anything | [`QueueView`] |
//!
//! Any thread sends by a [`Sender`]; [`WebSocket::split`] gives both halves. [`Config`] has limits,
//! timeouts, pings and the bounds of the queue, each with its default. [`Error`] says who is to blame.
//!
//! # The guide
//!
//! Each chapter says how a thing is done, and what to beware of:
//!
//! - [threads and the queue](guide::threads),
//!   [back-pressure and overflow](guide::back_pressure), [closing](guide::closing)
//! - [errors](guide::errors), [timeouts](guide::timeouts)
//! - [TLS](guide::tls), [proxies](guide::proxies), [compression](guide::compression)
//! - [servers](guide::servers), [reconnecting](guide::reconnecting)
//! - [async programs](guide::async_programs), [testing your own code](guide::testing)
//! - coming [from tungstenite](guide::from_tungstenite), or
//!   [from Python's `websockets`](guide::from_websockets)
//!
//! # Features and TLS
//!
//! | feature | default | what it brings | what it needs to build |
//! |---|---|---|---|
//! | `native-tls` | yes | `wss` by the TLS of the platform | on Linux OpenSSL's headers and pkg-config |
//! | `native-tls-vendored` | no | the same, with OpenSSL from source on Linux | a C compiler, make and perl |
//! | `rustls` | no | `wss` by rustls, where [`TlsConfig::backend`] asks for it | a C compiler |
//! | `pkcs12` | no | certificates with their keys in PKCS#12 files | |
//! | `deflate` | yes | compression; without it, asking for it is a [`Misuse::Config`] | |
//! | `stream` | no | `Receiver::into_stream`, a `futures_core::Stream` | |
//! | `router` | no | `Routes`: handlers by path, with typed parameters, and by host | |
//! | `systemd` | no | `Listener::from_systemd`, on Unix: sockets that systemd has opened | |
//! | `cookies` | no | `CookieJar`: cookies that servers give, and that go back to them | |
//! | `digest` | no | `ClientBuilder::digest_auth` (RFC 7616) | |
//! | `url` | no | host names in other scripts than ASCII (UTS 46) | |
//! | `cli` | no | nothing for the library: the command `wsync` | a C compiler |
//!
//! native-tls speaks TLS unless [`TlsConfig::backend`] names another library, in every build; the
//! [chapter on TLS](guide::tls) compares the two. Where the library is missing, connecting to a
//! `wss` address is an [`UriError::TlsUnavailable`].
//!
//! # Counts
//!
//! [`WebSocket::stats`] tells what a connection has counted: messages, bytes before compression and
//! on the wire, pings and pongs, and what became of what it queued. [`Server::stats`] tells of
//! clients, and of all connections together.
//!
//! # Logging
//!
//! With the [`log`](https://docs.rs/log) crate:
//!
//! | level | what |
//! |---|---|
//! | error | a socket that a server listens on broke |
//! | warn | no thread could be started; waiting for clients, or accepting one, failed; a socket option was refused |
//! | info | nothing |
//! | debug | host and port of each connection opened; addresses that refused; redirects; cookies that were not taken; connects that failed, and when the next one comes; opening handshakes refused or answered, and why; clients without a place; Close frames received, with their code; why a connection is failed; how each ended; what waits for the next connection; small troubles of TLS and of wake-ups |
//! | trace | nothing |
//!
//! The payloads of messages, pings and pongs are never logged, nor are the values of headers,
//! paths, queries and passwords, nor what a peer wrote as the reason of a Close frame. No lock is
//! held while a logger runs. Two of the dependencies log beside that, under their own names:
//! `tungstenite::protocol::frame::frame` the first two bytes of the header of each received frame,
//! at trace; `native_tls` certificates that cannot be loaded, at debug.
//!
//! # What is not there yet
//!
//! WebSockets over HTTP/2 and HTTP/3 (RFC 8441, RFC 9220), and extensions other than
//! `permessage-deflate`.

mod client;
mod close;
mod compression;
mod config;
mod connection;
mod credentials;
mod delivery;
mod error;
#[cfg(any(doc, doctest))]
pub mod guide;
mod handle;
mod handshake;
#[cfg(any(wsync_bench, fuzzing))]
#[doc(hidden)]
pub mod internals;
mod keepalive;
mod message;
mod message_writer;
mod net;
mod protocol;
mod proxy;
mod queue;
mod receiver;
mod reconnect;
mod sender;
mod server;
mod sync;
mod uri;
mod websocket;

#[cfg(feature = "cookies")]
pub use client::CookieJar;
pub use client::{ClientBuilder, connect};
pub use close::{CloseCode, CloseFrame, Closed, Initiator, MAX_REASON};
pub use compression::{Compression, DeflateParams, PreparedMessage, SendOptions};
pub use config::{Config, Limits, Overflow, QueueConfig, SocketOptions, Timeouts};
pub use connection::ConnectionStats;
pub use delivery::Event;
pub use error::{
    Error, Misuse, ProtocolError, ProxyError, RecvError, RecvOrError, RecvTimeoutError, SendError,
    Timeout, TlsError, TryRecvError, TrySendError, UriError,
};
pub use handshake::HandshakeError;
pub use keepalive::{Keepalive, Latency, Pong};
pub use message::{Message, MessageKind, Text};
pub use message_writer::MessageWriter;
pub use net::{BlockingTransport, Interest, Ready, TlsBackend, TlsConfig, TlsVersion, Transport};
pub use protocol::Role;
pub use proxy::Proxy;
pub use queue::{HighWater, QueueSize, QueueStats, QueueView};
#[cfg(feature = "stream")]
pub use receiver::MessageStream;
pub use receiver::{CancelToken, IntoIter, Iter, MessageReader, Pieces, Receiver, Stop, TryIter};
pub use reconnect::{
    Persistent, PersistentBuilder, PersistentEvent, Reconnect, ReconnectPolicy, WhileDown,
};
pub use sender::Sender;
pub use server::{
    Accept, BroadcastReport, ConnectionId, Hub, Incoming, ListenAddr, Listener, ListenerBuilder,
    OriginPolicy, Server, ServerBuilder, ServerLimits, ServerStats, ShutdownReport, Slow, Upgrade,
};
#[cfg(feature = "router")]
pub use server::{PathParams, Routes};
pub use websocket::{Negotiated, WebSocket};

/// The README's code is compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
