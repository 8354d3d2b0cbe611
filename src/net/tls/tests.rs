//! A client and a server joined in memory.

use super::BACKEND;
use crate::error::Error;
use crate::net::tls::{TlsBackend, TlsConfig, TlsSession, TlsVersion};
use std::time::Instant;

const CA: &[u8] = include_bytes!("../../../tests/certs/ca.pem");
const CHAIN: &[u8] = include_bytes!("../../../tests/certs/server.pem");
const KEY: &[u8] = include_bytes!("../../../tests/certs/server.key");
const OTHER_KEY: &[u8] = include_bytes!("../../../tests/certs/other.key");
const SEC1_KEY: &[u8] = include_bytes!("../../../tests/certs/other-sec1.key");

fn system_config() -> TlsConfig {
    TlsConfig::client().backend(BACKEND).unwrap()
}

fn client_config() -> TlsConfig {
    system_config()
        .disable_built_in_roots(true)
        .add_root_certificate_pem(CA)
        .unwrap()
}

fn server_config() -> TlsConfig {
    let config = TlsConfig::server(CHAIN, KEY).unwrap();
    config.backend(BACKEND).unwrap()
}

/// One end, and what it received.
struct End {
    session: Box<dyn TlsSession>,
    received: Vec<u8>,
    ended: bool,
}

impl End {
    fn new(session: Box<dyn TlsSession>) -> Self {
        End {
            session,
            received: Vec::new(),
            ended: false,
        }
    }

    /// Passes the output on in pieces whose lengths `cut` gives.
    fn pass_to(&mut self, peer: &mut End, cut: &mut impl FnMut() -> usize) -> Result<(), Error> {
        let mut bytes = Vec::new();
        self.session.take_output(&mut bytes);
        assert!(!self.session.has_output());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cut().clamp(1, rest.len()));
            peer.ended = peer.session.receive(piece, &mut peer.received)?;
            rest = after;
        }
        Ok(())
    }
}

fn pair(client: &TlsConfig, server: &TlsConfig, host: &str) -> (End, End) {
    (
        End::new(client.client_session(host).unwrap()),
        End::new(server.server_session().unwrap()),
    )
}

/// Until neither has anything to say.
fn settle(
    client: &mut End,
    server: &mut End,
    cut: &mut impl FnMut() -> usize,
) -> Result<(), Error> {
    while client.session.has_output() || server.session.has_output() {
        client.pass_to(server, cut)?;
        server.pass_to(client, cut)?;
    }
    Ok(())
}

fn connected() -> (End, End) {
    let (mut client, mut server) = pair(&client_config(), &server_config(), "localhost");
    settle(&mut client, &mut server, &mut || usize::MAX).unwrap();
    assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
    (client, server)
}

