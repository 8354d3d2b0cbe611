//! The connections of a hub, and who is subscribed to what.

use super::ConnectionId;
use crate::delivery::Register;
use crate::sender::Sender;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Members(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    members: BTreeMap<ConnectionId, Member>,
    topics: HashMap<String, BTreeSet<ConnectionId>>,
}

struct Member {
    sender: Sender,
    topics: BTreeSet<String>,
}

impl Members {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().members.len()
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<Sender> {
        self.lock()
            .members
            .get(&id)
            .map(|member| member.sender.clone())
    }

    pub(super) fn all(&self) -> Vec<(ConnectionId, Sender)> {
        let tables = self.lock();
        let members = tables.members.iter();
        members
            .map(|(id, member)| (*id, member.sender.clone()))
            .collect()
    }

    /// Those that are subscribed to a topic.
    pub(super) fn of(&self, topic: &str) -> Vec<(ConnectionId, Sender)> {
        let tables = self.lock();
        let subscribed = tables.topics.get(topic).into_iter().flatten();
        subscribed
            .filter_map(|id| Some((*id, tables.members.get(id)?.sender.clone())))
            .collect()
    }

    pub(super) fn subscribe(&self, id: ConnectionId, topic: &str) -> bool {
        let tables = &mut *self.lock();
        let Some(member) = tables.members.get_mut(&id) else {
            return false;
        };
        member.topics.insert(topic.to_owned());
        tables
            .topics
            .entry(topic.to_owned())
            .or_default()
            .insert(id);
        true
    }

    pub(super) fn unsubscribe(&self, id: ConnectionId, topic: &str) -> bool {
        let tables = &mut *self.lock();
        if let Some(member) = tables.members.get_mut(&id) {
            member.topics.remove(topic);
        }
        tables.leave(id, topic)
    }
}

impl Tables {
    fn leave(&mut self, id: ConnectionId, topic: &str) -> bool {
        let Some(subscribed) = self.topics.get_mut(topic) else {
            return false;
        };
        let was = subscribed.remove(&id);
        if subscribed.is_empty() {
            self.topics.remove(topic);
        }
        was
    }
}

impl Register<ConnectionId> for Members {
    fn opened(&self, id: &ConnectionId, sender: &Sender) {
        let member = Member {
            sender: sender.clone(),
            topics: BTreeSet::new(),
        };
        self.lock().members.entry(*id).or_insert(member);
    }

    fn closed(&self, id: &ConnectionId) {
        let mut tables = self.lock();
        let member = tables.members.remove(id);
        for topic in member.iter().flat_map(|member| &member.topics) {
            tables.leave(*id, topic);
        }
        drop(tables);
        // The last handle may close the connection.
        drop(member);
    }
}
