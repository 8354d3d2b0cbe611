//! One client: talks, listens, and connects again.

use serde::Deserialize;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{ClientBuilder, Config, Error, Keepalive, RecvTimeoutError, SendError, WebSocket};

/// After all are done: what still comes is one too many.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// How often a client that has nothing to say looks what the others do.
const LOOK: Duration = Duration::from_millis(50);
/// The most that the first delay before a connect may be; the later ones grow up to ten times that.
const AGAIN: Duration = Duration::from_millis(200);
/// A message without an acknowledgement is said again after so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client is silent after the server has refused a message.
const REFUSED: Duration = Duration::from_millis(500);

/// What all clients have to do.
pub(crate) struct Course {
    pub(crate) prefix: String,
    pub(crate) urls: Vec<String>,
    pub(crate) clients: usize,
    pub(crate) rooms: usize,
    pub(crate) speakers: usize,
    pub(crate) messages: usize,
    pub(crate) interval: Duration,
    pub(crate) size: usize,
    pub(crate) window: usize,
    pub(crate) begin: Instant,
    pub(crate) deadline: Instant,
    /// Clients that were welcomed, and such that have everything.
    pub(crate) open: AtomicUsize,
    pub(crate) complete: AtomicUsize,
}

impl Course {
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Clients of a room that talk.
    fn speakers(&self, room: usize) -> usize {
        let members = (self.clients - room).div_ceil(self.rooms);
        self.speakers.min(members)
    }

    pub(crate) fn messages_of(&self, room: usize) -> usize {
        self.speakers(room) * self.messages
    }

    fn are_all_open(&self) -> bool {
        self.open() == self.clients
    }

    fn are_all_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed) == self.clients
    }
}

/// What a client has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) room: usize,
    /// The messages in the order in which they came: who said it, and the how-manieth it is.
    pub(crate) order: Vec<(u32, u32)>,
    pub(crate) doubled: usize,
    pub(crate) acknowledged: usize,
    /// From the first time that a message was said until it came here, in microseconds.
    pub(crate) latencies: Vec<u32>,
    pub(crate) reconnects: usize,
    pub(crate) refused: usize,
    pub(crate) longest_interruption: Duration,
    /// Said once more, since there was no acknowledgement.
    pub(crate) resent: usize,
    pub(crate) gaps: usize,
    /// What servers have refused, and why.
    pub(crate) errors: BTreeMap<String, usize>,
    /// When it had everything.
    pub(crate) complete: Option<Instant>,
    /// When it first talked.
    pub(crate) began: Option<Instant>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromServer {
    Welcome,
    Said {
        id: String,
        nonce: Option<String>,
        text: String,
    },
    Gap,
    Error {
        text: String,
    },
    #[serde(other)]
    Other,
}

/// A message that waits for its acknowledgement.
struct Unacknowledged {
    number: u32,
    text: String,
    said: Instant,
}

pub(crate) struct Client {
    course: Arc<Course>,
    number: usize,
    messages: usize,
    /// The next to say, and when it is due.
    next: u32,
    due: Instant,
    unacknowledged: VecDeque<Unacknowledged>,
    known: HashSet<(u32, u32)>,
    last: Option<String>,
    welcomed: bool,
    /// Then it says again what was refused.
    silent_until: Option<Instant>,
    /// When the last connection ended.
    interrupted: Option<Instant>,
    failures: u32,
    seen: Seen,
}

impl Client {
    pub(crate) fn new(course: Arc<Course>, number: usize) -> Self {
        let room = number % course.rooms;
        let talks = number / course.rooms < course.speakers;
        Client {
            messages: if talks { course.messages } else { 0 },
            course,
            number,
            next: 0,
            due: Instant::now(),
            unacknowledged: VecDeque::new(),
            known: HashSet::new(),
            last: None,
            welcomed: false,
            silent_until: None,
            interrupted: None,
            failures: 0,
            seen: Seen {
                room,
                ..Seen::default()
            },
        }
    }

    pub(crate) fn run(mut self) -> Seen {
        while !self.is_over() {
            match self.connect() {
                Ok(ws) => drop(self.visit(&ws)),
                Err(_) => self.seen.refused += 1,
            }
            if !self.is_over() {
                self.interrupted.get_or_insert_with(Instant::now);
                thread::sleep(self.delay());
                self.failures += 1;
            }
        }
        self.seen
    }

    /// All clients of a server that is gone come back, each at a time of its own.
    fn delay(&self) -> Duration {
        let share = (self.number as f64 * 0.618).fract();
        let most = AGAIN * 2_u32.saturating_pow(self.failures).min(10);
        most.mul_f64(share)
    }

    fn connect(&self) -> Result<WebSocket, Error> {
        let urls = &self.course.urls;
        let url = &urls[(self.number + self.seen.reconnects + self.seen.refused) % urls.len()];
        let (prefix, room) = (&self.course.prefix, self.seen.room);
        let mut url = format!("{url}?room={prefix}-{room}&name=client{}", self.number);
        if let Some(last) = &self.last {
            url = format!("{url}&after={last}");
        }
        let mut config = Config::client();
        config.keepalive = Keepalive::default();
        config.keepalive.interval = Some(Duration::from_secs(2));
        config.keepalive.timeout = Some(Duration::from_secs(4));
        ClientBuilder::new(url).config(config).connect()
    }

