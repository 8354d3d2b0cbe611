//! The zlib of C, in Python, inflates with the window that was agreed on what we deflate.

use super::texts::KINDS;
use super::windows::{WINDOWS, all_settings, pair};
use super::*;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// A whole run; it takes about a minute.
const RUN: Duration = Duration::from_secs(300);

/// What `tests/interop/inflate.py` reads: whether it has to inflate, and what to what.
fn record(window_bits: u8, inflates: bool, stream: &[u8], output: &[u8]) -> Vec<u8> {
    let mut record = vec![window_bits, u8::from(inflates)];
    for bytes in [stream, output] {
        record.extend((bytes.len() as u32).to_be_bytes());
        record.extend(bytes);
    }
    record
}

fn records() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for window_bits in WINDOWS {
        for settings in all_settings(window_bits) {
            for (_, kind) in KINDS {
                let pair = pair(settings, kind, true);
                records.push(record(window_bits, true, &pair.stream, &pair.output));
            }
        }
        // The referee sees what goes back further: 9 bits are 8 bits here, so it takes 10.
        let wider = settings(9, window_bits.max(9) + 1, 8);
        if wider.window_bits <= 15 {
            let pair = pair(wider, KINDS[0].1, true);
            records.push(record(window_bits, false, &pair.stream, &pair.output));
        }
    }
    records
}

#[test]
#[ignore = "needs python3, with its module zlib, in PATH, and a minute"]
fn c_zlib_inflates_every_stream_with_its_window_and_none_of_a_wider_one() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/inflate.py");
    let mut python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 in PATH");
    let (mut stdin, mut stdout) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
    let records = records();
    let count = records.len();
    let writing = thread::spawn(move || {
        for record in records {
            if stdin.write_all(&record).is_err() {
                // It has ended, and said why.
                return;
            }
        }
    });
    let deadline = Instant::now() + RUN;
    let status = loop {
        match python.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    // Does nothing when it has ended; the pipes do then.
    let _ = python.kill();
    let _ = python.wait();
    writing.join().unwrap();
    let mut said = String::new();
    stdout.read_to_string(&mut said).unwrap();
    assert!(status.is_some(), "not done within {RUN:?}");
    assert_eq!(said.trim(), format!("ok {count}"));
}
