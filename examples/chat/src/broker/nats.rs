//! NATS with JetStream: a stream in files has the messages of all servers; who is where is published beside it.
//!
//! What it promises:
//!
//! - All servers see the messages in the order of the stream, and have what they missed: each asks for all after the
//!   newest in its history, after a restart as after a lost connection. An id has the time at which the stream was
//!   created and the sequence number in it, so that those of a new stream come after those of the one before.
//! - A message is delivered at least once. JetStream itself stores a nonce once within two minutes; for what is said
//!   again later, the history enters it once.
//! - [`say`](Broker::say) returns when JetStream has acknowledged: the message is in the stream's file, of one server or,
//!   in a cluster with replicas, of most of them. The file is written at once and synchronised with the disk every two
//!   minutes (`sync_interval` of nats-server 2.10 and later, which may be `always`): a crash of NATS loses nothing, one of
//!   its machine may.
//! - The stream keeps the last [`KEPT`] messages. A server that was away for more than these has a hole in its history.
//!
//! The client of NATS is async: it has a thread with a runtime of its own, and nothing else of the program has.

use super::{Away, Beat, Broker, Delivery, PATIENCE, backoff};
use crate::protocol::{Draft, Id, Said};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Context, stream};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Subscriber};
use crossbeam_channel::{Sender, bounded};
use futures_util::StreamExt;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// How many messages the stream keeps.
pub const KEPT: i64 = 100_000;
const STREAM: &str = "chat";
const SAID: &str = "chat.said";
const HERE: &str = "chat.here";

type Failure = Box<dyn Error + Send + Sync>;

pub fn connect(
    url: &str,
    last: Id,
    deliveries: Sender<Delivery>,
) -> Result<Arc<dyn Broker>, Failure> {
    // Each connection of a browser has one message in it at most.
    let (sender, works) = unbounded_channel();
    let is_up = Arc::new(AtomicBool::new(false));
    let link = Link {
        url: url.to_owned(),
        last,
        deliveries,
        works,
        is_up: Arc::clone(&is_up),
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build()?;
    let thread = thread::Builder::new().name("chat-nats".into());
    thread.spawn(move || runtime.block_on(link.run()))?;
    Ok(Arc::new(Nats { sender, is_up }))
}

struct Nats {
    sender: UnboundedSender<Work>,
    is_up: Arc<AtomicBool>,
}

enum Work {
    Say(Draft, Sender<Result<(), Away>>),
    Beat(Beat),
}

impl Broker for Nats {
    fn say(&self, draft: Draft) -> Result<(), Away> {
        if !self.is_up() {
            return Err(Away);
        }
        let (reply, answer) = bounded(1);
        let sent = self.sender.send(Work::Say(draft, reply));
        sent.map_err(|_| Away)?;
        answer.recv_timeout(PATIENCE).unwrap_or(Err(Away))
    }

    fn beat(&self, beat: Beat) {
        if self.is_up() {
            let _ = self.sender.send(Work::Beat(beat));
        }
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
}

/// What belongs to the thread.
struct Link {
    url: String,
    last: Id,
    deliveries: Sender<Delivery>,
    works: UnboundedReceiver<Work>,
    is_up: Arc<AtomicBool>,
}

/// What an open connection has.
struct Open {
    client: Client,
    context: Context,
    /// When the stream was created, in milliseconds since 1970.
    created: i64,
    messages: pull::Ordered,
    beats: Subscriber,
    lost: UnboundedReceiver<()>,
}

impl Link {
    async fn run(mut self) {
        let mut attempt = 0;
        loop {
            if let Ok(open) = self.open().await {
                attempt = 0;
                self.is_up.store(true, Ordering::Relaxed);
                let ended = self.pass(open).await;
                self.is_up.store(false, Ordering::Relaxed);
                if ended.is_ok() {
                    return;
                }
            }
            let again = Instant::now() + backoff(attempt);
            attempt += 1;
            // Nobody waits for a broker that is away.
            while let Ok(work) = timeout_at(again, self.works.recv()).await {
                match work {
                    Some(Work::Say(_, reply)) => drop(reply.try_send(Err(Away))),
                    Some(Work::Beat(_)) => {}
                    None => return,
                }
            }
        }
    }

    async fn open(&self) -> Result<Open, Failure> {
        let (tell, lost) = unbounded_channel();
        let options = ConnectOptions::new()
            .connection_timeout(PATIENCE / 2)
            .request_timeout(Some(PATIENCE / 2))
            .ping_interval(PATIENCE / 2)
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed) {
                    let _ = tell.send(());
                }
                async {}
            });
        let client = options.connect(&self.url).await?;
        let context = jetstream::new(client.clone());
        let config = stream::Config {
            name: STREAM.into(),
            subjects: vec![SAID.into()],
            max_messages: KEPT,
            storage: stream::StorageType::File,
            ..stream::Config::default()
        };
        let mut stream = context.get_or_create_stream(config).await?;
        let created = stream.info().await?.created.unix_timestamp_nanos() / 1_000_000;
        let created = i64::try_from(created)?;
        let next = match self.last.major == created {
            true => self.last.minor as u64 + 1,
            false => 1,
        };
        let consumer = stream.create_consumer(pull::OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: next,
            },
            ..pull::OrderedConfig::default()
        });
        Ok(Open {
            messages: consumer.await?.messages().await?,
            beats: client.subscribe(HERE).await?,
            client,
            context,
            created,
            lost,
        })
    }

    /// Until the connection is lost, or nobody says anything any more.
    async fn pass(&mut self, mut open: Open) -> Result<(), Failure> {
        loop {
            tokio::select! {
                message = open.messages.next() => {
                    let message = message.ok_or("no more messages")??;
                    self.deliver(open.created, &message)?;
                }
                beat = open.beats.next() => {
                    let beat = beat.ok_or("no more beats")?;
                    if let Ok(beat) = serde_json::from_slice(&beat.payload) {
                        let _ = self.deliveries.send(Delivery::Here(beat));
                    }
                }
                work = self.works.recv() => match work {
                    Some(Work::Say(draft, reply)) => say(&open.context, draft, reply).await,
                    Some(Work::Beat(beat)) => open.client.publish(HERE, json(&beat).into()).await?,
                    None => return Ok(()),
                },
                _ = open.lost.recv() => return Err("the connection is lost".into()),
            }
        }
    }

    /// Waits while the server has much to record; nothing can be said meanwhile either.
    fn deliver(&mut self, created: i64, message: &jetstream::Message) -> Result<(), Failure> {
        let sequence = message.info()?.stream_sequence;
        let id = Id {
            major: created,
            minor: i64::try_from(sequence)?,
        };
        match serde_json::from_slice(&message.payload) {
            // When nobody takes it the server has ended.
            Ok(draft) => drop(self.deliveries.send(Delivery::Said(Said { id, draft }))),
            Err(_) => eprintln!("the stream {STREAM} has {sequence}, which is not of a chat"),
        }
        self.last = id;
        Ok(())
    }
}

/// Hands it over; the acknowledgement is waited for beside what else there is to do.
async fn say(context: &Context, draft: Draft, reply: Sender<Result<(), Away>>) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{} {}", draft.room, draft.nonce));
    let sent = context.publish_with_headers(SAID, headers, json(&draft).into());
    let sent = sent.await;
    tokio::spawn(async move {
        let accepted = match sent {
            Ok(acknowledged) => acknowledged.await.map(drop).map_err(|_| Away),
            Err(_) => Err(Away),
        };
        let _ = reply.try_send(accepted);
    });
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers are always JSON")
}