    /// Until the connection ends, or all is done.
    fn visit(&mut self, ws: &WebSocket) -> Result<(), Error> {
        self.welcomed = false;
        self.silent_until = None;
        while !self.is_over() {
            if self.has_begun() {
                self.talk(ws)?;
            }
            match ws.recv_timeout(self.pause()) {
                Ok(message) => self.take(ws, message.as_text().unwrap_or_default())?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Closed(error)) => return Err(error),
            }
        }
        ws.close().map(drop)
    }

    fn pause(&self) -> Duration {
        match self.may_talk() {
            true => self.due.saturating_duration_since(Instant::now()).min(LOOK),
            false => LOOK,
        }
    }

    /// Nobody says anything before all are here.
    fn has_begun(&self) -> bool {
        self.welcomed && self.course.are_all_open()
    }

    fn may_talk(&self) -> bool {
        let room = self.unacknowledged.len() < self.course.window;
        let accepted = self.silent_until.is_none();
        self.has_begun() && accepted && room && (self.next as usize) < self.messages
    }

    /// Says what is due, and again what has waited for too long.
    fn talk(&mut self, ws: &WebSocket) -> Result<(), SendError> {
        let now = Instant::now();
        if self.seen.began.is_none() {
            self.seen.began = Some(now);
            // Else all would talk in the same moment.
            let share = (self.number as f64 * 0.618).fract();
            self.due = now + self.course.interval.mul_f64(share);
        }
        let waits = |message: &Unacknowledged| now >= message.said + PATIENCE;
        let is_over = self.silent_until.is_some_and(|until| now >= until);
        if is_over || self.unacknowledged.front().is_some_and(waits) {
            self.silent_until = None;
            self.say_again(ws)?;
        }
        while self.may_talk() && now >= self.due {
            let since = self.course.begin.elapsed().as_micros();
            let text = format!("{}.{}.{since}.", self.number, self.next);
            let message = Unacknowledged {
                number: self.next,
                text: format!("{text:x<size$}", size = self.course.size),
                said: now,
            };
            self.next += 1;
            self.due += self.course.interval;
            // In the list before it is sent: that may fail.
            self.unacknowledged.push_back(message);
            let message = &self.unacknowledged[self.unacknowledged.len() - 1];
            ws.send(self.say(message))?;
        }
        Ok(())
    }

    fn say(&self, message: &Unacknowledged) -> String {
        let nonce = format!("{}-{}-{}", self.course.prefix, self.number, message.number);
        serde_json::json!({"type": "say", "nonce": nonce, "text": message.text}).to_string()
    }

    fn say_again(&mut self, ws: &WebSocket) -> Result<(), SendError> {
        for message in &self.unacknowledged {
            ws.send(self.say(message))?;
        }
        self.seen.resent += self.unacknowledged.len();
        let now = Instant::now();
        self.unacknowledged
            .iter_mut()
            .for_each(|message| message.said = now);
        Ok(())
    }

    fn take(&mut self, ws: &WebSocket, message: &str) -> Result<(), Error> {
        match serde_json::from_str(message) {
            Ok(FromServer::Welcome) => {
                self.welcome();
                self.say_again(ws)?;
            }
            Ok(FromServer::Said { id, nonce, text }) => self.said(id, nonce, &text),
            Ok(FromServer::Gap) => self.seen.gaps += 1,
            Ok(FromServer::Error { text }) => {
                self.silent_until = Some(Instant::now() + REFUSED);
                *self.seen.errors.entry(text).or_default() += 1;
            }
            Ok(FromServer::Other) => {}
            Err(error) => *self.seen.errors.entry(error.to_string()).or_default() += 1,
        }
        Ok(())
    }

    fn welcome(&mut self) {
        self.welcomed = true;
        self.failures = 0;
        match self.interrupted.take() {
            Some(since) if self.seen.began.is_some() || self.last.is_some() => {
                self.seen.reconnects += 1;
                let longest = &mut self.seen.longest_interruption;
                *longest = since.elapsed().max(*longest);
            }
            _ => drop(self.course.open.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn said(&mut self, id: String, nonce: Option<String>, text: &str) {
        self.last = Some(id);
        let mut parts = text.split('.').map(|part| part.parse::<u64>());
        let (Some(Ok(who)), Some(Ok(number)), Some(Ok(since))) =
            (parts.next(), parts.next(), parts.next())
        else {
            // Somebody else talks here.
            return;
        };
        let key = (who as u32, number as u32);
        if !self.known.insert(key) {
            self.seen.doubled += 1;
            eprintln!(
                "client {}: {text} again, with the nonce {nonce:?}",
                self.number
            );
            return;
        }
        self.seen.order.push(key);
        let now = self.course.begin.elapsed().as_micros() as u64;
        self.seen
            .latencies
            .push(now.saturating_sub(since).min(u32::MAX.into()) as u32);
        if who == self.number as u64 {
            let waiting = self.unacknowledged.len();
            self.unacknowledged
                .retain(|message| message.number != key.1);
            self.seen.acknowledged += waiting - self.unacknowledged.len();
        }
        let everything = self.course.messages_of(self.seen.room);
        if self.known.len() == everything && self.seen.complete.is_none() {
            self.seen.complete = Some(Instant::now());
            self.course.complete.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        let afterwards = |at: Instant| at.elapsed() >= AFTERWARDS;
        self.course.is_late()
            || self.course.are_all_complete() && self.seen.complete.is_none_or(afterwards)
    }
}
