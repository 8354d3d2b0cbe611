//! The text that the example `metrics` shows to Prometheus.

#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code)]
#[path = "../examples/metrics.rs"]
mod metrics;

use common::{LATE, eventually, watchdog};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

/// The samples of an answer, each of which has its two lines before it.
fn scrape(address: SocketAddr) -> BTreeMap<String, f64> {
    let answer = metrics::scrape(address).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(
        head.contains("\r\ncontent-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(text.ends_with('\n') && text.is_ascii(), "{text}");
    let mut samples = BTreeMap::new();
    let lines: Vec<_> = text.lines().collect();
    for lines in lines.chunks(3) {
        let [help, kind, sample] = lines else {
            panic!("{lines:?}");
        };
        let (name, value) = sample.split_once(' ').unwrap();
        let of_name = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.starts_with("wsync_") && name.chars().all(of_name));
        assert!(help.len() > format!("# HELP {name} ").len(), "{help}");
        assert!(help.starts_with(&format!("# HELP {name} ")), "{help}");
        let counts = name.ends_with("_total");
        let of_kind = if counts { "counter" } else { "gauge" };
        assert_eq!(*kind, format!("# TYPE {name} {of_kind}"));
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{sample}");
        let before = samples.insert(name.trim_start_matches("wsync_").to_owned(), value);
        assert_eq!(before, None, "{name} twice");
    }
    samples
}

#[test]
fn the_figures_that_prometheus_reads_are_those_of_what_was_sent() {
    watchdog(60, || {
        let server = metrics::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr();
        let serving = thread::spawn(|| server.serve(metrics::echo));
        let before = scrape(address);
        assert_eq!((before["accepted_total"], before["opening"]), (1.0, 1.0));
        let ws = wsync::connect(&format!("ws://{address}/")).unwrap();
        for message in ["hello", "", "something longer"] {
            ws.send(message).unwrap();
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some(message));
        }
        // Three frames with a header of 2 bytes, those of the client with a mask of 4.
        let mut now = scrape(address);
        eventually("all that was written is counted", || {
            now = scrape(address);
            now["wire_sent_bytes_total"] == 27.0
        });
        for (name, value) in [
            ("connections", 1.0),
            ("connections_opened_total", 1.0),
            ("refused_total", 0.0),
            ("messages_received_total", 3.0),
            ("messages_sent_total", 3.0),
            ("messages_dropped_total", 0.0),
            ("payload_received_bytes_total", 21.0),
            ("payload_sent_bytes_total", 21.0),
            ("wire_received_bytes_total", 39.0),
            ("queue_high_water_messages", 1.0),
            ("queue_high_water_bytes", 16.0),
        ] {
            assert_eq!(now[name], value, "{name}");
        }
        ws.close().unwrap();
        server.shutdown().unwrap();
        serving.join().unwrap().unwrap();
        assert_eq!(server.stats().total.queue.received, 3);
        for (name, value) in before.iter().filter(|(name, _)| name.ends_with("_total")) {
            assert!(now[name] >= *value, "{name}");
        }
    });
}
