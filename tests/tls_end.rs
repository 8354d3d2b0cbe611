//! The end of TLS that is not the end of TCP.

#![allow(clippy::unwrap_used)]
#![cfg(any(feature = "native-tls", feature = "rustls"))]

mod common;

use common::peer::{self, FIN, TEXT};
use common::{CHAIN, KEY, LATE, Scheme, client_builder, spawn, watchdog};
use native_tls::{Identity, TlsAcceptor};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use wsync::Error;

/// Holds back what is written while it is corked.
#[derive(Debug)]
struct Corked {
    stream: TcpStream,
    held: Option<Vec<u8>>,
}

impl Read for Corked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Corked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.held {
            Some(held) => held.write(bytes),
            None => self.stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// How the peer ends TLS.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    CloseNotify,
    Garbage,
}

/// What comes in one piece.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Together {
    Nothing,
    MessageAndEnd,
    ResponseAndAll,
}

/// Serves one client with a message and the end of TLS behind it, and waits until the client ends TCP.
/// `connected` tells when it has read the response.
fn serve(listener: &TcpListener, ending: Ending, together: Together, connected: &Receiver<()>) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LATE)).unwrap();
    let identity = Identity::from_pkcs8(CHAIN, KEY).unwrap();
    let acceptor = TlsAcceptor::new(identity).unwrap();
    let mut tls = acceptor.accept(Corked { stream, held: None }).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let response = peer::response_to(&request);
    if together == Together::ResponseAndAll {
        tls.get_mut().held = Some(Vec::new());
        tls.write_all(&response).unwrap();
    } else {
        tls.write_all(&response).unwrap();
        connected.recv_timeout(LATE).unwrap();
        tls.get_mut().held = (together == Together::MessageAndEnd).then(Vec::new);
    }
    tls.write_all(&peer::frame(FIN | TEXT, false, b"the last"))
        .unwrap();
    match ending {
        Ending::CloseNotify => tls.shutdown().unwrap(),
        Ending::Garbage => tls.get_mut().write_all(&[0x55; 100]).unwrap(),
    }
    let corked = tls.get_mut();
    let held = corked.held.take().unwrap_or_default();
    corked.stream.write_all(&held).unwrap();
    match corked.stream.read_to_end(&mut Vec::new()) {
        Err(e) if e.kind() != ErrorKind::ConnectionReset => panic!("TCP does not end: {e}"),
        _ => {}
    }
}

fn receive(ending: Ending, together: Together) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, connected) = mpsc::channel();
    let serving = spawn(move || serve(&listener, ending, together, &connected));
    let ws = client_builder(Scheme::Wss, port).connect().unwrap();
    let _ = tell.send(());
    let message = ws.recv_timeout(LATE).unwrap();
    assert_eq!(message.as_text(), Some("the last"));
    let error = Error::from(ws.recv_timeout(LATE).unwrap_err());
    serving.within(2 * LATE, "the peer sees the end of TCP");
    error
}

#[test]
fn a_close_notify_behind_a_message_is_the_loss_even_if_tcp_stays_open() {
    watchdog(120, || {
        for together in [
            Together::Nothing,
            Together::MessageAndEnd,
            Together::ResponseAndAll,
        ] {
            let error = receive(Ending::CloseNotify, together);
            let lost = matches!(&error, Error::Io(e) if e.kind() == ErrorKind::UnexpectedEof);
            assert!(lost, "{error}");
        }
    });
}

#[test]
fn a_message_before_a_broken_record_is_delivered_even_if_both_came_at_once() {
    watchdog(120, || {
        for together in [Together::Nothing, Together::MessageAndEnd] {
            let error = receive(Ending::Garbage, together);
            assert!(matches!(error, Error::Tls(_)), "{error}");
        }
    });
}
