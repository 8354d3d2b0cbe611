//! What the handles of a server and the threads of its connections share.

#[cfg(test)]
#[cfg(wsync_shuttle)]
mod model;

use super::SHORTAGE;
use super::limits::Places;
use super::origin::OriginPolicy;
use super::refusing::{Bouncer, OnRequest, Tell};
use super::stats::Census;
use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, Timeout};
use crate::net::{TlsConfig, Transport};
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, thread_local};
use crate::websocket::WebSocket;
use socket2::SockRef;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What an opening handshake has at least, however many others come.
const SETTLING: Duration = Duration::from_millis(100);

/// What the handles of a server and its connections' threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) listener: TcpListener,
    pub(super) addr: SocketAddr,
    pub(super) config: Arc<Config>,
    pub(super) tls: Option<TlsConfig>,
    pub(super) subprotocols: Vec<String>,
    pub(super) origins: OriginPolicy,
    pub(super) on_request: OnRequest,
    pub(super) places: Arc<Places>,
    /// Opening handshakes that may be under way.
    pub(super) most_opening: usize,
    pub(super) census: Arc<Census>,
    pub(super) bouncer: Bouncer,
    pub(super) stopping: AtomicBool,
    pub(super) state: Mutex<State>,
    /// Wakes `shutdown` when a connection's thread has left.
    pub(super) left: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
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

    /// Notes an open connection, to be closed when the server stops.
    pub(super) fn enlist(&self, ws: &WebSocket) {
        self.census.enlist(ws.connection());
        let mut state = self.lock();
        if state.connections.len() >= state.prune_at {
            state
                .connections
                .retain(|connection| connection.strong_count() > 0);
            state.prune_at = (state.connections.len() * 2).max(64);
        }
        state.connections.push(Arc::downgrade(ws.connection()));
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

    /// All that is open or opening, each once.
    pub(super) fn take(&self) -> (Vec<Arc<Connection>>, Vec<Arc<dyn Transport>>) {
        let mut state = self.lock();
        let connections = state
            .connections
            .drain(..)
            .filter_map(|weak| weak.upgrade())
            .collect();
        let opening = std::mem::take(&mut state.opening)
            .into_values()
            .filter_map(|(_, weak)| weak.upgrade())
            .collect();
        (connections, opening)
    }

    pub(super) fn turn_away(&self, client: Arc<dyn Transport>, tell: Tell) {
        self.bouncer.turn_away(client, self.tls.is_none(), tell);
    }

    pub(super) fn stop_accepting(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // This wakes `accept` on Linux; elsewhere a connection to ourselves does.
        let woken = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        if !cfg!(target_os = "linux") || woken.is_err() {
            let _ = TcpStream::connect_timeout(&reachable(self.addr), SHORTAGE);
        }
    }

    pub(super) fn wait_for_threads(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let mut state = self.lock();
        state.stopping += usize::from(SERVES.with(Cell::get));
        self.left.notify_all();
        let result = loop {
            if state.threads <= state.stopping {
                break Ok(());
            }
            state = match deadline {
                None => self
                    .left
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break Err(Error::Timeout(Timeout::Close));
                    }
                    let result = self.left.wait_timeout(state, left);
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        state.stopping -= usize::from(SERVES.with(Cell::get));
        result
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

/// A wildcard address is reached through loopback.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}
