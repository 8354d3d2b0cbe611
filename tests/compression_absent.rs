//! A build without the feature `deflate` says that it cannot compress, and does without.

#![cfg(not(feature = "deflate"))]
#![allow(clippy::unwrap_used)]

mod common;

use common::offers::{answered, asked, connect, line};
use common::{LATE, Scheme, client_builder, watchdog};
use std::io::ErrorKind;
use std::net::TcpListener;
use wsync::{Accept, Compression, Config, Error, Misuse, Server};

#[track_caller]
fn assert_misuse<T>(result: Result<T, Error>) {
    match result.map(drop) {
        Err(Error::Misuse(misuse @ Misuse::Config(_))) => {
            assert_eq!(
                misuse.to_string(),
                "compression without the feature deflate"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn to_ask_for_compression_is_a_misuse_before_anything_is_sent() {
    watchdog(60, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let builder = client_builder(Scheme::Ws, port);
        assert_misuse(builder.clone().compression(Compression::client()).connect());
        let mut config = Config::client();
        config.compression = Some(Compression::client());
        assert_misuse(builder.config(config).connect());
        listener.set_nonblocking(true).unwrap();
        let nobody = listener.accept().unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
        let server = Server::builder().compression(Compression::server());
        assert_misuse(server.bind("127.0.0.1:0"));
    });
}

#[test]
fn to_ask_for_it_on_one_connection_is_a_misuse_and_500_to_the_client() {
    watchdog(60, || {
        for by_config in [false, true] {
            let (client, server) = connect(
                Scheme::Ws,
                |builder| builder,
                |builder| builder,
                move |upgrade| {
                    let mut config = Config::server();
                    config.compression = Some(Compression::server());
                    match by_config {
                        true => upgrade.accept_with(Accept::new().config(config)),
                        false => upgrade.compression(Compression::server()).accept(),
                    }
                },
            );
            assert_misuse(server);
            assert_eq!(client.unwrap_err().response().unwrap().status(), 500);
        }
    });
}

#[test]
fn offers_are_ignored_and_answers_refused() {
    watchdog(60, || {
        let (accepted, mut peer) = asked(None, &line("permessage-deflate"));
        let head = peer.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(!head.to_lowercase().contains("extensions"), "{head}");
        let ws = accepted.within(LATE, "accepting").unwrap();
        assert_eq!(ws.compression(), None);
        let (connected, _peer) = answered(None, &line("permessage-deflate"));
        assert_eq!(connected.unwrap_err().kind(), "handshake.extension");
    });
}
