//! tungstenite as the peer: wsync as client and as server, over ws and wss.
//!
//! Its sockets have timeouts, and so has every wait here: a peer that hangs fails the test.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error as PeerError, Message as PeerMessage};
use wsync::{
    ClientBuilder, CloseCode, CloseFrame, Config, Error, Initiator, Message, ProtocolError, Server,
    WebSocket,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const MIB: usize = 1 << 20;
/// Above it wsync sends fragments; tungstenite takes no larger frame, so it has to.
const FRAGMENT: usize = 64 << 10;
const SIZES: [usize; 10] = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, MIB, 16 * MIB];
const MANY_LENGTHS_OF_UTF8: &str = "Grüße, 世界, καλημέρα, 👋🏽";

/// The two ends of one connection.
struct Ends {
    ws: WebSocket,
    peer: Peer,
    /// The server, where wsync is one.
    _server: Option<Stop>,
}

type Peer = tungstenite::WebSocket<Box<dyn Stream>>;

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// Runs each check with wsync as client and as server, over ws and over wss.
macro_rules! both_ways {
    ($($check:ident)*) => {
        mod client {
            $(#[test] fn $check() { super::$check(&|| super::client(super::Plain)); })*
        }
        mod server {
            $(#[test] fn $check() { super::$check(&|| super::server(super::Plain)); })*
        }
        #[cfg(any(feature = "native-tls", feature = "rustls"))]
        mod tls_client {
            $(#[test] fn $check() { super::$check(&|| super::client(super::tls::Tls)); })*
        }
        #[cfg(any(feature = "native-tls", feature = "rustls"))]
        mod tls_server {
            $(#[test] fn $check() { super::$check(&|| super::server(super::tls::Tls)); })*
        }
    };
}

both_ways! {
    messages_of_every_size_come_back_unchanged
    fragments_with_a_ping_between_them_make_one_message
    pings_are_answered_both_ways
    our_close_reaches_the_peer_with_code_and_reason
    the_peers_close_ends_the_iteration_and_tells_why
    a_close_without_a_code_is_a_normal_end
    a_dropped_connection_closes_with_going_away
    bad_utf8_is_answered_with_1007
    a_message_above_the_limit_is_answered_with_1009
}

fn messages_of_every_size_come_back_unchanged(open: &dyn Fn() -> Ends) {
    let Ends {
        ws,
        mut peer,
        _server,
    } = open();
    thread::scope(|scope| {
        let echo = scope.spawn(move || echo(&mut peer));
        for text in ["Hello, world!", MANY_LENGTHS_OF_UTF8, ""] {
            ws.send(text).unwrap();
            assert_eq!(next(&ws), Message::from(text));
        }
        for size in SIZES {
            ws.send(payload(size)).unwrap();
            assert!(
                next(&ws) == Message::from(payload(size)),
                "binary of {size}"
            );
        }
        let long = MANY_LENGTHS_OF_UTF8.repeat(10_000);
        ws.send(&long).unwrap();
        assert!(next(&ws) == Message::from(long), "long text");
        let closed = ws.close().unwrap();
        assert!(closed.is_normal(), "{closed}");
        assert_eq!(
            echo.join().unwrap(),
            Some(frame(CloseCode::NORMAL, "")),
            "what tungstenite received"
        );
    });
}

fn fragments_with_a_ping_between_them_make_one_message(open: &dyn Fn() -> Ends) {
    let Ends {
        ws,
        mut peer,
        _server,
    } = open();
    let text = MANY_LENGTHS_OF_UTF8.as_bytes();
    // Three bytes at a time cut the two-, three- and four-byte characters.
    let count = text.chunks(3).count();
    for (n, piece) in text.chunks(3).enumerate() {
        let opcode = if n == 0 { Data::Text } else { Data::Continue };
        send_frame(&mut peer, opcode, n + 1 == count, piece);
    }
    assert_eq!(next(&ws), Message::from(MANY_LENGTHS_OF_UTF8));

    let whole = payload(100_000);
    send_frame(&mut peer, Data::Binary, false, &whole[..1]);
    send_frame(&mut peer, Data::Continue, false, &[]);
    send_frame(&mut peer, Data::Continue, false, &whole[1..70_000]);
    peer.send(PeerMessage::Ping("between".into())).unwrap();
    assert_eq!(peer.read().unwrap(), PeerMessage::Pong("between".into()));
    assert!(ws.is_empty());
    send_frame(&mut peer, Data::Continue, true, &whole[70_000..]);
    assert!(next(&ws) == Message::from(whole));
}

fn pings_are_answered_both_ways(open: &dyn Fn() -> Ends) {
    let Ends {
        ws,
        mut peer,
        _server,
    } = open();
    for size in [0, 7, 125] {
        let data = payload(size);
        peer.send(PeerMessage::Ping(data.clone().into())).unwrap();
        assert_eq!(peer.read().unwrap(), PeerMessage::Pong(data.clone().into()));
        // tungstenite answers as it reads on; wsync takes the pong without a word.
        ws.ping(&data).unwrap();
        assert_eq!(peer.read().unwrap(), PeerMessage::Ping(data.clone().into()));
        ws.pong(&data).unwrap();
        assert_eq!(peer.read().unwrap(), PeerMessage::Pong(data.into()));
    }
    ws.send("still there").unwrap();
    assert_eq!(peer.read().unwrap(), PeerMessage::text("still there"));
    assert!(ws.is_empty() && ws.closed().is_none());
}

fn our_close_reaches_the_peer_with_code_and_reason(open: &dyn Fn() -> Ends) {
    for code in [1000, 1001, 1003, 1008, 1011, 1013, 3000, 4999] {
        let Ends {
            ws,
            mut peer,
            _server,
        } = open();
        thread::scope(|scope| {
            let received = scope.spawn(move || echo(&mut peer));
            let closed = ws.close_with(code, "Grüße").unwrap();
            let sent = frame(code.into(), "Grüße");
            assert_eq!(received.join().unwrap(), Some(sent.clone()));
            // tungstenite answers with the same code.
            assert_eq!(closed.received.map(|frame| frame.code), Some(sent.code));
            assert_eq!(closed.sent, Some(sent));
            assert_eq!(closed.initiator, Some(Initiator::Local));
        });
    }
}

fn the_peers_close_ends_the_iteration_and_tells_why(open: &dyn Fn() -> Ends) {
    for code in [1000, 1001, 1003, 1008, 1011, 1013, 3000, 4999] {
        let Ends {
            ws,
            mut peer,
            _server,
        } = open();
        peer.send(PeerMessage::text("last words")).unwrap();
        let reason = tungstenite::protocol::CloseFrame {
            code: code.into(),
            reason: "Grüße".into(),
        };
        peer.close(Some(reason)).unwrap();
        let answer = thread::spawn(move || echo(&mut peer));

        assert_eq!(next(&ws), Message::from("last words"));
        let sent = frame(code.into(), "Grüße");
        match ws.iter().next() {
            None => assert!(sent.code.is_normal(), "{sent}"),
            Some(Err(Error::Closed(closed))) => {
                assert!(!sent.code.is_normal(), "{sent}");
                assert_eq!(closed.received.as_ref(), Some(&sent));
            }
            Some(other) => panic!("{other:?}"),
        }
        let closed = ws.closed().unwrap();
        assert_eq!(closed.received, Some(sent.clone()));
        assert_eq!(closed.sent.map(|frame| frame.code), Some(sent.code));
        assert_eq!(closed.initiator, Some(Initiator::Remote));
        let answer = answer.join().unwrap().unwrap();
        assert_eq!(answer.code, sent.code, "what tungstenite received");
    }
}

fn a_close_without_a_code_is_a_normal_end(open: &dyn Fn() -> Ends) {
    let Ends {
        ws,
        mut peer,
        _server,
    } = open();
    peer.close(None).unwrap();
    let answer = thread::spawn(move || echo(&mut peer));
    assert!(ws.iter().next().is_none());
    let closed = ws.closed().unwrap();
    assert!(closed.is_normal(), "{closed}");
    assert_eq!(
        closed.received.map(|frame| frame.code),
        Some(CloseCode::NO_STATUS)
    );
    assert_eq!(answer.join().unwrap(), None);
}

fn a_dropped_connection_closes_with_going_away(open: &dyn Fn() -> Ends) {
    let Ends {
        ws,
        mut peer,
        _server,
    } = open();
    ws.send("last words").unwrap();
    drop(ws);
    assert_eq!(peer.read().unwrap(), PeerMessage::text("last words"));
    assert_eq!(echo(&mut peer), Some(frame(CloseCode::GOING_AWAY, "")));
}

fn bad_utf8_is_answered_with_1007(open: &dyn Fn() -> Ends) {
    let Ends {
        ws,
        mut peer,
        _server,
    } = open();
    send_frame(&mut peer, Data::Text, true, b"good");
    send_frame(&mut peer, Data::Text, true, &[b'b', 0xff]);
    assert_eq!(next(&ws), Message::from("good"));
    match ws.recv_timeout(TIMEOUT).map_err(Error::from) {
        Err(Error::Protocol(ProtocolError::Utf8)) => {}
        other => panic!("{other:?}"),
    }
    let answer = echo(&mut peer).unwrap();
    assert_eq!(answer.code, CloseCode::INVALID_PAYLOAD);
}

fn a_message_above_the_limit_is_answered_with_1009(open: &dyn Fn() -> Ends) {
    let Ends {
        ws,
        mut peer,
        _server,
    } = open();
    let sending = thread::spawn(move || {
        // wsync does not wait for all of it, so this may fail in the middle; so may the answer.
        let _ = peer.send(PeerMessage::binary(payload(16 * MIB + 1)));
        echo_until_the_end(&mut peer).0
    });
    match ws.recv_timeout(TIMEOUT).map_err(Error::from) {
        Err(Error::TooBig { size, limit }) => {
            assert_eq!((size, limit), (16 * MIB as u64 + 1, 16 * MIB as u64));
        }
        other => panic!("{other:?}"),
    }
    let closed = ws.closed().unwrap();
    assert_eq!(closed.sent.unwrap().code, CloseCode::TOO_BIG);
    // A peer that writes for long may find the connection reset before it reads why.
    if let Some(answer) = sending.join().unwrap() {
        assert_eq!(answer.code, CloseCode::TOO_BIG);
    }
}

/// Without TLS.
struct Plain;

/// How the two sides are wrapped.
trait Security: Send + 'static {
    const SCHEME: &'static str;
    fn our_client(&self, builder: ClientBuilder) -> ClientBuilder;
    fn our_server(&self, builder: wsync::ServerBuilder) -> wsync::ServerBuilder;
    fn peer_client(&self, stream: TcpStream) -> Box<dyn Stream>;
    fn peer_server(&self, stream: TcpStream) -> Box<dyn Stream>;
}

impl Security for Plain {
    const SCHEME: &'static str = "ws";

    fn our_client(&self, builder: ClientBuilder) -> ClientBuilder {
        builder
    }

    fn our_server(&self, builder: wsync::ServerBuilder) -> wsync::ServerBuilder {
        builder
    }

    fn peer_client(&self, stream: TcpStream) -> Box<dyn Stream> {
        Box::new(stream)
    }

    fn peer_server(&self, stream: TcpStream) -> Box<dyn Stream> {
        Box::new(stream)
    }
}

#[cfg(any(feature = "native-tls", feature = "rustls"))]
mod tls {
    use super::common::{CA, CHAIN, KEY, client_tls, server_tls};
    use super::{Security, Stream};
    use native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector};
    use std::net::TcpStream;
    use wsync::{ClientBuilder, ServerBuilder};

    pub(super) struct Tls;

    impl Security for Tls {
        const SCHEME: &'static str = "wss";

        fn our_client(&self, builder: ClientBuilder) -> ClientBuilder {
            builder.tls(client_tls())
        }

        fn our_server(&self, builder: ServerBuilder) -> ServerBuilder {
            builder.tls(server_tls())
        }

        fn peer_client(&self, stream: TcpStream) -> Box<dyn Stream> {
            let connector = TlsConnector::builder()
                .disable_built_in_roots(true)
                .add_root_certificate(Certificate::from_pem(CA).unwrap())
                .build()
                .unwrap();
            Box::new(connector.connect("localhost", stream).unwrap())
        }

        fn peer_server(&self, stream: TcpStream) -> Box<dyn Stream> {
            let identity = Identity::from_pkcs8(CHAIN, KEY).unwrap();
            let acceptor = TlsAcceptor::new(identity).unwrap();
            Box::new(acceptor.accept(stream).unwrap())
        }
    }
}

/// wsync as the client of tungstenite.
fn client<S: Security>(security: S) -> Ends {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("{}://127.0.0.1:{port}/path?query", S::SCHEME);
    let builder = security.our_client(ClientBuilder::new(url).config(settings()));
    let peer = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let stream = security.peer_server(bounded(stream));
        tungstenite::accept_with_config(stream, Some(peer_settings())).unwrap()
    });
    let ws = builder.connect().unwrap();
    Ends {
        ws,
        peer: peer.join().unwrap(),
        _server: None,
    }
}

