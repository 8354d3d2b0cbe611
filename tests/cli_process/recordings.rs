//! Recordings, and servers for them.

#![allow(dead_code, clippy::unwrap_used)]

use super::Wsync;
use crate::common::Serving;
use serde_json::Value;
use std::fs;
use wsync::{Server, WebSocket};

/// A server that does this with each client, and its address.
pub(crate) fn server(handler: impl Fn(WebSocket) + Send + Sync + 'static) -> (Serving, String) {
    let serving = Serving::new(Server::builder().subprotocol("feed.v1"), handler);
    let url = format!("ws://127.0.0.1:{}/", serving.port);
    (serving, url)
}

pub(crate) fn say_all(ws: WebSocket) {
    ws.send("héllo\n\u{1}").unwrap();
    ws.send(vec![0, 0xff, b'\n']).unwrap();
    ws.send("").unwrap();
    let _ = ws.close_with(4001, "that is all");
}

pub(crate) fn parsed(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// A recording without the times.
pub(crate) fn without_times(file: &str) -> Vec<Value> {
    let mut lines = parsed(file);
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        line.remove("at");
        line.remove("time");
        line.remove("url");
    }
    lines
}

pub(crate) fn replay(file: &str, options: &[&str]) -> (Wsync, String) {
    let listen = ["replay", file, "--listen", "127.0.0.1:0"];
    let replay = Wsync::start(&[&listen, options].concat());
    let url = replay.url();
    (replay, url)
}
