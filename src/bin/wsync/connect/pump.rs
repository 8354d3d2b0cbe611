//! What comes from the server, on its way to the screen.

use super::session::Session;
use super::{format, verdict};
use crate::failure::Failure;
use crate::show;
use std::sync::Arc;
use std::time::Duration;
use wsync::{Error, Message, RecvOrError, WebSocket};

/// So much is shown at once.
const BATCH: usize = 64 << 10;

/// How connections are shown.
pub(super) struct View {
    pub(super) url: String,
    pub(super) insecure: bool,
    pub(super) full: bool,
    /// Another connection follows one that has ended.
    pub(super) again: bool,
}

/// Shows what comes over these connections, one after the other, until the last has ended.
pub(super) fn run(
    session: &Session,
    view: &View,
    connections: impl Iterator<Item = Result<Arc<WebSocket>, Error>>,
) -> Result<String, Failure> {
    let mut greeted = false;
    for connected in connections {
        let ws = connected.map_err(Failure::NotConnected)?;
        session.opened(&ws);
        let banner = format::banner(&ws, &view.url, view.insecure, &session.paint);
        session.display.print(banner);
        if !std::mem::replace(&mut greeted, true) {
            session.say("a line is sent; /help shows what else there is, Ctrl-D closes");
        }
        let error = take(session, view, &ws);
        session.ended();
        let end = verdict(&error, session.is_closing());
        if !view.again || session.is_closing() {
            return end;
        }
        match end {
            Ok(told) => session.say(&show::line(&told)),
            Err(failure) => session.complain(&failure.to_string()),
        }
    }
    Ok("stopped".into())
}

/// Shows messages until the connection has ended, and says why it did.
fn take(session: &Session, view: &View, ws: &WebSocket) -> Error {
    loop {
        // A queue that fills up is what a pause is for, but nobody is to wait for an end that has come.
        while session.is_paused() && ws.closed().is_none() {
            let _ = session.nudged().recv_timeout(Duration::from_millis(100));
        }
        match ws.recv_or(session.nudged()) {
            Ok(message) => show_all(session, view, ws, message),
            Err(RecvOrError::Stopped) => {}
            Err(RecvOrError::Closed(error)) => return error,
        }
    }
}

/// Shows a message and those that have come with it.
fn show_all(session: &Session, view: &View, ws: &WebSocket, first: Message) {
    let mut text = format::message(&first, view.full, &session.paint);
    while text.len() < BATCH && !session.is_paused() {
        let Ok(message) = ws.try_recv() else { break };
        text.push_str(&format::message(&message, view.full, &session.paint));
    }
    session.display.print(text);
}
