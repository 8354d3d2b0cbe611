//! `wsync serve exec`: a program for each connection, what it is told, and how it ends.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod cli_process;
mod common;

use cli_process::{Folder, Wsync, client, command, connect, hear};
use common::{LATE, client_tls, eventually, patient};
use rustix::process::{Pid, Signal, test_kill_process, test_kill_process_group};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};
use wsync::{CloseCode, Closed, Config, Error, RecvError, Timeout, WebSocket};

/// A server whose programs are of `sh`.
fn serve_sh(options: &[&str], script: &str) -> (Wsync, String) {
    Wsync::serve(&[&["exec"], options, &["--", "sh", "-c", script]].concat())
}

/// The end that the server has made.
fn closed_by_server(ws: &WebSocket) -> (CloseCode, String) {
    while ws.recv_timeout(LATE).is_ok() {}
    let Closed { received, .. } = ws.closed().unwrap();
    let frame = received.unwrap();
    (frame.code, frame.reason.to_string())
}

/// A process, by what a program has said.
fn process(id: &str) -> Pid {
    Pid::from_raw(id.parse().unwrap()).unwrap()
}

fn is_gone(process: Pid) -> bool {
    test_kill_process(process).is_err()
}

/// No process has this one as its parent, not even one that has ended.
fn has_no_children(parent: u32) -> bool {
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let parents = stats.filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        stat.rsplit_once(") ")?
            .1
            .split(' ')
            .nth(1)?
            .parse::<u32>()
            .ok()
    });
    !parents.into_iter().any(|number| number == parent)
}

#[test]
fn messages_are_lines_of_the_program() {
    let (_server, url) = Wsync::serve(&["exec", "cat"]);
    let ws = connect(&url);
    ws.send("héllo").unwrap();
    ws.send(vec![b'a', b'b']).unwrap();
    ws.send("").unwrap();
    ws.send("two\nlines").unwrap();
    ws.send(vec![b'x', 0xff]).unwrap();
    for line in ["héllo", "ab", "", "two", "lines", "x\u{fffd}"] {
        assert_eq!(hear(&ws), line);
    }
    assert!(ws.close().unwrap().is_normal());
}

#[test]
fn what_the_program_leaves_without_an_end_of_line_is_a_line() {
    let (_server, url) = serve_sh(&[], "printf 'a\\nb'");
    let ws = connect(&url);
    assert_eq!((hear(&ws), hear(&ws)), ("a".into(), "b".into()));
    assert_eq!(closed_by_server(&ws), (CloseCode::NORMAL, "".into()));
}

#[test]
fn binary_passes_bytes_as_they_are() {
    let (_server, url) = Wsync::serve(&["exec", "--binary", "cat"]);
    let ws = connect(&url);
    let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    ws.send(sent.clone()).unwrap();
    ws.send("\n").unwrap();
    let mut back = Vec::new();
    while back.len() < sent.len() + 1 {
        let message = ws.recv_timeout(LATE).unwrap();
        assert!(message.is_binary());
        back.extend_from_slice(message.as_bytes());
    }
    assert_eq!(back.pop(), Some(b'\n'));
    assert!(back == sent);
    ws.close().unwrap();
}

#[test]
fn the_end_of_the_program_is_the_end_of_the_connection() {
    for (script, code, reason) in [
        ("exit 0", CloseCode::NORMAL, ""),
        ("exit 3", CloseCode::INTERNAL_ERROR, "exit status: 3"),
        (
            "kill -9 $$",
            CloseCode::INTERNAL_ERROR,
            "signal: 9 (SIGKILL)",
        ),
    ] {
        let (_server, url) = serve_sh(&[], script);
        assert_eq!(
            closed_by_server(&connect(&url)),
            (code, reason.into()),
            "{script}"
        );
    }
}

#[test]
fn a_program_that_has_closed_its_input_may_go_on() {
    let (_server, url) = serve_sh(&[], "exec <&-; echo deaf; sleep 0.3; echo still here");
    let ws = connect(&url);
    assert_eq!(hear(&ws), "deaf");
    ws.send("nobody reads this").unwrap();
    assert_eq!(hear(&ws), "still here");
    assert_eq!(closed_by_server(&ws).0, CloseCode::NORMAL);
}

