//! Who is in which room, and what they are sent: one thread that waits for no browser.
//!
//! Every connection has a position, the newest message that it was given. What is said goes to all that are at their
//! room's newest message and have room for more; who has none falls behind, and is given the rest from the history as
//! soon as there is room, in the same order. So a browser that reads slowly costs its outbox and one page of the
//! history, and nobody else anything. Who joins begins by being behind.

mod member;
mod people;

use crate::broker::{Beat, Broker};
use crate::history::{Reader, Recorded};
use crate::protocol::{Id, Said, ToClient};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use member::{Member, Progress};
use people::People;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use member::{Joining, Sample};

/// How often those that are behind are looked at.
const CATCH_UP: Duration = Duration::from_millis(20);
/// At most so often everybody in a room is told who is there.
const TELL_WHO: Duration = Duration::from_millis(100);
/// How often other servers are told.
const BEAT: Duration = Duration::from_secs(1);
/// Orders that wait, of all connections together.
const ORDERS: usize = 1024;

/// What the thread is told.
enum Order {
    Admit(String, Sender<bool>),
    Join(Box<Joining>, Sender<()>),
    Leave(u64),
    Said(Recorded),
    Here(Beat),
    Look(Sender<Look>),
    Stop,
}

/// Tells the thread. Clones are the same rooms.
#[derive(Clone)]
pub struct Rooms(Sender<Order>);

/// What a server shows of itself.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Look {
    pub rooms: usize,
    /// Messages that were delivered by the broker, each once.
    pub said: u64,
    /// Messages that found no room at a connection, and were or will be sent to it later.
    pub skipped: u64,
    pub connections: Vec<Sample>,
}

impl Rooms {
    /// Until [`stop`](Self::stop).
    pub fn start(
        server: Server,
        history: Reader,
        newest: Id,
        broker: Arc<dyn Broker>,
    ) -> std::io::Result<Rooms> {
        let (orders, inbox) = bounded(ORDERS);
        let thread = thread::Builder::new().name("chat-rooms".into());
        let people = People::new(server.instance.clone());
        thread.spawn(move || {
            let floor = Floor {
                server,
                history,
                broker,
                people,
                newest,
                members: HashMap::new(),
                behind: BTreeSet::new(),
                said: 0,
                skipped: 0,
            };
            floor.run(&inbox);
        })?;
        Ok(Rooms(orders))
    }

    /// Whether there is place for one more in this room.
    pub fn admit(&self, room: &str) -> bool {
        let (reply, answer) = bounded(1);
        let asked = self.0.send(Order::Admit(room.into(), reply));
        asked.is_ok() && answer.recv().unwrap_or(false)
    }

    /// Returns when it has joined, and is given all that is said from then on.
    pub fn join(&self, joining: Joining) {
        let (reply, answer) = bounded(1);
        let _ = self.0.send(Order::Join(Box::new(joining), reply));
        let _ = answer.recv();
    }

    pub fn leave(&self, id: u64) {
        let _ = self.0.send(Order::Leave(id));
    }

    /// In order, and from one thread.
    pub fn said(&self, messages: Recorded) {
        let _ = self.0.send(Order::Said(messages));
    }

    pub fn here(&self, beat: Beat) {
        let _ = self.0.send(Order::Here(beat));
    }

    pub fn look(&self) -> Look {
        let (reply, answer) = bounded(1);
        let _ = self.0.send(Order::Look(reply));
        answer.recv().unwrap_or_default()
    }

    /// Tells the other servers that nobody is here any more.
    pub fn stop(&self) {
        let _ = self.0.send(Order::Stop);
    }
}

/// What the rooms need to know about their server.
#[derive(Clone)]
pub struct Server {
    /// Of all servers that there ever were, this one.
    pub instance: String,
    pub most_rooms: usize,
    /// Whether there are others.
    pub is_shared: bool,
}

/// What belongs to the thread.
struct Floor {
    server: Server,
    history: Reader,
    broker: Arc<dyn Broker>,
    people: People,
    /// The newest message that was passed on.
    newest: Id,
    members: HashMap<u64, Member>,
    /// Those of them that are not at the newest message of their room.
    behind: BTreeSet<u64>,
    said: u64,
    skipped: u64,
}

