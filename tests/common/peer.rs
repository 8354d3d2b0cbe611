//! A peer that does what it is told, right or wrong, over TCP or TLS.

use super::delivery::Delivery;
use super::{LATE, Scheme, as_asked, client_builder, server_builder, spawn};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;
use tungstenite::handshake::derive_accept_key;
use wsync::{Compression, Config, MessageKind, MessageWriter, WebSocket};

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;

/// A request that every server accepts; `Sec-WebSocket-Key` is that of RFC 6455 section 1.3.
pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Which end is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    Client,
    Server,
}

impl Ours {
    pub(crate) const BOTH: [Ours; 2] = [Ours::Client, Ours::Server];

    pub(crate) fn config(self) -> Config {
        match self {
            Ours::Client => Config::client(),
            Ours::Server => Config::server(),
        }
    }
}

/// Runs a test at both ends, over each scheme that the build has.
pub(crate) fn everywhere(mut test: impl FnMut(Ours, Scheme)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            test(ours, scheme);
        }
    }
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// The other end of a connection, in the hands of a test. Its reads end after a while.
pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    pub(crate) tcp: TcpStream,
    /// It plays the client, and masks.
    masks: bool,
    /// Compression was agreed on.
    packs: bool,
}

/// A frame as it was on the wire, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    /// RSV1: a compressed message begins (RFC 7692 section 6).
    pub(crate) packed: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(fin: bool, opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Frame {
            fin,
            opcode,
            packed: false,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// The code of a Close frame.
    pub(crate) fn code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE, "{self:?}");
        let code = self.payload.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*code))
    }
}

/// One end of ours, opened, and the peer at the other. It agrees to compression as far as `config` asks for
/// it.
pub(crate) fn open(ours: Ours, scheme: Scheme, config: Config) -> (WebSocket, Peer) {
    open_with(ours, scheme, config, Delivery::Receive)
}

/// The same, with messages that may go elsewhere.
pub(crate) fn open_with(
    ours: Ours,
    scheme: Scheme,
    config: Config,
    delivery: Delivery,
) -> (WebSocket, Peer) {
    let open = match ours {
        Ours::Client => open_client,
        Ours::Server => open_server,
    };
    open(scheme, as_asked(config), delivery)
}

fn open_client(scheme: Scheme, config: Config, delivery: Delivery) -> (WebSocket, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let compression = config.compression;
    let peer = spawn(move || {
        let mut peer = Peer::accept(&listener, scheme);
        peer.respond(compression);
        peer
    });
    let builder = client_builder(scheme, port).config(config);
    let ws = delivery.client(builder).connect().unwrap();
    (ws, peer.within(LATE, "the peer's handshake"))
}

fn open_server(scheme: Scheme, config: Config, delivery: Delivery) -> (WebSocket, Peer) {
    let compression = config.compression;
    let server = server_builder(scheme)
        .config(config)
        .bind("127.0.0.1:0")
        .unwrap();
    let port = server.local_addr().port();
    let mut incoming = server.incoming().unwrap();
    let ws = spawn(move || delivery.server(incoming.next().unwrap()).accept().unwrap());
    let mut peer = Peer::connect(port, scheme);
    peer.request(compression);
    (ws.within(LATE, "accepting"), peer)
}

/// The response that opens the connection.
pub(crate) fn response_to(request: &str) -> Vec<u8> {
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .or_else(|| {
            let mut lines = request.lines();
            lines.find_map(|line| line.strip_prefix("sec-websocket-key: "))
        })
        .unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// The head of a request or a response with permessage-deflate in it, if it is asked for.
fn with_extension(mut head: Vec<u8>, compression: Option<Compression>) -> Vec<u8> {
    let Some(compression) = compression else {
        return head;
    };
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"Sec-WebSocket-Extensions: permessage-deflate");
    if compression.server_no_context_takeover {
        head.extend_from_slice(b"; server_no_context_takeover");
    }
    if compression.client_no_context_takeover {
        head.extend_from_slice(b"; client_no_context_takeover");
    }
    head.extend_from_slice(b"\r\n\r\n");
    head
}

/// A frame in its shortest form; the masking key is 1, 2, 3, 4.
pub(crate) fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        n @ 0..=125 => bytes.push(bit | n as u8),
        n @ 126..=0xffff => {
            bytes.push(bit | 126);
            bytes.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            bytes.push(bit | 127);
            bytes.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    if masked {
        let key = [1, 2, 3, 4];
        bytes.extend_from_slice(&key);
        let unmasked = payload.iter().zip(key.iter().cycle());
        bytes.extend(unmasked.map(|(byte, key)| byte ^ key));
    } else {
        bytes.extend_from_slice(payload);
    }
    bytes
}