#[test]
fn a_line_that_is_too_long_ends_the_connection() {
    let (server, url) = serve_sh(
        &["--max-line", "10"],
        "echo 0123456789; echo 0123456789a; cat",
    );
    let ws = connect(&url);
    assert_eq!(hear(&ws), "0123456789");
    let end = (
        CloseCode::INTERNAL_ERROR,
        "a line of more than 10 bytes".into(),
    );
    assert_eq!(closed_by_server(&ws), end);
    eventually("its program is gone", || has_no_children(server.id()));
}

mod environment {
    use super::*;

    /// What `env` prints.
    fn variables(ws: &WebSocket) -> BTreeMap<String, String> {
        let lines = ws
            .iter()
            .map(|line| line.unwrap().as_text().unwrap().to_owned());
        let split = |line: String| {
            line.split_once('=')
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
        };
        lines.filter_map(split).collect()
    }

    fn has(variables: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert_eq!(
                variables.get(*name).map(String::as_str),
                Some(*value),
                "{name}"
            );
        }
    }

    #[test]
    fn tells_of_the_request() {
        let (_server, url) = Wsync::serve(&["-s", "v1", "--any-origin", "exec", "env"]);
        let url = format!("{url}a%20b%2fc/%zz?q=1&r=%20");
        let asking = client(&url).subprotocol("v1").origin("https://a.example");
        let asking = asking
            .header("X-Two", "1")
            .header("X-Two", "2")
            .user_agent("me/1");
        let ws = asking.connect().unwrap();
        let local = ws.local_addr().unwrap();
        let peer = ws.peer_addr().unwrap();
        let variables = variables(&ws);
        has(
            &variables,
            &[
                ("GATEWAY_INTERFACE", "CGI/1.1"),
                ("REMOTE_ADDR", "127.0.0.1"),
                ("REMOTE_PORT", &local.port().to_string()),
                ("SERVER_PORT", &peer.port().to_string()),
                ("SERVER_NAME", "127.0.0.1"),
                ("REQUEST_METHOD", "GET"),
                ("REQUEST_URI", "/a%20b%2fc/%zz?q=1&r=%20"),
                ("PATH_INFO", "/a b/c/%zz"),
                ("QUERY_STRING", "q=1&r=%20"),
                ("SCRIPT_NAME", ""),
                ("ORIGIN", "https://a.example"),
                ("SUBPROTOCOL", "v1"),
                ("HTTP_X_TWO", "1, 2"),
                ("HTTP_USER_AGENT", "me/1"),
                ("HTTP_HOST", &peer.to_string()),
            ],
        );
        for name in ["HTTPS", "REMOTE_USER", "AUTH_TYPE"] {
            assert!(!variables.contains_key(name), "{name}");
        }
    }

    #[test]
    fn has_nothing_by_which_a_client_could_pass_for_another() {
        let (_server, url) = Wsync::serve(&["--user", "ada:secret", "exec", "env"]);
        let asking = client(&url).basic_auth("ada", "secret");
        let asking = asking
            .header("Proxy", "http://evil.example")
            .header("X_Real", "1");
        let variables = variables(&asking.connect().unwrap());
        has(
            &variables,
            &[("REMOTE_USER", "ada"), ("AUTH_TYPE", "Basic")],
        );
        for name in ["HTTP_PROXY", "HTTP_AUTHORIZATION", "HTTP_X_REAL"] {
            assert!(!variables.contains_key(name), "{name}");
        }
        assert!(variables.values().all(|value| !value.contains("secret")));
    }

    #[test]
    fn a_nul_in_the_path_does_not_get_into_it() {
        let (_server, url) = Wsync::serve(&["exec", "env"]);
        let variables = variables(&connect(&format!("{url}a%00b%20")));
        has(&variables, &[("PATH_INFO", "/a%00b%20")]);
    }

    #[test]
    fn tells_of_tls() {
        let certs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certs");
        let (cert, key) = (format!("{certs}/server.pem"), format!("{certs}/server.key"));
        let (_server, url) = Wsync::serve(&["--tls", &cert, &key, "exec", "env"]);
        let ws = client(&url).tls(client_tls()).connect().unwrap();
        has(&variables(&ws), &[("HTTPS", "on")]);
    }

    #[test]
    fn the_rest_is_passed_on_unless_it_is_cleared() {
        for (options, passed) in [(&[][..], true), (&["--clear-env"], false)] {
            let arguments = [&["serve", "127.0.0.1:0", "exec"], options, &["env"]].concat();
            let mut command = command(&arguments);
            // What is about the request of this process's own client is never passed on.
            let server = Wsync::spawn(
                command
                    .env("MINE", "1")
                    .env("HTTPS", "on")
                    .env("REMOTE_USER", "root"),
            );
            let variables = variables(&connect(&server.url()));
            assert_eq!(variables.contains_key("MINE"), passed);
            assert!(variables.contains_key("PATH") && variables.contains_key("REMOTE_ADDR"));
            assert!(!variables.contains_key("HTTPS") && !variables.contains_key("REMOTE_USER"));
        }
    }
}

