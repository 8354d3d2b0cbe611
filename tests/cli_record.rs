//! `wsync record` and `wsync replay`: what was recorded comes again, with its timing and its end.

#![allow(clippy::unwrap_used)]

mod cli;
mod common;

use cli::{Folder, Output, Wsync, client, command, connect, hear, run};
use common::{LATE, Serving, echo, eventually};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{CloseCode, Message, Server, WebSocket};

/// A server that does this with each client, and its address.
fn server(handler: impl Fn(WebSocket) + Send + Sync + 'static) -> (Serving, String) {
    let serving = Serving::new(Server::builder().subprotocol("feed.v1"), handler);
    let url = format!("ws://127.0.0.1:{}/", serving.port);
    (serving, url)
}

fn say_all(ws: WebSocket) {
    ws.send("héllo\n\u{1}").unwrap();
    ws.send(vec![0, 0xff, b'\n']).unwrap();
    ws.send("").unwrap();
    let _ = ws.close_with(4001, "that is all");
}

fn parsed(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// A recording without the times.
fn without_times(file: &str) -> Vec<Value> {
    let mut lines = parsed(file);
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        line.remove("at");
        line.remove("time");
        line.remove("url");
    }
    lines
}

fn times(file: &str) -> Vec<f64> {
    let lines = parsed(file);
    lines[1..]
        .iter()
        .map(|line| line["at"].as_f64().unwrap())
        .collect()
}

/// A recording of these lines, after a header.
fn recording(folder: &Folder, lines: &str) -> String {
    let file = folder.file("made.jsonl");
    let header = json!({"wsync_recording": 1, "url": "ws://x/", "time": "", "subprotocol": null});
    fs::write(&file, format!("{header}\n{lines}")).unwrap();
    file
}

fn replay(file: &str, options: &[&str]) -> (Wsync, String) {
    let listen = ["replay", file, "--listen", "127.0.0.1:0"];
    let replay = Wsync::start(&[&listen, options].concat());
    let url = replay.url();
    (replay, url)
}

mod recording {
    use super::*;

    #[test]
    fn has_a_line_for_each_message_and_the_end() {
        let folder = Folder::new("record");
        let file = folder.file("a.jsonl");
        let (_server, url) = server(say_all);
        let with_credentials = url.replace("//", "//ada:secret@");
        let output = run(&["record", &with_credentials, &file, "-s", "feed.v1"]);
        assert!(
            output.stderr.contains("3 messages in "),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains("4001"), "{}", output.stderr);
        assert_eq!(output.status, Some(3), "4001 is no normal end");
        let lines = parsed(&file);
        assert_eq!(
            (&lines[0]["wsync_recording"], &lines[0]["subprotocol"]),
            (&json!(1), &json!("feed.v1"))
        );
        assert_eq!(lines[0]["url"], url);
        assert!(lines[0]["time"].as_str().unwrap().ends_with('Z'));
        let said = without_times(&file)[1..].to_vec();
        assert_eq!(
            said,
            [
                json!({"kind": "text", "data": "héllo\n\u{1}"}),
                json!({"kind": "binary", "data": "AP8K"}),
                json!({"kind": "text", "data": ""}),
                json!({"kind": "close", "code": 4001, "reason": "that is all"}),
            ]
        );
        assert!(times(&file).is_sorted() && times(&file)[0] >= 0.0);
    }

    #[test]
    fn a_normal_close_is_a_success() {
        let folder = Folder::new("record-normal");
        let file = folder.file("a.jsonl");
        let (_server, url) = server(|ws| drop(ws.send("one")));
        assert_eq!(run(&["record", &url, &file]).status, Some(0));
        assert_eq!(
            without_times(&file)[2],
            json!({"kind": "close", "code": 1000, "reason": ""})
        );
    }

    #[test]
    fn a_lost_connection_is_an_error_and_recorded_as_one() {
        let folder = Folder::new("record-lost");
        let file = folder.file("a.jsonl");
        let (command, url) = Wsync::serve(&[]);
        let recording = Wsync::start(&["record", &url, &file, "--send", "hello"]);
        eventually("it has recorded", || {
            fs::read(&file).is_ok_and(|f| f.ends_with(b"\"hello\"}\n"))
        });
        drop(command);
        let output = recording.output();
        assert_eq!(output.status, Some(3), "{}", output.stderr);
        assert!(output.stderr.contains("lost"), "{}", output.stderr);
        let end = &parsed(&file)[2];
        assert_eq!(end["kind"], "error");
        assert!(end["error"].as_str().unwrap().contains("lost"), "{end}");
    }

