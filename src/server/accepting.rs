//! Accepting connections, whatever comes.

use super::SHORTAGE;
use super::refusing::Tell;
use super::shared::{Leave, SERVES, Shared};
use super::stats::Guest;
use super::upgrade::{Arrival, Upgrade};
use crate::error::Error;
use crate::handshake::HandshakeError;
use crate::net::{Transport, tcp};
use crate::sync::Builder;
use http::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use std::{io, thread};

/// Until the server stops, each client on a thread of its own.
pub(super) fn accept_all<H>(shared: &Arc<Shared>, handler: &Arc<H>) -> Result<(), Error>
where
    H: Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
{
    loop {
        let accepted = shared.listener.accept();
        let Some(leave) = admit(shared) else {
            return Ok(());
        };
        match accepted {
            Ok((stream, address)) => {
                tcp::configure(&stream, &shared.config.socket);
                welcome(shared, Arc::new(stream), address, leave, handler);
            }
            Err(e) => {
                drop(leave);
                survive(e)?;
            }
        }
    }
}

/// Counts the thread of a client that has come, unless the server stops. In this order: who stops it
/// later finds the thread counted, and waits for it.
pub(super) fn admit(shared: &Arc<Shared>) -> Option<Leave> {
    let leave = Leave::enter(shared);
    (!shared.is_stopping()).then_some(leave)
}

pub(super) fn welcome<H>(
    shared: &Arc<Shared>,
    transport: Arc<dyn Transport>,
    address: SocketAddr,
    leave: Leave,
    handler: &Arc<H>,
) where
    H: Fn(Result<Upgrade, Error>) + Send + Sync + 'static,
{
    let Some(place) = shared.places.take(address.ip()) else {
        log::debug!("no place for a client");
        shared.census.turn_away();
        return shared.turn_away(transport, tell(handler));
    };
    let arrival = Arrival {
        at: Instant::now(),
        opening: shared.enlist_opening(&transport),
        transport: Arc::clone(&transport),
        guest: Guest::new(place, &shared.census),
    };
    if let Err(e) = spawn(shared, arrival, leave, handler) {
        log::warn!("no thread for a connection: {e}");
        shared.turn_away(transport, tell(handler));
        thread::sleep(SHORTAGE);
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
    let thread = Builder::new().name("ws-serve".into());
    thread.spawn(serve).map(drop)
}

/// Only a broken listener stops a server. A client that is gone again does not, and for a shortage
/// it waits a little rather than spin.
fn survive(error: io::Error) -> Result<(), Error> {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted => {}
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected => return Err(error.into()),
        _ => {
            log::warn!("accepting failed: {error}");
            thread::sleep(SHORTAGE);
        }
    }
    Ok(())
}
