//! Certificates of every kind that a client must refuse, those that it must take, and what both TLS libraries
//! have beside that: each as client, with each as server.

#![allow(clippy::unwrap_used)]
#![cfg(any(feature = "native-tls", feature = "rustls"))]

mod common;

use common::{CA, CHAIN, KEY, LATE, Scheme, Serving, spawn, watchdog};
use native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector};
use std::net::{TcpListener, TcpStream};
use wsync::{ClientBuilder, Error, Server, TlsBackend, TlsConfig, TlsVersion, WebSocket};

const EXPIRED: &[u8] = include_bytes!("certs/expired.pem");
const OTHER_NAME: &[u8] = include_bytes!("certs/other-name.pem");
const OTHER_ROOT: &[u8] = include_bytes!("certs/other-root.pem");
const SELF_SIGNED: &[u8] = include_bytes!("certs/self-signed.pem");

fn backends() -> impl Iterator<Item = TlsBackend> {
    let all = [TlsBackend::NativeTls, TlsBackend::Rustls];
    all.into_iter().filter(|backend| backend.is_available())
}

/// Each as client, with each as server.
fn pairs() -> impl Iterator<Item = (TlsBackend, TlsBackend)> {
    backends().flat_map(|client| backends().map(move |server| (client, server)))
}

fn server_of(backend: TlsBackend, chain: &[u8]) -> TlsConfig {
    let tls = TlsConfig::server(chain, KEY).unwrap();
    tls.backend(backend).unwrap()
}

/// Trusts the CA of the tests and no other.
fn client_of(backend: TlsBackend) -> TlsConfig {
    let tls = TlsConfig::client().backend(backend).unwrap();
    let tls = tls.disable_built_in_roots(true);
    tls.add_root_certificate_pem(CA).unwrap()
}

fn serve(tls: TlsConfig) -> Serving {
    Serving::echo(Server::builder().tls(tls))
}

fn connect(serving: &Serving, tls: TlsConfig) -> Result<WebSocket, Error> {
    ClientBuilder::new(format!("wss://localhost:{}/", serving.port))
        .tls(tls)
        .connect()
}

#[track_caller]
fn talks(serving: &Serving, tls: TlsConfig) {
    let ws = connect(serving, tls).unwrap();
    ws.send("hello").unwrap();
    assert_eq!(ws.recv().unwrap().as_text(), Some("hello"));
    ws.close().unwrap();
}

#[track_caller]
fn refused(serving: &Serving, tls: TlsConfig) -> String {
    let error = connect(serving, tls).unwrap_err();
    assert_eq!(error.kind(), "tls", "{error}");
    error.to_string().to_lowercase()
}

#[test]
fn a_bad_certificate_is_refused_for_what_is_wrong_with_it() {
    watchdog(120, || {
        for (client, server) in pairs() {
            for (chain, reasons) in [
                (EXPIRED, ["expired", "expired"]),
                (OTHER_NAME, ["hostname mismatch", "not valid for name"]),
                (OTHER_ROOT, ["self-signed", "unknownissuer"]),
                (SELF_SIGNED, ["self-signed", "unknownissuer"]),
            ] {
                let serving = serve(server_of(server, chain));
                let error = refused(&serving, client_of(client));
                let reason = match client {
                    TlsBackend::NativeTls => reasons[0],
                    _ => reasons[1],
                };
                // The words of OpenSSL; other platforms have theirs.
                if client != TlsBackend::NativeTls || cfg!(target_os = "linux") {
                    let error = error.replace("self signed", "self-signed");
                    assert!(error.contains(reason), "{client:?}: {error}");
                }
                // What is asked for is let pass, and the server goes on.
                talks(
                    &serving,
                    client_of(client).danger_accept_invalid_certs(true),
                );
                let any_name = client_of(client).danger_accept_invalid_hostnames(true);
                match chain == OTHER_NAME {
                    true => talks(&serving, any_name),
                    false => drop(refused(&serving, any_name)),
                }
            }
        }
    });
}

