//! permessage-deflate with Python's `websockets` and Node's `ws`: what is agreed on, as both sides see
//! it, and what then goes over the wire, counted between them.
//!
//! The peer echoes, as client or as server. Every wait is bounded, and a process that is left over is
//! killed.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "interop/process.rs"]
mod process;
#[path = "interop/relay.rs"]
mod relay;

use common::{Task, spawn};
use process::{ANSWER, Peer};
use relay::Relay;
use std::fmt::Write;
use wsync::{ClientBuilder, Compression, Config, Message, SendOptions, Server, WebSocket};

const MIB: usize = 1 << 20;
/// Above it both sides send fragments.
const FRAGMENT: usize = 50_000;

macro_rules! peers {
    ($($check:ident)*) => {
        mod python {
            mod client { peers! { tests super::super::Side { program: "peer-py", is_client: true }; $($check)* } }
            mod server { peers! { tests super::super::Side { program: "peer-py", is_client: false }; $($check)* } }
        }
        mod node {
            mod client { peers! { tests super::super::Side { program: "peer-node", is_client: true }; $($check)* } }
            mod server { peers! { tests super::super::Side { program: "peer-node", is_client: false }; $($check)* } }
        }
    };
    (tests $side:expr; $($check:ident)*) => {$(
        #[test]
        #[ignore = "needs Python and Node: .ci/run installs them"]
        fn $check() {
            super::super::$check($side);
        }
    )*};
}

peers! {
    the_windows_we_ask_for_are_kept
    the_windows_the_peer_asks_for_are_kept
    each_side_has_its_own_window
    context_is_given_up_where_we_ask_for_it
    context_is_given_up_where_the_peer_asks_for_it
    a_peer_without_compression_gets_none
    a_peer_that_offers_it_in_vain_gets_none
}

/// What the peer is.
#[derive(Debug, Clone, Copy)]
struct Side {
    program: &'static str,
    is_client: bool,
}

/// What is agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terms {
    server_bits: u8,
    client_bits: u8,
    server_forgets: bool,
    client_forgets: bool,
}

const LARGEST: Terms = Terms {
    server_bits: 15,
    client_bits: 15,
    server_forgets: false,
    client_forgets: false,
};

/// Who asks for the terms; the other has the largest windows and keeps its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Peer,
}

const BITS: [u8; 4] = [8, 9, 12, 15];
const FORGETTING: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

fn the_windows_we_ask_for_are_kept(side: Side) {
    for bits in BITS {
        check(side, side.windows(bits, bits), By::Us, 1);
    }
}

fn the_windows_the_peer_asks_for_are_kept(side: Side) {
    for bits in BITS {
        check(side, side.windows(bits, bits), By::Peer, 9);
    }
}

fn each_side_has_its_own_window(side: Side) {
    check(side, side.windows(9, 15), By::Us, 3);
    check(side, side.windows(15, 9), By::Us, 6);
}

fn context_is_given_up_where_we_ask_for_it(side: Side) {
    for (server_forgets, client_forgets) in FORGETTING {
        let terms = Terms {
            server_forgets,
            client_forgets,
            ..LARGEST
        };
        check(side, terms, By::Us, 9);
    }
}

fn context_is_given_up_where_the_peer_asks_for_it(side: Side) {
    for (server_forgets, client_forgets) in FORGETTING {
        let terms = Terms {
            server_forgets,
            client_forgets,
            ..side.windows(9, 12)
        };
        check(side, terms, By::Peer, 6);
    }
}

fn a_peer_without_compression_gets_none(side: Side) {
    let ends = Ends::open(side, Some(compression(LARGEST, side, 3)), &[]);
    ends.check_uncompressed();
}

fn a_peer_that_offers_it_in_vain_gets_none(side: Side) {
    let ends = Ends::open(side, None, &["--compression"]);
    assert_eq!(ends.peer.line(), "agreed none");
    ends.check_uncompressed();
}

/// zlib has no window of 8 bits to compress with, so this server says no.
#[test]
#[ignore = "needs Python and Node: .ci/run installs them"]
fn python_declines_a_window_of_8_bits_for_its_own_messages() {
    let side = Side {
        program: "peer-py",
        is_client: false,
    };
    let terms = Terms {
        server_bits: 8,
        ..LARGEST
    };
    let ours = compression(terms, side, 3);
    let ends = Ends::open(side, Some(ours), &["--compression"]);
    assert_eq!(ends.peer.line(), "agreed none");
    ends.check_uncompressed();
}

