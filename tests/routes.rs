//! Which handler a request comes to, and with which parameters.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{Peer, REQUEST};
use common::{LATE, Scheme, server_builder, spawn, watchdog};
use std::net::IpAddr;
use wsync::{ClientBuilder, Error, Misuse, PathParams, Routes, Server, Upgrade};

/// A handler that tells what it got.
fn tell<P: PathParams + std::fmt::Debug>(name: &'static str) -> impl Fn(Upgrade, P) {
    move |upgrade, params| {
        let ws = upgrade.accept().unwrap();
        ws.send(format!("{name}{params:?}")).unwrap();
        let _ = ws.close();
    }
}

fn otherwise(name: &'static str) -> impl Fn(Upgrade) {
    move |upgrade| tell(name)(upgrade, ())
}

/// Serves until the test is over.
fn serve(routes: Routes) -> u16 {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().port();
    let _serving = spawn(move || server.serve_routes(routes));
    port
}

/// What the handler told, or the status.
fn ask(port: u16, path: &str, host: &str) -> Result<String, u16> {
    let mut peer = Peer::connect(port, Scheme::Ws);
    let request = REQUEST.replace("GET / ", &format!("GET {path} "));
    peer.bytes(request.replace("localhost", host).as_bytes());
    let head = peer.read_head();
    match head.split(' ').nth(1).unwrap() {
        "101" => Ok(String::from_utf8(peer.read().payload).unwrap()),
        status => Err(status.parse().unwrap()),
    }
}

#[test]
fn a_path_finds_its_handler_and_gives_it_parameters_of_its_types() {
    watchdog(60, || {
        type Four = (u8, i64, bool, char);
        let routes = Routes::new()
            .route("/", tell::<()>("root"))
            .and_then(|r| r.route("/{name}", tell::<(String,)>("any")))
            .and_then(|r| r.route("/time", tell::<()>("time")))
            .and_then(|r| r.route("/from/{ip}", tell::<(IpAddr,)>("ip")))
            .and_then(|r| r.route("/rooms/{room}/users/{id}", tell::<(String, u64)>("user")))
            .and_then(|r| r.route("/v{version}/{x}/{*file}", tell::<(u32, i8, String)>("file")))
            .and_then(|r| r.route("/4/{a}/{b}/{c}/{d}", tell::<Four>("four")))
            .and_then(|r| r.route("/{{x}}/{y}", tell::<(u8,)>("braces")));
        let port = serve(routes.unwrap());
        for (path, answer) in [
            ("/", "root()"),
            ("/time", "time()"),
            ("/time?zone=7", "time()"),
            ("/%74ime", "any(\"time\",)"),
            ("/from/10.0.0.1", "ip(10.0.0.1,)"),
            ("/from/%3A%3a1", "ip(::1,)"),
            ("/rooms/blue/users/7", "user(\"blue\", 7)"),
            ("/rooms/a%2Fb%20c+d%25/users/07", "user(\"a/b c+d%\", 7)"),
            (
                "/rooms/caf%C3%A9/users/18446744073709551615",
                "user(\"café\", 18446744073709551615)",
            ),
            ("/v2/-1/a/b%2Fc/d.txt", "file(2, -1, \"a/b/c/d.txt\")"),
            ("/4/255/-1/true/%E2%82%AC", "four(255, -1, true, '€')"),
            ("/{x}/7", "braces(7,)"),
        ] {
            assert_eq!(ask(port, path, "localhost"), Ok(answer.into()), "{path}");
        }
        for path in [
            "/rooms/blue/users/-1",
            "/rooms/blue/users/18446744073709551616",
            "/rooms/blue/users/7x",
            "/rooms/blue/users/7/",
            "/rooms/blue/users/%FF",
            "/rooms/%FF/users/7",
            "/rooms/%C3/users/7",
            "/rooms/%zz/users/7",
            "/rooms/%2/users/7",
            "/rooms//users/7",
            "/rooms/blue",
            "/Rooms/blue/users/7",
            "/from/10.0.0.256",
            "/4/1/2/3",
            "/4/256/-1/true/x",
            "/%7Bx%7D/7",
            "//",
        ] {
            assert_eq!(ask(port, path, "localhost"), Err(404), "{path}");
        }
    });
}

