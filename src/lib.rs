//! WebSockets ([RFC 6455]) for programs that use threads: a client and a server with blocking
//! calls.
//!
//! Each connection puts complete messages into a queue, from which the application takes them when it
//! likes; a thread that waits for one reads the socket itself, else a reader thread does. Sending does not wait for receiving: any thread may send
//! at any time, over `ws` and over `wss`.
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
//! [`connect`] has the defaults, [`ClientBuilder`] the choices of a client; [`Server::builder`]
//! those of a server, and [`Server::serve_upgrades`] looks at each request first. Clients may come by several
//! [`Listener`]s, and [`Server::shutdown_within`] stops with a deadline.
//! [`WebSocket::split`] gives the two halves, [`Sender`] and [`Receiver`]. The folder `examples` of
//! the project has more.
//!
//! # Threads
//!
//! A receive call that finds the queue empty reads the socket in its own thread until a message is
//! there, so nobody has to be woken. Otherwise `ws-read` reads, a thread with a stack of 128 KiB, or of
//! the usual size where it runs a callback: from the begin with a callback or a channel, else from
//! when it is needed ([`Config::direct_read`] says when, and turns direct reads off). Who reads answers
//! pings and Close frames. `ws-monitor`, one for the whole process, starts `ws-read` where nobody
//! has read for a while. Sending runs in the thread that sends. A server has one more for each connection, `ws-serve`, which does TLS and the opening
//! handshake and then runs the handler, and with [`Server::incoming`] one `ws-accept` in all. A
//! client that connects to a host by name within a timeout looks the name up on a `ws-resolve`,
//! which ends with the lookup. One `ws-timer` for the whole process starts when a connection must
//! be bounded and nobody waits for it, or is to be kept alive. One `ws-refuse` per server lets clients read
//! why there is no place for them. A [`BlockingTransport`] has two, `ws-pump-in` and `ws-pump-out`.
//!
//! # The queue
//!
//! | to take | |
//! |---|---|
//! | one message | [`recv`], within a bound [`recv_timeout`] and [`recv_deadline`], without waiting [`try_recv`] |
//! | until something else says stop | [`recv_or`] |
//! | all, until the connection ends | [`iter`]; only what is there: [`try_iter`] |
//! | several at once | [`recv_batch`], [`drain`] |
//! | only the newest, or none | [`recv_latest`], [`clear`] |
//! | a large one while it arrives | [`recv_streaming`], with [`Config::stream_above`] |
//! | to see | [`queue`]: length, bytes, the messages themselves, ages, counts ([`QueueView`]) |
//!
//! All of these may be called from several threads at once: each message goes to one of them, in
//! order, and looking moves nothing. Messages that came before the connection ended, for whatever
//! reason, are delivered before its end is.
//!
//! There are other ways out of the queue, chosen before the connection opens or in place of the
//! receiver: [`ClientBuilder::on_message`] and [`Upgrade::on_message`] call a function on the reader
//! thread; [`ClientBuilder::deliver_to`] and [`Upgrade::deliver_to`] put the messages of many
//! connections into one channel, for one thread and `crossbeam_channel::select!`; and with the
//! feature `stream`, `Receiver::into_stream` makes a `futures_core::Stream` for any executor.
//!
//! [`recv`]: Receiver::recv
//! [`recv_timeout`]: Receiver::recv_timeout
//! [`recv_deadline`]: Receiver::recv_deadline
//! [`try_recv`]: Receiver::try_recv
//! [`recv_or`]: Receiver::recv_or
//! [`iter`]: Receiver::iter
//! [`try_iter`]: Receiver::try_iter
//! [`recv_batch`]: Receiver::recv_batch
//! [`drain`]: Receiver::drain
//! [`recv_latest`]: Receiver::recv_latest
//! [`clear`]: Receiver::clear
//! [`recv_streaming`]: Receiver::recv_streaming
//! [`queue`]: Receiver::queue
//!
//! # Back-pressure and overflow
//!
//! The queue is bounded in messages and in bytes ([`QueueConfig`]), and never holds more than one
//! message beyond. What happens at the bounds is the [`Overflow`] policy; bounds and policy can be
//! changed at any time ([`Receiver::configure_queue`]).
//!
//! With [`Overflow::Block`], the default, the reader stops reading until the low mark; TCP then slows
//! the peer down. Pings behind those messages are not answered meanwhile, for they have not been
//! read: a peer that gives up after some seconds without a pong needs an application that takes its
//! messages in that time, or another policy. With the others the reader always reads: what finds no
//! room, or what is oldest, is dropped and counted, and control frames are answered whatever the
//! application does.
//!
//! A sender feels the peer in the same way: [`Sender::send`] waits while the buffers of the system
//! and the outbox ([`Limits::outbox`]) are full, at most for [`Timeouts::send`]. Neither waits for the
//! other: two peers that both send without receiving wait for room or a timeout, and their readers
//! read on up to the bounds of their queues.
//!
//! # Sending in pieces
//!
//! [`Sender::send_streaming`] gives a [`MessageWriter`], an `io::Write` whose bytes go out as
//! fragments of one message. Pings and Close frames go between them; other messages wait for its end.
//! A writer that is dropped after its first fragment fails the connection with 1011, since RFC 6455
//! knows no other way to give a begun message up.
//!
//! # Compression
//!
//! permessage-deflate ([RFC 7692]) is off until both sides ask for it: [`ClientBuilder::compression`]
//! offers it, a server agrees with [`ServerBuilder::compression`] or, for one connection,
//! [`Upgrade::compression`], and [`WebSocket::compression`] tells what was agreed on. [`Compression`]
//! has the settings and says what they cost. From then on messages of [`Compression::min_size`] bytes
//! and more are compressed, also those in pieces; [`SendOptions`] decides for a single one. The thread
//! that sends compresses, the reader inflates, and the queue and all limits count what a message is
//! when it is not compressed. [`PreparedMessage`] is for one message to many peers.
//!
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692
//!
//! # Closing
//!
//! [`Sender::close`] sends a Close frame and waits for the peer's, at most for [`Timeouts::close`]
//! and a second; calls that other threads are blocked in end. It returns [`Closed`]: both Close
//! frames, who was first, and how many messages could not be sent or kept. A Close frame of the
//! peer is answered by itself, with the same code. Dropping the last handle sends 1001 (going
//! away), or 1000 where [`Server::serve`] runs the handler, and does not wait.
//!
//! A connection is *failed* when the peer breaks the protocol: 1002, also for compressed data that is
//! none, or 1007 for text that is not
//! UTF-8, 1009 for a message above [`Limits::message`], 1008 for one that takes longer than
//! [`Timeouts::message`]; with [`Overflow::Close`] also when the queue is full, and with 1011 when a
//! callback panics or a ping is not answered.
//!
//! # Keepalive
//!
//! Every 20 s a ping is sent, and when nothing has come for 20 s after one, the connection is failed
//! with [`Timeout::Ping`] ([`Keepalive`], [`Sender::set_keepalive`]). Any byte is a sign of life; while
//! this side does not read, because its queue is full or its callback at work, bytes that wait to be read
//! are one. [`Sender::ping_wait`] waits for a pong, [`Sender::latency`] tells how long they take, and
//! [`ClientBuilder::on_pong`] and [`Upgrade::on_pong`] of each that comes. Beside that there are the options
//! of TCP, [`SocketOptions`].
//!
//! # Whom a server lets in
//!
//! [`ServerLimits`] bounds connections, in all and for each address, and the opening handshakes that are
//! under way. Which sites a browser may come from says [`OriginPolicy`]; unless it is told otherwise, a
//! server accepts pages of its own host and port, and all programs that are no browsers. What is
//! refused is answered by HTTP, so that the client can read why.
//!
//! # Errors
//!
//! There is one [`Error`], which says who is to blame: the caller ([`Error::Uri`],
//! [`Error::Misuse`]), the system ([`Error::Io`], [`Error::Tls`]), the peer ([`Error::Handshake`],
//! [`Error::Protocol`], [`Error::TooBig`]), or a deadline ([`Error::Timeout`]). A normal close is
//! no error: an iteration just ends, and [`Receiver::closed`] tells how. An abnormal one is its
//! last item. Where a call needs an open connection and there is none, [`Error::Closed`] says so.
//! [`SendError`] hands the message back if none of it has left; the errors of the queue
//! ([`RecvError`], [`TryRecvError`], [`RecvTimeoutError`], [`RecvOrError`]) turn into [`Error`] with
//! `?`.
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
//!
//! [`TlsConfig`] has the settings of TLS, and says which library speaks it: native-tls unless
//! [`TlsConfig::backend`] names another, in every build. Where that library is missing, connecting to a `wss`
//! address is an [`UriError::TlsUnavailable`]. On Linux a *server* of native-tls speaks TLS 1.2 and not 1.3,
//! which native-tls turns off in its acceptor, and it cannot ask clients for certificates; rustls does both.
//! Clients speak both versions with either.
//!
//! # Counts
//!
//! [`WebSocket::stats`] tells what a connection has counted: messages, bytes before compression and on the wire,
//! pings and pongs, and what became of what it queued. [`Server::stats`] tells of clients, and of all connections
//! together. The example `metrics` shows them to Prometheus.
//!
//! # Logging
//!
//! With the [`log`](https://docs.rs/log) crate:
//!
//! | level | what |
//! |---|---|
//! | error | a socket that a server listens on broke |
//! | warn | no thread could be started; accepting a connection failed |
//! | info | nothing |
//! | debug | host and port of each connection opened; addresses that refused; opening handshakes refused, and why; Close frames received, with their code; why a connection is failed; how each ended |
//! | trace | nothing |
//!
//! The payloads of messages, pings and pongs are never logged, nor are the values of headers,
//! paths, queries and passwords, nor what a peer wrote as the reason of a Close frame. No lock is
//! held while a logger runs. Two of the dependencies log beside that, under their own names: `tungstenite::protocol::frame::frame`
//! the first two bytes of the header of each received frame, at trace; `native_tls` certificates
//! that cannot be loaded, at debug.
//!
//! # What is not there yet
//!
//! WebSockets over HTTP/2 and HTTP/3 (RFC 8441, RFC 9220), and extensions other than `permessage-deflate`.

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

/// The README's example is compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