/// wsync as the server of tungstenite.
fn server<S: Security>(security: S) -> Ends {
    let builder = security.our_server(Server::builder().config(settings()));
    let server = builder.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let (accepted, connections) = mpsc::channel();
    let serving = server.clone();
    thread::spawn(move || {
        serving.serve_upgrades(move |upgrade| {
            let _ = accepted.send(upgrade.and_then(|upgrade| upgrade.accept()));
        })
    });
    let server = Stop(server);
    let stream = security.peer_client(bounded(TcpStream::connect(address).unwrap()));
    let url = format!("{}://localhost/path?query", S::SCHEME);
    let (peer, _) =
        tungstenite::client::client_with_config(url, stream, Some(peer_settings())).unwrap();
    Ends {
        ws: connections.recv_timeout(TIMEOUT).unwrap().unwrap(),
        peer,
        _server: Some(server),
    }
}

/// Ends the server's thread with the test.
struct Stop(Server);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

fn settings() -> Config {
    let mut config = Config::client();
    config.limits.message = 16 * MIB;

    config.fragment_size = Some(FRAGMENT);
    config
}

fn peer_settings() -> WebSocketConfig {
    WebSocketConfig::default().max_frame_size(Some(FRAGMENT))
}

fn bounded(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Every byte value, in a period that is no power of two.
fn payload(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

fn frame(code: CloseCode, reason: &str) -> CloseFrame {
    CloseFrame::new(code, reason).unwrap()
}

fn next(ws: &WebSocket) -> Message {
    ws.recv_timeout(TIMEOUT).unwrap()
}

fn send_frame(peer: &mut Peer, opcode: Data, fin: bool, payload: &[u8]) {
    let frame = Frame::message(payload.to_vec(), OpCode::Data(opcode), fin);
    peer.send(PeerMessage::Frame(frame)).unwrap();
}

/// Echoes until the connection has closed, and returns the body of the Close frame that came.
fn echo(peer: &mut Peer) -> Option<CloseFrame> {
    let (close, end) = echo_until_the_end(peer);
    assert!(matches!(end, PeerError::ConnectionClosed), "{end}");
    close
}

fn echo_until_the_end(peer: &mut Peer) -> (Option<CloseFrame>, PeerError) {
    let mut close = None;
    loop {
        match peer.read() {
            Ok(PeerMessage::Close(frame)) => {
                close = frame.map(|frame| CloseFrame {
                    code: u16::from(frame.code).into(),
                    reason: frame.reason.as_str().into(),
                });
            }
            Ok(message @ (PeerMessage::Text(_) | PeerMessage::Binary(_))) => {
                peer.send(message).unwrap();
            }
            Ok(_) => {}
            Err(end) => return (close, end),
        }
    }
}
