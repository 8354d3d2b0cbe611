//! Agreeing on compression between two of ours: who has a say, and what cannot be said.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::offers::{compression, connect, params, windows};
use common::peer::{Ours, everywhere};
use common::{LATE, Scheme, client_builder, patient, watchdog};
use http::{HeaderMap, StatusCode};
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use wsync::{Accept, ClientBuilder, Compression, Config, Error, Misuse, Server};

const HEADER: &str = "sec-websocket-extensions";

fn extensions(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(HEADER).iter();
    let line = lines.next().map(|line| line.to_str().unwrap());
    assert_eq!(lines.next(), None, "one line");
    line
}

#[test]
fn both_sides_know_what_was_agreed_and_see_the_headers() {
    watchdog(60, || {
        let none = |c: &mut Compression| {
            c.server_no_context_takeover = true;
            c.client_no_context_takeover = true;
        };
        for (offered, ours, request, response, agreed) in [
            (
                Compression::client(),
                Compression::server(),
                "; client_max_window_bits",
                "; server_max_window_bits=12; client_max_window_bits=12",
                (12, 12, false, false),
            ),
            (
                windows(10, 9),
                Compression::server(),
                "; server_max_window_bits=10; client_max_window_bits=9",
                "; server_max_window_bits=10; client_max_window_bits=9",
                (10, 9, false, false),
            ),
            (
                compression(none),
                windows(15, 15),
                "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
                "; server_no_context_takeover; client_no_context_takeover",
                (15, 15, true, true),
            ),
            (
                windows(15, 15),
                compression(none),
                "; client_max_window_bits",
                "; server_no_context_takeover; client_no_context_takeover",
                (15, 15, true, true),
            ),
        ] {
            for &scheme in Scheme::all() {
                let (client, server) = connect(
                    scheme,
                    |builder| builder.compression(offered),
                    |builder| builder.compression(ours),
                    |upgrade| upgrade.accept().unwrap(),
                );
                for ws in [client.unwrap(), server] {
                    let value = |params| format!("permessage-deflate{params}");
                    let (sent, answered) = (value(request), value(response));
                    assert_eq!(extensions(ws.request().headers()), Some(sent.as_str()));
                    assert_eq!(extensions(ws.response().headers()), Some(answered.as_str()));
                    assert_eq!(ws.compression().map(params), Some(agreed));
                }
            }
        }
    });
}

#[test]
fn one_side_alone_does_not_compress() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let only = |side| (ours == side).then(Compression::client);
            let (on_client, on_server) = (only(Ours::Client), only(Ours::Server));
            let (client, server) = connect(
                scheme,
                |builder| match on_client {
                    Some(compression) => builder.compression(compression),
                    None => builder,
                },
                |builder| match on_server {
                    Some(compression) => builder.compression(compression),
                    None => builder,
                },
                |upgrade| upgrade.accept().unwrap(),
            );
            let client = client.unwrap();
            for (ws, other) in [(&client, &server), (&server, &client)] {
                assert_eq!(ws.compression(), None);
                assert_eq!(
                    extensions(ws.request().headers()).is_some(),
                    on_client.is_some()
                );
                assert_eq!(extensions(ws.response().headers()), None);
                let text = "as it is ".repeat(100);
                ws.send(text.as_str()).unwrap();
                assert_eq!(other.recv().unwrap().as_text(), Some(text.as_str()));
            }
        });
    });
}

/// Who says something about compression, and with which window of the server.
type Said = Option<Option<u8>>;

fn configured(bits: Option<u8>) -> Config {
    let mut config = patient(Config::server());
    config.compression = bits.map(|bits| windows(bits, 15));
    config
}

fn chosen(server: Said, accept: Said, upgrade: Said) -> Option<u8> {
    let (client, ws) = connect(
        Scheme::Ws,
        |builder| builder.compression(Compression::client()),
        |builder| match server {
            Some(bits) => builder.config(configured(bits)),
            None => builder,
        },
        move |mut request| {
            if let Some(bits) = upgrade {
                request = request.compression(bits.map(|bits| windows(bits, 15)));
            }
            match accept {
                Some(bits) => request.accept_with(Accept::new().config(configured(bits))),
                None => request.accept(),
            }
            .unwrap()
        },
    );
    let agreed = ws.compression();
    assert_eq!(client.unwrap().compression(), agreed);
    agreed.map(|agreed| agreed.server_max_window_bits)
}

