//! A message on the terminal.

use crate::show::{self, Paint};
use std::time::Duration;
use wsync::{Message, WebSocket};

/// The lines of a message that came.
pub(super) fn message(message: &Message, full: bool, paint: &Paint) -> String {
    let (mark, note) = (paint.incoming, paint.note);
    let most = |most| if full { usize::MAX } else { most };
    match message {
        Message::Text(text) => {
            let (text, rest) = show::cut(text, most(show::SHOWN));
            let text = show::block(text, "  ", paint);
            match rest {
                0 => format!("{mark}<{mark:#} {text}\n"),
                rest => {
                    let rest = show::count(rest as u64, "byte");
                    format!("{mark}<{mark:#} {text}\n  {note}… and {rest}{note:#}\n")
                }
            }
        }
        Message::Binary(bytes) => {
            let size = show::count(bytes.len() as u64, "byte");
            let dump = show::dump(bytes, most(show::DUMPED), "  ", paint);
            format!("{mark}<{mark:#} {note}binary, {size}{note:#}\n{dump}")
        }
    }
}

/// What is known of a connection that has opened.
pub(super) fn banner(ws: &WebSocket, url: &str, insecure: bool, paint: &Paint) -> String {
    let head = ws.response();
    let secure = ws.request().uri().scheme_str() == Some("wss") || url.starts_with("wss:");
    let checked = if insecure {
        "certificate not checked"
    } else {
        "certificate checked"
    };
    let server = head.headers().get(http::header::SERVER);
    let rows = [
        ("status", Some(head.status().to_string())),
        ("address", ws.peer_addr().map(|address| address.to_string())),
        (
            "server",
            server.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()),
        ),
        (
            "subprotocol",
            Some(ws.subprotocol().unwrap_or("none").to_owned()),
        ),
        ("compression", Some(compression(ws))),
        ("TLS", secure.then(|| checked.to_owned())),
    ];
    let good = paint.good;
    format!(
        "{good}Connected{good:#} to {}\n{}",
        show::line(url),
        table(rows, paint)
    )
}

/// What waits in the receive queue.
pub(super) fn queue(ws: &WebSocket, paused: bool, paint: &Paint) -> String {
    let queue = ws.queue();
    let (capacity, high, stats) = (queue.capacity(), queue.high_water(), queue.stats());
    let (number, count) = (show::number, show::count);
    let mut waiting = format!(
        "{} of {}, {} of {}",
        number(queue.len() as u64),
        count(capacity.messages as u64, "message"),
        number(queue.bytes() as u64),
        count(capacity.bytes as u64, "byte"),
    );
    if let Some(age) = queue.oldest_age() {
        waiting.push_str(&format!("; the oldest for {}", show::duration(age)));
    }
    let (messages, bytes) = (
        count(high.messages as u64, "message"),
        count(high.bytes as u64, "byte"),
    );
    let counts = format!(
        "{} received, {} taken, {} dropped",
        number(stats.received),
        number(stats.delivered),
        number(stats.dropped)
    );
    let rows = [
        ("waiting", Some(waiting)),
        ("most", Some(format!("{messages}, {bytes}"))),
        ("counts", Some(counts)),
        ("reading", Some(reading(ws, paused))),
    ];
    table(rows, paint)
}

/// What a connection has counted.
pub(super) fn stats(ws: &WebSocket, paint: &Paint) -> String {
    let stats = ws.stats();
    let traffic = |messages, bytes, wire| {
        let (bytes, wire) = (show::size(bytes), show::size(wire));
        Some(format!(
            "{}, {bytes}; {wire} on the wire",
            show::count(messages, "message")
        ))
    };
    let both = |sent, received| Some(format!("{sent} sent, {received} received"));
    // Of the pings that are sent unasked.
    let latency = ws.sender().latency().map(|latency| {
        let (average, best) = (
            show::duration(latency.smoothed),
            show::duration(latency.minimum),
        );
        format!("{average} on average, {best} at best")
    });
    let rows = [
        ("open for", Some(show::duration(stats.open_for))),
        (
            "sent",
            traffic(stats.sent, stats.sent_bytes, stats.wire_sent),
        ),
        (
            "received",
            traffic(
                stats.queue.received,
                stats.queue.received_bytes,
                stats.wire_received,
            ),
        ),
        ("pings", both(stats.pings_sent, stats.pings_received)),
        ("pongs", both(stats.pongs_sent, stats.pongs_received)),
        ("latency", latency),
    ];
    table(rows, paint)
}

/// A row for each thing that is known.
fn table<const N: usize>(rows: [(&str, Option<String>); N], paint: &Paint) -> String {
    let note = paint.note;
    let known = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let row = |(name, value): (&str, String)| {
        let value = show::styled_line(&value, paint);
        format!("  {note}{name:11}{note:#}  {value}\n")
    };
    known.map(row).collect()
}

fn compression(ws: &WebSocket) -> String {
    let takeover = |none: bool| {
        if none {
            ", without context takeover"
        } else {
            ""
        }
    };
    match ws.compression() {
        None => "none".into(),
        Some(agreed) => format!(
            "permessage-deflate; windows of {} bits from the server{}, {} from here{}",
            agreed.server_max_window_bits,
            takeover(agreed.server_no_context_takeover),
            agreed.client_max_window_bits,
            takeover(agreed.client_no_context_takeover),
        ),
    }
}

/// Whether the reader goes on. Its pauses grow while it does not.
fn reading(ws: &WebSocket, paused: bool) -> String {
    let before = ws.queue().stats().paused;
    std::thread::sleep(Duration::from_millis(2));
    let now = ws.queue().stats().paused;
    let state = match (now > before, paused) {
        (true, _) => "stopped: the queue is full, and the server has to wait",
        (false, true) => "goes on; /pause keeps the messages here",
        (false, false) => "goes on",
    };
    match now {
        Duration::ZERO => state.into(),
        stopped => format!("{state}; stopped for {} in all", show::duration(stopped)),
    }
}
