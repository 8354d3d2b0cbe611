//! Sockets that systemd hands over; `sh` does what it does. Apart from other tests: while a process is started, it
//! has all descriptors of this one.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::process::told;
use common::{LATE, Scheme, client_builder, echo, eventually, is_echoed, spawn, watchdog};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use wsync::{ClientBuilder, Listener, Server};

/// A process that was given two sockets, as descriptors 3 and 4.
struct Activated(Child);

impl Activated {
    fn start(tcp: &TcpListener, unix: &UnixListener) -> Self {
        let test = "serve_what_was_handed_over";
        // What a command is given as its input and its errors is the way through for any descriptor.
        let script = "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\" 3<&0 4>&2 </dev/null 2>&1";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env("WSYNC_TEST_PROCESS", "serve")
            .stdin(Stdio::from(OwnedFd::from(tcp.try_clone().unwrap())))
            .stderr(Stdio::from(OwnedFd::from(unix.try_clone().unwrap())))
            .stdout(Stdio::null())
            .spawn();
        Activated(child.unwrap())
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "is started by another as a process of its own"]
fn serve_what_was_handed_over() {
    if told().is_none() {
        return;
    }
    let mut builder = Server::builder();
    for listener in Listener::from_systemd().unwrap() {
        builder = builder.listen(listener);
    }
    assert!(Listener::from_systemd().unwrap().is_empty());
    let server = builder.build().unwrap();
    assert_eq!(server.local_addrs().len(), 2);
    let stop = server.clone();
    let serving = server.serve(move |ws| {
        let first = ws.recv().unwrap();
        if first.as_text() == Some("stop") {
            return stop.shutdown().unwrap();
        }
        ws.send(first).unwrap();
        echo(ws);
    });
    serving.unwrap();
    server.shutdown().unwrap();
}

#[test]
fn a_server_takes_the_sockets_of_systemd_and_leaves_them_for_the_next() {
    watchdog(60, || {
        let of_tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let path = format!("wsync-systemd-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(path);
        let _ = std::fs::remove_file(&path);
        let of_unix = UnixListener::bind(&path).unwrap();
        let over_tcp = client_builder(Scheme::Ws, of_tcp.local_addr().unwrap().port());
        let over_unix = ClientBuilder::new(format!("ws+unix:{}", path.display()));
        // The second finds a client that has come before it.
        for _ in 0..2 {
            let early = over_tcp.clone();
            let early = spawn(move || is_echoed(&early));
            let mut process = Activated::start(&of_tcp, &of_unix);
            early.within(LATE, "a client that came first");
            is_echoed(&over_unix);
            let ws = over_unix.connect().unwrap();
            ws.send("stop").unwrap();
            eventually("the end of the process", || {
                process.0.try_wait().unwrap().is_some()
            });
            assert!(process.0.wait().unwrap().success());
        }
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn without_systemd_there_are_no_sockets() {
    assert!(Listener::from_systemd().unwrap().is_empty());
}
