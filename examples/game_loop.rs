//! cargo run --example game_loop
//!
//! A loop of 60 frames a second that never waits for the network: each frame takes what has come, up to a budget,
//! moves the world by a step of fixed length, and draws. A burst is spread over several frames.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Error, Server, TrySendError, WebSocket};

const STEP: Duration = Duration::from_nanos(1_000_000_000 / 60);
const FRAMES: u32 = 180;
/// Messages for one frame.
const BUDGET: usize = 50;

/// Where each player is, and how far it gets in a second.
type World = BTreeMap<String, (f64, f64)>;

fn main() -> Result<(), Error> {
    let server = Server::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/", server.local_addr());
    thread::spawn(move || server.serve(|ws| drop(positions(&ws))));

    let ws = wsync::connect(&url)?;
    let mut world = World::new();
    let (mut total, mut late, mut longest) = (0, 0, Duration::ZERO);
    let began = Instant::now();
    for frame in 1..=FRAMES {
        let start = Instant::now();
        let mut count = 0;
        for message in ws.try_iter().take(BUDGET) {
            update(&mut world, message?.as_text().unwrap_or_default());
            count += 1;
        }
        for (at, speed) in world.values_mut() {
            *at += *speed * STEP.as_secs_f64();
        }
        match ws.sender().try_send("no key is pressed") {
            // The next frame has newer ones.
            Err(TrySendError::Full(_)) => {}
            sent => sent?,
        }
        if count == BUDGET || frame % 60 == 0 {
            println!("frame {frame}: {count} messages, {} wait", ws.len());
            draw(&world);
        }
        total += count;
        longest = longest.max(start.elapsed());
        // By the clock of the whole: what one frame takes too long, the next makes up for.
        match (STEP * frame).checked_sub(began.elapsed()) {
            Some(rest) => thread::sleep(rest),
            None => late += 1,
        }
    }
    println!(
        "{total} messages in {FRAMES} frames, {:.2?}",
        began.elapsed()
    );
    println!("the longest frame worked {longest:.1?}; {late} were late");
    ws.close().map(drop)
}

/// A message is "name position speed".
fn update(world: &mut World, message: &str) {
    let mut words = message.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let mut number = || words.next()?.parse().ok();
    if let (Some(at), Some(speed)) = (number(), number()) {
        world.insert(name, (at, speed));
    }
}

fn draw(world: &World) {
    for (name, (at, _)) in world {
        println!("  |{name:>width$}", width = *at as usize + 1);
    }
}

/// Three players, each 100 times a second. Once 300 messages come at once.
fn positions(ws: &WebSocket) -> Result<(), Error> {
    for tick in 0..1000 {
        for (name, speed) in [("a", 4.0), ("b", 7.0), ("c", 15.0)] {
            let message = format!("{name} {} {speed}", speed * f64::from(tick) / 100.0);
            ws.send_all(vec![message; if tick == 90 { 100 } else { 1 }])?;
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