impl Peer {
    /// Plays a server, up to where the request is to be read.
    pub(crate) fn accept(listener: &TcpListener, scheme: Scheme) -> Self {
        let (tcp, _) = listener.accept().unwrap();
        let stream = bounded(&tcp);
        Peer {
            stream: match scheme {
                Scheme::Ws => Box::new(stream),
                Scheme::Wss => tls::accept(stream),
            },
            tcp,
            masks: false,
            packs: false,
        }
    }

    /// Plays a client, up to where the request is to be written.
    pub(crate) fn connect(port: u16, scheme: Scheme) -> Self {
        Peer::try_connect(port, scheme).unwrap()
    }

    /// The same, with a server that may be in a hurry.
    pub(crate) fn try_connect(port: u16, scheme: Scheme) -> io::Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        let stream = bounded(&tcp);
        Ok(Peer {
            stream: match scheme {
                Scheme::Ws => Box::new(stream),
                Scheme::Wss => tls::connect(stream)?,
            },
            tcp,
            masks: true,
            packs: false,
        })
    }

    /// Opens the connection, and offers compression.
    pub(crate) fn request(&mut self, compression: Option<Compression>) {
        self.bytes(&with_extension(REQUEST.into(), compression));
        let head = self.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        self.packs = compression.is_some();
    }

    /// Answers a request, and agrees to compression as the client asks for it.
    pub(crate) fn respond(&mut self, compression: Option<Compression>) {
        let request = self.read_head();
        self.bytes(&with_extension(response_to(&request), compression));
        self.packs = compression.is_some();
    }

    /// The same stream in the hands of tungstenite, which reads what comes as it understands it.
    pub(crate) fn into_tungstenite(self) -> tungstenite::WebSocket<impl Read + Write + Send> {
        let role = match self.masks {
            true => tungstenite::protocol::Role::Client,
            false => tungstenite::protocol::Role::Server,
        };
        tungstenite::WebSocket::from_raw_socket(self.stream, role, None)
    }

    /// Whether its frames have to be masked.
    pub(crate) fn masks(&self) -> bool {
        self.masks
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.try_bytes(bytes).unwrap();
    }

    pub(crate) fn try_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    pub(crate) fn frame(&mut self, first: u8, payload: &[u8]) {
        self.bytes(&frame(first, self.masks, payload));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.frame(FIN | TEXT, text.as_bytes());
    }

    pub(crate) fn close(&mut self, code: u16) {
        self.frame(FIN | CLOSE, &code.to_be_bytes());
    }

    /// The head of a request or a response.
    pub(crate) fn read_head(&mut self) -> String {
        self.try_read_head().unwrap()
    }

    pub(crate) fn try_read_head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        String::from_utf8(head).map_err(io::Error::other)
    }

    /// Waits until a large message has begun to arrive, and leaves it where it is.
    pub(crate) fn wait_for_a_message(&self) {
        let mut bytes = vec![0; 20_000];
        super::eventually("bytes of a message", || {
            self.tcp.peek(&mut bytes).unwrap() == bytes.len()
        });
    }

    /// All that comes until the end.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn read(&mut self) -> Frame {
        self.try_read().unwrap()
    }

    pub(crate) fn try_read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.read_array()?)),
            127 => u64::from_be_bytes(self.read_array()?),
            length => u64::from(length),
        };
        let masked = head[1] & 0x80 != 0;
        assert_ne!(masked, self.masks, "only a client masks");
        let key: [u8; 4] = if masked { self.read_array()? } else { [0; 4] };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload)?;
        if masked {
            unmask(&mut payload, key);
        }
        let packed = head[0] & RSV1 != 0;
        assert!(self.packs || !packed, "no extension was agreed on");
        assert_eq!(head[0] & 0x30, 0, "no such extension was agreed on");
        Ok(Frame {
            fin: head[0] & FIN != 0,
            opcode: head[0] & 0xf,
            packed,
            payload,
        })
    }

    /// A message whose frames do not mix with others.
    pub(crate) fn read_message(&mut self) -> Vec<u8> {
        let mut frame = self.read();
        assert_ne!(frame.opcode, CONTINUATION);
        let mut payload = frame.payload;
        while !frame.fin {
            frame = self.read();
            assert_eq!(frame.opcode, CONTINUATION);
            payload.append(&mut frame.payload);
        }
        payload
    }

    /// A writer whose first fragment, "a", has come.
    pub(crate) fn begin<'a>(&mut self, ws: &'a WebSocket) -> MessageWriter<'a> {
        let mut writer = ws.send_streaming(MessageKind::Text).unwrap();
        writer.write_all(b"a").unwrap();
        writer.flush().unwrap();
        assert_eq!(self.read(), Frame::new(false, TEXT, "a"));
        writer
    }

    /// Until all that was sent so far has been taken in: what stands before a ping is queued before
    /// the ping is answered.
    pub(crate) fn settle(&mut self) {
        self.frame(FIN | PING, b"settle");
        loop {
            let frame = self.read();
            if frame.opcode == PONG && frame.payload == b"settle" {
                return;
            }
        }
    }

    /// Numbered messages, in one write.
    pub(crate) fn numbers(&mut self, numbers: std::ops::Range<u64>) {
        let frames = numbers.flat_map(|n| frame(FIN | BINARY, self.masks, &n.to_be_bytes()));
        let bytes: Vec<_> = frames.collect();
        self.bytes(&bytes);
    }

    /// The code of the Close frame, behind whatever comes before it.
    pub(crate) fn read_close(&mut self) -> Option<u16> {
        loop {
            let frame = self.read();
            if frame.opcode == CLOSE {
                return frame.code();
            }
        }
    }

    /// Asserts that nothing follows but the end.
    pub(crate) fn read_end(&mut self) {
        let mut bytes = Vec::new();
        let read = self.stream.read_to_end(&mut bytes);
        if let Err(e) = read {
            assert!(!is_timeout(&e), "the connection does not end: {e}");
        }
        assert_eq!(bytes, b"");
    }

    /// What a peer does after both Close frames: the server ends TCP first (RFC 6455 section 7.1.1).
    pub(crate) fn read_end_and_leave(mut self) {
        if self.masks {
            self.read_end();
        }
        let _ = self.tcp.shutdown(Shutdown::Both);
    }

    /// Ends TCP, without a word of TLS.
    pub(crate) fn end(&self) {
        self.tcp.shutdown(Shutdown::Both).unwrap();
    }

    /// Ends TCP with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.tcp)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    fn read_array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Eight bytes at a time: tests are not optimized.
fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let twice = u64::from_ne_bytes([key, key].concat().try_into().unwrap());
    let mut eights = payload.chunks_exact_mut(8);
    for eight in &mut eights {
        let word = u64::from_ne_bytes((&*eight).try_into().unwrap());
        eight.copy_from_slice(&(word ^ twice).to_ne_bytes());
    }
    let rest = eights.into_remainder().iter_mut();
    rest.zip(key.iter().cycle())
        .for_each(|(byte, key)| *byte ^= key);
}

fn is_timeout(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn bounded(tcp: &TcpStream) -> TcpStream {
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(3 * LATE)).unwrap();
    tcp.set_write_timeout(Some(3 * LATE)).unwrap();
    tcp.try_clone().unwrap()
}

#[cfg(any(feature = "native-tls", feature = "rustls"))]
mod tls {
    use super::super::{CA, CHAIN, KEY};
    use super::{Stream, TcpStream, io};
    use native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector};

    pub(super) fn accept(stream: TcpStream) -> Box<dyn Stream> {
        let identity = Identity::from_pkcs8(CHAIN, KEY).unwrap();
        let acceptor = TlsAcceptor::new(identity).unwrap();
        Box::new(acceptor.accept(stream).unwrap())
    }

    pub(super) fn connect(stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let connector = TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(Certificate::from_pem(CA).unwrap())
            .build()
            .unwrap();
        let connected = connector.connect("localhost", stream);
        Ok(Box::new(connected.map_err(io::Error::other)?))
    }
}

#[cfg(not(any(feature = "native-tls", feature = "rustls")))]
mod tls {
    use super::{Stream, TcpStream, io};

    pub(super) fn accept(_: TcpStream) -> Box<dyn Stream> {
        unreachable!("Scheme::all has no wss")
    }

    pub(super) fn connect(_: TcpStream) -> io::Result<Box<dyn Stream>> {
        unreachable!("Scheme::all has no wss")
    }
}
