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
            let dump = show::dump(bytes, most(show::DUMPED), "  ");
            format!("{mark}<{mark:#} {note}binary, {size}{note:#}\n{dump}")
        }
    }
}

/// What is known of a connection that has opened.
pub(super) fn banner(ws: &WebSocket, url: &str, insecure: bool, paint: &Paint) -> String {
    let (good, note) = (paint.good, paint.note);
    let mut banner = format!("{good}Connected{good:#} to {}\n", show::line(url));
    let mut row = |name: &str, value: &str| {
        let value = show::styled_line(value, paint);
        banner.push_str(&format!("  {note}{name:12}{note:#} {value}\n"));
    };
    row("status", &ws.response().status().to_string());
    if let Some(address) = ws.peer_addr() {
        row("address", &address.to_string());
    }
    row("subprotocol", ws.subprotocol().unwrap_or("none"));
    row("compression", &compression(ws));
    if let Some(server) = ws.response().headers().get(http::header::SERVER) {
        row("server", &String::from_utf8_lossy(server.as_bytes()));
    }
    if ws.request().uri().scheme_str() == Some("wss")
        || url.to_ascii_lowercase().starts_with("wss:")
    {
        row(
            "TLS",
            if insecure {
                "certificate not checked"
            } else {
                "certificate checked"
            },
        );
    }
    banner
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

/// What waits in the receive queue.
pub(super) fn queue(ws: &WebSocket, paused: bool) -> String {
    let queue = ws.queue();
    let (capacity, high, stats) = (queue.capacity(), queue.high_water(), queue.stats());
    let oldest = match queue.oldest_age() {
        Some(age) => format!("; the oldest for {}", show::duration(age)),
        None => String::new(),
    };
    format!(
        "  waiting     {} of {}, {} of {}{oldest}\n  most        {}, {}\n  \
         counts      {} received, {} taken, {} dropped\n  reading     {}\n",
        show::number(queue.len() as u64),
        show::count(capacity.messages as u64, "message"),
        show::number(queue.bytes() as u64),
        show::count(capacity.bytes as u64, "byte"),
        show::count(high.messages as u64, "message"),
        show::count(high.bytes as u64, "byte"),
        show::number(stats.received),
        show::number(stats.delivered),
        show::number(stats.dropped),
        reading(ws, paused),
    )
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

/// What a connection has counted.
pub(super) fn stats(ws: &WebSocket) -> String {
    let stats = ws.stats();
    let size = show::size;
    let latency = match ws.sender().latency() {
        Some(latency) => format!(
            "{} on average, {} at best",
            show::duration(latency.smoothed),
            show::duration(latency.minimum)
        ),
        None => "not known yet".into(),
    };
    format!(
        "  open for    {}\n  sent        {}, {}; {} on the wire\n  received    {}, {}; {} on the wire\n  \
         pings       {} sent, {} received\n  pongs       {} sent, {} received\n  latency     {latency}\n",
        show::duration(stats.open_for),
        show::count(stats.sent, "message"),
        size(stats.sent_bytes),
        size(stats.wire_sent),
        show::count(stats.queue.received, "message"),
        size(stats.queue.received_bytes),
        size(stats.wire_received),
        stats.pings_sent,
        stats.pings_received,
        stats.pongs_sent,
        stats.pongs_received,
    )
}
