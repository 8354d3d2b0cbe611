//! Each message to all other clients.

use super::Visit;
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use wsync::{Closed, ConnectionId, Error, Event, Hub, Slow, Upgrade};

/// Events that wait. When there are more, clients are not read from.
const EVENTS: usize = 1024;

#[derive(Args, Debug, Clone)]
pub(super) struct BroadcastOptions {
    /// What becomes of a client that reads too slowly
    #[arg(long, value_enum, default_value_t = SlowClient::Skip)]
    slow: SlowClient,
    /// It is too slow when so many bytes wait for it
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    pub(super) outbox: usize,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum SlowClient {
    /// It misses messages
    Skip,
    /// It is closed with 1013
    Close,
}

pub(super) struct Broadcast {
    hub: Hub,
    halves: Arc<Halves>,
}

/// The end of a connection is told by its event, and whose it was by its handler, whichever comes first.
#[derive(Default)]
struct Halves(Mutex<HashMap<ConnectionId, Half>>);

enum Half {
    Visit(Visit),
    End(End),
}

struct End {
    closed: Closed,
    error: Option<Error>,
    /// Messages for which there was no room.
    missed: u64,
}

impl Broadcast {
    pub(super) fn new(options: &BroadcastOptions) -> Self {
        let hub = Hub::new(EVENTS).slow(match options.slow {
            SlowClient::Skip => Slow::Skip,
            SlowClient::Close => Slow::Close,
        });
        let halves = Arc::<Halves>::default();
        let (relaying, ends) = (hub.clone(), Arc::clone(&halves));
        thread::spawn(move || relay(&relaying, &ends));
        Broadcast { hub, halves }
    }

    pub(super) fn serve(&self, upgrade: Upgrade, visit: Visit) {
        match self.hub.run(upgrade) {
            Ok(id) => self.halves.put(id, Half::Visit(visit)),
            Err(error) => visit.line(&format!("not opened: {error}")),
        }
    }
}

fn relay(hub: &Hub, ends: &Halves) {
    let mut missed = HashMap::<ConnectionId, u64>::new();
    for event in hub.events() {
        match event {
            Event::Message { key, message } => {
                for slow in hub.broadcast_to(|id| id != key, message).skipped {
                    *missed.entry(slow).or_default() += 1;
                }
            }
            Event::Closed { key, closed, error } => {
                let missed = missed.remove(&key).unwrap_or_default();
                ends.put(
                    key,
                    Half::End(End {
                        closed,
                        error,
                        missed,
                    }),
                );
            }
            _ => {}
        }
    }
}

impl Halves {
    fn put(&self, id: ConnectionId, half: Half) {
        let other = self.lock().remove(&id);
        match (other, half) {
            (Some(Half::Visit(visit)), Half::End(end))
            | (Some(Half::End(end)), Half::Visit(visit)) => {
                let missed = match end.missed {
                    0 => String::new(),
                    missed => format!(", {missed} messages missed"),
                };
                visit.closed(&missed, &end.closed, end.error.as_ref());
            }
            (_, half) => drop(self.lock().insert(id, half)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Half>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
