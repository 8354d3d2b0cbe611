//! What the tests over real sockets share: bounds in time, connections between two of our own, and
//! peers that do what they are told.

#![allow(dead_code, clippy::unwrap_used)]

#[cfg(feature = "deflate")]
pub(crate) mod codec;
pub(crate) mod delivery;
pub(crate) mod faulty;
pub(crate) mod nth;
pub(crate) mod offers;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod relay;
pub(crate) mod trickle;

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{
    ClientBuilder, Config, Message, Server, ServerBuilder, TlsBackend, TlsConfig, WebSocket,
};

pub(crate) const CA: &[u8] = include_bytes!("../certs/ca.pem");
pub(crate) const CHAIN: &[u8] = include_bytes!("../certs/server.pem");
pub(crate) const KEY: &[u8] = include_bytes!("../certs/server.key");

/// What a loaded machine may make of something that takes no time.
pub(crate) const LATE: Duration = Duration::from_secs(40);

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Ws,
    Wss,
}

impl Scheme {
    /// Those that the build has.
    pub(crate) fn all() -> &'static [Scheme] {
        if cfg!(any(feature = "native-tls", feature = "rustls")) {
            &[Scheme::Ws, Scheme::Wss]
        } else {
            &[Scheme::Ws]
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        }
    }
}

/// Something that runs on a thread of its own and is waited for within a bound.
pub(crate) struct Task<T>(mpsc::Receiver<thread::Result<T>>);

impl<T> Task<T> {
    /// Its result. A panic in it goes on here.
    pub(crate) fn within(self, limit: Duration, what: &str) -> T {
        match self.0.recv_timeout(limit) {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(RecvTimeoutError::Timeout) => panic!("{what}: still not done after {limit:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("{what}: no result"),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.0.try_recv(), Err(mpsc::TryRecvError::Empty))
    }
}

pub(crate) fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        let _ = sender.send(result);
    });
    Task(receiver)
}

/// Runs the body of a test, and fails if it hangs. The bound leaves room for a loaded machine.
pub(crate) fn watchdog(seconds: u64, body: impl FnOnce() + Send + 'static) {
    spawn(body).within(3 * Duration::from_secs(seconds), "the test");
}

