//! Redis: a stream has the messages of all servers, another who is where.
//!
//! What it promises:
//!
//! - All servers see the messages in the order of the stream, and have what they missed: each reads on from the newest
//!   message in its history, after a restart as after a lost connection. An id of the stream is the id of the message.
//! - A message is delivered at least once. It can be twice in the stream, if the answer to the first XADD was lost; the
//!   history enters its nonce once.
//! - [`say`](Broker::say) returns when Redis has answered XADD. What that is worth is a matter of Redis's settings: with
//!   `appendonly yes` and `appendfsync always` the message is on its disk; with `appendfsync everysec` Redis may forget
//!   the last second of them in a crash, and without `appendonly` everything since its last snapshot. A message that
//!   it forgot stays in the histories of the servers that had read it, and is missing in those of the others. A replica
//!   that takes over is a crash in this respect.
//! - The stream keeps about the last [`KEPT`] messages. A server that was away for more than these has a hole in its
//!   history.
//!
//! Two connections: one reads and waits, the other writes, many messages at once if many wait.

use super::{Away, Beat, Broker, Delivery, PATIENCE, backoff};
use crate::protocol::{Draft, Id, Said};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use redis::{Client, Connection, Pipeline, RedisResult, cmd, pipe};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many messages the stream keeps, about.
pub const KEPT: usize = 100_000;
const SAID: &str = "chat:said";
const HERE: &str = "chat:here";
/// Beats are for those that listen.
const BEATS: usize = 100;
/// So many are read or written at once, at most.
const BATCH: usize = 128;
/// How long a read waits for a message, before it looks whether it is still wanted.
const BLOCK: Duration = Duration::from_secs(1);

pub fn connect(
    url: &str,
    last: Id,
    deliveries: Sender<Delivery>,
) -> Result<Arc<dyn Broker>, Box<dyn std::error::Error + Send + Sync>> {
    let client = Client::open(url)?;
    let (sender, works) = bounded(BATCH);
    let state = Arc::new(State::default());
    let writing = Writing(client.clone(), Arc::clone(&state));
    let reading = Reading(client, Arc::clone(&state), deliveries);
    let thread = |name: &str| thread::Builder::new().name(name.into());
    thread("chat-redis-out").spawn(move || writing.run(&works))?;
    thread("chat-redis-in").spawn(move || reading.run(last))?;
    Ok(Arc::new(Redis { sender, state }))
}

struct Redis {
    sender: Sender<Work>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    writes: AtomicBool,
    reads: AtomicBool,
    is_over: AtomicBool,
}

enum Work {
    Say(Draft, Sender<Result<(), Away>>),
    Beat(Beat),
}

impl Broker for Redis {
    fn say(&self, draft: Draft) -> Result<(), Away> {
        if !self.is_up() {
            return Err(Away);
        }
        let deadline = Instant::now() + PATIENCE;
        let (reply, answer) = bounded(1);
        let work = Work::Say(draft, reply);
        let sent = self.sender.send_deadline(work, deadline);
        sent.map_err(|_| Away)?;
        answer.recv_deadline(deadline).unwrap_or(Err(Away))
    }

    fn beat(&self, beat: Beat) {
        let _ = self.sender.try_send(Work::Beat(beat));
    }

    fn is_up(&self) -> bool {
        self.state.writes.load(Ordering::Relaxed) && self.state.reads.load(Ordering::Relaxed)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
    }
}

/// Writes what the server says.
struct Writing(Client, Arc<State>);

