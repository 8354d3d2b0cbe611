//! The real values of what the documents tell: settings, and what is logged.

use super::reading::read;
use std::time::Duration;
use wsync::{
    ClientBuilder, Compression, Config, Listener, Overflow, ReconnectPolicy, Server, ServerLimits,
};

/// What each call of the logger begins with, and the words by which its level's row tells of it.
pub(crate) const LOGGED: &[(&str, &str)] = &[
    ("the listener on", "a socket that a server listens on broke"),
    ("no thread to refuse", "clients without a place"),
    ("no thread", "no thread could be started"),
    ("waiting for clients failed", "waiting for clients"),
    ("accepting failed", "accepting one, failed"),
    ("a socket option", "a socket option was refused"),
    ("connected to", "host and port of each connection opened"),
    ("connecting to", "addresses that refused"),
    ("connecting again", "when the next one comes"),
    ("a connect failed", "connects that failed"),
    ("redirected to", "redirects"),
    ("a redirect", "redirects"),
    ("a cookie of", "cookies that were not taken"),
    (
        "refused an opening handshake",
        "opening handshakes refused or answered, and why",
    ),
    (
        "answered a client",
        "opening handshakes refused or answered, and why",
    ),
    ("no place", "clients without a place"),
    ("received Close", "Close frames received, with their code"),
    ("failing the connection", "why a connection is failed"),
    ("no answer to a ping", "why a connection is failed"),
    ("write failed", "why a connection is failed"),
    ("connection ended", "how each ended"),
    ("a message waits", "what waits for the next connection"),
    ("TLS close_notify", "small troubles of TLS and of wake-ups"),
    (
        "a root certificate",
        "small troubles of TLS and of wake-ups",
    ),
    ("waking", "small troubles of TLS and of wake-ups"),
];

/// A setting, and what it is for a client and for a server, as the README writes it.
type Told = (String, String, String);

pub(crate) fn of_the_readme() -> Vec<Told> {
    let (client, server) = (Config::client(), Config::server());
    let mut told = Vec::new();
    let mut both = |name: &str, tell: &dyn Fn(&Config) -> String| {
        told.push((name.into(), tell(&client), tell(&server)));
    };
    both("limits.message", &|c| bytes(c.limits.message));
    both("limits.frame", &|c| {
        c.limits.frame.map_or("as a message".into(), bytes)
    });
    both("limits.fragments", &|c| count(c.limits.fragments));
    both("limits.head", &|c| bytes(c.limits.head));
    both("limits.outbox", &|c| bytes(c.limits.outbox));
    both("queue.messages", &|c| count(c.queue.messages));
    both("queue.bytes", &|c| bytes(c.queue.bytes));
    both("queue.low_mark", &|c| {
        c.queue.low_mark.map_or("a quarter".into(), count)
    });
    both("queue.overflow", &|c| waits(c.queue.overflow));
    both("direct_read", &|c| yes(c.direct_read));
    both("stream_above", &|c| {
        c.stream_above.map_or("off".into(), bytes)
    });
    both("fragment_size", &|c| {
        c.fragment_size.map_or("off".into(), bytes)
    });
    both("compression", &|c| {
        c.compression.map_or("off".into(), |_| "on".into())
    });
    both("timeouts.open", &|c| time(c.timeouts.open));
    both("timeouts.message", &|c| time(c.timeouts.message));
    both("timeouts.send", &|c| time(c.timeouts.send));
    both("timeouts.close", &|c| time(c.timeouts.close));
    both("keepalive.interval", &|c| time(c.keepalive.interval));
    both("keepalive.timeout", &|c| time(c.keepalive.timeout));
    both(
        "socket",
        &|c| match c.socket == Default::default() && nothing_is_set(&c.socket) {
            true => "the system's".into(),
            false => "set".into(),
        },
    );
    every_field_is_told(&client, &told);
    told.extend(of_builders());
    told
}

