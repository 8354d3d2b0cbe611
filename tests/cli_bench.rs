//! `wsync bench`: what it measures, and what it says of servers that do not echo.

#![allow(clippy::unwrap_used)]

mod cli_process;
mod common;

use cli_process::{Output, Wsync, run};
use common::Serving;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use wsync::{Compression, Message, Server, WebSocket};

/// A server that answers as `answer` says, and its address.
fn server(
    answer: impl Fn(u64, Message) -> Option<Message> + Send + Sync + 'static,
) -> (Serving, String) {
    let serving = Serving::new(Server::builder(), move |ws: WebSocket| {
        for (number, message) in (0..).zip(ws.iter().map_while(Result::ok)) {
            if let Some(message) = answer(number, message) {
                if ws.send(message).is_err() {
                    break;
                }
            }
        }
    });
    let url = format!("ws://127.0.0.1:{}/", serving.port);
    (serving, url)
}

fn bench(url: &str, options: &[&str]) -> Output {
    run(&[
        &["bench", url, "--duration", "1", "--warm-up", "0.1"],
        options,
    ]
    .concat())
}

/// A measurement that is not to get to its end, however slow the machine is.
fn fails(url: &str, options: &[&str]) -> Output {
    run(&[&["bench", url, "--duration", "60"], options].concat())
}

