//! Waiting for messages: on the condition variable, or as a task that is woken.

use super::front::Front;
use super::role::{Summons, Turn};
use super::{Empty, Queue};
use crate::message::Message;
use crate::sync::{MutexGuard, Ordering, fence};
use std::sync::PoisonError;
use std::task::Waker;
use std::time::Instant;

impl Queue {
    /// The next message, or none yet: then `task` is woken when to ask again.
    pub(crate) fn poll_take(&self, id: u64, task: &Waker) -> Result<Message, Empty> {
        // Wakers are code of the user: they are cloned and dropped without the lock.
        let mut ours = Some(task.clone());
        let mut _replaced = None;
        let mut front = self.lock();
        loop {
            match self.next(&mut front) {
                Err(Empty::Now) => {}
                result => return result,
            }
            if let Some(ours) = ours.take() {
                _replaced = front.register(id, ours);
                let added = usize::from(_replaced.is_none());
                self.waiting.fetch_add(added, Ordering::SeqCst);
            }
            fence(Ordering::SeqCst);
            self.wake_if_paused();
            if !self.has_more(&front, false) {
                drop(front);
                // A task does not read.
                self.summon(Summons::Shared);
                return Err(Empty::Now);
            }
        }
    }

    /// A number for a task.
    pub(crate) fn new_task(&self) -> u64 {
        self.tasks.fetch_add(1, Ordering::Relaxed)
    }

    /// Wakes the task no more.
    pub(crate) fn forget_task(&self, id: u64) {
        let mut front = self.lock();
        let forgotten = front.unregister(id);
        let removed = usize::from(forgotten.is_some());
        self.waiting.fetch_sub(removed, Ordering::SeqCst);
        drop(front);
    }

    /// Tries until there is something, or the deadline has passed. `claimant` tells whether pieces
    /// of a claimed message are for this thread.
    pub(super) fn wait_for<T>(
        &self,
        deadline: Option<Instant>,
        claimant: bool,
        mut attempt: impl FnMut(&mut Front) -> Result<T, Empty>,
    ) -> Result<T, Empty> {
        // Ends after the lock is released, and after what it brought has been taken.
        let mut turn: Option<Turn<'_>> = None;
        let mut front = self.lock();
        loop {
            match attempt(&mut front) {
                Err(Empty::Now) => {}
                result => return result,
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Empty::Now);
            }
            let may_read = claimant || !front.claimed;
            if turn.is_none() && may_read && self.role.is_leased() {
                turn = self.take_turn();
            }
            match &mut turn {
                None => (front, turn) = self.wait(front, deadline, claimant),
                Some(turn) if turn.goes_on() && may_read => {
                    drop(front);
                    turn.read(deadline);
                    front = self.lock();
                }
                Some(_) => {
                    drop(front);
                    turn = None;
                    front = self.lock();
                }
            }
        }
    }

    /// Waits for `arrived`, unless there is a turn at reading instead. The producer looks at `waiting`
    /// after it has sent, and this thread looks at the channel after it has announced itself: one of
    /// them sees the other. The same goes for a reader that gives its role up.
    fn wait<'a>(
        &'a self,
        front: MutexGuard<'a, Front>,
        deadline: Option<Instant>,
        claimant: bool,
    ) -> (MutexGuard<'a, Front>, Option<Turn<'a>>) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.wake_if_paused();
        let mut turn = None;
        if claimant || !front.claimed {
            turn = self.take_turn();
        }
        let front = match deadline {
            _ if turn.is_some() || self.has_more(&front, claimant) => front,
            None => self
                .arrived
                .wait(front)
                .unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let timeout = deadline.saturating_duration_since(Instant::now());
                let result = self.arrived.wait_timeout(front, timeout);
                result.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        (front, turn)
    }

    /// Whether there is more than an attempt has just found.
    fn has_more(&self, front: &Front, claimant: bool) -> bool {
        let ended = self.ended.load(Ordering::SeqCst);
        match (self.is_diverted(), front.claimed && !claimant) {
            (true, _) => ended,
            (_, true) => false,
            _ => ended || !self.receiver.is_empty(),
        }
    }

    /// Wakes consumers after messages were sent, or after the end. Returns whether there was one, and
    /// it is a thread.
    pub(super) fn wake_consumers(&self, all: bool) -> bool {
        fence(Ordering::SeqCst);
        let waiting = self.waiting.load(Ordering::SeqCst);
        if waiting == 0 {
            return false;
        }
        // Whoever has announced itself and not yet gone to sleep holds this lock.
        let mut front = self.lock();
        let tasks = std::mem::take(&mut front.tasks);
        self.waiting.fetch_sub(tasks.len(), Ordering::SeqCst);
        // What comes may be for one of them alone.
        let all = all || front.claimed;
        let alone = waiting == 1 && tasks.is_empty() && !front.claimed;
        drop(front);
        match all {
            true => self.arrived.notify_all(),
            false => self.arrived.notify_one(),
        }
        tasks.into_iter().for_each(|(_, task)| task.wake());
        alone
    }
}
