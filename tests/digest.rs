//! Digest authentication of a client (RFC 7616).

#![allow(clippy::unwrap_used)]

mod common;

use common::{LATE, Scheme, client_builder, server_builder, spawn, watchdog};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::mpsc::{Receiver, channel};
use wsync::{ClientBuilder, ReconnectPolicy, Upgrade};

const USER: &str = "J\u{fc}rgen";
const PASSWORD: &str = "open, \"sesame\"";
const NONCE: &str = "dcd98b7102dd2f0e";

fn hash(algorithm: &str, text: &str) -> String {
    let bytes = match algorithm {
        "MD5" => Md5::digest(text).to_vec(),
        _ => Sha256::digest(text).to_vec(),
    };
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// The parameters of an Authorization header. None has a comma in it here.
fn params(value: &str) -> HashMap<String, String> {
    let params = value.strip_prefix("Digest ").unwrap().split(", ");
    let params = params.map(|param| param.split_once('=').unwrap());
    params
        .map(|(name, value)| (name.into(), value.trim_matches('"').into()))
        .collect()
}

/// Whether a request proves that the client knows the password.
fn is_right(upgrade: &Upgrade, password: &str) -> bool {
    let Some(value) = upgrade.request().headers().get("authorization") else {
        return false;
    };
    let params = params(value.to_str().unwrap());
    let get = |name: &str| params[name].as_str();
    assert_eq!(get("uri"), upgrade.request().uri().to_string());
    let algorithm = get("algorithm");
    assert_eq!(get("username"), hash(algorithm, &format!("{USER}:here")));
    let secret = hash(algorithm, &format!("{USER}:here:{password}"));
    let request = hash(algorithm, &format!("GET:{}", get("uri")));
    let (nc, cnonce) = (get("nc"), get("cnonce"));
    get("response")
        == hash(
            algorithm,
            &format!("{secret}:{NONCE}:{nc}:{cnonce}:auth:{request}"),
        )
}

fn challenge(upgrade: Upgrade, algorithm: &str) {
    let digest = format!(
        "Basic realm=\"x\", Digest realm=\"here\", nonce=\"{NONCE}\", algorithm={algorithm}, \
         qop=\"auth, auth-int\", charset=UTF-8, userhash=true"
    );
    let response = http::Response::builder()
        .status(401)
        .header("WWW-Authenticate", digest);
    upgrade.respond(response.body("").unwrap()).unwrap();
}

/// A server that tells the Authorization of each request, and lets `answer` answer.
fn server(answer: impl Fn(Upgrade) + Send + Sync + 'static) -> (u16, Receiver<Option<String>>) {
    let server = server_builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().port();
    let (sender, told) = channel();
    spawn(move || {
        server.serve_upgrades(move |upgrade| {
            let Ok(upgrade) = upgrade else { return };
            let value = upgrade.request().headers().get("authorization");
            let _ = sender.send(value.map(|value| value.to_str().unwrap().to_owned()));
            answer(upgrade);
        })
    });
    (port, told)
}

fn guarded(algorithm: &'static str) -> (u16, Receiver<Option<String>>) {
    server(move |upgrade| match is_right(&upgrade, PASSWORD) {
        true => drop(upgrade.accept()),
        false => challenge(upgrade, algorithm),
    })
}

#[test]
fn a_challenge_is_answered() {
    watchdog(60, || {
        for algorithm in ["MD5", "SHA-256"] {
            let (port, told) = guarded(algorithm);
            let url = format!("ws://127.0.0.1:{port}/a?b=c");
            let ws = ClientBuilder::new(&url)
                .digest_auth(USER, PASSWORD)
                .connect()
                .unwrap();
            assert!(!format!("{:?}", ws.request()).contains("Digest"));
            assert!(told.recv_timeout(LATE).unwrap().is_none());
            assert!(told.recv_timeout(LATE).unwrap().is_some());
        }
    });
}

#[test]
fn a_wrong_password_is_tried_once() {
    watchdog(60, || {
        let (port, told) = guarded("MD5");
        let builder = client_builder(Scheme::Ws, port).follow_redirects(9);
        let error = builder.digest_auth(USER, "guess").connect().unwrap_err();
        assert_eq!(error.response().unwrap().status(), 401);
        assert_eq!(told.try_iter().count(), 2);
    });
}

#[test]
fn without_a_challenge_that_can_be_answered_the_refusal_is_the_error() {
    watchdog(60, || {
        let (port, told) = server(|upgrade| {
            let response = http::Response::builder().status(401);
            let response = response.header("WWW-Authenticate", "Digest realm=x, algorithm=MD4");
            upgrade.respond(response.body("").unwrap()).unwrap();
        });
        let builder = client_builder(Scheme::Ws, port).digest_auth(USER, PASSWORD);
        let error = builder.connect().unwrap_err();
        assert_eq!(error.response().unwrap().status(), 401);
        assert_eq!(told.try_iter().count(), 1);
    });
}

#[test]
fn each_request_after_a_redirect_has_an_answer_of_its_own() {
    watchdog(60, || {
        let (port, told) = server(|upgrade| {
            if !is_right(&upgrade, PASSWORD) {
                return challenge(upgrade, "SHA-256");
            }
            if upgrade.request().uri() == "/end" {
                return drop(upgrade.accept());
            }
            let response = http::Response::builder()
                .status(302)
                .header("Location", "/end");
            upgrade.respond(response.body("").unwrap()).unwrap();
        });
        let builder = ClientBuilder::new(format!("ws://127.0.0.1:{port}/begin"));
        let builder = builder.follow_redirects(1).digest_auth(USER, PASSWORD);
        builder.connect().unwrap();
        let values: Vec<_> = told
            .try_iter()
            .flatten()
            .map(|value| params(&value))
            .collect();
        let of = |name: &str| values.iter().map(|v| v[name].clone()).collect::<Vec<_>>();
        assert_eq!(of("uri"), ["/begin", "/end"]);
        assert_eq!(of("nc"), ["00000001", "00000002"]);
    });
}

#[test]
fn another_origin_gets_no_answer() {
    watchdog(60, || {
        let (elsewhere, told_elsewhere) = guarded("MD5");
        let (port, told) = server(move |upgrade| {
            if !is_right(&upgrade, PASSWORD) {
                return challenge(upgrade, "MD5");
            }
            let to = format!("ws://127.0.0.1:{elsewhere}/");
            let response = http::Response::builder().status(302).header("Location", to);
            upgrade.respond(response.body("").unwrap()).unwrap();
        });
        let builder = client_builder(Scheme::Ws, port).follow_redirects(9);
        let error = builder.digest_auth(USER, PASSWORD).connect().unwrap_err();
        assert_eq!(error.response().unwrap().status(), 401);
        assert_eq!(told.try_iter().flatten().count(), 1);
        assert_eq!(told_elsewhere.try_iter().collect::<Vec<_>>(), [None]);
    });
}

#[test]
fn each_connect_of_an_iteration_answers_anew() {
    watchdog(60, || {
        let (port, told) = guarded("MD5");
        let mut policy = ReconnectPolicy::default();
        policy.first = std::time::Duration::from_millis(5);
        policy.base = policy.first;
        let builder = client_builder(Scheme::Ws, port).digest_auth(USER, PASSWORD);
        assert_eq!(builder.reconnect(policy).take(3).flatten().count(), 3);
        let answered: Vec<_> = told.try_iter().map(|value| value.is_some()).collect();
        assert_eq!(answered, [false, true].repeat(3));
    });
}
