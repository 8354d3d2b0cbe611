//! Turning clients away, so that they can read why.

use super::shared::Shared;
use crate::error::{Error, Timeout};
use crate::handshake::{self, HandshakeError, Received, ServerHandshake};
use crate::net::Transport;
use crate::net::link::Link;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

/// How long a refused client may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// So many of those for whom there is no thread are let read to the end at a time.
const LEAVING: usize = 256;

/// How often they are looked at.
const TICK: Duration = Duration::from_millis(10);

/// A request for a WebSocket; `None` if it was another, and was answered.
pub(super) fn receive_request(
    link: &mut Link,
    server: &Shared,
    deadline: Option<Instant>,
) -> Result<Option<Received>, Error> {
    let mut handshake = ServerHandshake::new(server.config.limits.head);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if link.read(&mut bytes, deadline)? == 0 {
            return Err(HandshakeError::Eof.into());
        }
        let Some(received) = handshake.receive_any(&bytes)? else {
            continue;
        };
        if let Some(response) = server.on_request.answer(&received.request) {
            let (head, body) = response.into_parts();
            let mut answer = handshake::refusal(head.status, &head.headers, &body);
            if received.request.method() == Method::HEAD {
                let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
                answer.truncate(end.map_or(answer.len(), |at| at + 4));
            }
            refuse(link, &answer);
            return Ok(None);
        }
        handshake::check_request(&received.request)?;
        return Ok(Some(received));
    }
}

/// What a client is told that asked wrongly or too slowly.
pub(super) fn refusal_for(error: &Error) -> Option<Vec<u8>> {
    match error {
        Error::Handshake(e) => e.refusal(),
        Error::Timeout(Timeout::Open) => {
            HandshakeError::Rejected(StatusCode::REQUEST_TIMEOUT).refusal()
        }
        _ => None,
    }
}

/// Writes the refusal and ends the connection so that the client can read it: closing a socket with
/// unread bytes would reset it.
pub(super) fn refuse(link: &mut Link, refusal: &[u8]) {
    let deadline = Instant::now() + FAREWELL;
    if link.write_all(refusal, Some(deadline)).is_err() {
        return;
    }
    let _ = link.transport().shutdown(Shutdown::Write);
    let mut scrap = Vec::new();
    while matches!(link.read(&mut scrap, Some(deadline)), Ok(1..)) && Instant::now() < deadline {
        scrap.clear();
    }
}

type Answer = dyn Fn(&Request<()>) -> Option<Response<Vec<u8>>> + Send + Sync;

/// Answers requests that are for something else, if anything does.
#[derive(Clone, Default)]
pub(super) struct OnRequest(pub(super) Option<Arc<Answer>>);

impl OnRequest {
    fn answer(&self, request: &Request<()>) -> Option<Response<Vec<u8>>> {
        let answer = self.0.as_ref()?;
        handshake::check_no_body(request.headers()).ok()?;
        let response = answer(request)?;
        // It would not end the request.
        (!response.status().is_informational()).then_some(response)
    }
}

impl std::fmt::Debug for OnRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnRequest").finish_non_exhaustive()
    }
}

/// Is told of a client that was turned away.
pub(super) type Tell = Box<dyn FnOnce() + Send>;

/// A client that was turned away, if there is anything for it to read, and who is told.
type Leaving = (Option<Arc<dyn Transport>>, Tell);

/// Refuses clients without a thread for each.
#[derive(Default)]
pub(super) struct Bouncer(Mutex<Option<Sender<Leaving>>>);

impl Bouncer {
    /// Answers with 503 and waits for nobody. A client that wants TLS cannot be told anything.
    pub(super) fn turn_away(&self, client: Arc<dyn Transport>, plain: bool, tell: Tell) {
        let answered = plain && answer(&*client).is_ok();
        let mut leaving = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leaving.is_none() {
            *leaving = start();
        }
        // One more than can be looked after is reset.
        let client = (answered.then_some(client), tell);
        let _ = leaving.as_ref().map(|leaving| leaving.try_send(client));
    }
}

impl std::fmt::Debug for Bouncer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bouncer").finish_non_exhaustive()
    }
}

fn answer(client: &dyn Transport) -> io::Result<()> {
    client.prepare()?;
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let refusal = handshake::refusal(status, &HeaderMap::new(), b"too many connections\n");
    client.write(&refusal)?;
    client.shutdown(Shutdown::Write)
}

fn start() -> Option<Sender<Leaving>> {
    let (sender, leaving) = bounded(LEAVING);
    let thread = thread::Builder::new().name("ws-refuse".into());
    let started = thread
        .stack_size(crate::connection::STACK)
        .spawn(move || see_off(&leaving));
    if let Err(e) = &started {
        log::debug!("no thread to refuse clients: {e}");
    }
    started.is_ok().then_some(sender)
}

/// Reads what clients still say until they have gone, or their time is over.
fn see_off(leaving: &Receiver<Leaving>) {
    let mut clients: Vec<(Arc<dyn Transport>, Instant)> = Vec::new();
    let mut look = Instant::now();
    loop {
        let next = match clients.is_empty() {
            true => leaving.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => leaving.recv_deadline(look),
        };
        let now = Instant::now();
        match next {
            Ok((client, tell)) => {
                // The application's, which may panic.
                let _ = catch_unwind(AssertUnwindSafe(tell));
                let room = clients.len() < LEAVING;
                clients.extend(client.filter(|_| room).map(|c| (c, now + FAREWELL)));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if now >= look {
            look = now + TICK;
            clients.retain(|(client, until)| now < *until && stays(&**client));
        }
    }
}

/// Discards what is there. False once the client has gone.
fn stays(client: &dyn Transport) -> bool {
    match client.read(&mut [0; 1024]) {
        Ok(n) => n > 0,
        Err(e) => matches!(
            e.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        ),
    }
}
