//! `wsync replay`: what was recorded comes again, with its timing and its end.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod cli_process;
mod common;

use cli_process::recordings::{replay, say_all, server, without_times};
use cli_process::{Folder, Output, Wsync, client, connect, hear, run};
use common::{LATE, eventually};
use serde_json::json;
use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use wsync::{CloseCode, Message};

/// A recording of these lines, after a header.
fn recording(folder: &Folder, lines: &str) -> String {
    let file = folder.file("made.jsonl");
    let header = json!({"wsync_recording": 1, "url": "ws://x/", "time": "", "subprotocol": null});
    fs::write(&file, format!("{header}\n{lines}")).unwrap();
    file
}

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