    #[test]
    fn stops_after_so_many_messages_or_seconds_or_a_signal() {
        let (_server, url) = server(echo);
        for (name, options) in [
            ("count", &["-n", "2"][..]),
            ("time", &["--for", "0.3"]),
            ("signal", &[]),
        ] {
            let folder = Folder::new(&format!("record-{name}"));
            let file = folder.file("a.jsonl");
            let sends = ["record", &url, &file, "--send", "a", "--send", "b"];
            let recording = Wsync::start(&[&sends, options].concat());
            if name == "signal" {
                eventually("it has recorded", || {
                    fs::read(&file).is_ok_and(|f| f.ends_with(b"\"b\"}\n"))
                });
                recording.signal(rustix::process::Signal::INT);
            }
            let output = recording.output();
            assert_eq!(output.status, Some(0), "{name}: {}", output.stderr);
            assert!(
                output.stderr.contains("stopped"),
                "{name}: {}",
                output.stderr
            );
            let said = without_times(&file);
            assert_eq!(said.last().unwrap(), &json!({"kind": "stop"}), "{name}");
            if name != "time" {
                assert_eq!(
                    (&said[1]["data"], &said[2]["data"]),
                    (&json!("a"), &json!("b"))
                );
            }
        }
    }

    #[test]
    fn goes_to_standard_output() {
        let (_server, url) = server(say_all);
        let output = run(&["record", &url, "-", "--quiet", "-n", "1"]);
        assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""));
        let last = output.stdout.lines().last().unwrap();
        assert!(last.contains("\"stop\""), "{last}");
        assert_eq!(output.stdout.lines().count(), 3);
    }

    #[test]
    fn ends_when_nobody_reads_it_any_more() {
        let (_server, url) = server(|ws| while ws.send("more").is_ok() {});
        let mut recording = command(&["record", &url, "-", "--quiet"]);
        let mut recording = recording.stdout(Stdio::piped()).spawn().unwrap();
        drop(recording.stdout.take());
        eventually("its end", || recording.try_wait().unwrap().is_some());
        assert_eq!(recording.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn replaces_no_file_unless_it_is_forced() {
        let folder = Folder::new("record-force");
        let file = folder.file("a.jsonl");
        fs::write(&file, "precious\n".repeat(1000)).unwrap();
        let (_server, url) = server(say_all);
        let output = run(&["record", &url, &file]);
        assert_eq!(output.status, Some(2));
        assert!(output.stderr.contains("--force"), "{}", output.stderr);
        assert!(fs::read_to_string(&file).unwrap().starts_with("precious"));
        run(&["record", &url, &file, "--force"]);
        assert_eq!(parsed(&file).len(), 5);
    }

    #[test]
    fn without_a_server_there_is_no_file() {
        let folder = Folder::new("record-none");
        let file = folder.file("a.jsonl");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert_eq!(
            run(&["record", &format!("ws://127.0.0.1:{port}/"), &file]).status,
            Some(1)
        );
        assert!(fs::metadata(&file).is_err());
    }

    #[test]
    fn a_killed_one_can_be_replayed() {
        let folder = Folder::new("record-killed");
        let file = folder.file("a.jsonl");
        let (_server, url) = server(|ws| {
            for n in 0.. {
                if ws.send(format!("message {n}")).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let recording = Wsync::start(&["record", &url, &file]);
        eventually("it has recorded", || {
            fs::read_to_string(&file).is_ok_and(|f| f.lines().count() > 100)
        });
        drop(recording);
        // Where a write was under way.
        let mut last = fs::OpenOptions::new().append(true).open(&file).unwrap();
        last.write_all(b"{\"at\":9.5,\"kind\":\"te").unwrap();
        let (replay, url) = replay(&file, &["--speed", "max"]);
        replay.tells("cut off, and left out");
        let ws = connect(&url);
        for n in 0..100 {
            assert_eq!(hear(&ws), format!("message {n}"));
        }
    }
}

mod replaying {
    use super::*;

    #[test]
    fn gives_the_same_messages_and_the_same_end() {
        let folder = Folder::new("replay-same");
        let (first, second) = (folder.file("1.jsonl"), folder.file("2.jsonl"));
        let (_server, url) = server(say_all);
        run(&["record", &url, &first, "-s", "feed.v1"]);
        let (_replay, url) = replay(&first, &[]);
        assert_eq!(
            run(&["record", &url, &second, "-s", "feed.v1"]).status,
            Some(3)
        );
        assert_eq!(without_times(&first), without_times(&second));
    }

    #[test]
    fn begins_anew_for_each_client() {
        let folder = Folder::new("replay-each");
        let file = recording(
            &folder,
            "{\"at\":0,\"kind\":\"text\",\"data\":\"a\"}\n{\"at\":0,\"kind\":\"stop\"}\n",
        );
        let (replay, url) = replay(&file, &[]);
        for _ in 0..3 {
            let ws = connect(&url);
            let heard: Vec<_> = ws.iter().map(Result::unwrap).collect();
            assert_eq!(heard, [Message::from("a")]);
            assert_eq!(
                ws.closed().unwrap().received.unwrap().code,
                CloseCode::NORMAL
            );
            replay.tells("closed after");
        }
    }

    /// Messages at 0, 0.1, ... 0.9 s.
    const TEN: usize = 10;

    fn ten(folder: &Folder) -> String {
        let line = |n| format!("{{\"at\":0.{n},\"kind\":\"text\",\"data\":\"{n}\"}}\n");
        recording(folder, &(0..TEN).map(line).collect::<String>())
    }

    #[test]
    fn keeps_the_timing_whatever_is_late() {
        let folder = Folder::new("replay-timing");
        let file = ten(&folder);
        let (_replay, url) = replay(&file, &[]);
        common::once_within(Duration::from_millis(50), || {
            let before = Instant::now();
            let ws = connect(&url);
            let began = Instant::now();
            let late = (0..TEN as u32).map(|n| {
                hear(&ws);
                let at = n * Duration::from_millis(100);
                assert!(before.elapsed() >= at, "message {n} is early");
                began.elapsed().saturating_sub(at)
            });
            let mut late: Vec<_> = late.collect();
            late.sort();
            late[TEN / 2]
        });
    }

    #[test]
    fn is_as_much_faster_or_slower_as_it_is_told() {
        let folder = Folder::new("replay-speed");
        let file = ten(&folder);
        for (speed, seconds) in [("2", 0.45), ("0.5", 1.8), ("max", 0.0)] {
            let (_replay, url) = replay(&file, &["--speed", speed]);
            let due = Duration::from_secs_f64(seconds);
            common::once_within(Duration::from_millis(150), || {
                let before = Instant::now();
                let ws = connect(&url);
                assert_eq!(ws.iter().map(Result::unwrap).count(), TEN);
                let took = before.elapsed();
                assert!(took >= due, "{speed}: {took:?}");
                took - due
            });
        }
    }

    #[test]
    fn begins_again_with_loop_and_passes_over_the_end() {
        let folder = Folder::new("replay-loop");
        let lines = "{\"at\":0,\"kind\":\"text\",\"data\":\"a\"}\n{\"at\":0.05,\"kind\":\"text\",\"data\":\"b\"}\n\
                     {\"at\":0.1,\"kind\":\"close\",\"code\":1000,\"reason\":\"\"}\n";
        let (replay, url) = replay(&recording(&folder, lines), &["--loop"]);
        let before = Instant::now();
        let ws = connect(&url);
        for _ in 0..5 {
            assert_eq!((hear(&ws), hear(&ws)), ("a".into(), "b".into()));
        }
        // Four times the whole, and the first half of the fifth.
        assert!(before.elapsed() >= Duration::from_millis(450));
        replay.signal(rustix::process::Signal::TERM);
        while ws.recv_timeout(LATE).is_ok() {}
        assert_eq!(
            ws.closed().unwrap().received.unwrap().code,
            CloseCode::GOING_AWAY
        );
        assert_eq!(replay.output().status, Some(0));
    }

    #[test]
    fn as_a_client_it_sends_to_a_server_and_passes_over_what_comes() {
        let folder = Folder::new("replay-to");
        let lines = "{\"at\":0,\"kind\":\"text\",\"data\":\"a\"}\n{\"at\":0.1,\"kind\":\"binary\",\"data\":\"AAE=\"}\n\
                     {\"at\":0.1,\"kind\":\"close\",\"code\":4000,\"reason\":\"bye\"}\n";
        let file = recording(&folder, lines);
        let (heard, all) = mpsc::channel();
        let (_server, url) = server(move |ws| {
            for message in ws.iter().map_while(Result::ok) {
                // It may have left.
                let _ = ws.send(message.clone());
                heard.send(message).unwrap();
            }
            let frame = ws.closed().unwrap().received.unwrap();
            heard.send(frame.to_string().into()).unwrap();
        });
        let output = run(&["replay", &file, "--to", &url]);
        let all: Vec<Message> = (0..3).map(|_| all.recv_timeout(LATE).unwrap()).collect();
        assert_eq!(
            all,
            [
                "a".into(),
                Message::from(vec![0, 1]),
                "4000 (private use) bye".into()
            ]
        );
        assert_eq!(output.status, Some(0), "{}", output.stderr);
        assert!(
            output.stderr.contains("2 messages sent in "),
            "{}",
            output.stderr
        );
    }

    #[test]
    fn as_a_client_it_ends_by_a_signal_and_with_the_servers_end() {
        let folder = Folder::new("replay-ends");
        let file = recording(
            &folder,
            "{\"at\":1000,\"kind\":\"text\",\"data\":\"late\"}\n",
        );
        let (_server, url) = server(|ws| drop(ws.recv()));
        let (_closing, closing) = server(|ws| drop(ws.close_with(1011, "no more")));
        let stopped = Wsync::start(&["replay", &file, "--to", &url]);
        let output = run(&["replay", &file, "--to", &closing]);
        assert_eq!(output.status, Some(3));
        assert!(output.stderr.contains("no more"), "{}", output.stderr);
        // It has caught signals since before it connected.
        eventually("it is connected", || _server.server.stats().open == 1);
        stopped.signal(rustix::process::Signal::INT);
        assert_eq!(stopped.output().status, Some(0));
    }

    #[test]
    fn what_is_no_recording_is_told_of_with_its_line() {
        let folder = Folder::new("replay-bad");
        let good = "{\"at\":0,\"kind\":\"text\",\"data\":\"a\"}\n";
        for (lines, part) in [
            (
                "{\"at\":0,\"kind\":\"song\"}\n",
                "line 2: unknown variant `song`",
            ),
            (&format!("{good}nonsense\n{good}"), "line 3: "),
            (
                &format!("{good}{{\"at\":-1,\"kind\":\"stop\"}}\n"),
                "line 3: at -1",
            ),
            (
                &format!("{good}{{\"kind\":\"stop\"}}\n"),
                "line 3: missing field `at`",
            ),
            (
                "{\"at\":0,\"kind\":\"binary\",\"data\":\"?\"}\n",
                "line 2: data that is not base64",
            ),
            (
                "{\"at\":0,\"kind\":\"close\",\"code\":1006,\"reason\":\"\"}\n",
                "line 2: the close code 1006",
            ),
            ("\n", "line 2: "),
        ] {
            is_refused(&recording(&folder, lines), part);
        }
        let file = folder.file("other");
        for (text, part) in [
            ("", "line 1: no recording"),
            ("{\"cut\":", "line 1: no recording"),
            ("{\"at\":0}\n", "line 1: missing field `wsync_recording`"),
            (
                "{\"wsync_recording\":2,\"url\":\"\",\"time\":\"\",\"subprotocol\":null}\n",
                "line 1: version 2",
            ),
            ("\u{1}\u{2}\n", "line 1: "),
        ] {
            fs::write(&file, text).unwrap();
            is_refused(&file, part);
        }
        is_refused(&folder.file("missing"), "missing: ");
    }

    fn is_refused(file: &str, part: &str) {
        let Output { status, stderr, .. } = run(&["replay", file, "--listen", "127.0.0.1:0"]);
        assert!(
            status == Some(2) && stderr.contains(part),
            "{part}: {stderr}"
        );
    }

    #[test]
    fn other_tools_may_have_added_keys() {
        let folder = Folder::new("replay-keys");
        let file = recording(
            &folder,
            "{\"at\":0,\"note\":\"first\",\"kind\":\"text\",\"data\":\"a\",\"n\":1}",
        );
        let (_replay, url) = replay(&file, &[]);
        assert_eq!(hear(&connect(&url)), "a");
    }

    #[test]
    fn reads_standard_input() {
        let folder = Folder::new("replay-stdin");
        let file = recording(&folder, "{\"at\":0,\"kind\":\"text\",\"data\":\"a\"}\n");
        let mut replay = Wsync::start(&["replay", "-", "--listen", "127.0.0.1:0"]);
        replay.stdin(&fs::read(file).unwrap());
        assert_eq!(hear(&connect(&replay.url())), "a");
    }

    #[test]
    fn it_is_a_client_or_a_server_and_needs_its_options_only() {
        let folder = Folder::new("replay-usage");
        let file = recording(&folder, "");
        for options in [
            &[][..],
            &["--to", "ws://x/", "--listen", "0"],
            &["--listen", "0", "--insecure"],
            &["--to", "ws://x/", "--tls", "a", "b"],
            &["--listen", "0", "--speed", "0"],
        ] {
            let output = run(&[&["replay", &file], options].concat());
            assert_eq!(output.status, Some(2), "{options:?}: {}", output.stderr);
        }
    }

    #[test]
    fn a_subprotocol_is_agreed_on_if_it_was() {
        let folder = Folder::new("replay-subprotocol");
        let file = folder.file("a.jsonl");
        let (_server, url) = server(say_all);
        run(&["record", &url, &file, "-s", "feed.v1"]);
        let (_replay, url) = replay(&file, &[]);
        let ws = client(&url).subprotocol("feed.v1").connect().unwrap();
        assert_eq!(ws.subprotocol(), Some("feed.v1"));
    }
}
