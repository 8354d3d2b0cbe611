//! Host names in other scripts than ASCII.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LATE, Scheme, Serving, server_builder, spawn, watchdog};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use wsync::{ClientBuilder, UriError};

const NAME: &str = "xn--bcher-kva.example";

#[test]
fn the_resolver_and_the_host_header_get_the_ascii_form() {
    watchdog(60, || {
        let serving = Serving::echo(server_builder(Scheme::Ws));
        let port = serving.port;
        let typed = format!("ws://BÜCHER.example:{port}/");
        let parsed = url::Url::parse(&typed).unwrap();
        for builder in [ClientBuilder::new(typed), ClientBuilder::new(parsed)] {
            let (sender, asked) = channel();
            let resolve = move |host: &str, port| {
                sender.send(host.to_owned()).unwrap();
                Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
            };
            let ws = builder.resolver(resolve).connect().unwrap();
            assert_eq!(asked.recv_timeout(LATE).unwrap(), NAME);
            assert_eq!(ws.request().headers()["host"], format!("{NAME}:{port}"));
            ws.send("hello").unwrap();
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("hello"));
        }
    });
}

/// The name stands as it is in the first message of TLS (RFC 6066 section 3).
#[cfg(feature = "native-tls")]
#[test]
fn tls_asks_for_the_ascii_form() {
    use std::io::Read;

    watchdog(60, || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let hello = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut hello, mut chunk) = (Vec::new(), [0; 1024]);
            while !hello
                .windows(NAME.len())
                .any(|part| part == NAME.as_bytes())
            {
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0, "the name did not come");
                hello.extend_from_slice(&chunk[..count]);
            }
        });
        let client = ClientBuilder::new(format!("wss://bücher.example:{port}/"))
            .resolver(|_, port| Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]));
        assert!(client.connect().is_err());
        hello.within(LATE, "the first message");
    });
}

#[test]
fn a_host_of_which_no_name_can_be_made_is_refused_before_anything_is_sent() {
    let error = ClientBuilder::new("ws://a\u{ff0f}b/")
        .connect()
        .unwrap_err();
    assert_eq!(error.kind(), UriError::Idna.kind());
}
