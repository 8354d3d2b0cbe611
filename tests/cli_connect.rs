//! `wsync connect` in a pipe: what goes in, what comes out, and the exit status.

#![allow(clippy::unwrap_used)]

mod cli;
mod common;

use cli::{Said, echo, ended, path, run, said, serve, serve_at, started, wsync};
use common::{LATE, watchdog};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use wsync::{CloseCode, Message, WebSocket};

fn closes(code: u16, reason: &'static str) -> impl Fn(WebSocket) + Send + Sync {
    move |ws| drop(ws.close_with(code, reason))
}

/// Answers one request with these bytes.
fn answers(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = client.read(&mut request).unwrap();
        client.write_all(bytes.as_bytes()).unwrap();
    });
    url
}

#[track_caller]
fn is(said: &Said, status: i32, out: &str, err: &str) {
    assert_eq!((said.status, said.out.as_str()), (status, out), "{said:?}");
    assert!(said.err.contains(err), "{said:?}");
    if err.is_empty() {
        assert_eq!(said.err, "");
    }
}

#[test]
fn lines_go_out_and_their_replies_come_back_before_the_end() {
    watchdog(60, || {
        let (echo, ends) = echo();
        let said = run(&["connect", &echo.url], "one\ntw\u{f6}\n\nlast".as_bytes());
        is(&said, 0, "one\ntw\u{f6}\n\nlast\n", "");
        let closed = ends.recv_timeout(LATE).unwrap();
        assert_eq!(closed.received.unwrap().code, CloseCode::NORMAL);
    });
}

#[test]
fn a_count_ends_it_and_its_lack_is_told() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        is(
            &run(&["connect", "-n", "2", &echo.url], b"1\n2\n3\n"),
            0,
            "1\n2\n",
            "",
        );
        is(&run(&["connect", "-n", "0", &echo.url], b""), 0, "", "");
        let once = serve(|ws| drop(ws.send("only")));
        let said = run(&["connect", "-n", "2", &once.url], b"");
        is(&said, 3, "only\n", "1 message did not come");
    });
}

#[test]
fn waiting_for_ever_ends_with_the_server() {
    watchdog(60, || {
        let server = serve(|ws| {
            assert!(
                ws.recv_timeout(Duration::from_millis(1500)).is_err(),
                "nothing closes it"
            );
            ws.send("late").unwrap();
        });
        let said = run(&["connect", "--wait", "inf", &server.url], b"");
        is(&said, 0, "late\n", "");
    });
}

#[test]
fn messages_are_json_on_request() {
    watchdog(60, || {
        let server = serve(|ws| {
            ws.send("a \"b\"\n\u{1b}").unwrap();
            ws.send(vec![0, 255]).unwrap();
        });
        let said = run(&["connect", "--json", "--wait", "inf", &server.url], b"");
        let lines: Vec<serde_json::Value> = said
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{said:?}");
        assert_eq!(
            (&lines[0]["type"], &lines[0]["data"]),
            (&"text".into(), &"a \"b\"\n\u{1b}".into())
        );
        assert_eq!(
            (&lines[1]["type"], &lines[1]["data"]),
            (&"binary".into(), &"AP8=".into())
        );
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let time = lines[1]["time"].as_f64().unwrap();
        assert!((now.as_secs_f64() - time).abs() < 60.0, "{time}");
    });
}

#[test]
fn bytes_come_out_in_the_form_that_is_asked_for() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        let out = |arguments: &[&str]| {
            let said = run(
                &[&["connect", "-n", "1", &echo.url], arguments].concat(),
                b"\0ab\n",
            );
            assert_eq!(said.status, 0, "{said:?}");
            said.out
        };
        assert_eq!(out(&["--binary"]), "\0ab\n");
        assert_eq!(out(&["--binary", "--binary-as", "hex"]), "0061620a\n");
        assert_eq!(out(&["--binary", "--binary-as", "base64"]), "AGFiCg==\n");
        let server = serve(|ws| drop(ws.send(vec![1, 0x7f])));
        is(
            &run(&["connect", "--wait", "inf", &server.url], b""),
            0,
            "017f\n",
            "",
        );
    });
}

#[test]
fn all_of_the_input_can_be_one_message() {
    watchdog(60, || {
        let (sender, came) = channel();
        let server = serve(move |ws| sender.send(ws.recv()).unwrap());
        let input = common::pattern(1, 300_000);
        is(
            &run(&["connect", "--whole", "--binary", &server.url], &input),
            0,
            "",
            "",
        );
        assert_eq!(
            came.recv_timeout(LATE).unwrap().unwrap(),
            Message::from(input)
        );
        is(
            &run(&["connect", "--whole", &server.url], b"a\nb\n"),
            0,
            "",
            "",
        );
        assert_eq!(
            came.recv_timeout(LATE).unwrap().unwrap().as_text(),
            Some("a\nb\n")
        );
    });
}

#[test]
fn text_that_is_none_is_a_mistake_of_the_caller() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        for whole in [&[][..], &["--whole"]] {
            let said = run(&[&["connect", &echo.url], whole].concat(), b"\xff\n");
            assert_eq!(said.status, 2, "{said:?}");
            assert!(said.err.contains("not UTF-8"), "{said:?}");
        }
    });
}

