//! Accepting connections, whatever comes.

use super::listener::Client;
use super::refusing::Tell;
use super::shared::{Accepting, Leave, Listening, SERVES, Shared};
use super::stats::Guest;
use super::upgrade::{Arrival, Upgrade};
use crate::error::Error;
use crate::handshake::HandshakeError;
use crate::net::TlsConfig;
use crate::sync::Builder;
use http::StatusCode;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Until the server stops, or no listener is left, each client on a thread of its own.
pub(super) fn accept_all<H>(shared: &Arc<Shared>, handler: &Arc<H>) -> Result<(), Error>
where
    H: Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
{
    let Some(accepting) = Accepting::begin(shared) else {
        return Ok(());
    };
    let mut result = Ok(());
    let mut listeners: Vec<&Listening> = accepting.listeners().iter().collect();
    while !listeners.is_empty() {
        let sockets = listeners.iter().map(|listener| listener.socket.as_fd());
        let ready = match shared.waker.wait(&sockets.collect::<Vec<_>>()) {
            Ok(Some(ready)) => ready,
            Ok(None) => break,
            Err(error) => {
                log::warn!("waiting for clients failed: {error}");
                shared.pause();
                continue;
            }
        };
        // From behind, so that those before keep their places.
        for at in ready.into_iter().rev() {
            if let Err(error) = accept(shared, listeners[at], handler) {
                let broken = listeners.remove(at);
                log::error!("the listener on {} broke: {error}", broken.addr);
                result = result.and(Err(error));
            }
        }
    }
    result
}

fn accept<H>(shared: &Arc<Shared>, listener: &Listening, handler: &Arc<H>) -> Result<(), Error>
where
    H: Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
{
    let accepted = listener.socket.accept(&shared.config.socket);
    let Some(leave) = admit(shared) else {
        return Ok(());
    };
    match accepted {
        Ok(client) => welcome(shared, client, listener.tls.clone(), leave, handler),
        Err(e) => {
            drop(leave);
            survive(shared, e)?;
        }
    }
    Ok(())
}

/// Counts the thread of a client that has come, unless the server stops. In this order: who stops it
/// later finds the thread counted, and waits for it.
pub(super) fn admit(shared: &Arc<Shared>) -> Option<Leave> {
    let leave = Leave::enter(shared);
    (!shared.is_stopping()).then_some(leave)
}

pub(super) fn welcome<H>(
    shared: &Arc<Shared>,
    (transport, address): Client,
    tls: Option<Arc<TlsConfig>>,
    leave: Leave,
    handler: &Arc<H>,
) where
    H: Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
{
    let plain = tls.is_none();
    let Some(place) = shared.places.take(address) else {
        log::debug!("no place for a client");
        shared.census.turn_away();
        return shared.bouncer.turn_away(transport, plain, tell(handler));
    };
    let arrival = Arrival {
        at: Instant::now(),
        opening: shared.enlist_opening(&transport),
        transport: Arc::clone(&transport),
        tls,
        guest: Guest::new(place, &shared.census),
    };
    if let Err(e) = spawn(shared, arrival, leave, handler) {
        log::warn!("no thread for a connection: {e}");
        shared.bouncer.turn_away(transport, plain, tell(handler));
        shared.pause();
    }
}

/// Tells the handler of a client that was turned away.
fn tell<H>(handler: &Arc<H>) -> Tell
where
    H: Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
{
    let handler = Arc::clone(handler);
    let refused = HandshakeError::Rejected(StatusCode::SERVICE_UNAVAILABLE);
    Box::new(move || handler(Err(refused.into())))
}

fn spawn<H>(
    shared: &Arc<Shared>,
    arrival: Arrival,
    leave: Leave,
    handler: &Arc<H>,
) -> io::Result<()>
where
    H: Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
{
    let stack_size = shared.stack_size;
    let (shared, handler) = (Arc::clone(shared), Arc::clone(handler));
    let serve = move || {
        let _leave = leave;
        SERVES.with(|serves| serves.set(true));
        match Upgrade::receive(arrival, shared) {
            Ok(None) => {}
            Ok(Some(upgrade)) => handler(Ok(upgrade)),
            Err(error) => {
                log::debug!("refused an opening handshake: {error}");
                handler(Err(error));
            }
        }
    };
    let mut thread = Builder::new().name("ws-serve".into());
    if let Some(bytes) = stack_size {
        thread = thread.stack_size(bytes);
    }
    thread.spawn(serve).map(drop)
}

/// Only a broken listener ends accepting. A client that is gone again, or that another thread was faster to
/// accept, does not, and for a shortage it waits a little rather than spin.
fn survive(shared: &Shared, error: io::Error) -> Result<(), Error> {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted
        | io::ErrorKind::WouldBlock => {}
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected => return Err(error.into()),
        _ => {
            log::warn!("accepting failed: {error}");
            shared.pause();
        }
    }
    Ok(())
}
