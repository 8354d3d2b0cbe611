//! No broker but this process.
//!
//! What it promises: a message has its place in the order when [`say`](Broker::say) returns, and is lost if the process
//! dies before it is in the history. It is acknowledged after that, so nothing is lost that was acknowledged, as far
//! as the history keeps it: in a file, or until the end of the process.

use super::{Away, Beat, Broker, Delivery};
use crate::protocol::{Draft, Id, Said, now};
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the servers of a process meet.
#[derive(Default)]
pub struct Exchange(Mutex<State>);

#[derive(Default)]
struct State {
    last: Id,
    joined: u64,
    servers: BTreeMap<u64, Sender<Delivery>>,
}

impl Exchange {
    pub fn join(self: &Arc<Self>, last: Id, deliveries: Sender<Delivery>) -> Arc<dyn Broker> {
        let mut state = self.lock();
        state.last = state.last.max(last);
        state.joined += 1;
        let number = state.joined;
        state.servers.insert(number, deliveries);
        Arc::new(InProcess(Arc::clone(self), number))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct InProcess(Arc<Exchange>, u64);

impl Broker for InProcess {
    fn say(&self, draft: Draft) -> Result<(), Away> {
        let mut state = self.0.lock();
        state.last = after(state.last);
        let said = Said {
            id: state.last,
            draft,
        };
        // Under the lock, so that all servers have the same order. A server with much to record is waited for: that
        // holds up those who say more.
        for server in state.servers.values() {
            let _ = server.send(Delivery::Said(said.clone()));
        }
        Ok(())
    }

    fn beat(&self, beat: Beat) {
        for server in self.0.lock().servers.values() {
            let _ = server.try_send(Delivery::Here(beat.clone()));
        }
    }

    fn is_up(&self) -> bool {
        true
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.0.lock().servers.remove(&self.1);
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
