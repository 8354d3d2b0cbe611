//! What the handles of a server and the threads of its connections share.

#[cfg(test)]
#[cfg(wsync_shuttle)]
mod model;

use super::SHORTAGE;
use super::limits::Places;
use super::listener::{ListenAddr, Socket};
use super::origin::OriginPolicy;
use super::refusing::{Bouncer, OnRequest};
use super::stats::Census;
use super::stopping::Stopped;
use super::subprotocols::Subprotocols;
use crate::close::CloseFrame;
use crate::config::Config;
use crate::connection::Connection;
use crate::net::waker::Waker;
use crate::net::{TlsConfig, Transport};
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, thread_local};
use crate::websocket::WebSocket;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What an opening handshake has at least, however many others come.
const SETTLING: Duration = Duration::from_millis(100);

/// How long those who accept may take to leave.
const LEAVING: Duration = Duration::from_secs(1);

/// What the handles of a server and its connections' threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) addrs: Vec<ListenAddr>,
    /// Ends the waits of those who accept.
    pub(super) waker: Waker,
    pub(super) config: Arc<Config>,
    pub(super) subprotocols: Subprotocols,
    pub(super) origins: OriginPolicy,
    pub(super) on_request: OnRequest,
    pub(super) places: Arc<Places>,
    /// Opening handshakes that may be under way.
    pub(super) most_opening: usize,
    pub(super) stack_size: Option<usize>,
    pub(super) census: Arc<Census>,
    pub(super) bouncer: Bouncer,
    pub(super) stopping: AtomicBool,
    pub(super) state: Mutex<State>,
    /// Wakes `shutdown` when a connection's thread has left, or one that accepts.
    pub(super) left: Condvar,
}

/// A socket that clients come from.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) addr: ListenAddr,
    pub(super) socket: Arc<Socket>,
    pub(super) tls: Option<Arc<TlsConfig>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Until the server stops.
    listeners: Option<Arc<Vec<Listening>>>,
    /// Threads that accept.
    accepting: usize,
    /// When connections that are accepted while the server stops have to be closed, if not by their timeout.
    deadline: Option<Instant>,
    connections: Vec<Weak<Connection>>,
    /// Sockets whose opening handshake is under way.
    opening: BTreeMap<u64, (Instant, Weak<dyn Transport>)>,
    /// How many there were.
    opened: u64,
    /// The length of `connections` at which those that are gone are dropped.
    prune_at: usize,
    /// Threads of connections.
    threads: usize,
    /// Those of them that wait in `shutdown`, and that nobody else must wait for.
    pub(super) stopping: usize,
}

impl State {
    pub(super) fn new(listeners: Vec<Listening>) -> Self {
        State {
            listeners: Some(Arc::new(listeners)),
            ..State::default()
        }
    }
}

