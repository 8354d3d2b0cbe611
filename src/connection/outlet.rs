//! Messages that the reader hands on itself: to a callback, or to a channel of the application's.
//!
//! They pass the queue all the same, so that its bounds, its policy and its view are in force; but
//! receive calls do not get them.

use super::reader::{RETRY, Reader};
use super::{Connection, End};
use crate::close::CloseFrame;
use crate::delivery::OnPong;
use crate::error::Error;
use crate::keepalive::Pong;
use crate::message::Message;
use crate::queue::{Item, Producer};
use crate::sender::Sender;
use crate::sync::thread_local;
use bytes::Bytes;
use crossbeam_channel::Receiver;
use std::cell::Cell;
use std::time::Duration;

/// Where the reader hands on what comes.
pub(crate) trait Outlet: Send {
    /// Whether code of the application runs in it, which may need any stack.
    fn runs_application(&self) -> bool;

    /// Takes all messages of [`Producer::take_front`], if there is always room, by
    /// [`Producer::take_next`]. An error fails the connection.
    fn pull(&mut self, _items: &mut Vec<Item>, _producer: &mut Producer) -> Result<(), Error> {
        Ok(())
    }

    /// Without waiting.
    fn put(&mut self, event: Event) -> Result<(), Refused>;

    /// Waits until there is room, `wake` is ready, or the timeout has passed.
    fn put_waiting(
        &mut self,
        event: Event,
        wake: &Receiver<()>,
        timeout: Duration,
    ) -> Result<(), Refused>;
}

/// What is handed on: first `Opened`, last `Closed`.
#[derive(Debug)]
pub(crate) enum Event {
    Opened(Sender),
    Message(Message),
    Closed(End),
}

/// Why an outlet did not take an event.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is no room now.
    Full(Event),
    /// Nobody takes any more.
    Gone,
}

/// The reader's outlet, if it has one.
#[derive(Default)]
pub(super) struct Outlets {
    pub(super) outlet: Option<Box<dyn Outlet>>,
    pub(super) on_pong: OnPong,
    /// Has not been handed on.
    pub(super) opened: Option<Sender>,
    /// The connection has ended: nothing is left to do but to wait for room.
    pub(super) over: bool,
    /// There was no room the last time.
    pub(super) blocked: bool,
    /// How long to wait until the next attempt, when the reader does not wait for room.
    pub(super) retry: Duration,
}

/// While there is no room, the pause between attempts grows from this to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(1);
const LONGEST_RETRY: Duration = Duration::from_millis(50);

impl Outlets {
    /// Whether something waits for room.
    pub(super) fn is_pending(&self) -> bool {
        self.blocked || self.opened.is_some()
    }

    pub(super) fn note(&mut self, blocked: bool) {
        self.retry = match blocked {
            true => (self.retry * 2).clamp(FIRST_RETRY, LONGEST_RETRY),
            false => Duration::ZERO,
        };
        self.blocked = blocked;
    }
}

