//! Cookies: those of a jar, and those of a request.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LATE, Scheme, client_builder, server_builder, spawn, watchdog};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use wsync::{Accept, ClientBuilder, CookieJar, Misuse, PersistentEvent, ReconnectPolicy, Upgrade};

/// A server that tells the Cookie lines of each request, and lets `answer` answer.
fn server(
    scheme: Scheme,
    answer: impl Fn(Upgrade) + Send + Sync + 'static,
) -> (u16, Receiver<Vec<String>>) {
    let server = server_builder(scheme).bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().port();
    let (sender, told) = channel();
    spawn(move || {
        server.serve_upgrades(move |upgrade| {
            let Ok(upgrade) = upgrade else { return };
            let lines = upgrade.request().headers().get_all("cookie").iter();
            let lines = lines.map(|line| line.to_str().unwrap().to_owned());
            let _ = sender.send(lines.collect());
            answer(upgrade);
        })
    });
    (port, told)
}

fn accept_setting(upgrade: Upgrade, cookies: &[&str]) {
    let set = |accept: Accept, cookie: &&str| accept.header("Set-Cookie", cookie);
    drop(upgrade.accept_with(cookies.iter().fold(Accept::new(), set)));
}

fn next(told: &Receiver<Vec<String>>) -> Vec<String> {
    told.recv_timeout(LATE).unwrap()
}

#[test]
fn what_an_opened_connection_sets_goes_with_the_next_one() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (port, told) = server(scheme, |upgrade| {
                let cookies = [
                    "a=1; Path=/; HttpOnly",
                    "b=\"2\"; Max-Age=3600",
                    "c=3; Path=/other",
                ];
                accept_setting(upgrade, &cookies);
            });
            let jar = CookieJar::new();
            let builder = client_builder(scheme, port).cookie_jar(jar.clone());
            builder.connect().unwrap();
            assert_eq!((next(&told), jar.len()), (vec![], 3));
            // A clone is the same jar, for any number of clients.
            let other = client_builder(scheme, port).cookie_jar(jar.clone());
            other.connect().unwrap();
            assert_eq!(next(&told), ["a=1; b=\"2\""]);
            jar.clear();
            builder.connect().unwrap();
            assert_eq!(next(&told), Vec::<String>::new());
        }
    });
}

#[test]
fn refusals_and_redirects_set_cookies_and_the_way_back_has_them() {
    watchdog(60, || {
        let (port, told) = server(Scheme::Ws, |upgrade| {
            let path = upgrade.request().uri().path();
            let response =
                http::Response::builder().header("Set-Cookie", format!("at={path}; Path=/"));
            let response = match path {
                "/end" => return drop(upgrade.accept()),
                "/no" => response.status(403),
                _ => response.status(302).header("Location", "/end"),
            };
            upgrade.respond(response.body("").unwrap()).unwrap();
        });
        let jar = CookieJar::new();
        let client = |path| {
            let builder = ClientBuilder::new(format!("ws://127.0.0.1:{port}{path}"));
            builder
                .follow_redirects(1)
                .cookie_jar(jar.clone())
                .connect()
        };
        client("/begin").unwrap();
        assert_eq!(
            (next(&told), next(&told)),
            (vec![], vec!["at=/begin".into()])
        );
        client("/no").unwrap_err();
        client("/end").unwrap();
        assert_eq!(next(&told), ["at=/begin"]);
        assert_eq!(next(&told), ["at=/no"]);
    });
}

#[test]
fn a_header_set_by_hand_and_the_jar_share_one_line() {
    watchdog(60, || {
        let (port, told) = server(Scheme::Ws, |upgrade| {
            let cookies: Vec<_> = upgrade.cookies().map(|(n, v)| format!("{n}:{v}")).collect();
            drop(upgrade.accept_with(Accept::new().header("X-Seen", cookies.join(" "))));
        });
        let jar = CookieJar::new();
        let url = format!("ws://127.0.0.1:{port}/");
        jar.set(&url, "a=1").unwrap();
        let by_hand = ClientBuilder::new(&url)
            .header("Cookie", "x=8")
            .header("Cookie", "y=9=");
        let ws = by_hand.clone().cookie_jar(jar).connect().unwrap();
        assert_eq!(next(&told), ["x=8; y=9=; a=1"]);
        assert_eq!(ws.response().headers()["x-seen"], "x:8 y:9= a:1");
        assert!(!format!("{:?}", ws.request()).contains("a=1"));
        // Without a jar they are sent as they are, which servers take, too.
        let ws = by_hand.connect().unwrap();
        assert_eq!(next(&told), ["x=8", "y=9="]);
        assert_eq!(ws.response().headers()["x-seen"], "x:8 y:9=");
    });
}

#[test]
fn another_origin_gets_what_the_jar_has_for_it_and_nothing_by_hand() {
    watchdog(60, || {
        let (end, told) = server(Scheme::Ws, |upgrade| drop(upgrade.accept()));
        let (port, _told) = server(Scheme::Ws, move |upgrade| {
            let response = http::Response::builder().status(307);
            let response = response.header("Location", format!("ws://localhost:{end}/"));
            upgrade.respond(response.body("").unwrap()).unwrap();
        });
        let jar = CookieJar::new();
        let url = format!("ws://127.0.0.1:{port}/");
        jar.set(&url, "here=1").unwrap();
        jar.set("ws://localhost/", "there=2").unwrap();
        let builder = ClientBuilder::new(&url).header("Cookie", "hand=3");
        builder
            .cookie_jar(jar)
            .follow_redirects(1)
            .connect()
            .unwrap();
        assert_eq!(next(&told), ["there=2"]);
    });
}