thread_local! {
    /// Whether this is a connection's thread, which `shutdown` must not wait for.
    pub(super) static SERVES: Cell<bool> = const { Cell::new(false) };
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Notes an open connection, to be closed when the server stops; if it does already, at once.
    pub(super) fn enlist(&self, ws: &WebSocket) {
        self.census.enlist(ws.connection());
        let mut state = self.lock();
        if state.connections.len() >= state.prune_at && !self.is_stopping() {
            state
                .connections
                .retain(|connection| connection.strong_count() > 0);
            state.prune_at = (state.connections.len() * 2).max(64);
        }
        state.connections.push(Arc::downgrade(ws.connection()));
        let (stopping, deadline) = (self.is_stopping(), state.deadline);
        drop(state);
        if stopping {
            let (connection, frame) = (ws.connection(), CloseFrame::going_away());
            match deadline {
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    connection.close_soon(frame, Some(left));
                }
                None => connection.close_without_waiting(frame),
            }
        }
    }

    /// Notes a handshake that begins, to be woken when the server stops. If there are too many, the
    /// oldest is ended, once it has had its time.
    pub(super) fn enlist_opening(self: &Arc<Self>, transport: &Arc<dyn Transport>) -> Opening {
        let mut state = self.lock();
        while state.opening.len() >= self.most_opening && !self.is_stopping() {
            let Some(oldest) = state.opening.first_entry() else {
                break;
            };
            let left = SETTLING.saturating_sub(oldest.get().0.elapsed());
            if !left.is_zero() {
                let waited = self.left.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            // This wakes the handshake, which then refuses the client.
            if let Some(oldest) = oldest.remove().1.upgrade() {
                let _ = oldest.shutdown(Shutdown::Read);
            }
        }
        state.opened += 1;
        let number = state.opened;
        let entry = (Instant::now(), Arc::downgrade(transport));
        state.opening.insert(number, entry);
        if self.is_stopping() {
            // Perhaps `shutdown` came by before it was on the list.
            let _ = transport.shutdown(Shutdown::Read);
        }
        Opening(Arc::clone(self), number)
    }

    /// What is open of the first so many, and once all that is opening.
    pub(super) fn take(&self, enlisted: usize) -> Stopped {
        let mut state = self.lock();
        let connections = state.connections[..enlisted].iter();
        let mut connections: Vec<_> = connections.filter_map(Weak::upgrade).collect();
        let opening = std::mem::take(&mut state.opening).into_values();
        let opening = opening.filter_map(|(_, weak)| weak.upgrade()).collect();
        drop(state);
        connections.retain(|connection| connection.end().is_none());
        Stopped {
            connections,
            opening,
            enlisted,
        }
    }

    /// Those that were accepted after so many, by a server that stops; `None` for one that is gone.
    pub(super) fn connections_from(&self, first: usize) -> Vec<Option<Arc<Connection>>> {
        let state = self.lock();
        state.connections[first..]
            .iter()
            .map(Weak::upgrade)
            .collect()
    }

    /// After the system refused something; a server that stops cuts it short.
    pub(super) fn pause(&self) {
        self.waker.was_woken(SHORTAGE);
    }

    /// Accepts nobody any more, and gives the sockets back. Closing handshakes have to be over by the deadline,
    /// if there is one. Returns how many connections there have been: later ones close by themselves.
    pub(super) fn stop_accepting(&self, deadline: Option<Instant>) -> usize {
        let mut state = self.lock();
        // Under the lock, so that each connection knows on which side of it it is.
        self.stopping.store(true, Ordering::SeqCst);
        state.deadline = [state.deadline, deadline].into_iter().flatten().min();
        let enlisted = state.connections.len();
        let listeners = state.listeners.take();
        drop(state);
        drop(listeners);
        self.waker.wake();
        self.left.notify_all();
        let until = Instant::now() + LEAVING;
        self.wait_while(Some(until), |state| state.accepting > 0);
        enlisted
    }

    /// Until the threads of all clients have left, but for those that wait here. False when the deadline
    /// came first.
    pub(super) fn wait_for_threads(&self, deadline: Option<Instant>) -> bool {
        let own = usize::from(SERVES.with(Cell::get));
        self.lock().stopping += own;
        self.left.notify_all();
        let done = self.wait_while(deadline, |state| state.threads > state.stopping);
        self.lock().stopping -= own;
        done
    }

    /// Threads of clients, but for this one and those that wait for the others.
    pub(super) fn busy(&self) -> usize {
        let state = self.lock();
        let stopping = state.stopping + usize::from(SERVES.with(Cell::get));
        state.threads.saturating_sub(stopping)
    }

    /// Waits as long as it is so. False when the deadline came first.
    fn wait_while(&self, deadline: Option<Instant>, is_so: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        while is_so(&state) {
            state = match deadline {
                None => self
                    .left
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let result = self.left.wait_timeout(state, left);
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

/// A thread that accepts. The server waits for it when it stops.
#[derive(Debug)]
pub(super) struct Accepting {
    shared: Arc<Shared>,
    listeners: Arc<Vec<Listening>>,
}

impl Accepting {
    /// `None` when the server stops.
    pub(super) fn begin(shared: &Arc<Shared>) -> Option<Self> {
        let mut state = shared.lock();
        let listeners = Arc::clone(state.listeners.as_ref()?);
        state.accepting += 1;
        drop(state);
        Some(Accepting {
            shared: Arc::clone(shared),
            listeners,
        })
    }

    pub(super) fn listeners(&self) -> &[Listening] {
        &self.listeners
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        // The sockets are to be closed when `shutdown` hears of it.
        self.listeners = Arc::default();
        self.shared.lock().accepting -= 1;
        self.shared.left.notify_all();
    }
}

/// A handshake that is under way.
#[derive(Debug)]
pub(super) struct Opening(Arc<Shared>, u64);

impl Opening {
    /// It is over. Whether it was ended to make room, or because the server stops.
    pub(super) fn was_ended(self) -> bool {
        !self.0.lock().opening.contains_key(&self.1)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.opening.remove(&self.1);
        let was_full = state.opening.len() + 1 == self.0.most_opening;
        drop(state);
        if was_full {
            self.0.left.notify_all();
        }
    }
}

/// Counts a connection's thread for as long as it lives.
#[derive(Debug)]
pub(super) struct Leave(Arc<Shared>);

impl Leave {
    pub(super) fn enter(shared: &Arc<Shared>) -> Self {
        shared.lock().threads += 1;
        Leave(Arc::clone(shared))
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
        self.0.left.notify_all();
    }
}
