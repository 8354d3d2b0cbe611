//! Clients that are bare sockets and know the bytes they send by heart.

use crate::Failure;
use crate::common::{KEY, append_frame};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How many addresses the clients come from: each has about 28 000 ports, and one that was used waits a minute.
const ADDRESSES: usize = 32;

/// How long a client waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The same with an offer of compression.
pub(crate) const REQUEST_DEFLATE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Extensions: permessage-deflate\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Opcode and FIN of a Close frame.
pub(crate) const CLOSE: u8 = 0x88;

/// The client number `n`, without a handshake yet.
pub(crate) fn connect(server: SocketAddr, n: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let source = Ipv4Addr::new(127, 0, 0, 1 + (n % ADDRESSES) as u8);
    socket.bind(&SockAddr::from(SocketAddr::from((source, 0))))?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

pub(crate) fn open(server: SocketAddr, n: usize) -> io::Result<TcpStream> {
    open_with(server, n, REQUEST)
}

pub(crate) fn open_with(server: SocketAddr, n: usize, request: &[u8]) -> io::Result<TcpStream> {
    let mut stream = connect(server, n)?;
    stream.write_all(request)?;
    let mut head = Vec::new();
    // The server says nothing after its head before it hears something.
    while !head.ends_with(b"\r\n\r\n") {
        let mut some = [0; 512];
        match stream.read(&mut some)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(&some[..n]),
        }
    }
    match head.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(stream),
        false => Err(io::Error::other("not a 101")),
    }
}

/// The kernel then sends a RST in place of a FIN.
pub(crate) fn reset(stream: TcpStream) -> io::Result<()> {
    let socket = Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO))
}

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    append_frame(&mut frame, first, Some(KEY), payload);
    frame
}

/// A Close frame with 1000.
pub(crate) fn close_frame() -> Vec<u8> {
    frame(CLOSE, &1000_u16.to_be_bytes())
}

/// Closes as RFC 6455 has it, and waits for the end of TCP.
pub(crate) fn close(mut stream: TcpStream) -> Result<(), Failure> {
    stream.set_nonblocking(false)?;
    stream.write_all(&close_frame())?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    match rest.as_slice() {
        [.., CLOSE, 2, 0x03, 0xe8] => Ok(()),
        _ => Err(format!("not closed with 1000: {rest:?}").into()),
    }
}

/// Reads until the server ends the connection, in whichever way; whether it did so in time.
pub(crate) fn drained(stream: &mut TcpStream, patience: Duration) -> bool {
    let until = std::time::Instant::now() + patience;
    let mut some = [0; 16 << 10];
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match stream.read(&mut some) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}