mod standard_error {
    use super::*;

    const SCRIPT: &str = "printf 'first\\nsecond\\033[31m\\n' >&2; read line";

    #[test]
    fn is_that_of_the_command_unless_it_is_told_otherwise() {
        for (options, line) in [
            (&[][..], "first"),
            (&["--stderr", "log"], "#1 says: first"),
            (&["--stderr", "log"], r"#1 says: second\x1b[31m"),
        ] {
            let (server, url) = serve_sh(options, SCRIPT);
            let ws = connect(&url);
            server.tells(line);
            ws.close().unwrap();
        }
    }

    #[test]
    fn is_dropped_if_it_is_to_be() {
        let (server, url) = serve_sh(&["--stderr", "drop"], SCRIPT);
        connect(&url).close().unwrap();
        server.tells("closed after");
        server.signal(Signal::TERM);
        assert!(!server.output().stderr.contains("first"));
    }
}

mod ending {
    use super::*;

    #[test]
    fn the_input_ends_when_the_client_leaves() {
        let folder = Folder::new("exec-input");
        let file = folder.file("read");
        let script = format!("cat > {file}.part; mv {file}.part {file}");
        let (server, url) = serve_sh(&["--grace", "100"], &script);
        let ws = connect(&url);
        ws.send("all of it").unwrap();
        ws.close().unwrap();
        eventually("it has seen the end", || {
            fs::read(&file).is_ok_and(|f| f == b"all of it\n")
        });
        eventually("it is gone", || has_no_children(server.id()));
    }

    #[test]
    fn a_program_that_stays_gets_sigterm() {
        let script = "trap 'echo told >&2; exit' TERM; echo ready; while :; do sleep 0.05; done";
        let (server, url) = serve_sh(&["--grace", "0.2"], script);
        let ws = connect(&url);
        assert_eq!(hear(&ws), "ready");
        ws.close().unwrap();
        server.tells("told");
        eventually("it is gone", || has_no_children(server.id()));
    }

    #[test]
    fn a_program_that_ignores_sigterm_is_killed_with_all_its_children() {
        let script = "trap '' TERM; sh -c 'echo $$; sleep 1000 & echo $!; wait' & echo $$; wait";
        let (server, url) = serve_sh(&["--grace", "0.1"], script);
        let ws = connect(&url);
        let processes = [hear(&ws), hear(&ws), hear(&ws)].map(|id| process(&id));
        assert!(processes.iter().all(|process| !is_gone(*process)));
        drop(ws);
        eventually("all are gone", || {
            processes.iter().all(|process| is_gone(*process))
        });
        eventually("none is left to be waited for", || {
            has_no_children(server.id())
        });
    }

    #[test]
    fn what_a_program_leaves_behind_ends_with_it() {
        // One of them holds the output, and ignores the first signal.
        let script = "sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & sleep 1000 >/dev/null & echo $$; exit 0";
        let (server, url) = serve_sh(&["--grace", "0.2"], script);
        let ws = connect(&url);
        let group = process(&hear(&ws));
        assert_eq!(closed_by_server(&ws).0, CloseCode::NORMAL);
        eventually("the group is gone", || {
            test_kill_process_group(group).is_err()
        });
        eventually("none is left to be waited for", || {
            has_no_children(server.id())
        });
    }

    #[test]
    fn a_daemon_that_holds_the_output_does_not_hold_the_connection() {
        let script = "setsid sh -c 'echo $$; sleep 5' & read line";
        let (_server, url) = serve_sh(&["--grace", "0.1"], script);
        let ws = connect(&url);
        let daemon = process(&hear(&ws));
        ws.send("end").unwrap();
        assert_eq!(closed_by_server(&ws).0, CloseCode::NORMAL);
        let _ = rustix::process::kill_process_group(daemon, Signal::KILL);
    }

    #[test]
    fn a_signal_to_the_server_ends_its_programs() {
        let (mut server, url) = serve_sh(
            &["--grace", "0.1"],
            "trap '' TERM; echo $$; sleep 1000; cat",
        );
        let ws = connect(&url);
        let program = process(&hear(&ws));
        server.signal(Signal::TERM);
        assert_eq!(closed_by_server(&ws).0, CloseCode::GOING_AWAY);
        assert_eq!(server.status(), Some(0));
        eventually("it is gone", || is_gone(program));
    }

