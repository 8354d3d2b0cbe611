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
    End(Closed, Option<Error>),
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
    for event in hub.events() {
        match event {
            Event::Message { key, message } => drop(hub.broadcast_to(|id| id != key, message)),
            Event::Closed { key, closed, error } => ends.put(key, Half::End(closed, error)),
            _ => {}
        }
    }
}

impl Halves {
    fn put(&self, id: ConnectionId, half: Half) {
        let other = self.lock().remove(&id);
        match (other, half) {
            (Some(Half::Visit(visit)), Half::End(closed, error))
            | (Some(Half::End(closed, error)), Half::Visit(visit)) => {
                visit.closed("", &closed, error.as_ref());
            }
            (_, half) => drop(self.lock().insert(id, half)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Half>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
