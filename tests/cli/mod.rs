//! What the tests of the command share: it runs as a process, within a bound in time.

#![allow(dead_code, clippy::unwrap_used)]

#[cfg(unix)]
pub(crate) mod terminal;

use crate::common::{LATE, spawn};
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use wsync::{Closed, OriginPolicy, Server, ServerBuilder, WebSocket};

/// What a process has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The command, with nothing of the environment that it heeds.
pub(crate) fn wsync() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsync"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().to_ascii_uppercase();
        if name.ends_with("_PROXY") || name.starts_with("WSYNC_") || name.contains("COLOR") {
            command.env_remove(name.to_lowercase()).env_remove(name);
        }
    }
    command
}

/// Runs the command with these arguments and this input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Said {
    said(wsync().args(arguments), input)
}

/// Runs a command with this input.
pub(crate) fn said(command: &mut Command, input: &[u8]) -> Said {
    let mut child = started(command);
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // It may end before it has read all of it.
    thread::spawn(move || drop(stdin.write_all(&input)));
    ended(child)
}

/// A process whose three streams are pipes.
pub(crate) fn started(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// What a process says until its end.
pub(crate) fn ended(child: Child) -> Said {
    let output = spawn(move || child.wait_with_output().unwrap());
    let Output {
        status,
        stdout,
        stderr,
    } = output.within(LATE, "the command");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        status: status.code().unwrap_or(-1),
        out: text(stdout),
        err: text(stderr),
    }
}

/// A server on the loopback, and what it does with each connection.
pub(crate) struct Serves {
    pub(crate) server: Server,
    pub(crate) url: String,
}

pub(crate) fn serve(handler: impl Fn(WebSocket) + Send + Sync + 'static) -> Serves {
    serve_with(Server::builder(), "ws", handler)
}

pub(crate) fn serve_with(
    builder: ServerBuilder,
    scheme: &str,
    handler: impl Fn(WebSocket) + Send + Sync + 'static,
) -> Serves {
    let server = builder
        .origins(OriginPolicy::Any)
        .bind("127.0.0.1:0")
        .unwrap();
    let serving = server.clone();
    thread::spawn(move || serving.serve(handler));
    Serves {
        url: format!("{scheme}://127.0.0.1:{}/", server.local_addr().port()),
        server,
    }
}

/// A server that sends back what comes, and hands on how each connection has ended.
pub(crate) fn echo() -> (Serves, std::sync::mpsc::Receiver<Closed>) {
    let (sender, ends) = std::sync::mpsc::channel();
    let serves = serve(move |ws| {
        for message in ws.iter().map_while(Result::ok) {
            let _ = ws.send(message);
        }
        let _ = sender.send(ws.closed().unwrap_or_default());
    });
    (serves, ends)
}

/// A server on a Unix socket, whose address is free again as soon as the server has stopped.
#[cfg(unix)]
pub(crate) fn serve_at(
    path: &std::path::Path,
    handler: impl Fn(WebSocket) + Send + Sync + 'static,
) -> Serves {
    let _ = std::fs::remove_file(path);
    let listener = wsync::Listener::unix(path).unwrap();
    let server = Server::builder().listen(listener).build().unwrap();
    let serving = server.clone();
    thread::spawn(move || serving.serve(handler));
    Serves {
        url: format!("ws+unix:{}", path.display()),
        server,
    }
}

/// A path for this test alone.
pub(crate) fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("wsync-{}-{name}", std::process::id()))
}