#[test]
fn secure_cookies_are_taken_and_given_over_wss_only() {
    watchdog(60, || {
        let jar = CookieJar::new();
        if cfg!(feature = "native-tls") {
            let (port, told) = server(Scheme::Wss, |upgrade| {
                accept_setting(upgrade, &["s=1; Secure"])
            });
            let builder = client_builder(Scheme::Wss, port).cookie_jar(jar.clone());
            builder.connect().unwrap();
            builder.connect().unwrap();
            assert_eq!((next(&told), next(&told)), (vec![], vec!["s=1".into()]));
        }
        let (port, told) = server(Scheme::Ws, |upgrade| {
            accept_setting(upgrade, &["t=2; Secure", "p=3"])
        });
        let builder = client_builder(Scheme::Ws, port).cookie_jar(jar.clone());
        builder.connect().unwrap();
        builder.connect().unwrap();
        assert_eq!((next(&told), next(&told)), (vec![], vec!["p=3".into()]));
    });
}

#[test]
fn a_client_that_connects_again_returns_what_it_was_given() {
    watchdog(60, || {
        // Each connection ends at once.
        let (port, told) = server(Scheme::Ws, |upgrade| {
            let count: usize = upgrade
                .cookies()
                .map(|(_, n)| n.parse::<usize>().unwrap())
                .sum();
            accept_setting(upgrade, &[&format!("n={}", count + 1)]);
        });
        let mut policy = ReconnectPolicy::default();
        policy.first = Duration::from_millis(5);
        policy.base = policy.first;
        policy.most = policy.first;
        let client = || client_builder(Scheme::Ws, port).cookie_jar(CookieJar::new());
        assert_eq!(
            client().reconnect(policy.clone()).take(3).flatten().count(),
            3
        );
        assert_eq!(
            [next(&told), next(&told), next(&told)].concat(),
            ["n=1", "n=2"]
        );
        let persistent = client().persistent(policy).start().unwrap();
        while !matches!(
            persistent.recv_timeout(LATE).unwrap(),
            PersistentEvent::Connected { reconnects: 2 }
        ) {}
        assert_eq!(
            [next(&told), next(&told), next(&told)].concat(),
            ["n=1", "n=2"]
        );
    });
}

#[test]
fn a_jar_keeps_to_the_rules_of_domains_paths_and_ends() {
    let jar = CookieJar::new();
    let cookies = |uri: &str| jar.cookies(uri).unwrap().unwrap_or_default();
    let set = |uri: &str, cookie: &str| jar.set(uri, cookie);
    set("wss://a.example.org/x/y", "host=1").unwrap();
    set("wss://a.example.org/", "wide=2; Domain=example.org; Path=/").unwrap();
    assert_eq!(cookies("wss://a.example.org/x/z"), "host=1; wide=2");
    assert_eq!(cookies("wss://a.example.org:81/x"), "host=1; wide=2");
    assert_eq!(cookies("wss://b.example.org/x/"), "wide=2");
    assert_eq!(cookies("wss://badexample.org/"), "");
    set(
        "ws://a.example.org/",
        "wide=; Domain=example.org; Path=/; Max-Age=0",
    )
    .unwrap();
    assert_eq!(cookies("wss://b.example.org/x/"), "");
    set("ws://localhost/", "l=1; Domain=localhost").unwrap();
    assert_eq!(cookies("ws://localhost/"), "l=1");
    assert_eq!(cookies("ws+unix:/run/app.sock"), "");
    for (uri, cookie) in [
        ("wss://a.example.org/", "a=1; Domain=other.org"),
        ("wss://a.example.org/", "a=1; Domain=org"),
        ("ws://a.example.org/", "a=1; Secure"),
        ("wss://a.example.org/", "a"),
        ("wss://a.example.org/", "a=1\r\nX: y"),
        ("wss://a.example.org/", &format!("a={}", "1".repeat(5000))),
        ("ws+unix:/run/app.sock", "a=1"),
    ] {
        assert_eq!(
            set(uri, cookie).unwrap_err().kind(),
            Misuse::Cookie.kind(),
            "{cookie}"
        );
    }
    assert_eq!((jar.len(), jar.is_empty()), (2, false));
    assert!(!format!("{jar:?}").contains("l=1"));
}

#[test]
fn a_server_cannot_fill_the_jar() {
    let jar = CookieJar::new();
    for n in 0..50 {
        jar.set("ws://one.org/", format!("n{n}=1")).unwrap();
    }
    jar.set("ws://one.org/", "more=1").unwrap_err();
    jar.set("ws://one.org/", "n7=2").unwrap();
    jar.set("ws://one.org/", "n8=; Max-Age=0").unwrap();
    jar.set("ws://one.org/", "more=1").unwrap();
    let fits = (0..4000).filter(|n| jar.set(format!("ws://{n}.org/"), "a=1").is_ok());
    assert_eq!((fits.count(), jar.len()), (2950, 3000));
}