#[test]
fn only_the_roots_that_are_meant_are_trusted() {
    watchdog(60, || {
        for (client, server) in pairs() {
            let serving = serve(server_of(server, CHAIN));
            let system = TlsConfig::client().backend(client).unwrap();
            refused(&serving, system.clone());
            refused(&serving, system.clone().disable_built_in_roots(true));
            talks(&serving, system.add_root_certificate_pem(CA).unwrap());
            talks(&serving, client_of(client));
        }
    });
}

#[test]
fn a_self_signed_certificate_that_is_pinned_is_enough() {
    watchdog(60, || {
        for (client, server) in pairs() {
            let serving = serve(server_of(server, SELF_SIGNED));
            let any = client_of(client).danger_accept_invalid_certs(true);
            let pinned = |pem| {
                any.clone()
                    .pin_certificate_sha256(&fingerprint(pem))
                    .unwrap()
            };
            talks(&serving, pinned(SELF_SIGNED));
            talks(
                &serving,
                pinned(CHAIN)
                    .pin_certificate_sha256(&fingerprint(SELF_SIGNED))
                    .unwrap(),
            );
            assert!(refused(&serving, pinned(CHAIN)).contains("pinned"));
            // A pin takes no other check away.
            let strict = client_of(client).pin_certificate_sha256(&fingerprint(SELF_SIGNED));
            refused(&serving, strict.unwrap());
        }
    });
}

/// Of the first certificate, as OpenSSL prints it.
fn fingerprint(pem: &[u8]) -> String {
    let der = Certificate::from_pem(pem).unwrap().to_der().unwrap();
    let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(der).into();
    hash.map(|byte| format!("{byte:02X}")).join(":")
}

#[test]
fn what_is_no_fingerprint_is_told_where_it_is_given() {
    for wrong in ["", "AB", "zz", &"AB".repeat(33), &"AB".repeat(20)] {
        let error = TlsConfig::client().pin_certificate_sha256(wrong);
        assert_eq!(error.unwrap_err().kind(), "tls");
    }
}

#[cfg(feature = "pkcs12")]
#[test]
fn certificates_and_keys_come_from_pkcs12_files() {
    const FILE: &[u8] = include_bytes!("certs/server.p12");
    const OLDER: &[u8] = include_bytes!("certs/server-older.p12");
    watchdog(60, || {
        for (client, server) in pairs() {
            for file in [FILE, OLDER] {
                let tls = TlsConfig::server_pkcs12(file, "secret").unwrap();
                let serving = serve(tls.backend(server).unwrap());
                let shown = client_of(client).identity_pkcs12(file, "secret");
                talks(&serving, shown.unwrap());
            }
        }
        for (file, password) in [(FILE, "wrong"), (OLDER, ""), (CHAIN, "secret"), (b"", "")] {
            let error = TlsConfig::server_pkcs12(file, password).unwrap_err();
            assert_eq!(error.kind(), "tls", "{error}");
            let error = TlsConfig::client().identity_pkcs12(file, password);
            assert_eq!(error.unwrap_err().kind(), "tls");
        }
    });
}

#[test]
fn a_server_that_demands_certificates_of_clients_gets_them() {
    watchdog(60, || {
        let demanding = |server| {
            let tls = server_of(server, CHAIN);
            tls.client_root_certificate_pem(CA).unwrap()
        };
        if TlsBackend::NativeTls.is_available() {
            let serving = serve(demanding(TlsBackend::NativeTls));
            assert!(connect(&serving, client_of(TlsBackend::NativeTls)).is_err());
        }
        if !TlsBackend::Rustls.is_available() {
            return;
        }
        for client in backends() {
            for oldest in [TlsVersion::Tls12, TlsVersion::Tls13] {
                let serving = serve(demanding(TlsBackend::Rustls).min_protocol(oldest));
                let shows = |chain| client_of(client).identity_pem(chain, KEY).unwrap();
                talks(&serving, shows(CHAIN));
                for wrong in [client_of(client), shows(OTHER_ROOT), shows(EXPIRED)] {
                    let error = connect(&serving, wrong).unwrap_err();
                    assert!(["tls", "io"].contains(&error.kind()), "{error}");
                }
                talks(&serving, shows(CHAIN));
            }
        }
    });
}