#[test]
fn clients_over_ws_and_wss_are_told_what_is_not_there() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let routes = Routes::new().route("/echo/{times}", |upgrade, (times,): (usize,)| {
                let ws = upgrade.accept().unwrap();
                for message in ws.iter().map_while(Result::ok) {
                    (0..times).for_each(|_| ws.send(message.clone()).unwrap());
                }
            });
            let server = server_builder(scheme).bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().port();
            let serving = server.clone();
            let serving = spawn(move || serving.serve_upgrades(routes.unwrap().into_handler()));
            let client = |path: &str| {
                let address = format!("{}://127.0.0.1:{port}{path}", scheme.name());
                let builder = ClientBuilder::new(address);
                match scheme {
                    Scheme::Ws => builder,
                    Scheme::Wss => builder.tls(common::client_tls()),
                }
            };
            let ws = client("/echo/2").connect().unwrap();
            ws.send("hello").unwrap();
            for _ in 0..2 {
                assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("hello"));
            }
            for path in ["/echo/two", "/echo"] {
                let error = client(path).connect().unwrap_err();
                let response = error.response().unwrap();
                assert_eq!(response.status(), 404);
                assert_eq!(response.body(), b"nothing is here\n");
            }
            server.shutdown().unwrap();
            serving.within(LATE, "serving").unwrap();
        }
    });
}

#[test]
fn a_host_has_routes_of_its_own_whatever_its_port_and_case() {
    watchdog(60, || {
        let api = Routes::new().route("/", tell::<()>("api")).unwrap();
        let six = Routes::new().otherwise(otherwise("six"));
        let routes = Routes::new()
            .route("/", tell::<()>("any"))
            .and_then(|r| r.route("/only/here", tell::<()>("any")))
            .and_then(|r| r.host("API.example.org", api))
            .and_then(|r| r.host("[::1]", six));
        let port = serve(routes.unwrap());
        for (host, answer) in [
            ("api.example.org", "api()"),
            ("Api.EXAMPLE.org.", "api()"),
            ("api.example.org:8080", "api()"),
            ("api.example.org.:8080", "api()"),
            ("[::1]:8080", "six()"),
            ("[::1]", "six()"),
            ("api.example.org..", "any()"),
            ("xapi.example.org", "any()"),
            ("api.example.org.evil", "any()"),
            ("example.org", "any()"),
        ] {
            assert_eq!(ask(port, "/", host), Ok(answer.into()), "{host}");
        }
        assert_eq!(ask(port, "/only/here", "x"), Ok("any()".into()));
        assert_eq!(ask(port, "/only/here", "api.example.org"), Err(404));
    });
}

#[test]
fn what_has_no_route_is_served_otherwise_and_what_cannot_be_parsed_is_not() {
    watchdog(60, || {
        let routes = Routes::new().route("/{id}", tell::<(u8,)>("id"));
        let routes = routes.unwrap().otherwise(otherwise("otherwise"));
        let port = serve(routes);
        assert_eq!(ask(port, "/7", "x"), Ok("id(7,)".into()));
        assert_eq!(ask(port, "/7/8", "x"), Ok("otherwise()".into()));
        assert_eq!(ask(port, "/seven", "x"), Err(404));
    });
    assert!(format!("{:?}", Routes::new()).starts_with("Routes"));
}

#[test]
fn a_route_that_cannot_be_is_an_error_when_it_is_given() {
    fn is_misuse(result: Result<Routes, Error>) -> bool {
        result.is_err_and(|e| matches!(e, Error::Misuse(Misuse::Route(_))))
    }
    type Two = (String, String);
    let routes = || Routes::new().route("/a/{x}", tell::<(u8,)>("")).unwrap();
    for pattern in [
        "b/{x}",
        "",
        "/{",
        "/}",
        "/{}",
        "/b/{x}/{y}",
        "/b",
        "/a/{y}",
        "/a/{{x}}",
    ] {
        assert!(
            is_misuse(routes().route(pattern, tell::<(u8,)>(""))),
            "{pattern}"
        );
    }
    for pattern in ["/b/{x}-{y}", "/{*x}/{y}", "/{x}", "/b/c"] {
        assert!(
            is_misuse(routes().route(pattern, tell::<Two>(""))),
            "{pattern}"
        );
    }
    for host in ["", "a:80", "user@a", "a/b", "a b", "[::1", "A.example.org."] {
        let routes = routes().host("a.example.ORG", Routes::new()).unwrap();
        assert!(is_misuse(routes.host(host, Routes::new())), "{host}");
    }
}