fn json(url: &str, options: &[&str]) -> Value {
    let output = bench(url, &[&["--json"], options].concat());
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    assert_eq!(output.stdout.lines().count(), 1);
    serde_json::from_str(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Figures that agree with each other.
fn is_plausible(figures: &Value) {
    let messages = figures["messages"].as_u64().unwrap();
    let histogram = figures["histogram"].as_array().unwrap();
    let counted: u64 = histogram
        .iter()
        .map(|class| class["messages"].as_u64().unwrap())
        .sum();
    assert!(messages > 0);
    assert_eq!(counted, messages);
    for two in histogram.windows(2) {
        assert_eq!(two[0]["below_us"], two[1]["from_us"]);
    }
    let times = &figures["latency_us"];
    let names = ["min", "p50", "p90", "p99", "p99_9", "max"];
    let times = names.map(|name| number(&times[name]));
    assert!(times.is_sorted() && times[0] > 0.0, "{times:?}");
    assert!(number(&histogram[0]["from_us"]) <= times[0]);
    assert!(times[5] < 1.01 * number(&histogram[histogram.len() - 1]["below_us"]));
    assert_eq!(figures["seconds"], 1.0);
}

#[test]
fn json_has_the_figures_that_the_help_tells_of() {
    let seen = Arc::<AtomicU64>::default();
    let seeing = Arc::clone(&seen);
    let (_server, url) = server(move |_, message| {
        assert_eq!((message.is_text(), message.len()), (true, 100));
        seeing.fetch_add(1, Ordering::Relaxed);
        Some(message)
    });
    let report = json(&url, &["--size", "100", "-n", "3", "--window", "5"]);
    assert_eq!(report["url"], url);
    assert_eq!(
        (&report["kind"], &report["size"]),
        (&"text".into(), &100.into())
    );
    assert_eq!(report["compressed"], false);
    assert_eq!(report["warm_up_seconds"], 0.1);
    assert!(report.get("rate").is_none());
    for (name, connections, window) in [("latency", 1, 1), ("throughput", 3, 5)] {
        let figures = &report[name];
        is_plausible(figures);
        assert_eq!(figures["connections"], connections);
        assert_eq!(figures["window"], window);
        let rate = number(&figures["messages_per_second"]);
        assert_eq!(number(&figures["bytes_per_second"]), rate * 100.0);
        // Those that came back in time, and those that were sent in time: they differ by what was under way.
        let differ = (rate - number(&figures["messages"])).abs();
        assert!(differ <= f64::from(connections * window) + 0.1, "{figures}");
    }
    let measured = ["latency", "throughput"].map(|name| report[name]["messages"].as_u64().unwrap());
    assert!(measured.iter().sum::<u64>() <= seen.load(Ordering::Relaxed));
}

#[test]
fn binary_and_compressed_messages_are_measured() {
    let builder = Server::builder().compression(Compression::server());
    let echo = Serving::echo(builder);
    let url = format!("ws://127.0.0.1:{}/", echo.port);
    let report = json(
        &url,
        &[
            "--binary",
            "--compress",
            "--size",
            "3000",
            "--only",
            "latency",
        ],
    );
    assert_eq!(
        (&report["kind"], &report["compressed"]),
        (&"binary".into(), &true.into())
    );
    is_plausible(&report["latency"]);
    assert!(report.get("throughput").is_none());
}

#[test]
fn large_messages_under_way_do_not_block_each_other() {
    let (_server, url) = server(|_, message| Some(message));
    // 40 MB: more than queues and buffers hold unless they are told to.
    let large = ["--size", "1000000", "--window", "40"];
    json(&url, &[&["--only", "throughput"], &large[..]].concat());
}

#[test]
fn a_person_reads_figures_and_bars() {
    let (_server, url) = server(|_, message| Some(message));
    let output = bench(&url, &[]);
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    for part in [
        "Latency",
        "Throughput",
        "messages/s",
        "median",
        "99.9 %",
        "longest",
        "█",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    // No colours and no progress where there is no terminal.
    assert!(!output.stdout.contains('\u{1b}'));
    assert_eq!(output.stderr, "");
}

#[test]
fn a_server_that_greets_is_measured() {
    let greeting = Serving::new(Server::builder(), |ws| {
        let _ = ws.send("welcome, you are number 7");
        common::echo(ws);
    });
    let url = format!("ws://127.0.0.1:{}/", greeting.port);
    is_plausible(&json(&url, &[])["latency"]);
}

#[test]
fn a_server_that_does_not_echo_is_told_of() {
    type Answer = fn(u64, Message) -> Option<Message>;
    let upper = |_, message: Message| Some(message.as_text()?.to_uppercase().into());
    let (soon, patiently) = ("0.5", "60");
    let cases: [(Answer, &str, &str); 7] = [
        (|_, _| None, soon, "nothing came back for 0.5 s"),
        (
            upper,
            patiently,
            "differs from what was sent, first in byte",
        ),
        (
            |_, message| Some(message.into_bytes().into()),
            patiently,
            "what was text comes back as binary",
        ),
        (
            |_, message| Some(format!("{} ", message.as_text()?).into()),
            patiently,
            "had 64 bytes comes back with 65",
        ),
        // The first one is only to see whether the server echoes at all. Of the others one is missing, or all.
        (
            |number, message| (number != 20).then_some(message),
            soon,
            "",
        ),
        (
            |number, message| (number < 20).then_some(message),
            soon,
            "nothing came back for 0.5 s, ",
        ),
        (
            |number, message| Some(if number == 20 { "?".into() } else { message }),
            patiently,
            "differs",
        ),
    ];
    for (number, (answer, timeout, part)) in cases.into_iter().enumerate() {
        let (_server, url) = server(answer);
        for mode in [
            ["--only", "latency"],
            ["--only", "throughput"],
            ["--rate", "2000"],
        ] {
            let output = fails(&url, &[&mode[..], &["--timeout", timeout]].concat());
            let told = output.stderr.contains("the server does not echo")
                && (output.stderr.contains(part) || timeout == soon);
            assert!(told, "{number} {mode:?}: {}", output.stderr);
            assert_eq!((output.status, output.stdout.as_str()), (Some(3), ""));
        }
    }
}

#[test]
fn a_connection_that_ends_is_told_of() {
    let ending = Serving::new(Server::builder(), |ws| {
        ws.iter()
            .take(20)
            .flatten()
            .for_each(|message| drop(ws.send(message)));
        let _ = ws.close_with(1012, "enough");
    });
    let url = format!("ws://127.0.0.1:{}/", ending.port);
    for mode in [
        ["--only", "latency"],
        ["--only", "throughput"],
        ["--rate", "2000"],
    ] {
        let output = fails(&url, &mode);
        assert_eq!(output.status, Some(3));
        assert!(
            output.stderr.contains("cut short") && output.stderr.contains("enough"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn without_a_server_the_status_is_1_and_with_wrong_options_2() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("ws://127.0.0.1:{port}/");
    assert_eq!(bench(&url, &[]).status, Some(1));
    for options in [
        ["--size", "3"],
        ["--rate", "0"],
        ["--timeout", "0"],
        ["-n", "0"],
        ["--window", "0"],
    ] {
        assert_eq!(bench(&url, &options).status, Some(2), "{options:?}");
    }
    assert_eq!(
        bench(&url, &["--rate", "5", "--only", "latency"]).status,
        Some(2)
    );
}

mod at_a_rate {
    use super::*;

    #[test]
    fn so_many_messages_are_sent() {
        let (_server, url) = server(|_, message| Some(message));
        let report = json(&url, &["--rate", "300", "-n", "4"]);
        let rate = &report["rate"];
        is_plausible(rate);
        assert_eq!(
            (&rate["asked_per_second"], &rate["connections"]),
            (&300.0.into(), &4.into())
        );
        assert!(rate.get("window").is_none());
        // What could not be sent in time is not left out silently.
        let all = rate["messages"].as_u64().unwrap() + rate["not_sent"].as_u64().unwrap();
        assert!((299..=331).contains(&all), "{all}");
        assert!(number(&rate["late_us"]["max"]) >= number(&rate["late_us"]["p50"]));
        assert!(report.get("latency").is_none() && report.get("throughput").is_none());
    }

    #[test]
    fn a_pause_of_the_server_shows_in_all_messages_that_were_due() {
        // The first is the probe; 50 are of the warm-up.
        let (_server, url) = server(|number, message| {
            if number == 100 {
                thread::sleep(Duration::from_millis(500));
            }
            Some(message)
        });
        let rate = &json(&url, &["--rate", "500"])["rate"];
        // Half of the 500 messages were due in the pause, and waited for half of it on average.
        assert!(number(&rate["latency_us"]["max"]) >= 490_000.0, "{rate}");
        assert!(number(&rate["latency_us"]["p90"]) >= 300_000.0, "{rate}");
    }

    #[test]
    fn a_server_that_is_too_slow_is_told_of() {
        let (_server, url) = server(|_, message| {
            thread::sleep(Duration::from_millis(5));
            Some(message)
        });
        // More than fits into the buffers between the two.
        let rate = &json(&url, &["--rate", "2000", "--size", "1000000"])["rate"];
        assert!(rate["not_sent"].as_u64().unwrap() > 0, "{rate}");
    }
}

#[test]
fn it_measures_the_commands_own_server() {
    let (_server, url) = Wsync::serve(&["--quiet"]);
    is_plausible(&json(&url, &["-n", "2"])["throughput"]);
}