#[test]
fn who_cannot_connect_ends_with_1_and_says_why() {
    watchdog(60, || {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        is(
            &run(&["connect", &free.to_string()], b""),
            1,
            "",
            "not connected: Connection refused",
        );
        let url = answers(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 23\r\n\r\nno \x1b[31m entry\u{9b}2J\nhere",
        );
        let said = run(&["connect", &url], b"");
        is(
            &said,
            1,
            "",
            "the server answered 403 Forbidden: no \\x1b[31m entry\\x9b2J here\n",
        );
    });
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        for (arguments, err) in [
            (&["connect", "ftp://localhost"][..], "its scheme is not ws"),
            (&["connect"], "required arguments"),
            (&["connect", &echo.url, "-H", "nothing"], "without a colon"),
            (
                &["connect", &echo.url, "-H", "a b: c"],
                "HTTP does not allow",
            ),
            (&["connect", &echo.url, "-s", "a,b"], "subprotocol"),
            (
                &["connect", &echo.url, "--ca", "/nowhere"],
                "/nowhere: No such file",
            ),
            (&["connect", &echo.url, "--open-timeout", "-1"], "-1"),
            (
                &["connect", &echo.url, "--queue", "0"],
                "queue of 0 messages",
            ),
            (&["connect", &echo.url, "--pin", "12"], "fingerprint"),
        ] {
            is(&run(arguments, b""), 2, "", err);
        }
    });
}

#[test]
fn a_normal_end_is_0_and_any_other_3() {
    watchdog(60, || {
        for code in [1000, 1001] {
            let server = serve(closes(code, "bye"));
            is(
                &run(&["connect", "--wait", "inf", &server.url], b""),
                0,
                "",
                "",
            );
        }
        let server = serve(closes(4001, "\u{1b}]0;title\u{7}\u{202e}"));
        let said = run(&["connect", "--wait", "inf", &server.url], b"");
        let told = "wsync: closed by the server: 4001 (private use) \\x1b]0;title\\x07\\u{202e}\n";
        is(&said, 3, "", told);
        let lost = answers("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        is(&run(&["connect", &lost], b""), 1, "", "opening handshake");
    });
}

#[test]
fn an_end_of_the_server_does_not_wait_for_the_input() {
    watchdog(60, || {
        let server = serve(closes(1011, "broken"));
        let mut child = started(wsync().args(["connect", &server.url]));
        let stdin = child.stdin.take();
        is(&ended(child), 3, "", "1011 (internal error) broken");
        drop(stdin);
    });
}

#[test]
fn a_reader_that_has_had_enough_ends_it_quietly() {
    watchdog(60, || {
        let server = serve(|ws| while ws.send("and on").is_ok() {});
        let mut child = started(wsync().args(["connect", "--wait", "inf", &server.url]));
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "and on\n");
        drop(out);
        is(&ended(child), 0, "", "");
    });
}

#[cfg(unix)]
#[test]
fn a_signal_closes_normally() {
    watchdog(60, || {
        use rustix::process::{Pid, Signal, kill_process};

        let (echo, ends) = echo();
        for signal in [Signal::INT, Signal::TERM] {
            let mut child = started(wsync().args(["connect", &echo.url]));
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(b"ready\n").unwrap();
            let mut ready = [0; 6];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut ready)
                .unwrap();
            kill_process(Pid::from_child(&child), signal).unwrap();
            is(&ended(child), 0, "", "");
            let closed = ends.recv_timeout(LATE).unwrap();
            assert_eq!(closed.received.unwrap().code, CloseCode::NORMAL);
        }
    });
}

#[cfg(unix)]
#[test]
fn it_connects_again_and_loses_no_line() {
    watchdog(60, || {
        let (sender, came) = channel();
        let path = path("again.sock");
        let first = serve_at(&path, move |ws| {
            sender.send(ws.recv().unwrap()).unwrap();
            let _ = ws.close_with(1012, "");
        });
        let arguments = ["-r", "--max-delay", "0.05", "-n", "1", &first.url];
        let mut child = started(wsync().arg("connect").args(arguments));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"one\n").unwrap();
        assert_eq!(came.recv_timeout(LATE).unwrap().as_text(), Some("one"));
        first.server.shutdown().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        while !told.contains("connecting again") {
            assert!(err.read_line(&mut told).unwrap() > 0, "{told}");
        }
        // Sent while there is no server.
        stdin.write_all(b"two\n").unwrap();
        let _second = serve_at(&path, common::echo);
        // Its pipe must not fill up.
        thread::spawn(move || drop(err.read_to_string(&mut told)));
        let said = ended(child);
        assert_eq!((said.status, said.out.as_str()), (0, "two\n"), "{said:?}");
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn attempts_are_bounded_where_the_user_says_so() {
    watchdog(60, || {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let arguments = [
            "connect",
            "-r",
            "--max-delay",
            "0.01",
            "--attempts",
            "3",
            &free.to_string(),
        ];
        let said = run(&arguments, b"");
        is(&said, 1, "", "not connected");
        assert_eq!(
            said.err.matches("connecting again in").count(),
            2,
            "{said:?}"
        );
    });
}

#[test]
fn colours_are_for_who_wants_them() {
    watchdog(60, || {
        let coloured = |variables: &[(&str, &str)], arguments: &[&str]| {
            let mut command = wsync();
            command
                .envs(variables.iter().copied())
                .args(["connect", "ftp://x"])
                .args(arguments);
            said(&mut command, b"").err.contains('\u{1b}')
        };
        assert!(!coloured(&[], &[]), "it is no terminal");
        assert!(coloured(&[("CLICOLOR_FORCE", "1")], &[]));
        assert!(!coloured(
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
            &[]
        ));
        assert!(coloured(&[("NO_COLOR", "1")], &["--color", "always"]));
        assert!(!coloured(&[("CLICOLOR_FORCE", "1")], &["--color", "never"]));
    });
}