/// Asserts that what `body` measures is within `limit` at least once in some attempts: a busy machine
/// delays this one or that, a defect delays all.
pub(crate) fn once_within(limit: Duration, mut body: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    for attempt in 0..12 {
        // What keeps the machine busy may pass.
        thread::sleep(Duration::from_millis(50) * attempt);
        let duration = body();
        if duration <= limit {
            return;
        }
        took.push(duration);
    }
    panic!("never within {limit:?}: {took:?}");
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LATE, "never came to be: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The TLS library of tests over `wss`: that of the environment, otherwise the first that the build has.
pub(crate) fn tls_backend() -> TlsBackend {
    match std::env::var("WSYNC_TEST_TLS").as_deref() {
        Ok("rustls") => TlsBackend::Rustls,
        Ok("native-tls") => TlsBackend::NativeTls,
        Ok(other) => panic!("WSYNC_TEST_TLS: there is no {other}"),
        Err(_) if TlsBackend::NativeTls.is_available() => TlsBackend::NativeTls,
        Err(_) if TlsBackend::Rustls.is_available() => TlsBackend::Rustls,
        Err(_) => TlsBackend::default(),
    }
}

/// A client that trusts the roots of the system.
pub(crate) fn system_tls() -> TlsConfig {
    match tls_backend() {
        TlsBackend::NativeTls => TlsConfig::client(),
        other => TlsConfig::client().backend(other).unwrap(),
    }
}

pub(crate) fn client_tls() -> TlsConfig {
    static TLS: OnceLock<TlsConfig> = OnceLock::new();
    let make = || {
        system_tls()
            .disable_built_in_roots(true)
            .add_root_certificate_pem(CA)
            .unwrap()
    };
    TLS.get_or_init(make).clone()
}

pub(crate) fn server_tls() -> TlsConfig {
    static TLS: OnceLock<TlsConfig> = OnceLock::new();
    let make = || TlsConfig::server(CHAIN, KEY).and_then(|tls| tls.backend(tls_backend()));
    TLS.get_or_init(|| make().unwrap()).clone()
}

pub(crate) fn server_builder(scheme: Scheme) -> ServerBuilder {
    match scheme {
        Scheme::Ws => Server::builder(),
        Scheme::Wss => Server::builder().tls(server_tls()),
    }
}

/// A client of the server on this port of the loopback.
pub(crate) fn client_builder(scheme: Scheme, port: u16) -> ClientBuilder {
    let builder = ClientBuilder::new(format!("{}://127.0.0.1:{port}/", scheme.name()));
    match scheme {
        Scheme::Ws => builder,
        Scheme::Wss => builder.tls(client_tls()),
    }
}

/// A client and a server's end, connected.
pub(crate) fn pair_with(scheme: Scheme, client: Config, server: Config) -> (WebSocket, WebSocket) {
    let server = server_builder(scheme)
        .config(as_asked(server))
        .bind("127.0.0.1:0")
        .unwrap();
    let port = server.local_addr().port();
    let mut incoming = server.incoming().unwrap();
    let accepted = spawn(move || incoming.next().unwrap().accept().unwrap());
    let client = client_builder(scheme, port)
        .config(as_asked(client))
        .connect()
        .unwrap();
    (client, accepted.within(LATE, "accepting"))
}

pub(crate) fn pair(scheme: Scheme) -> (WebSocket, WebSocket) {
    pair_with(scheme, patient(Config::client()), patient(Config::server()))
}

/// With a reader thread from the begin, if the environment asks for it: direct reads are to change
/// nothing.
pub(crate) fn as_asked(mut config: Config) -> Config {
    config.direct_read &= std::env::var_os("WSYNC_TEST_READER_THREAD").is_none();
    config
}

/// With room for a loaded machine in its timeouts.
pub(crate) fn patient(mut config: Config) -> Config {
    let timeout = Some(Duration::from_secs(120));
    config.timeouts.open = timeout;
    config.timeouts.message = timeout;
    config.timeouts.send = timeout;
    config.timeouts.close = timeout;
    config
}

/// A server that runs until the test is over.
pub(crate) struct Serving {
    pub(crate) server: Server,
    pub(crate) port: u16,
}

impl Serving {
    pub(crate) fn new(
        builder: ServerBuilder,
        handler: impl Fn(WebSocket) + Send + Sync + 'static,
    ) -> Self {
        let server = builder.bind("127.0.0.1:0").unwrap();
        let serving = server.clone();
        thread::spawn(move || serving.serve(handler));
        Serving {
            port: server.local_addr().port(),
            server,
        }
    }

    pub(crate) fn echo(builder: ServerBuilder) -> Self {
        Serving::new(builder, echo)
    }
}

/// Sends back what comes.
pub(crate) fn echo(ws: WebSocket) {
    for message in &ws {
        if message.map(|message| ws.send(message)).is_err() {
            break;
        }
    }
}

/// Asserts that a server sends back what it is sent.
pub(crate) fn is_echoed(builder: &ClientBuilder) {
    let builder = builder.clone().config(patient(Config::client()));
    let ws = builder.connect().unwrap();
    ws.send("hello").unwrap();
    assert_eq!(ws.recv().unwrap().as_text(), Some("hello"));
    assert!(ws.close().unwrap().is_normal());
}

/// xorshift: the same numbers in every run.
pub(crate) fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Bytes in which any loss, repetition or displacement shows: they repeat after a prime number, which
/// is no size of anything.
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    const PERIOD: usize = 65_521;
    let mut next = numbers(seed + 1);
    let mut bytes = Vec::with_capacity(length + PERIOD);
    while bytes.len() < length.min(PERIOD) {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(PERIOD);
    while bytes.len() < length {
        bytes.extend_from_within(..PERIOD);
    }
    bytes.truncate(length);
    bytes
}

/// The number that a message of [`numbered`] carries.
pub(crate) fn number_of(message: &Message) -> u64 {
    u64::from_be_bytes(message.as_bytes()[..8].try_into().unwrap())
}

pub(crate) fn numbered(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}