/// xorshift: the same numbers in every run.
fn numbers(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn handshake_succeeds_however_its_bytes_are_cut() {
    let (client_config, server_config) = (client_config(), server_config());
    for size in [1, 2, 3, 5, 7, 100, 1000] {
        let (mut client, mut server) = pair(&client_config, &server_config, "localhost");
        assert!(client.session.is_handshaking() && server.session.is_handshaking());
        settle(&mut client, &mut server, &mut || size).unwrap();
        assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
        client.session.send(b"hello").unwrap();
        server.session.send(b"there").unwrap();
        settle(&mut client, &mut server, &mut || size).unwrap();
        assert_eq!(client.received, b"there");
        assert_eq!(server.received, b"hello");
    }
}

#[test]
fn handshake_succeeds_with_each_flight_cut_in_two_at_any_byte() {
    let (client_config, server_config) = (client_config(), server_config());
    for at in 1..1600 {
        let (mut client, mut server) = pair(&client_config, &server_config, "localhost");
        let mut first = false;
        settle(&mut client, &mut server, &mut || {
            first = !first;
            if first { at } else { usize::MAX }
        })
        .unwrap();
        assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
    }
}

#[test]
fn a_server_that_cannot_speak_the_version_asked_for_says_so() {
    if BACKEND != TlsBackend::NativeTls {
        return;
    }
    let server = server_config().min_protocol(TlsVersion::Tls13);
    assert!(matches!(server.server_session(), Err(Error::Tls(_))));
    let client = client_config().min_protocol(TlsVersion::Tls13);
    let (mut client, mut server) = pair(&client, &server_config(), "localhost");
    assert!(settle(&mut client, &mut server, &mut || 9).is_err());
}

#[test]
fn plaintext_in_the_last_flight_of_the_handshake_is_received() {
    let (mut client, mut server) = pair(&client_config(), &server_config(), "localhost");
    let (mut from, mut to) = (&mut client, &mut server);
    while from.session.is_handshaking() {
        from.pass_to(to, &mut || usize::MAX).unwrap();
        (from, to) = (to, from);
    }
    assert!(to.session.is_handshaking());
    from.session.send(b"early").unwrap();
    from.pass_to(to, &mut || usize::MAX).unwrap();
    assert!(!to.session.is_handshaking());
    assert_eq!(to.received, b"early");
}

#[test]
fn many_bytes_pass_both_ways_at_once_however_they_are_cut() {
    const TOTAL: usize = 16 << 20;
    let (mut client, mut server) = connected();
    let mut number = numbers(0x9e37_79b9_7f4a_7c15);
    let data: Vec<u8> = (0..TOTAL).map(|_| number() as u8).collect();
    let (mut up, mut down) = (data.as_slice(), data.as_slice());
    while !up.is_empty() || !down.is_empty() {
        for (end, rest) in [(&mut client, &mut up), (&mut server, &mut down)] {
            let (now, after) = rest.split_at((number() as usize % 200_000).min(rest.len()));
            end.session.send(now).unwrap();
            *rest = after;
        }
        let mut cut = || 1 + (number() as usize % (1 << (number() % 18)));
        settle(&mut client, &mut server, &mut cut).unwrap();
    }
    assert!(client.received == data && server.received == data);
    assert!(!client.ended && !server.ended);
}

#[test]
fn one_big_receive_takes_linear_time() {
    let (mut client, mut server) = connected();
    let data = vec![7; 64 << 20];
    client.session.send(&data).unwrap();
    let start = Instant::now();
    client.pass_to(&mut server, &mut || usize::MAX).unwrap();
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    assert!(server.received == data);
}

#[test]
fn output_is_appended_to_what_a_buffer_holds() {
    let (mut client, mut server) = connected();
    let mut bytes = Vec::new();
    for word in ["one", "two"] {
        client.session.send(word.as_bytes()).unwrap();
        client.session.take_output(&mut bytes);
    }
    server
        .session
        .receive(&bytes, &mut server.received)
        .unwrap();
    assert_eq!(server.received, b"onetwo");
}

#[test]
fn close_notify_is_an_end_and_the_other_way_stays_open() {
    let (mut client, mut server) = connected();
    client.session.send(b"last").unwrap();
    client.session.close();
    client.session.close();
    settle(&mut client, &mut server, &mut || 1).unwrap();
    assert!(server.ended && !client.ended);
    assert_eq!(server.received, b"last");
    assert!(client.session.send(b"more").is_err());

    server.session.send(b"still").unwrap();
    server.session.close();
    settle(&mut client, &mut server, &mut || usize::MAX).unwrap();
    assert_eq!(client.received, b"still");
    assert!(client.ended);
    assert!(server.session.receive(b"", &mut Vec::new()).unwrap());
}

#[test]
fn a_stream_cut_off_is_not_an_end() {
    let (mut client, mut server) = connected();
    client.session.send(&[1; 100]).unwrap();
    client.session.close();
    let mut bytes = Vec::new();
    client.session.take_output(&mut bytes);
    let cut = bytes.len() - 1;
    assert!(
        !server
            .session
            .receive(&bytes[..cut], &mut server.received)
            .unwrap()
    );
    assert_eq!(server.received, [1; 100]);
}

#[test]
fn a_changed_byte_is_an_error_with_an_alert_and_what_came_before_is_kept() {
    let (mut client, mut server) = connected();
    let mut bytes = Vec::new();
    client.session.send(b"good").unwrap();
    client.session.take_output(&mut bytes);
    client.session.send(b"bad").unwrap();
    client.session.take_output(&mut bytes);
    *bytes.last_mut().unwrap() ^= 1;
    let error = server
        .session
        .receive(&bytes, &mut server.received)
        .unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error}");
    assert_eq!(server.received, b"good");
    assert!(server.session.has_output());
    let error = server.pass_to(&mut client, &mut || usize::MAX).unwrap_err();
    let text = error.to_string().replace(' ', "").to_lowercase();
    assert!(text.contains("badrecordmac"), "{error}");
}

