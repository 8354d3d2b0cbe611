//! `wsync record`: what is in a recording, and how it ends.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod cli_process;
mod common;

use cli_process::recordings::{parsed, replay, say_all, server, without_times};
use cli_process::{Folder, Wsync, command, connect, hear, run};
use common::{echo, eventually};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

fn times(file: &str) -> Vec<f64> {
    let lines = parsed(file);
    lines[1..]
        .iter()
        .map(|line| line["at"].as_f64().unwrap())
        .collect()
}

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
