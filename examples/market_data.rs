//! cargo run --example market_data
//!
//! A client that is slower than its feed: it acts on the newest quote only, connects again when the feed goes away,
//! and fetches what it missed meanwhile. The numbers of the quotes tell what that is.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use wsync::{ClientBuilder, CloseCode, Config, Overflow, ReconnectPolicy, Server, WebSocket};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/", server.local_addr());
    let now = AtomicU64::new(1);
    thread::spawn(move || server.serve(move |ws| drop(feed(&ws, &now))));

    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(100);
    let mut last = 0;
    for ws in ClientBuilder::new(&url).reconnect(policy) {
        let ws = ws?;
        if let Err(error) = follow(&ws, &url, &mut last) {
            println!("after {last}: {error}");
        }
        let queue = ws.stats().queue;
        let (came, acted_on, stale) = (queue.received, queue.delivered, queue.dropped);
        println!("{came} came, {acted_on} acted on, {stale} dropped as stale");
        let code = ws.closed().and_then(|closed| Some(closed.received?.code));
        if code == Some(CloseCode::NORMAL) {
            break;
        }
    }
    println!("the feed is over: {last} was the last");
    Ok(())
}

fn follow(ws: &WebSocket, url: &str, last: &mut u64) -> Result<(), Box<dyn Error>> {
    ws.send("live")?;
    // The queue drops nothing yet: this is the first that came, and what is missing before it was lost.
    let first = number(ws.recv()?.as_text())?;
    let mut newest_only = Config::client().queue;
    newest_only.messages = 1;
    newest_only.overflow = Overflow::KeepLatest;
    ws.configure_queue(&newest_only)?;
    if first > *last + 1 {
        // On a connection of its own, whose queue keeps all.
        let history = wsync::connect(url)?;
        history.send(format!("{} {}", *last + 1, first - 1))?;
        let missed = history.iter().collect::<Result<Vec<_>, _>>()?;
        println!("a gap before {first}: {} fetched", missed.len());
    }
    *last = first;
    for quote in ws {
        *last = number(quote?.as_text())?;
        // What is done with a quote takes longer than the next one needs to come.
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A quote is its number and a price.
fn number(quote: Option<&str>) -> Result<u64, Box<dyn Error>> {
    let words = quote.and_then(|quote| quote.split_once(' '));
    Ok(words.ok_or("not a quote")?.0.parse()?)
}

/// Sends the quotes that are asked for, or those of now. It restarts once; 200 come to nobody then.
fn feed(ws: &WebSocket, now: &AtomicU64) -> Result<(), Box<dyn Error>> {
    let quote = |n: u64| format!("{n} {}", 100 + n % 7);
    let asked = ws.recv()?;
    let words = asked.as_text().unwrap_or_default().split(' ');
    if let [from, to] = words.flat_map(str::parse).collect::<Vec<_>>()[..] {
        return Ok(ws.send_all((from..=to).map(quote))?);
    }
    let first = now.fetch_add(900, Ordering::Relaxed);
    for n in first..first + 700 {
        ws.send(quote(n))?;
        thread::sleep(Duration::from_millis(1));
    }
    ws.close_with(if first == 1 { 1012 } else { 1000 }, "")?;
    Ok(())
}
