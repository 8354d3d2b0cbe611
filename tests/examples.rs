//! The examples as programs: what each prints, and that its first line is the command that runs it. `cargo test`
//! builds them; where that is told to build only some tests, `cargo build --examples` does.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LATE, spawn};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, fs};

/// An example that runs; it ends with this.
struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(built(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Running { child, stdout }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{line}").unwrap();
    }

    /// The next line that it prints.
    fn hear(&mut self) -> String {
        let mut stdout = self.stdout.take().unwrap();
        let hearing = spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            (line, stdout)
        });
        let (line, stdout) = hearing.within(LATE, "a line of its output");
        self.stdout = Some(stdout);
        line
    }

    /// What it prints until it ends, which it must with success.
    fn succeeds(&mut self) -> String {
        drop(self.child.stdin.take());
        let stdout = self.stdout.take().unwrap();
        let text = spawn(|| io::read_to_string(stdout).unwrap());
        let text = text.within(LATE, "the end of its output");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {text}");
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn output(name: &str) -> String {
    Running::start(name, &[]).succeeds()
}

/// Where the program is, which must be newer than all that it is made of.
fn built(name: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let folder = tests.parent().unwrap().with_file_name("examples");
    let program = folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    let changed = |path: &Path| fs::metadata(path)?.modified();
    let when = changed(&program).unwrap_or_else(|e| panic!("{e}: cargo build --examples"));
    let sources = fs::read_to_string(folder.join(format!("{name}.d"))).unwrap();
    for source in sources.split_once(": ").unwrap().1.split_whitespace() {
        let is_older = changed(Path::new(source)).is_ok_and(|source| source <= when);
        assert!(is_older, "{source} is newer: cargo build --examples");
    }
    program
}

/// The numbers in a text, without what is around them.
fn numbers(text: &str) -> Vec<u64> {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words.flat_map(str::parse).collect()
}

#[test]
fn every_example_is_short_and_run_and_begins_with_its_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(root.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        // A peer of test suites, with options.
        if path.is_dir() || name == "testee" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let most = match name {
            "log_tail" | "own_http_server" => 100,
            _ => 90,
        };
        assert!(text.lines().count() <= most, "{name}");
        let entry = format!("[[example]]\nname = \"{name}\"\nrequired-features = [\"stream\"]\n");
        let features = if manifest.contains(&entry) {
            " --features stream"
        } else {
            ""
        };
        let command = format!("//! cargo run --example {name}{features}");
        let first = text.lines().next().unwrap();
        let rest = first.strip_prefix(&command).expect(first);
        assert!(rest.is_empty() || rest.starts_with(" -- "), "{first}");
        assert!(
            include_str!("examples.rs").contains(&format!("(\"{name}\"")),
            "{name} is run"
        );
        count += 1;
    }
    assert!(count >= 14, "{count}");
}

#[test]
fn quickstart_receives_all_echoes() {
    let text = output("quickstart");
    assert!(
        text.contains("client   received \"message 5\", 0 more wait\n"),
        "{text}"
    );
}

#[test]
fn many_senders_receives_in_the_order_of_each_sender() {
    let text = output("many_senders");
    assert!(
        text.contains("received of each sender: [250, 250, 250, 250]\n"),
        "{text}"
    );
}

#[test]
fn client_and_echo_server_talk_until_told_to_stop() {
    let mut server = Running::start("echo_server", &["127.0.0.1:0"]);
    let greeting = server.hear();
    let url = greeting.split(',').next().unwrap();
    let mut client = Running::start("client", &[url]);
    client.say("hello");
    assert_eq!(client.hear(), "hello\n");
    client.succeeds();
    server.say("quit");
    let text = server.succeeds();
    assert!(
        text.contains(" closed: received 1000 (normal closure)"),
        "{text}"
    );
}

#[test]
fn tls_trusts_a_root_and_no_other() {
    let text = output("tls");
    assert!(
        text.contains("client  received Some(\"a secret\")\n"),
        "{text}"
    );
    assert!(text.contains("client  without the root: TLS: "), "{text}");
}

#[test]
fn metrics_tells_what_was_sent() {
    let text = output("metrics");
    assert!(
        text.contains("\nwsync_messages_received_total 3\n"),
        "{text}"
    );
}

#[test]
fn http_servers_give_a_page_and_an_echo() {
    for (text, page) in [
        (output("own_http_server"), "a page"),
        (output("tiny_http"), "GET /a "),
    ] {
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains(&format!("\r\n\r\n{page}\n")), "{text}");
        assert!(
            text.contains("echo: Some(\"hello\")\nclosed: sent 1000 "),
            "{text}"
        );
    }
}

#[test]
fn select_many_answers_a_thousand_connections_in_one_thread() {
    let text = output("select_many");
    let all = "1000 connections at once, 20000 messages answered by 1 thread\n";
    assert!(text.contains(all), "{text}");
}

#[test]
fn market_data_skips_what_is_stale_and_fetches_what_is_missing() {
    let text = output("market_data");
    let lines: Vec<_> = text.lines().collect();
    let [end, first, gap, second, last] = lines[..] else {
        panic!("{text}");
    };
    assert!(
        end.starts_with("after 700: closed: received 1012 "),
        "{end}"
    );
    for counts in [first, second] {
        let [came, acted_on, stale] = numbers(counts)[..] else {
            panic!("{counts}");
        };
        assert_eq!((came, acted_on + stale), (700, 700));
        assert!(stale > 0 && acted_on > 1, "{counts}");
    }
    assert_eq!(gap, "a gap before 901: 200 fetched");
    assert_eq!(last, "the feed is over: 1600 was the last");
}

#[test]
fn log_tail_follows_the_file_and_closes_who_does_not_read() {
    let text = output("log_tail");
    let lines: Vec<_> = text.lines().collect();
    let [_address, first, second] = lines[..] else {
        panic!("{text}");
    };
    assert!(
        first.starts_with("the last 10 lines, then 20000 in order;"),
        "{text}"
    );
    assert!(numbers(second)[0] < 20_000, "{text}");
    assert!(
        second.contains(": received 1013 (try again later)"),
        "{text}"
    );
}

#[test]
fn game_loop_takes_no_more_than_its_budget_in_a_frame() {
    let text = output("game_loop");
    let frames = text.lines().filter(|line| line.starts_with("frame "));
    let taken: Vec<_> = frames.map(|line| numbers(line)[1]).collect();
    assert_eq!(taken.iter().max(), Some(&50), "{text}");
    assert!(text.contains(" messages in 180 frames, "), "{text}");
}

#[cfg(feature = "stream")]
#[test]
fn stream_merges_two_connections() {
    let text = output("stream");
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let ticks = |n| ["100ms", "250ms"].map(|pace| format!("tick {n}, every {pace}"));
    assert_eq!(lines, (1..=5).flat_map(ticks).collect::<Vec<_>>());
}

#[cfg(feature = "stream")]
#[test]
fn async_program_gets_an_answer_to_each_order() {
    let text = output("async_program");
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("100 sent, 100 answered; sent 1000 "),
        "{text}"
    );
}