#[test]
fn the_oldest_version_that_is_asked_for_is_kept_to() {
    watchdog(60, || {
        for (client, server) in pairs() {
            let newest = |tls: TlsConfig| tls.min_protocol(TlsVersion::Tls13);
            let serving = serve(server_of(server, CHAIN));
            // A server of native-tls speaks 1.2 on Linux, and no 1.3.
            if server == TlsBackend::Rustls {
                talks(&serving, newest(client_of(client)));
                talks(&serve(newest(server_of(server, CHAIN))), client_of(client));
            } else if cfg!(target_os = "linux") {
                refused(&serving, newest(client_of(client)));
            }
            talks(&serving, client_of(client));
        }
    });
}

#[test]
fn both_sides_say_that_they_speak_http_1_1() {
    watchdog(60, || {
        for backend in backends() {
            let serving = serve(server_of(backend, CHAIN));
            for (offered, agreed) in [
                (&["h2", "http/1.1"][..], Some(b"http/1.1".to_vec())),
                (&[], None),
            ] {
                let mut connector = TlsConnector::builder();
                connector.disable_built_in_roots(true);
                connector.add_root_certificate(Certificate::from_pem(CA).unwrap());
                let connector = connector.request_alpns(offered).build().unwrap();
                let tcp = TcpStream::connect(("localhost", serving.port)).unwrap();
                tcp.set_read_timeout(Some(LATE)).unwrap();
                let stream = connector.connect("localhost", tcp).unwrap();
                assert_eq!(stream.negotiated_alpn().unwrap(), agreed, "{backend:?}");
            }

            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let peer = spawn(move || {
                let mut acceptor = TlsAcceptor::builder(Identity::from_pkcs8(CHAIN, KEY).unwrap());
                acceptor.accept_alpn(&["h2", "http/1.1"]);
                let (tcp, _) = listener.accept().unwrap();
                tcp.set_read_timeout(Some(LATE)).unwrap();
                let stream = acceptor.build().unwrap().accept(tcp).unwrap();
                stream.negotiated_alpn().unwrap()
            });
            let builder = ClientBuilder::new(format!("wss://localhost:{port}/"));
            assert!(builder.tls(client_of(backend)).connect().is_err());
            assert_eq!(peer.within(LATE, "the server"), Some(b"http/1.1".to_vec()));
        }
    });
}

#[test]
fn a_tls_library_that_the_build_lacks_is_told_and_no_other_takes_its_place() {
    for backend in [TlsBackend::NativeTls, TlsBackend::Rustls] {
        assert_eq!(
            TlsConfig::client().backend(backend).is_ok(),
            backend.is_available()
        );
    }
    let error = wsync::connect("wss://127.0.0.1:1/").unwrap_err();
    let kind = match TlsBackend::NativeTls.is_available() {
        true => "io",
        false => "uri.tls_unavailable",
    };
    assert_eq!(error.kind(), kind);
}

#[test]
fn tls_within_tls_works_with_each_library_in_each_place() {
    watchdog(60, || {
        for (outer, inner) in pairs() {
            let serving = serve(server_of(inner, CHAIN));
            let through =
                common::proxy::TestProxy::start(common::proxy::Speaks::Http, Scheme::Wss, None);
            let proxy = wsync::Proxy::parse(&format!("https://localhost:{}", through.port));
            let ws = ClientBuilder::new(format!("wss://localhost:{}/", serving.port))
                .proxy(proxy.unwrap().tls(client_of(outer)))
                .tls(client_of(inner))
                .connect()
                .unwrap();
            ws.send("hello").unwrap();
            assert_eq!(ws.recv().unwrap().as_text(), Some("hello"));
            ws.close().unwrap();
        }
    });
}
