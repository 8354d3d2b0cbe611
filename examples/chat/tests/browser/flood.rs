//! Many messages, and what a page has of them.

use super::chromium::PATIENCE;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy)]
pub struct Flood {
    pub messages: usize,
    /// Of a text, in bytes.
    pub size: usize,
    /// A second.
    pub rate: u32,
}

/// The one who floods leaves when it is dropped.
pub struct Flooding {
    longest: mpsc::Receiver<u64>,
    _stay: mpsc::Sender<()>,
}

impl Flooding {
    /// When all have come back: the longest time that this took, in milliseconds.
    pub fn longest(&self) -> u64 {
        self.longest.recv_timeout(PATIENCE).unwrap()
    }
}

impl Flood {
    /// Says them in a thread. Each text has its number, the time and what does not compress well.
    pub fn begin(self, port: u16, room: &str) -> Flooding {
        let url = format!("ws://127.0.0.1:{port}/ws?room={room}&name=Flood");
        let (sender, longest) = mpsc::channel();
        let (stay, stayed) = mpsc::channel();
        thread::spawn(move || {
            let ws = wsync::connect(&url).unwrap();
            sender.send(self.run(ws.sender(), ws.receiver())).unwrap();
            // It is in the room until nobody wants to see it any more.
            let _: Result<(), _> = stayed.recv();
        });
        Flooding {
            longest,
            _stay: stay,
        }
    }

    fn run(self, sender: &wsync::Sender, receiver: &wsync::Receiver) -> u64 {
        thread::scope(|scope| {
            scope.spawn(|| self.say(sender));
            let (mut longest, mut came) = (0, 0);
            while came < self.messages {
                let message = receiver.recv_timeout(PATIENCE).unwrap();
                if let Some((_, time)) = message.as_text().unwrap().split_once("] @") {
                    let time: u64 = time.split(' ').next().unwrap().parse().unwrap();
                    longest = longest.max(now() - time);
                    came += 1;
                }
            }
            longest
        })
    }

    fn say(self, sender: &wsync::Sender) {
        let interval = Duration::from_secs(1) / self.rate;
        let begin = Instant::now();
        for n in 0..self.messages {
            let due = begin + n as u32 * interval;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (nonce, text) = (format!("flood-{n}"), self.text(n));
            let say = serde_json::json!({"type": "say", "nonce": nonce, "text": text});
            sender.send(say.to_string()).unwrap();
        }
    }

    fn text(self, number: usize) -> String {
        let mut text = format!("[{number}] @{} ", now());
        // Numbers of a linear congruence: much the same as random ones to DEFLATE.
        let mut next = number as u64 + 1;
        while text.len() < self.size {
            next = next
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{:x} ", next >> 32));
        }
        text.truncate(self.size);
        text
    }
}

/// In milliseconds, as browsers know it.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as u64
}

/// From now on the page notes of each message of the flood that it shows its number, and how long it took. It shows only
/// the last of many at a time.
pub const OBSERVE: &str = r"globalThis.numbers || (
    globalThis.numbers = [], globalThis.delays = [],
    new MutationObserver(changes => {
        const added = changes.flatMap(change => [...change.addedNodes]);
        for (const node of added.filter(node => node.dataset?.testid === 'message')) {
            const said = /\[(\d+)\] @(\d+)/.exec(node.textContent);
            if (!said) continue;
            numbers.push(Number(said[1]));
            delays.push(Date.now() - Number(said[2]));
        }
    }).observe(document.body, { childList: true, subtree: true })); true";

/// The last of the flood was shown.
pub fn is_over(flood: Flood) -> String {
    format!("numbers.includes({})", flood.messages - 1)
}

/// The median of the times, the 99th percentile and the longest, in milliseconds.
pub const DELAYS: &str = "delays.sort((a, b) => a - b);
    [50, 99, 100].map(percent => delays[Math.floor((delays.length - 1) * percent / 100)])";
