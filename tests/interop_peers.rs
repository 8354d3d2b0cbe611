//! Python's `websockets` and Node's `ws` as peers: each as client and as server, over ws and wss.
//!
//! `tests/interop/setup.sh` installs them into `target/interop`; `peer.py` and `peer.mjs` beside it
//! say what they do. Every wait is bounded, and a process that is left over is killed.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{ClientBuilder, Closed, Config, Initiator, Message, Server, WebSocket};

const MIB: usize = 1 << 20;
/// An installation, with downloads.
const SETUP: Duration = Duration::from_secs(300);
/// A whole run of a peer's checks; it gives up by itself after 150 s.
const RUN: Duration = Duration::from_secs(170);
/// One answer.
const ANSWER: Duration = Duration::from_secs(30);

macro_rules! peers {
    ($($peer:ident: $program:literal,)*) => {$(
        mod $peer {
            #[test]
            #[ignore = "needs Python and Node: .ci/run installs them"]
            fn as_client() {
                super::peer_is_client($program, false);
            }

            #[test]
            #[ignore = "needs Python and Node: .ci/run installs them"]
            fn as_server() {
                super::peer_is_server($program, false);
            }

            #[cfg(feature = "native-tls")]
            #[test]
            #[ignore = "needs Python and Node: .ci/run installs them"]
            fn as_client_over_tls() {
                super::peer_is_client($program, true);
            }

            #[cfg(feature = "native-tls")]
            #[test]
            #[ignore = "needs Python and Node: .ci/run installs them"]
            fn as_server_over_tls() {
                super::peer_is_server($program, true);
            }
        }
    )*};
}

peers! {
    python: "peer-py",
    node: "peer-node",
}

/// The peer runs its checks against an echo server of ours.
fn peer_is_client(program: &str, tls: bool) {
    let mut builder = Server::builder().config(settings());
    if tls {
        let tls = wsync::TlsConfig::server(&cert("server.pem"), &cert("server.key"));
        builder = builder.tls(tls.unwrap());
    }
    let server = builder.bind("127.0.0.1:0").unwrap();
    let (ended, ends) = mpsc::channel();
    let serving = server.clone();
    let serving = thread::spawn(move || serving.serve(move |ws| ended.send(echo(&ws)).unwrap()));

    let scheme = if tls { "wss" } else { "ws" };
    let url = format!("{scheme}://127.0.0.1:{}/", server.local_addr().port());
    let mut arguments = vec!["client".to_owned(), url];
    if tls {
        arguments.extend([
            "--ca".to_owned(),
            certs().join("ca.pem").display().to_string(),
        ]);
    }
    let mut peer = Peer::start(program, &arguments);
    let status = peer.wait(RUN);
    let last = peer.lines.iter().last();
    assert!(status.success(), "{status}: {last:?}");
    assert_eq!(last.as_deref(), Some("ok 20"));

    let closed = ends.recv_timeout(ANSWER).unwrap().unwrap();
    assert!(closed.is_normal(), "{closed}");
    assert_eq!(closed.initiator, Some(Initiator::Remote));
    assert_eq!(
        closed.received.unwrap().to_string(),
        "1000 (normal closure) done"
    );
    server.shutdown().unwrap();
    serving.join().unwrap().unwrap();
}

fn echo(ws: &WebSocket) -> Result<Closed, wsync::Error> {
    for message in ws {
        ws.send(message?)?;
    }
    Ok(ws.closed().unwrap_or_default())
}

/// A client of ours runs checks against the peer's echo server.
fn peer_is_server(program: &str, tls: bool) {
    let mut arguments = vec!["serve".to_owned()];
    if tls {
        for (option, file) in [("--cert", "server.pem"), ("--key", "server.key")] {
            arguments.extend([option.to_owned(), certs().join(file).display().to_string()]);
        }
    }
    let mut peer = Peer::start(program, &arguments);
    let line = peer
        .lines
        .recv_timeout(ANSWER)
        .expect("a line from the peer");
    let port = line.strip_prefix("listening ").expect("its port");
    let scheme = if tls { "wss" } else { "ws" };
    let mut builder = ClientBuilder::new(format!("{scheme}://127.0.0.1:{port}/"));
    if tls {
        let roots = wsync::TlsConfig::client().disable_built_in_roots(true);
        builder = builder.tls(roots.add_root_certificate_pem(&cert("ca.pem")).unwrap());
    }

    for fragment_size in [Some(FRAGMENT), None] {
        let mut config = settings();
        config.fragment_size = fragment_size;
        check_echoes(&builder.clone().config(config).connect().unwrap());
    }

    drop(peer.stdin.take());
    let status = peer.wait(ANSWER);
    assert!(status.success(), "{status}");
}

const FRAGMENT: usize = 10_000;

fn check_echoes(ws: &WebSocket) {
    for text in ["Hello, world!", "Grüße, 世界, καλημέρα, 👋🏽", ""] {
        check_echo(ws, Message::from(text));
    }
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, MIB, 16 * MIB] {
        let payload: Vec<u8> = (0..=250).cycle().take(size).collect();
        check_echo(ws, Message::from(payload));
    }
    // Fragments end within characters.
    check_echo(ws, Message::from("👋🏽 Grüße ".repeat(FRAGMENT)));

    for payload in [b"".as_slice(), b"payload", &[0x7f; 125]] {
        ws.ping(payload).unwrap();
    }
    check_echo(ws, Message::from("behind the pings"));

    let burst: Vec<_> = (0..1000).map(|n| Message::from(n.to_string())).collect();
    ws.send_all(burst.clone()).unwrap();
    for message in burst {
        assert_eq!(ws.recv_timeout(ANSWER).unwrap(), message);
    }
    assert!(ws.is_empty());

    let closed = ws.close_with(1000, "done").unwrap();
    assert!(closed.is_normal(), "{closed}");
    assert_eq!(closed.initiator, Some(Initiator::Local));
    assert_eq!(
        closed.sent.unwrap().to_string(),
        "1000 (normal closure) done"
    );
    assert_eq!(u16::from(closed.received.unwrap().code), 1000);
    assert_eq!((closed.unsent, closed.dropped), (0, 0));
}

fn check_echo(ws: &WebSocket, message: Message) {
    ws.send(message.clone()).unwrap();
    // Compared with `==`: a failure must not print 16 MiB.
    assert!(ws.recv_timeout(ANSWER).unwrap() == message, "{message:?}");
}

fn settings() -> Config {
    let mut config = Config::client();
    config.limits.message = 16 * MIB;
    config
}

fn certs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs")
}

fn cert(file: &str) -> Vec<u8> {
    std::fs::read(certs().join(file)).unwrap()
}

/// A running peer. It is killed when it is dropped.
struct Peer {
    child: Child,
    /// A server ends when this is closed.
    stdin: Option<ChildStdin>,
    /// What it prints, until it ends.
    lines: mpsc::Receiver<String>,
}

impl Peer {
    fn start(program: &str, arguments: &[String]) -> Self {
        Peer::run(Command::new(installed().join(program)).args(arguments))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Peer {
            stdin: child.stdin.take(),
            child,
            lines,
        }
    }

    /// Its exit status; a panic when it is not done in time.
    fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "not done within {timeout:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both do nothing when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the peers, set up by the first test that asks.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut setup = Peer::run(Command::new("bash").arg(project.join("tests/interop/setup.sh")));
        let status = setup.wait(SETUP);
        assert!(status.success(), "tests/interop/setup.sh: {status}");
        project.join("target/interop")
    })
}