#[test]
fn what_is_not_tls_is_an_error_on_either_side() {
    let (mut client, mut server) = pair(&client_config(), &server_config(), "localhost");
    for end in [&mut client, &mut server] {
        let error = end
            .session
            .receive(b"HTTP/1.1 400 Bad Request\r\n\r\n", &mut end.received)
            .unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
        assert!(end.session.receive(b"more", &mut end.received).is_err());
        assert!(end.session.send(b"more").is_err());
        end.session.close();
    }
}

#[track_caller]
fn refused(client: TlsConfig, host: &str) -> String {
    let (mut client, mut server) = pair(&client, &server_config(), host);
    let error = settle(&mut client, &mut server, &mut || usize::MAX).unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error}");
    assert!(!client.session.is_handshaking());
    // The server is told.
    assert!(client.session.has_output());
    let told = client.pass_to(&mut server, &mut || usize::MAX);
    assert!(told.is_err(), "no alert came");
    error.to_string()
}

#[track_caller]
fn accepted(client: TlsConfig, host: &str) {
    let (mut client, mut server) = pair(&client, &server_config(), host);
    settle(&mut client, &mut server, &mut || usize::MAX).unwrap();
    assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
}

#[test]
fn a_certificate_for_another_host_is_refused_unless_asked_for() {
    let error = refused(client_config(), "example.com");
    let mismatch = match BACKEND {
        TlsBackend::NativeTls => "hostname mismatch",
        TlsBackend::Rustls => "not valid for name",
    };
    assert!(error.contains(mismatch), "{error}");
    refused(client_config(), "127.0.0.2");
    accepted(client_config().server_name("localhost"), "example.com");
    refused(client_config().server_name("example.com"), "localhost");
    accepted(
        client_config().danger_accept_invalid_hostnames(true),
        "example.com",
    );
    accepted(
        client_config().danger_accept_invalid_certs(true),
        "example.com",
    );
}

#[test]
fn every_name_of_the_certificate_is_accepted() {
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "::1",
        "[::1]",
    ] {
        accepted(client_config(), host);
    }
    accepted(client_config().use_sni(false), "localhost");
}

#[test]
fn an_unknown_root_is_refused_unless_asked_for() {
    let nothing = system_config().disable_built_in_roots(true);
    refused(nothing.clone(), "localhost");
    refused(system_config(), "localhost");
    refused(
        nothing.clone().danger_accept_invalid_hostnames(true),
        "localhost",
    );
    accepted(nothing.danger_accept_invalid_certs(true), "localhost");
}

#[test]
fn a_setting_changed_after_the_first_connection_counts() {
    let config = client_config();
    accepted(config.clone(), "localhost");
    refused(config.clone().server_name("example.com"), "localhost");
    accepted(config.identity_pem(CHAIN, KEY).unwrap(), "localhost");
}

#[test]
fn clones_share_what_the_library_made() {
    let config = client_config();
    let clone = config.clone();
    config.client_session("localhost").unwrap();
    assert!(clone.context.get().is_some());
}

#[test]
fn bad_pem_fails_where_it_is_given() {
    let damaged: Vec<u8> = String::from_utf8_lossy(CA)
        .replace("MII", "AAA")
        .into_bytes();
    for pem in [b"".as_slice(), b"nonsense", KEY, &CA[..100], &damaged] {
        let error = system_config().add_root_certificate_pem(pem).unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
    }
    for (chain, key) in [
        (CHAIN, CA),
        (KEY, KEY),
        (CHAIN, SEC1_KEY),
        (CHAIN, OTHER_KEY),
    ] {
        let made = TlsConfig::server(chain, key).and_then(|tls| tls.backend(BACKEND));
        let error = made.unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
        assert!(system_config().identity_pem(chain, key).is_err());
    }
}

#[test]
fn settings_of_the_other_side_are_a_misuse() {
    assert!(matches!(
        client_config().server_session(),
        Err(Error::Misuse(_))
    ));
    assert!(matches!(
        server_config().client_session("localhost"),
        Err(Error::Misuse(_))
    ));
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?}", server_config());
    assert!(text.contains("identity: true"), "{text}");
    assert!(!text.contains("BEGIN") && !text.contains("MI"), "{text}");
}
