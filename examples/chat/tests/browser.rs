//! The chat in a browser: headless Chromium, real pages, a real server.
//!
//! `cargo test -p chat --test browser -- --ignored --nocapture` prints what was seen; with `WSYNC_SCREENS=FOLDER` it
//! leaves screenshots there.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "browser/chromium.rs"]
mod chromium;
#[path = "browser/flood.rs"]
mod flood;
#[path = "browser/relay.rs"]
mod relay;
#[path = "browser/server.rs"]
mod server;

use chromium::{Chromium, Page};
use flood::Flood;
use relay::Relay;
use server::Server;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const ROOM: &str = "tea";
/// What the slow line carries in a second, in bytes, and what is said meanwhile.
const SLOW: usize = 8 << 10;
const FLOOD: Flood = Flood {
    messages: 240,
    size: 2000,
    rate: 30,
};
/// Within which a message is with those who are not slow, in milliseconds. A page may take longer to show it where other
/// programs leave it no processor.
const PROMPT: u64 = 10_000;
/// What the server may need in memory for a page that is slow, in KiB: its outbox, a page of the history, the caches of
/// SQLite. The flood is 480 KB, of which the kernel takes a third.
const MEMORY: u64 = 8 << 10;

#[test]
#[ignore = "needs Chromium"]
fn two_pages_talk_and_see_who_is_here() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(0, &folder.path().join("history.db"));
    let chromium = Chromium::open();
    let ann = chat(&chromium, server.port, "Ann");
    let bo = chat(&chromium, server.port, "Bo");
    ann.until("both are here", &people(&["Ann", "Bo"]));
    bo.until("both are here", &people(&["Ann", "Bo"]));

    let begin = Instant::now();
    say(&ann, "Good morning");
    bo.until("Ann's message", &shows("Good morning", 1));
    println!(
        "a message of one page is in the other after {:?}",
        begin.elapsed()
    );
    ann.until("her own message", &shows("Good morning", 1));
    say(&bo, "<i>lean</i> & <img src=x onerror=alert(1)>");
    for page in [&ann, &bo] {
        page.until(
            "HTML as text",
            &shows("<i>lean</i> & <img src=x onerror=alert(1)>", 1),
        );
        let elements = format!("{MESSAGES}.flatMap(m => [...m.querySelectorAll('i,img')]).length");
        assert_eq!(page.eval(&elements), 0);
    }
    println!("HTML in a message is shown as text in both");
    ann.screenshot("chat");

    drop(bo);
    let took = ann.until("Bo has left", &people(&["Ann"]));
    println!("a page that leaves is gone from the list after {took:?}");
    ann.reload();
    open(&ann);
    ann.until("the history", &shows("Good morning", 1));
    ann.until("all of it", &format!("{MESSAGES}.length === 2"));
    println!("after a reload the page has the history, once");
    assert_eq!(chromium.thrown(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium"]
fn a_slow_page_holds_up_nobody_and_gets_everything_in_the_end() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(0, &folder.path().join("history.db"));
    let relay = Relay::to(server.port);
    let chromium = Chromium::open();
    let quick = chat(&chromium, server.port, "Quick");
    let slow = chat(&chromium, relay.port, "Slow");
    let monitor = chromium.page(&format!("http://127.0.0.1:{}/monitor", server.port));
    quick.until("both are here", &people(&["Quick", "Slow"]));
    monitor.until("two connections", &format!("{CONNECTIONS}.length === 2"));
    for page in [&quick, &slow] {
        page.eval(flood::OBSERVE);
    }

    let before = server.rss();
    relay.slow_down(SLOW);
    let flooding = FLOOD.begin(server.port, ROOM);
    monitor.until(
        "one is behind, and no other",
        &only_the_slow_one_is_behind(),
    );
    let rows = format!("{CONNECTIONS}.map(row => ({{...row.dataset}}))");
    println!("the monitor: {}", monitor.eval(&rows));
    quick.until("all of the flood", &flood::is_over(FLOOD));
    let longest = flooding.longest();
    let most = server.rss();
    println!(
        "{} messages of {} bytes: the one who says them has each back after {longest} ms at most",
        FLOOD.messages, FLOOD.size
    );
    let delays = quick.eval(flood::DELAYS);
    println!("milliseconds until they were in the quick page, p50, p99, most: {delays}");
    assert!(longest < PROMPT);
    let seen = slow.eval("numbers.length").as_u64().unwrap();
    println!("the slow page, at {SLOW} bytes a second, has {seen} of them by then");
    assert!(seen < FLOOD.messages as u64);
    println!("RSS of the server: {before} KiB before, {most} KiB with the slow page behind");
    assert!(most < before + MEMORY);
    println!("the monitor by then: {}", monitor.eval(&rows));
    monitor.screenshot("monitor");
    slow.screenshot("chat-slow");

    relay.speed_up();
    let took = slow.until("everything", &flood::is_over(FLOOD));
    let all: Vec<_> = (0..FLOOD.messages).collect();
    for page in [&quick, &slow] {
        assert_eq!(page.eval("numbers"), serde_json::json!(all));
    }
    println!("{took:?} after the line is quick again, the slow page has all, once and in order");
    let level = format!(
        "{} === 0 && {} > 0",
        of("Slow", "behind"),
        of("Slow", "skipped")
    );
    monitor.until("nobody is behind", &level);
    assert_eq!(chromium.thrown(), [""; 0]);
}

fn only_the_slow_one_is_behind() -> String {
    let slow = format!(
        "{} > 0 && {} > 0",
        of("Slow", "behind"),
        of("Slow", "skipped")
    );
    let others = ["Quick", "Flood"].map(|name| format!("{} === 0", of(name, "behind")));
    format!("{slow} && {}", others.join(" && "))
}

#[test]
#[ignore = "needs Chromium"]
fn pages_survive_a_server_that_is_killed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history.db");
    let server = Server::start(0, &history);
    let port = server.port;
    let chromium = Chromium::open();
    let ann = chat(&chromium, port, "Ann");
    let bo = chat(&chromium, port, "Bo");
    for n in 0..5 {
        say(&ann, &format!("before {n}"));
        bo.until("a message", &shows(&format!("before {n}"), 1));
    }

    server.kill();
    let disconnected = format!("{STATE} !== 'open'");
    let noticed = ann.until("Ann notices", &disconnected);
    bo.until("Bo notices", &disconnected);
    println!("the server is killed; the page says so after {noticed:?}");
    say(&ann, "meanwhile");
    ann.screenshot("chat-disconnected");
    let server = Server::start(port, &history);
    let begin = Instant::now();
    for page in [&ann, &bo] {
        open(page);
        page.until("the message said meanwhile", &shows("meanwhile", 1));
    }
    println!(
        "the server is back: both connected by themselves, with what was said meanwhile, within {:?}",
        begin.elapsed()
    );
    say(&bo, "after");
    for page in [&ann, &bo] {
        page.until("a message", &shows("after", 1));
        let texts = page.eval(&format!("{MESSAGES}.map(m => m.textContent)"));
        let texts = texts.as_array().unwrap();
        let expected = [
            "before 0",
            "before 1",
            "before 2",
            "before 3",
            "before 4",
            "meanwhile",
            "after",
        ];
        assert_eq!(texts.len(), expected.len(), "{texts:?}");
        for (text, expected) in texts.iter().zip(expected) {
            assert!(text.as_str().unwrap().contains(expected), "{texts:?}");
        }
    }
    println!("nothing is lost or doubled: 7 messages in both, in order");
    drop(server);
    assert_eq!(chromium.thrown(), [""; 0]);
}