impl Side {
    /// Python's zlib cannot compress with 8 bits, and says so.
    fn windows(self, server_bits: u8, client_bits: u8) -> Terms {
        let least = |its_own: bool| match its_own && self.program == "peer-py" {
            true => 9,
            false => 8,
        };
        Terms {
            server_bits: server_bits.max(least(!self.is_client)),
            client_bits: client_bits.max(least(self.is_client)),
            ..LARGEST
        }
    }
}

impl Terms {
    /// For the peer's option `--deflate`.
    fn option(self, level: u8) -> String {
        let mut option = format!(
            "server_max_window_bits={}; client_max_window_bits={}; level={level}",
            self.server_bits, self.client_bits
        );
        if self.server_forgets {
            option.push_str("; server_no_context_takeover");
        }
        if self.client_forgets {
            option.push_str("; client_no_context_takeover");
        }
        option
    }

    /// What the peer prints.
    fn line(self) -> String {
        format!(
            "agreed {} {} {} {}",
            self.server_bits,
            self.client_bits,
            u8::from(self.server_forgets),
            u8::from(self.client_forgets)
        )
    }
}

fn compression(terms: Terms, peer: Side, level: u8) -> Compression {
    let mut compression = match peer.is_client {
        true => Compression::server(),
        false => Compression::client(),
    };
    compression.level = level;
    compression.server_max_window_bits = terms.server_bits;
    compression.client_max_window_bits = terms.client_bits;
    compression.server_no_context_takeover = terms.server_forgets;
    compression.client_no_context_takeover = terms.client_forgets;
    compression
}

/// One connection on these terms, and all messages on it.
fn check(side: Side, terms: Terms, by: By, level: u8) {
    let (ours, theirs) = match by {
        By::Us => (terms, format!("level={level}")),
        By::Peer => (LARGEST, terms.option(level)),
    };
    let ours = compression(ours, side, level);
    let ends = Ends::open(side, Some(ours), &["--deflate", &theirs]);
    let agreed = ends.ws.compression().expect("compression");
    let agreed = Terms {
        server_bits: agreed.server_max_window_bits,
        client_bits: agreed.client_max_window_bits,
        server_forgets: agreed.server_no_context_takeover,
        client_forgets: agreed.client_no_context_takeover,
    };
    assert_eq!(agreed, terms, "as we see it");
    assert_eq!(ends.peer.line(), terms.line(), "as the peer sees it");

    ends.check_small();
    let json = ends.wire(|| ends.check_json());
    ends.check_mixed();
    let text = ends.wire(|| ends.echo(compressible(), SendOptions::new()));
    let noise = ends.wire(|| ends.echo(random(), SendOptions::new()));
    let sides = [
        (terms.server_bits, terms.server_forgets),
        (terms.client_bits, terms.client_forgets),
    ];
    for (n, (bits, forgets)) in sides.into_iter().enumerate() {
        let reaches_far = bits >= 12;
        let share = |sent: [u64; 2], of: u64| 100 * sent[n] / of;
        let percents = [
            share(json, json_bytes()),
            share(text, MIB as u64),
            share(noise, MIB as u64),
        ];
        let expected = match (forgets, reaches_far) {
            (true, _) => 60..90,
            (false, false) => 40..80,
            (false, true) => 5..20,
        };
        let within = match reaches_far {
            false => 25..75,
            true => 0..10,
        };
        let sent = ["the server", "the client"][n];
        let about = format!("{percents:?} % from {sent} with {terms:?}, asked for by {by:?}");
        assert!(expected.contains(&percents[0]), "messages alike: {about}");
        assert!(within.contains(&percents[1]), "compressible: {about}");
        assert!((100..106).contains(&percents[2]), "random: {about}");
    }
    ends.close();
}

/// The two ends of one connection, and what is between them.
struct Ends {
    ws: WebSocket,
    peer: Peer,
    relay: Relay,
    /// Where we are the server.
    server: Option<Server>,
}

impl Ends {
    fn open(side: Side, compression: Option<Compression>, options: &[&str]) -> Self {
        let mut config = Config::client();
        config.limits.message = 2 * MIB;
        config.fragment_size = Some(FRAGMENT);
        config.compression = compression;
        let options = [&["--fragment", "50000"], options].concat();
        match side.is_client {
            true => Ends::serve(side, config, &options),
            false => Ends::connect(side, config, &options),
        }
    }

