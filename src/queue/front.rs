//! What is next in the queue.

use super::item::{Batch, Item, Items};
use crate::message::{Message, MessageKind};
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Front {
    /// The next item is the last.
    pub(super) items: Vec<Item>,
    /// When they came.
    pub(super) came: Option<Instant>,
    /// What a look has moved here from the channel.
    pub(super) aside: VecDeque<Batch>,
    /// Tasks that wait for a message.
    pub(super) tasks: Vec<(u64, Waker)>,
    /// A message in pieces that receive calls are putting together: its kind, and its begin.
    pub(super) partial: Option<(MessageKind, Vec<u8>)>,
    /// The pieces that are next are for the one that has claimed their message.
    pub(super) claimed: bool,
    /// Pieces are dropped up to the end of their message.
    pub(super) skipping: bool,
}

impl Front {
    /// Makes a batch the next one. Gives back the vector of the one before.
    pub(super) fn take_up(&mut self, batch: Batch) -> Option<Vec<Item>> {
        self.came = Some(batch.came);
        match batch.items {
            Items::One(item) => {
                self.items.push(item);
                None
            }
            Items::Many(items) => Some(std::mem::replace(&mut self.items, items)),
        }
    }

    /// All whole messages that were taken up or looked at, in order.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        let aside = self.aside.iter().flat_map(|batch| batch.items.iter());
        let items = self.items.iter().rev().chain(aside);
        items.filter_map(Item::message)
    }

    /// Registers a task, or its new waker. Returns the one that it had.
    pub(super) fn register(&mut self, id: u64, task: Waker) -> Option<Waker> {
        match self.tasks.iter_mut().find(|(other, _)| *other == id) {
            Some((_, waker)) => Some(std::mem::replace(waker, task)),
            None => {
                self.tasks.push((id, task));
                None
            }
        }
    }

    /// Returns the waker of the task, if it was registered.
    pub(super) fn unregister(&mut self, id: u64) -> Option<Waker> {
        let place = self.tasks.iter().position(|(other, _)| *other == id)?;
        Some(self.tasks.swap_remove(place).1)
    }

    /// Drops a message that is being put together, with what is to come of it.
    pub(super) fn give_up_partial(&mut self) -> Option<usize> {
        let (_, begun) = self.partial.take()?;
        self.skipping = true;
        Some(begun.len())
    }
}
