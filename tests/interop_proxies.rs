//! Proxies that others use: tinyproxy and microsocks on the way to a server, nginx in front of one.
//!
//! `.ci/install` installs them. Each runs as a process of its own, on the loopback, and is killed at the end.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    LATE, Scheme, Serving, client_builder, client_tls, eventually, patient, server_builder,
    watchdog,
};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use wsync::{ClientBuilder, Config, Error, Proxy, ProxyError, WebSocket};

/// Killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program, and waits until it listens.
fn run(command: &mut Command, port: u16) -> Running {
    let null = || Stdio::null();
    let child = command.stdin(null()).stdout(null()).stderr(null()).spawn();
    let mut running = Running(child.unwrap_or_else(|e| panic!("{command:?}: {e}")));
    eventually("a program that listens", || {
        assert!(
            running.0.try_wait().unwrap().is_none(),
            "{command:?} has ended"
        );
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    running
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// An empty folder of the build's, with this in a file of it.
fn folder(name: &str, file: &str, content: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(file), content).unwrap();
    folder
}

fn tinyproxy(credentials: &str) -> (Running, u16) {
    let port = free_port();
    let config =
        format!("Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 20\n{credentials}\n");
    let folder = folder(&format!("tinyproxy-{port}"), "tinyproxy.conf", &config);
    let mut command = Command::new("tinyproxy");
    command
        .arg("-d")
        .arg("-c")
        .arg(folder.join("tinyproxy.conf"));
    (run(&mut command, port), port)
}

fn microsocks(credentials: &[&str]) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new("microsocks");
    command
        .args(["-i", "127.0.0.1", "-p", &port.to_string()])
        .args(credentials);
    (run(&mut command, port), port)
}

fn exchange(ws: &WebSocket) {
    for length in [0, 1, 126, 70_000, 1_000_000] {
        let message = common::pattern(length as u64, length);
        ws.send(message.clone()).unwrap();
        assert_eq!(ws.recv_timeout(LATE).unwrap().as_bytes(), message);
    }
    ws.ping_wait(LATE).unwrap();
    ws.close().unwrap();
}

/// To servers over ws and wss, with these credentials and with others.
fn pass(proxy: impl Fn(&str) -> String, guarded: bool) {
    for &scheme in Scheme::all() {
        let serving = Serving::echo(server_builder(scheme));
        let url = format!("{}://localhost:{}/", scheme.name(), serving.port);
        let builder = ClientBuilder::new(url)
            .tls(client_tls())
            .config(patient(Config::client()));
        let through = |user: &str| builder.clone().proxy(Proxy::parse(&proxy(user)).unwrap());
        exchange(&through("user:pass@").connect().unwrap());
        if guarded {
            for user in ["user:wrong@", ""] {
                let error = through(user).connect().unwrap_err();
                assert!(
                    matches!(error, Error::Proxy(ProxyError::Credentials)),
                    "{error}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs tinyproxy"]
fn tinyproxy_leads_to_ws_and_wss() {
    watchdog(120, || {
        for (config, guarded) in [("", false), ("BasicAuth user pass", true)] {
            let (_running, port) = tinyproxy(config);
            pass(|user| format!("http://{user}127.0.0.1:{port}"), guarded);
        }
    });
}

#[test]
#[ignore = "needs microsocks"]
fn microsocks_leads_to_ws_and_wss() {
    watchdog(120, || {
        let guards: [&[&str]; 2] = [&[], &["-u", "user", "-P", "pass"]];
        for credentials in guards {
            let (_running, port) = microsocks(credentials);
            pass(
                |user| format!("socks5h://{user}127.0.0.1:{port}"),
                !credentials.is_empty(),
            );
        }
    });
}

#[test]
#[ignore = "needs tinyproxy and microsocks"]
fn a_server_that_is_not_there_is_the_proxys_error() {
    watchdog(60, || {
        let gone = free_port();
        let (_tinyproxy, http) = tinyproxy("");
        let (_microsocks, socks) = microsocks(&[]);
        for (proxy, kind) in [
            (format!("http://127.0.0.1:{http}"), "proxy.status"),
            (format!("socks5://127.0.0.1:{socks}"), "proxy.socks"),
        ] {
            let builder = client_builder(Scheme::Ws, gone).proxy(Proxy::parse(&proxy).unwrap());
            assert_eq!(builder.connect().unwrap_err().kind(), kind);
        }
    });
}

/// Over plain TCP, and over TLS with the tests' certificate, to a server over plain TCP.
fn nginx(server: u16) -> (Running, [u16; 2]) {
    let ports = [free_port(), free_port()];
    let certs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs");
    let config = format!(
        "daemon off; worker_processes 1; pid nginx.pid; error_log error.log;\n\
         events {{ worker_connections 100; }}\n\
         http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy;\n\
         fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         server {{ listen 127.0.0.1:{}; listen 127.0.0.1:{} ssl;\n\
         ssl_certificate {certs}/server.pem; ssl_certificate_key {certs}/server.key;\n\
         location / {{ proxy_pass http://127.0.0.1:{server}; proxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";\n\
         proxy_set_header Host $http_host; proxy_read_timeout 600s; }} }} }}\n",
        ports[0],
        ports[1],
        certs = certs.display(),
    );
    let folder = folder(&format!("nginx-{server}"), "nginx.conf", &config);
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(&folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"));
    (run(&mut command, ports[0]), ports)
}

#[test]
#[ignore = "needs nginx"]
fn nginx_in_front_of_a_server_passes_connections_on_and_keeps_them() {
    watchdog(120, || {
        let serving = Serving::echo(server_builder(Scheme::Ws));
        let (_running, ports) = nginx(serving.port);
        for (&scheme, port) in Scheme::all().iter().zip(ports) {
            let url = format!("{}://localhost:{port}/some/path?query", scheme.name());
            let builder = ClientBuilder::new(url)
                .tls(client_tls())
                .config(patient(Config::client()));
            let ws = builder.connect().unwrap();
            // It is idle for a while.
            assert!(ws.recv_timeout(Duration::from_secs(2)).is_err());
            exchange(&ws);
        }
        serving.server.shutdown().unwrap();
        let error = client_builder(Scheme::Ws, ports[0]).connect().unwrap_err();
        assert_eq!(error.response().unwrap().status(), 502);
    });
}
