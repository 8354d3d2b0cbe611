//! Choices of compression, and the header in which they are offered and answered.

use super::peer::{self, Peer, REQUEST};
use super::{LATE, Scheme, Task, client_builder, patient, server_builder, spawn};
use std::net::TcpListener;
use wsync::{
    ClientBuilder, Compression, Config, DeflateParams, Error, Server, ServerBuilder, Upgrade,
    WebSocket,
};

pub(crate) fn compression(choose: impl FnOnce(&mut Compression)) -> Compression {
    let mut compression = Compression::client();
    choose(&mut compression);
    compression
}

pub(crate) fn windows(server: u8, client: u8) -> Compression {
    compression(|c| (c.server_max_window_bits, c.client_max_window_bits) = (server, client))
}

/// In the order server's window, client's window, without the server's takeover, without the client's.
pub(crate) fn params(agreed: DeflateParams) -> (u8, u8, bool, bool) {
    (
        agreed.server_max_window_bits,
        agreed.client_max_window_bits,
        agreed.server_no_context_takeover,
        agreed.client_no_context_takeover,
    )
}

/// Both ends of a connection.
pub(crate) fn connect<R: Send + 'static>(
    scheme: Scheme,
    client: impl FnOnce(ClientBuilder) -> ClientBuilder,
    server: impl FnOnce(ServerBuilder) -> ServerBuilder,
    accept: impl FnOnce(Upgrade) -> R + Send + 'static,
) -> (Result<WebSocket, Error>, R) {
    let builder = server_builder(scheme).config(patient(Config::server()));
    let server = server(builder).bind("127.0.0.1:0").unwrap();
    let mut incoming = server.incoming().unwrap();
    let accepted = spawn(move || accept(incoming.next().unwrap()));
    let builder = client_builder(scheme, server.local_addr().port());
    let connected = client(builder.config(patient(Config::client()))).connect();
    (connected, accepted.within(LATE, "accepting"))
}

pub(crate) fn pair(client: Compression, server: Compression) -> (WebSocket, WebSocket) {
    let (client, server) = connect(
        Scheme::Ws,
        |builder| builder.compression(client),
        |builder| builder.compression(server),
        |upgrade| upgrade.accept().unwrap(),
    );
    (client.unwrap(), server)
}

/// What a client makes of a response with `lines` more, and the peer that sent it.
pub(crate) fn answered(
    compression: Option<Compression>,
    lines: &str,
) -> (Result<WebSocket, Error>, Task<Peer>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines = lines.to_owned();
    let peer = spawn(move || {
        let mut peer = Peer::accept(&listener, Scheme::Ws);
        let request = peer.read_head();
        let response = String::from_utf8(peer::response_to(&request)).unwrap();
        peer.bytes(
            response
                .replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
                .as_bytes(),
        );
        peer
    });
    let mut config = patient(Config::client());
    config.compression = compression;
    let connected = client_builder(Scheme::Ws, port).config(config).connect();
    (connected, peer)
}

pub(crate) fn line(value: &str) -> String {
    format!("Sec-WebSocket-Extensions: {value}\r\n")
}

/// Our server's end, and a peer that has sent a request with `lines` more.
pub(crate) fn asked(
    compression: Option<Compression>,
    lines: &str,
) -> (Task<Result<WebSocket, Error>>, Peer) {
    let mut config = patient(Config::server());
    config.compression = compression;
    let server = Server::builder()
        .config(config)
        .bind("127.0.0.1:0")
        .unwrap();
    let port = server.local_addr().port();
    let accepted = spawn(move || server.incoming().unwrap().next().unwrap().accept());
    let mut peer = Peer::connect(port, Scheme::Ws);
    peer.bytes(
        REQUEST
            .replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
            .as_bytes(),
    );
    (accepted, peer)
}
