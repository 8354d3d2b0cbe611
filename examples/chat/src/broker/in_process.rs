//! No broker but this process.
//!
//! What it promises: a message has its place in the order when [`say`](Broker::say) returns, and is lost if the process
//! dies before it is in the history. It is acknowledged after that, so nothing is lost that was acknowledged, as far
//! as the history keeps it: in a file, or until the end of the process.

use super::{Away, Beat, Broker, Delivery};
use crate::protocol::{Draft, Id, Said, now};
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the servers of a process meet.
#[derive(Default)]
pub struct Exchange {
    /// The newest id.
    last: Mutex<Id>,
    servers: Mutex<Servers>,
}

#[derive(Default)]
struct Servers {
    joined: u64,
    deliveries: BTreeMap<u64, Sender<Delivery>>,
}

impl Exchange {
    pub fn join(self: &Arc<Self>, last: Id, deliveries: Sender<Delivery>) -> Arc<dyn Broker> {
        let mut newest = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = (*newest).max(last);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.joined += 1;
        let number = servers.joined;
        servers.deliveries.insert(number, deliveries);
        Arc::new(InProcess(Arc::clone(self), number))
    }

    fn servers(&self) -> Vec<Sender<Delivery>> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.deliveries.values().cloned().collect()
    }
}

struct InProcess(Arc<Exchange>, u64);

impl Broker for InProcess {
    fn say(&self, draft: Draft) -> Result<(), Away> {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = after(*last);
        // Under the lock, so that all servers have the same order. A server with much to record is waited for: that
        // holds up those who say something, and nobody else.
        for server in self.0.servers() {
            let draft = draft.clone();
            let _ = server.send(Delivery::Said(Said { id: *last, draft }));
        }
        Ok(())
    }

    fn beat(&self, beat: Beat) {
        for server in self.0.servers() {
            let _ = server.try_send(Delivery::Here(beat.clone()));
        }
    }

    fn is_up(&self) -> bool {
        true
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        let servers = self.0.servers.lock();
        let mut servers = servers.unwrap_or_else(PoisonError::into_inner);
        servers.deliveries.remove(&self.1);
    }
}

/// As those of Redis, so that they go on where a process before this one has ended.
fn after(last: Id) -> Id {
    let now = Id {
        major: now(),
        minor: 0,
    };
    let next = Id {
        minor: last.minor + 1,
        ..last
    };
    now.max(next)
}