thread_local! {
    /// The address of the connection whose reader is handing on messages in this thread.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Whether a reader is handing on messages in this thread: what waits for it to go on waits for itself.
pub(crate) fn is_in_callback() -> bool {
    INSIDE.with(Cell::get) != 0
}

impl Connection {
    /// Whether this is called from a callback of the same connection, where waiting for the reader
    /// would be waiting for oneself.
    pub(crate) fn is_inside(&self) -> bool {
        INSIDE.with(Cell::get) == self.address()
    }

    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Reader {
    /// Hands on what is queued, and then writes what was sent meanwhile.
    pub(super) fn pump(&mut self) -> Result<(), Error> {
        if !self.producer.is_diverted() {
            return Ok(());
        }
        let outer = INSIDE.with(|inside| inside.replace(self.connection.address()));
        let result = self.pump_all();
        INSIDE.with(|inside| inside.set(outer));
        if self.outlets.outlet.is_none() {
            self.producer.discard();
        }
        self.flush();
        result
    }

    fn pump_all(&mut self) -> Result<(), Error> {
        self.outlets.blocked = false;
        if let Some(sender) = self.outlets.opened.take() {
            if let Some(Event::Opened(sender)) = self.put(Event::Opened(sender)) {
                self.outlets.opened = Some(sender);
                return Ok(());
            }
        }
        while self.outlets.outlet.is_some() {
            let mut items = self.producer.take_front();
            let result = match items.is_empty() {
                true => Ok(false),
                false => self.pump_items(&mut items),
            };
            self.producer.put_back(items);
            if !result? {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether there was room for all of them.
    fn pump_items(&mut self, items: &mut Vec<Item>) -> Result<bool, Error> {
        self.pull(items)?;
        while self.outlets.outlet.is_some() {
            let Some(Item::Message(message)) = items.pop() else {
                return Ok(true);
            };
            let length = message.len();
            match self.put(Event::Message(message)) {
                Some(Event::Message(message)) => {
                    items.push(Item::Message(message));
                    return Ok(false);
                }
                _ if self.outlets.outlet.is_none() => self.producer.count_dropped(length),
                _ => self.producer.count_delivered(length),
            }
        }
        Ok(false)
    }

    /// Lets the outlet take what it takes at once.
    fn pull(&mut self, items: &mut Vec<Item>) -> Result<(), Error> {
        let Some(outlet) = &mut self.outlets.outlet else {
            return Ok(());
        };
        let result = outlet.pull(items, &mut self.producer);
        if result.is_err() {
            self.outlets.outlet = None;
        }
        result
    }

    /// Tells of a pong. What the application sends meanwhile is written afterwards.
    pub(super) fn take_pong(&mut self, payload: Bytes) -> Result<(), Error> {
        let latency = self.connection.life.pong(&payload);
        let outer = INSIDE.with(|inside| inside.replace(self.connection.address()));
        let called = self.outlets.on_pong.call(Pong { payload, latency });
        INSIDE.with(|inside| inside.set(outer));
        if called? {
            self.flush();
        }
        Ok(())
    }

    /// Hands on the end. Returns whether there was room for it and all before it; if `over`, there
    /// will be.
    pub(super) fn hand_on_end(&mut self, over: bool) -> bool {
        self.outlets.over = over;
        let pumped = self.pump().is_ok() && !self.outlets.blocked;
        let Some(end) = self.connection.end().filter(|_| pumped) else {
            return self.outlets.outlet.is_none();
        };
        self.put(Event::Closed(end.clone())).is_none()
    }

    /// Waits for room only as long as a full queue would hold the reader up. Gives the event back if
    /// there is none.
    fn put(&mut self, event: Event) -> Option<Event> {
        let mut patient = false;
        let refused = self.put_patiently(event, &mut patient);
        if patient {
            self.producer.end_pause();
        }
        self.outlets.note(refused.is_some());
        refused
    }

    fn put_patiently(&mut self, mut event: Event, patient: &mut bool) -> Option<Event> {
        while let Some(outlet) = &mut self.outlets.outlet {
            let result = if *patient {
                let timeout = if self.leftover { RETRY } else { Duration::MAX };
                outlet.put_waiting(event, self.producer.wake(), timeout)
            } else {
                outlet.put(event)
            };
            event = match result {
                Ok(()) => return None,
                Err(Refused::Full(event)) => event,
                Err(Refused::Gone) => {
                    self.outlets.outlet = None;
                    let frame = CloseFrame::going_away();
                    self.connection.close_without_waiting(frame);
                    return None;
                }
            };
            if self.producer.is_open() && !self.outlets.over {
                return Some(event);
            }
            if !*patient && !self.outlets.over {
                self.producer.begin_pause();
            }
            if !*patient || self.leftover {
                // The peer gets its pongs while the application takes its time.
                self.flush();
            }
            *patient = true;
        }
        None
    }
}