    fn serve(side: Side, config: Config, options: &[&str]) -> Self {
        let builder = Server::builder().config(config);
        let server = builder.bind("127.0.0.1:0").unwrap();
        let relay = Relay::to(server.local_addr().port());
        let mut incoming = server.incoming().unwrap();
        let accepted: Task<WebSocket> = spawn(move || incoming.next().unwrap().accept().unwrap());
        let url = format!("ws://127.0.0.1:{}/", relay.port);
        let peer = Peer::start(side.program, &[&["echo", &url], options].concat());
        Ends {
            ws: accepted.within(ANSWER, "the peer's opening"),
            peer,
            relay,
            server: Some(server),
        }
    }

    fn connect(side: Side, config: Config, options: &[&str]) -> Self {
        let peer = Peer::start(side.program, &[&["serve"], options].concat());
        let relay = Relay::to(peer.port());
        let url = format!("ws://127.0.0.1:{}/", relay.port);
        Ends {
            ws: ClientBuilder::new(url).config(config).connect().unwrap(),
            peer,
            relay,
            server: None,
        }
    }

    /// The bytes that the server and the client send meanwhile.
    fn wire(&self, exchange: impl FnOnce()) -> [u64; 2] {
        let (before_client, before_server) = self.relay.counts();
        exchange();
        let (client, server) = self.relay.counts();
        [server - before_server, client - before_client]
    }

    fn echo(&self, message: impl Into<Message>, options: SendOptions) {
        let message = message.into();
        self.ws.send_with(message.clone(), options).unwrap();
        self.expect(&message);
    }

    fn expect(&self, message: &Message) {
        let echo = self.ws.recv_timeout(ANSWER).unwrap();
        // A failure must not print all of it.
        assert!(echo == *message, "{echo:?} for {message:?}");
    }

    fn check_small(&self) {
        let options = SendOptions::new();
        for options in [options, options.compress(true), options.compress(false)] {
            for text in ["", "x", "Grüße, 世界, καλημέρα, 👋🏽", ""] {
                self.echo(text, options);
                self.echo(text.as_bytes().to_vec(), options);
            }
        }
    }

    /// One at a time, so that what is referred to lies before what the peer's call inflates.
    fn check_json(&self) {
        for text in json() {
            self.echo(text, SendOptions::new());
        }
    }

    /// What is not compressed does not count as context.
    fn check_mixed(&self) {
        let burst: Vec<Message> = json().map(Message::from).collect();
        for (n, message) in burst.iter().enumerate() {
            let options = SendOptions::new().compress(n % 3 != 1);
            self.ws.send_with(message.clone(), options).unwrap();
        }
        for message in &burst {
            self.expect(message);
        }
    }

    fn check_uncompressed(self) {
        assert_eq!(self.ws.compression(), None);
        self.check_small();
        let size = json_bytes();
        let [server, client] = self.wire(|| self.check_json());
        assert!(
            server > size && client > size,
            "{server}, {client} for {size}"
        );
        self.close();
    }

    fn close(mut self) {
        let closed = self.ws.close_with(1000, "done").unwrap();
        assert!(closed.is_normal(), "{closed}");
        assert_eq!(closed.received.map(|frame| frame.code.into()), Some(1000));
        match self.server {
            None => self.peer.stop(),
            Some(server) => {
                assert_eq!(self.peer.line(), "closed 1000");
                let status = self.peer.wait(ANSWER);
                assert!(status.success(), "{status}");
                server.shutdown().unwrap();
            }
        }
    }
}

/// 100 messages of about 200 bytes. Those of one sensor have the most in common, and are 1600 bytes
/// apart: out of reach of the smallest windows.
fn json() -> impl Iterator<Item = String> {
    let mut noise = noise();
    let mut hex = |bytes: usize| {
        noise
            .by_ref()
            .take(bytes)
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    };
    let sensors: Vec<String> = (0..8).map(|_| hex(60)).collect();
    (0..100).map(move |n| {
        let sensor = &sensors[n % sensors.len()];
        format!(
            r#"{{"sensor":"{sensor}","sequence":{n},"celsius":{}.{},"alarm":false,"unit":null}}"#,
            20 + n % 3,
            n % 10
        )
    })
}

/// The bytes of [`json`].
fn json_bytes() -> u64 {
    json().map(|text| text.len() as u64).sum()
}

/// Text that has something to refer to at every distance.
fn compressible() -> String {
    let mut text = String::with_capacity(MIB + 400);
    while text.len() < MIB {
        text.extend(json());
        let _ = write!(text, "{}", text.len());
    }
    text.truncate(MIB);
    text
}

fn random() -> Vec<u8> {
    noise().take(MIB).collect()
}

/// Bytes that nothing compresses, the same every time.
fn noise() -> impl Iterator<Item = u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}
