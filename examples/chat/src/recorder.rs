//! Enters what the broker delivers into the history, as much at once as there is, and then passes it on to the rooms.

use crate::broker::Delivery;
use crate::history::{Recorded, Writer};
use crate::protocol::Said;
use crate::rooms::Rooms;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// So many messages are recorded at once, about.
pub const BATCH: usize = 256;

pub struct Recorder {
    works: Arc<AtomicBool>,
    running: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Recorder {
    /// Until [`stop`](Self::stop), or until the broker ends.
    pub fn start(writer: Writer, deliveries: Receiver<Delivery>, rooms: Rooms) -> io::Result<Self> {
        let works = Arc::new(AtomicBool::new(true));
        let (quit, quitting) = bounded(0);
        let recording = Recording {
            writer,
            deliveries,
            rooms,
            works: Arc::clone(&works),
            quitting,
        };
        let thread = thread::Builder::new().name("chat-record".into());
        let thread = thread.spawn(move || recording.run())?;
        Ok(Recorder {
            works,
            running: Mutex::new(Some((quit, thread))),
        })
    }

    /// Whether the history can be written.
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// Records what is there, and closes the history.
    pub fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((quit, thread)) = running.take() {
            drop(quit);
            let _ = thread.join();
        }
    }
}

/// What belongs to the thread.
struct Recording {
    writer: Writer,
    deliveries: Receiver<Delivery>,
    rooms: Rooms,
    works: Arc<AtomicBool>,
    quitting: Receiver<()>,
}

impl Recording {
    fn run(mut self) {
        let mut is_last = false;
        while !is_last {
            let first = select! {
                recv(self.deliveries) -> delivery => delivery.ok(),
                recv(self.quitting) -> _ => {
                    is_last = true;
                    self.deliveries.try_recv().ok()
                }
            };
            let Some(first) = first else { return };
            let more = self.deliveries.try_iter().take(BATCH);
            let mut batch = Vec::new();
            for delivery in std::iter::once(first).chain(more) {
                match delivery {
                    Delivery::Said(said) => batch.push(said),
                    Delivery::Here(beat) => self.rooms.here(beat),
                }
            }
            let Some(recorded) = self.record(&batch) else {
                return;
            };
            self.rooms.said(recorded);
        }
    }

    /// Tries until it can be written: what follows waits with the broker. `None` if that is not to be waited for.
    fn record(&mut self, batch: &[Said]) -> Option<Recorded> {
        loop {
            match self.writer.record(batch) {
                Ok(recorded) => {
                    self.works.store(true, Ordering::Relaxed);
                    return Some(recorded);
                }
                // A full disk, perhaps.
                Err(error) => eprintln!("the history cannot be written: {error}"),
            }
            self.works.store(false, Ordering::Relaxed);
            match self.quitting.recv_timeout(Duration::from_secs(1)) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return None,
            }
        }
    }
}