#[test]
fn the_upgrade_goes_before_its_configuration_and_that_before_the_servers() {
    watchdog(60, || {
        let said = |bits| Some(Some(bits));
        for (server, accept, upgrade, expected) in [
            (None, None, None, None),
            (said(9), None, None, Some(9)),
            (said(9), said(10), None, Some(10)),
            (said(9), Some(None), None, None),
            (None, said(10), None, Some(10)),
            (said(9), None, said(11), Some(11)),
            (said(9), said(10), said(11), Some(11)),
            (None, Some(None), said(11), Some(11)),
            (None, None, said(11), Some(11)),
            (said(9), None, Some(None), None),
            (said(9), said(10), Some(None), None),
        ] {
            let found = chosen(server, accept, upgrade);
            assert_eq!(found, expected, "{server:?} {accept:?} {upgrade:?}");
        }
    });
}

#[test]
fn what_a_builder_was_told_last_counts() {
    watchdog(60, || {
        let (nine, ten) = (windows(9, 15), windows(10, 15));
        let mut config = patient(Config::client());
        config.compression = Some(nine);
        let off = patient(Config::client());
        type Choose = Box<dyn Fn(ClientBuilder) -> ClientBuilder>;
        let (first, second) = (config.clone(), config);
        let choices: [(Choose, Option<u8>); 3] = [
            (
                Box::new(move |b| b.config(first.clone()).compression(ten)),
                Some(10),
            ),
            (
                Box::new(move |b| b.compression(ten).config(second.clone())),
                Some(9),
            ),
            (
                Box::new(move |b| b.compression(ten).config(off.clone())),
                None,
            ),
        ];
        for (choose, expected) in choices {
            let (client, server) = connect(
                Scheme::Ws,
                choose,
                |builder| builder.compression(nine).compression(windows(15, 15)),
                |upgrade| upgrade.accept().unwrap(),
            );
            let agreed = client.unwrap().compression();
            assert_eq!(agreed, server.compression());
            assert_eq!(agreed.map(|agreed| agreed.server_max_window_bits), expected);
        }
    });
}

fn invalid() -> Vec<Compression> {
    let mut invalid = Vec::new();
    for wrong in [0, 10, 255] {
        invalid.push(compression(|c| c.level = wrong));
        invalid.push(compression(|c| c.mem_level = wrong));
    }
    for wrong in [0, 7, 16, 255] {
        invalid.push(windows(wrong, 15));
        invalid.push(windows(15, wrong));
    }
    invalid
}

#[track_caller]
fn assert_misuse<T>(result: Result<T, Error>, wrong: &Compression) {
    match result.map(drop) {
        Err(Error::Misuse(Misuse::Config(_))) => {}
        other => panic!("{other:?} for {wrong:?}"),
    }
}

#[test]
fn values_that_cannot_be_are_a_misuse_before_anything_is_sent() {
    watchdog(60, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for wrong in invalid() {
            let builder = client_builder(Scheme::Ws, port).compression(wrong);
            assert_misuse(builder.connect(), &wrong);
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            assert_misuse(builder.connect_over(stream), &wrong);
            let (mut arrived, _) = listener.accept().unwrap();
            arrived.set_read_timeout(Some(LATE)).unwrap();
            assert_eq!(arrived.read(&mut [0]).unwrap(), 0, "only the end comes");
            assert_misuse(
                Server::builder().compression(wrong).bind("127.0.0.1:0"),
                &wrong,
            );
        }
        listener.set_nonblocking(true).unwrap();
        let nobody = listener.accept().unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn values_that_cannot_be_for_one_connection_are_a_misuse_and_500_to_the_client() {
    watchdog(60, || {
        for wrong in invalid() {
            for by_config in [false, true] {
                let (client, server) = connect(
                    Scheme::Ws,
                    |builder| builder.compression(Compression::client()),
                    |builder| builder,
                    move |upgrade| {
                        let mut config = patient(Config::server());
                        config.compression = Some(wrong);
                        match by_config {
                            true => upgrade.accept_with(Accept::new().config(config)),
                            false => upgrade.compression(wrong).accept(),
                        }
                    },
                );
                assert_misuse(server, &wrong);
                let error = client.unwrap_err();
                let status = error.response().unwrap().status();
                assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            }
        }
    });
}
