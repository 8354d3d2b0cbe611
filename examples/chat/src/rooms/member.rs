//! One connection of a browser.

use super::people::Who;
use crate::history::Reader;
use crate::protocol::{Id, Said, ToClient};
use rusqlite::Result;
use serde::Serialize;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::str::FromStr;
use wsync::{Message, QueueView, Sender, TrySendError};

/// So many messages of the history who joins is sent.
const HISTORY: usize = 50;
/// So many are looked up at a time for who is behind.
const PAGE: usize = 32;
/// So many pages a connection is sent before it is the turn of another.
const PAGES: usize = 4;

/// Somebody who wants to join.
pub struct Joining {
    pub id: u64,
    /// The first that it is sent.
    pub welcome: Message,
    pub room: String,
    pub name: String,
    /// The last message that the browser has from before, as it told it.
    pub after: Option<String>,
    pub peer: Option<SocketAddr>,
    pub sender: Sender,
    pub queue: QueueView,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// At the newest message of its room.
    Level,
    Behind,
}

/// What the monitor shows of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    pub id: u64,
    pub room: String,
    pub name: String,
    pub peer: Option<SocketAddr>,
    /// Messages of the browser that wait to be taken.
    pub queue: usize,
    pub queue_bytes: usize,
    /// Messages that wait to be sent to it.
    pub behind: u64,
    /// Messages that found no room when they came.
    pub skipped: u64,
    pub latency_ms: Option<f64>,
    pub messages_in: u64,
    pub messages_out: u64,
    /// On the wire.
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub open_s: u64,
}

pub struct Member {
    pub id: u64,
    pub room: String,
    name: String,
    peer: Option<SocketAddr>,
    sender: Sender,
    queue: QueueView,
    after: Option<String>,
    /// The message after which it began.
    begin: Id,
    /// The newest message that it was given.
    position: Id,
    /// Those that come next, while it is behind.
    page: VecDeque<(Id, Message)>,
    is_behind: bool,
    behind: u64,
    skipped: u64,
    /// Which news of the people in the room it was given.
    who: u64,
}

impl Member {
    /// Welcomes it.
    pub fn new(joining: Joining) -> Self {
        // It is the first, so there is room.
        let _ = joining.sender.try_send(joining.welcome);
        Member {
            id: joining.id,
            room: joining.room,
            name: joining.name,
            peer: joining.peer,
            sender: joining.sender,
            queue: joining.queue,
            after: joining.after,
            begin: Id::default(),
            position: Id::default(),
            page: VecDeque::new(),
            is_behind: true,
            behind: 0,
            skipped: 0,
            who: 0,
        }
    }

    /// Finds where it begins. What comes after `newest` it is given as it is said: the history may have it already.
    pub fn begin(&mut self, history: &Reader, newest: Id, is_shared: bool) -> Result<()> {
        let last_messages = || history.before_last(&self.room, HISTORY, newest);
        self.begin = match self.after.as_deref().map(Id::from_str) {
            None => last_messages()?,
            Some(Ok(after)) if history.has(&self.room, after)? => after,
            // Another server has told it what this one is yet to hear.
            Some(Ok(after)) if is_shared && after > newest => after,
            Some(_) => {
                let _ = self.sender.try_send(ToClient::Gap.to_message());
                last_messages()?
            }
        };
        self.position = self.begin;
        self.behind = history.count_after(&self.room, self.position)?;
        Ok(())
    }

    /// Gives it a message that was just said, if it has had all before and there is room.
    pub fn offer(&mut self, id: Id, message: &Message) -> Progress {
        if id <= self.position {
            return Progress::Level;
        }
        if !self.is_behind {
            match self.send(id, message.clone()) {
                true => return Progress::Level,
                false => self.is_behind = true,
            }
        }
        self.behind += 1;
        self.skipped += 1;
        Progress::Behind
    }

    /// Gives it a message of its own that it did not know to be accepted: after a gap it was not given it.
    pub fn acknowledge(&self, said: &Said) {
        if said.draft.from == self.name && said.id <= self.begin {
            // With no room for it the browser says it once more.
            let _ = self.sender.try_send(ToClient::Said(said).to_message());
        }
    }

    /// Gives it what it has not had, as far as there is room.
    pub fn catch_up(&mut self, history: &Reader) -> Result<Progress> {
        for _ in 0..PAGES {
            if self.page.is_empty() {
                let page = history.after(&self.room, self.position, PAGE)?;
                let message = |said| ToClient::Said(said).to_message();
                self.page = page.iter().map(|said| (said.id, message(said))).collect();
            }
            if self.page.is_empty() {
                self.is_behind = false;
                self.behind = 0;
                return Ok(Progress::Level);
            }
            while let Some((id, message)) = self.page.front().cloned() {
                if !self.send(id, message) {
                    return Ok(Progress::Behind);
                }
                self.page.pop_front();
                self.behind = self.behind.saturating_sub(1);
            }
        }
        Ok(Progress::Behind)
    }

    /// False if there was no room for it.
    fn send(&mut self, id: Id, message: Message) -> bool {
        let sent = !matches!(self.sender.try_send(message), Err(TrySendError::Full(_)));
        if sent {
            self.position = id;
        }
        sent
    }

    /// False if there was no room for it. Only the newest matters.
    pub fn tell_who(&mut self, who: &Who) -> bool {
        if self.who == who.version {
            return true;
        }
        let sent = self.sender.try_send(who.message.clone());
        let told = !matches!(sent, Err(TrySendError::Full(_)));
        if told {
            self.who = who.version;
        }
        told
    }

    pub fn sample(&self) -> Sample {
        let stats = self.sender.stats();
        let latency = self.sender.latency();
        Sample {
            id: self.id,
            room: self.room.clone(),
            name: self.name.clone(),
            peer: self.peer,
            queue: self.queue.len(),
            queue_bytes: self.queue.bytes(),
            behind: self.behind,
            skipped: self.skipped,
            latency_ms: latency.map(|latency| latency.last.as_secs_f64() * 1000.0),
            messages_in: stats.queue.received,
            messages_out: stats.sent,
            bytes_in: stats.wire_received,
            bytes_out: stats.wire_sent,
            open_s: stats.open_for.as_secs(),
        }
    }
}