impl Floor {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut next_beat = Instant::now();
        let mut next_who = Instant::now();
        let mut next_catch_up = Instant::now();
        loop {
            let mut wake = next_beat;
            if self.people.have_changed() {
                wake = wake.min(next_who);
            }
            if !self.behind.is_empty() {
                wake = wake.min(next_catch_up);
            }
            match orders.recv_deadline(wake) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => self.follow(order),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if self.people.have_changed() && now >= next_who {
                self.tell_who_is_here();
                next_who = now + TELL_WHO;
                if self.people.has_news {
                    next_beat = now;
                }
            }
            if !self.behind.is_empty() && now >= next_catch_up {
                self.catch_up();
                next_catch_up = Instant::now() + CATCH_UP;
            }
            if now >= next_beat {
                self.people.expire(now);
                self.broker.beat(self.people.beat());
                next_beat = now + BEAT;
            }
        }
        // The others need not wait until they miss the next beat.
        self.broker.beat(self.people.nobody());
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Admit(room, reply) => {
                let place = self.people.has_room(&room);
                let _ = reply.send(place || self.people.rooms() < self.server.most_rooms);
            }
            Order::Join(joining, reply) => {
                self.join(*joining);
                let _ = reply.send(());
            }
            Order::Leave(id) => {
                self.behind.remove(&id);
                if let Some(member) = self.members.remove(&id) {
                    self.people.leave(&member.room, id);
                }
            }
            Order::Said(messages) => {
                messages.new.iter().for_each(|said| self.pass_on(said));
                messages
                    .again
                    .iter()
                    .for_each(|said| self.acknowledge(said));
            }
            Order::Here(beat) => self.people.hear(beat, Instant::now()),
            Order::Look(reply) => drop(reply.send(self.look())),
            // Not asked: `run` ends.
            Order::Stop => {}
        }
    }

    fn join(&mut self, joining: Joining) {
        let id = joining.id;
        self.people.join(&joining.room, id, &joining.name);
        let mut member = Member::new(joining);
        if let Err(error) = member.begin(&self.history, self.newest, self.server.is_shared) {
            eprintln!("the history cannot be read: {error}");
        }
        self.members.insert(id, member);
        self.catch_up_one(id);
    }

    fn pass_on(&mut self, said: &Said) {
        self.said += 1;
        self.newest = self.newest.max(said.id);
        let message = ToClient::Said(said).to_message();
        for id in self.people.in_room(&said.draft.room) {
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            match member.offer(said.id, &message) {
                Progress::Level => {}
                Progress::Behind => {
                    self.skipped += 1;
                    self.behind.insert(id);
                }
            }
        }
    }

    /// Tells the one who has said it again, if that was before what the connection was given from the history.
    fn acknowledge(&mut self, said: &Said) {
        for id in self.people.in_room(&said.draft.room) {
            if let Some(member) = self.members.get(&id) {
                member.acknowledge(said);
            }
        }
    }

    fn catch_up(&mut self) {
        for id in self.behind.clone() {
            self.catch_up_one(id);
        }
    }

    fn catch_up_one(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        match member.catch_up(&self.history) {
            Ok(Progress::Level) => drop(self.behind.remove(&id)),
            Ok(Progress::Behind) => drop(self.behind.insert(id)),
            // It stays behind, and this is tried again.
            Err(error) => {
                eprintln!("the history cannot be read: {error}");
                self.behind.insert(id);
            }
        }
    }

    fn tell_who_is_here(&mut self) {
        for (room, who) in self.people.changes() {
            let ids = self.people.in_room(&room);
            let mut all_told = true;
            for id in ids {
                let member = self.members.get_mut(&id);
                all_told &= member.is_none_or(|member| member.tell_who(&who));
            }
            if !all_told {
                self.people.mark(&room);
            }
        }
    }

    fn look(&self) -> Look {
        Look {
            rooms: self.people.rooms(),
            said: self.said,
            skipped: self.skipped,
            connections: self.members.values().map(Member::sample).collect(),
        }
    }
}
