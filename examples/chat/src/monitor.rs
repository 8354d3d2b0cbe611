//! What the monitor shows: samples, sent to all pages that look.
//!
//! A page that reads slowly misses samples. Of those that are under way to it one waits here, and no more.

use crate::chat::Context;
use crate::protocol::now;
use crossbeam_channel::{select, tick};
use serde_json::json;
use std::cmp::Reverse;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use wsync::{Accept, Config, Hub, Upgrade};

/// From one sample to the next.
const INTERVAL: Duration = Duration::from_millis(500);
/// So many connections are shown, those with the most to wait for first.
const SHOWN: usize = 200;
/// Events of the pages that look: they come and go, and say nothing.
const EVENTS: usize = 64;

/// The pages that look.
pub fn hub() -> Hub {
    Hub::new(EVENTS)
}

/// Until the end of the connection of a page.
pub fn serve(upgrade: Upgrade, hub: &Hub) {
    let mut config = Config::server();
    // With a byte in it the outbox is full: the next sample is skipped.
    config.limits.outbox = 1;
    config.limits.message = 1024;
    config.socket.send_buffer = Some(64 << 10);
    let _ = hub.run_with(upgrade, Accept::new().config(config));
}

/// Sends samples until the server stops.
pub fn start(context: &Arc<Context>) -> std::io::Result<()> {
    let context = Arc::downgrade(context);
    let thread = thread::Builder::new().name("chat-monitor".into());
    thread.spawn(move || {
        let ticks = tick(INTERVAL);
        while let Some(context) = context.upgrade() {
            let events = context.monitors.events().clone();
            select! {
                recv(ticks) -> _ => if !context.monitors.is_empty() {
                    context.monitors.broadcast(sample(&context));
                },
                recv(events) -> _ => {}
            }
        }
    })?;
    Ok(())
}

fn sample(context: &Context) -> String {
    let mut look = context.rooms.look();
    let open = look.connections.len();
    look.connections
        .sort_by_key(|c| (Reverse((c.behind, c.queue, c.skipped)), c.id));
    look.connections.truncate(SHOWN);
    let stats = context.stats();
    json!({
        "type": "sample",
        "at": now(),
        "server": context.name,
        "broker": context.broker_name,
        "trouble": context.trouble(),
        "open": open,
        "look": look,
        "wire_in": stats.total.wire_received,
        "wire_out": stats.total.wire_sent,
    })
    .to_string()
}