/// A page in the room, connected.
fn chat<'a>(chromium: &'a Chromium, port: u16, name: &str) -> Page<'a> {
    let page = chromium.page(&format!("http://127.0.0.1:{port}/?room={ROOM}&name={name}"));
    open(&page);
    page
}

/// Waits until it is connected.
fn open(page: &Page) {
    page.until("connected", &format!("{STATE} === 'open'"));
}

const MESSAGES: &str = "[...document.querySelectorAll('[data-testid=message]')]";
const CONNECTIONS: &str = "[...document.querySelectorAll('[data-testid=connection]')]";
const STATE: &str = "document.querySelector('[data-testid=state]')?.dataset.state";

/// As somebody who types and clicks.
fn say(page: &Page, text: &str) {
    page.click("[data-testid=text]");
    page.write(text);
    page.click("[data-testid=send]");
}

/// So many messages have this text.
fn shows(text: &str, times: usize) -> String {
    format!("{MESSAGES}.filter(m => m.textContent.includes({text:?})).length === {times}")
}

fn people(names: &[&str]) -> String {
    let all = "[...document.querySelectorAll('[data-testid=person]')].map(p => p.dataset.name)";
    format!("JSON.stringify({all}.sort()) === JSON.stringify({names:?})")
}

/// A figure of the connection of this name in the monitor.
fn of(name: &str, figure: &str) -> String {
    format!("Number({CONNECTIONS}.find(c => c.dataset.name === {name:?})?.dataset.{figure})")
}

/// Two cores are not enough for several browsers at once.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