impl Writing {
    fn run(&self, works: &Receiver<Work>) {
        let mut attempt = 0;
        loop {
            if let Ok(mut connection) = open(&self.0) {
                attempt = 0;
                self.1.writes.store(true, Ordering::Relaxed);
                if write(&self.0, &mut connection, works).is_ok() {
                    return;
                }
                self.1.writes.store(false, Ordering::Relaxed);
            }
            let again = Instant::now() + backoff(attempt);
            attempt += 1;
            // Nobody waits for a broker that is away.
            loop {
                match works.recv_deadline(again) {
                    Ok(Work::Say(_, reply)) => drop(reply.try_send(Err(Away))),
                    Ok(Work::Beat(_)) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }
}

/// Until the connection is lost, or nobody says anything any more.
fn write(client: &Client, connection: &mut Connection, works: &Receiver<Work>) -> RedisResult<()> {
    while let Ok(first) = works.recv() {
        let (mut pipe, mut replies) = (pipe(), Vec::new());
        for work in std::iter::once(first).chain(works.try_iter().take(BATCH)) {
            match work {
                Work::Say(draft, reply) => {
                    add(&mut pipe, SAID, KEPT, &json(&draft));
                    replies.push(reply);
                }
                Work::Beat(beat) => add(&mut pipe, HERE, BEATS, &json(&beat)),
            }
        }
        let added: RedisResult<()> = pipe.query(connection).or_else(|_| {
            // Redis was perhaps away while nothing was said. What is added twice is entered once.
            *connection = open(client)?;
            pipe.query(connection)
        });
        let accepted = if added.is_ok() { Ok(()) } else { Err(Away) };
        for reply in replies {
            let _ = reply.try_send(accepted.clone());
        }
        added?;
    }
    Ok(())
}

fn add(pipe: &mut Pipeline, stream: &str, kept: usize, json: &str) {
    let pipe = pipe
        .cmd("XADD")
        .arg(stream)
        .arg("MAXLEN")
        .arg("~")
        .arg(kept);
    pipe.arg("*").arg("json").arg(json).ignore();
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers are always JSON")
}

/// Reads what all servers say.
struct Reading(Client, Arc<State>, Sender<Delivery>);

impl Reading {
    fn run(&self, last: Id) {
        let (mut said, mut here) = (last.to_string(), "$".to_owned());
        let mut attempt = 0;
        while !self.1.is_over.load(Ordering::Relaxed) {
            if let Ok(mut connection) = open(&self.0) {
                attempt = 0;
                while self.read(&mut connection, &mut said, &mut here).is_ok() {
                    self.1.reads.store(true, Ordering::Relaxed);
                    if self.1.is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
                self.1.reads.store(false, Ordering::Relaxed);
            }
            thread::sleep(backoff(attempt));
            attempt += 1;
        }
    }

    /// What comes after `said` and `here`, which then are the newest that came.
    fn read(
        &self,
        connection: &mut Connection,
        said: &mut String,
        here: &mut String,
    ) -> RedisResult<()> {
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(BATCH);
        read.arg("BLOCK").arg(BLOCK.as_millis() as usize);
        read.arg("STREAMS")
            .arg(SAID)
            .arg(HERE)
            .arg(&*said)
            .arg(&*here);
        type Entries = Vec<(String, HashMap<String, String>)>;
        let streams: Option<Vec<(String, Entries)>> = read.query(connection)?;
        for (stream, entries) in streams.unwrap_or_default() {
            for (id, fields) in entries {
                let json = fields.get("json").map_or("", String::as_str);
                let delivery = match stream == SAID {
                    true => parse_said(&id, json),
                    false => serde_json::from_str(json).ok().map(Delivery::Here),
                };
                match delivery {
                    // When nobody takes it the server has ended.
                    Some(delivery) => drop(self.2.send(delivery)),
                    None => eprintln!("the stream {stream} has {id}, which is not of a chat"),
                }
                *if stream == SAID {
                    &mut *said
                } else {
                    &mut *here
                } = id;
            }
        }
        Ok(())
    }
}

fn parse_said(id: &str, json: &str) -> Option<Delivery> {
    Some(Delivery::Said(Said {
        id: id.parse().ok()?,
        draft: serde_json::from_str(json).ok()?,
    }))
}

/// With a bound on every wait.
fn open(client: &Client) -> RedisResult<Connection> {
    let connection = client.get_connection_with_timeout(PATIENCE / 2)?;
    connection.set_write_timeout(Some(PATIENCE / 2))?;
    connection.set_read_timeout(Some(PATIENCE / 2))?;
    Ok(connection)
}