    #[test]
    fn a_second_signal_kills_them() {
        let (mut server, url) = serve_sh(
            &["--grace", "100"],
            "trap '' TERM; echo $$; sleep 1000; cat",
        );
        let ws = connect(&url);
        let program = process(&hear(&ws));
        server.signal(Signal::TERM);
        server.tells("stopping");
        server.signal(Signal::TERM);
        assert_eq!(server.status(), Some(130));
        eventually("it is gone", || is_gone(program));
    }
}

mod back_pressure {
    use super::*;

    /// Lines of 10 kB, and how many there are so far; or an echo.
    const SCRIPT: &str = "case $PATH_INFO in \
        /flood) line=$(printf '%010000d' 0); i=0; \
            while [ $i -lt 100000 ]; do echo $line; i=$((i+1)); echo $i > $0; done;; \
        /deaf) sleep 1000;; \
        *) cat;; esac";

    fn serve(count: &str) -> (Wsync, String) {
        Wsync::serve(&["exec", "--grace", "0.1", "--", "sh", "-c", SCRIPT, count])
    }

    fn is_echoed(url: &str) {
        let ws = connect(url);
        ws.send("quick").unwrap();
        assert_eq!(hear(&ws), "quick");
        ws.close().unwrap();
    }

    #[test]
    fn a_client_that_does_not_read_holds_its_program_up_and_nobody_else() {
        let folder = Folder::new("exec-flood");
        let count = folder.file("count");
        let (_server, url) = serve(&count);
        let mut config = patient(Config::client());
        config.queue.messages = 1;
        let stalled = client(&format!("{url}flood"))
            .config(config)
            .connect()
            .unwrap();
        let lines = || fs::read_to_string(&count).ok()?.trim().parse::<u64>().ok();
        let mut before = None;
        let mut since = Instant::now();
        eventually("the program waits", || {
            if lines() != before || before.is_none() {
                (before, since) = (lines(), Instant::now());
            }
            since.elapsed() > Duration::from_millis(500)
        });
        // What the buffers of both ends take: far less than the 1000 MB that it has to say.
        assert!(before.unwrap() < 5000, "{before:?} lines");
        is_echoed(&url);
        for _ in 0..before.unwrap() + 100 {
            assert_eq!(hear(&stalled).len(), 10_000);
        }
    }

    #[test]
    fn a_program_that_does_not_read_holds_its_client_up_and_nobody_else() {
        let folder = Folder::new("exec-deaf");
        let (server, url) = serve(&folder.file("count"));
        let mut config = patient(Config::client());
        config.timeouts.send = Some(Duration::from_millis(500));
        let ws = client(&format!("{url}deaf"))
            .config(config)
            .connect()
            .unwrap();
        let mut sent = 0;
        let error = loop {
            match ws.send(vec![b'x'; 100_000]) {
                Ok(()) => sent += 1,
                Err(error) => break error.error,
            }
        };
        assert!(matches!(error, Error::Timeout(Timeout::Send)), "{error}");
        // The queue has 16 MiB, and the sockets have buffers.
        assert!(sent < 1000, "{sent} messages");
        is_echoed(&url);
        drop(ws);
        eventually("its program is gone", || has_no_children(server.id()));
    }

    #[test]
    fn a_client_is_missed_even_if_its_program_does_not_read() {
        let folder = Folder::new("exec-missed");
        let count = folder.file("count");
        let server = Wsync::start(&[
            "serve",
            "127.0.0.1:0",
            "--ping-interval",
            "0.2",
            "exec",
            "--grace",
            "0.1",
            "--",
            "sh",
            "-c",
            SCRIPT,
            &count,
        ]);
        let url = server.url();
        let mut config = patient(Config::client());
        config.timeouts.send = Some(Duration::from_millis(500));
        config.timeouts.close = Some(Duration::from_millis(1));
        let ws = client(&format!("{url}deaf"))
            .config(config)
            .connect()
            .unwrap();
        while ws.send(vec![b'x'; 100_000]).is_ok() {}
        // It does not answer, so this ends in a reset.
        let _ = ws.close();
        assert!(matches!(ws.recv(), Err(RecvError(_))));
        drop(ws);
        eventually("its program is gone", || has_no_children(server.id()));
    }
}