fn of_builders() -> Vec<Told> {
    let client = format!("{:?}", ClientBuilder::new("ws://localhost"));
    let server = format!("{:?}", Server::builder());
    let dial = client.split_once("dial: ").unwrap().1;
    let limits = ServerLimits::default();
    let policy = ReconnectPolicy::default();
    let none = String::new;
    let of_server = |name: &str, value: String| (name.to_owned(), none(), value);
    let of_client = |name: &str, value: String| (name.to_owned(), value, none());
    vec![
        of_server("ServerLimits::connections", bound(limits.connections)),
        of_server("ServerLimits::per_address", bound(limits.per_address)),
        of_server("ServerLimits::opening", bound(limits.opening)),
        of_server(
            "ListenerBuilder::backlog",
            field(&format!("{:?}", Listener::builder()), "backlog"),
        ),
        of_server(
            "ServerBuilder::origins",
            match field(&server, "origins").as_str() {
                "SameHost" => "this host and port".into(),
                other => other.into(),
            },
        ),
        of_client(
            "ClientBuilder::connect_timeout",
            match field(dial, "timeout").as_str() {
                "None" => "no bound".into(),
                other => other.into(),
            },
        ),
        of_client(
            "ClientBuilder::follow_redirects",
            field(&client, "redirects"),
        ),
        of_client("ReconnectPolicy::first", time(Some(policy.first))),
        of_client("ReconnectPolicy::most", time(Some(policy.most))),
        of_client("ReconnectPolicy::attempts", bound(policy.attempts)),
    ]
}

/// Of a client and of a server, as the guide writes them, without what says who chooses.
pub(crate) fn of_compression() -> Vec<String> {
    let (client, server) = (Compression::client(), Compression::server());
    assert_eq!(client.server_max_window_bits, client.client_max_window_bits);
    assert_eq!(server.server_max_window_bits, server.client_max_window_bits);
    let takeover = [
        client.server_no_context_takeover,
        client.client_no_context_takeover,
        server.server_no_context_takeover,
        server.client_no_context_takeover,
    ];
    let takeover = if takeover.contains(&true) {
        "on"
    } else {
        "off, off"
    };
    vec![
        format!("{}, {}", client.level, server.level),
        format!("{}, {}", client.mem_level, server.mem_level),
        format!(
            "{} (the server chooses), {}",
            client.server_max_window_bits, server.server_max_window_bits
        ),
        takeover.into(),
    ]
}

/// What no setting changes stands in the sources only.
pub(crate) fn check_fixed(table: &[Vec<String>]) {
    let row = |what: &str| {
        let row = table.iter().find(|row| row[0] == what);
        row.unwrap_or_else(|| panic!("no row for {what}")).clone()
    };
    let (head, body) = (read("src/handshake/head.rs"), read("src/handshake/body.rs"));
    assert!(head.contains("const MAX_HEADERS: usize = 100;"));
    assert_eq!(row("its headers")[2..], ["100", "100"]);
    assert!(head.contains("const MAX_LINE: usize = 8 << 10;"));
    assert_eq!(row("one line of it")[2..], ["8 KiB", "8 KiB"]);
    assert!(body.contains("const MAX_BODY: usize = 1 << 20;"));
    assert_eq!(row("body of a refusal that is kept")[2..], ["1 MiB", ""]);
}

/// A setting that somebody adds needs a row, too.
fn every_field_is_told(config: &Config, told: &[Told]) {
    let debug = format!("{config:#?}");
    let mut group = String::new();
    for line in debug.lines() {
        let depth = line.len() - line.trim_start().len();
        let Some((name, _)) = line.trim().split_once(": ") else {
            continue;
        };
        match depth {
            4 => group = name.into(),
            8 if group != "socket" && !told.iter().any(|row| row.0 == group) => {
                let setting = format!("{group}.{name}");
                assert!(told.iter().any(|row| row.0 == setting), "{setting}");
            }
            _ => {}
        }
    }
}

fn nothing_is_set(options: &wsync::SocketOptions) -> bool {
    !format!("{options:?}").contains("Some")
}

/// The first field of this name in what `Debug` shows.
fn field(debug: &str, name: &str) -> String {
    let rest = debug.split(&format!("{name}: ")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("{debug} has no {name}"));
    rest.split([',', ' ', '}'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn bytes(n: usize) -> String {
    match n {
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}

/// With a space before the last three digits of a number of five or more.
fn count(n: usize) -> String {
    match n {
        0..10_000 => n.to_string(),
        n => format!("{} {:03}", n / 1000, n % 1000),
    }
}

fn bound(n: Option<usize>) -> String {
    n.map_or("no bound".into(), count)
}

fn time(time: Option<Duration>) -> String {
    time.map_or("off".into(), |time| format!("{} s", time.as_secs_f64()))
}

fn waits(overflow: Overflow) -> String {
    match overflow {
        Overflow::Block => "waits".into(),
        other => format!("{other:?}"),
    }
}

fn yes(value: bool) -> String {
    if value { "yes".into() } else { "no".into() }
}
