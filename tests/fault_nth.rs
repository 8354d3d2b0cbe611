//! One operation of the stream fails, the N-th, for every N: a short session ends as it should whichever
//! that is. Only a client may be given a stream of its own, so these are clients.

#![allow(clippy::unwrap_used)]

mod common;

use common::nth::{Failure, Nth, Operation, Plan};
use common::{CHAIN, KEY, LATE, Scheme, as_asked, client_builder, eventually, once_within};
use common::{patient, pattern, spawn, watchdog};
use crossbeam_channel::unbounded;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error as PeerError, Message as PeerMessage, WebSocket as PeerSocket};
use wsync::{ClientBuilder, Config, Error, Event, Message, RecvError, WebSocket};

/// After a failed write the reader goes on for a second, since more may come; the rest is for the peer and
/// a loaded machine.
const BOUND: Duration = Duration::from_millis(1000 + 1000);

/// Runs at the same time.
const AT_ONCE: usize = 12;

const LARGE: usize = 5000;

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// The server's side of TLS, if it comes to be.
fn accept(stream: TcpStream, scheme: Scheme) -> Option<Box<dyn Stream>> {
    stream.set_read_timeout(Some(3 * LATE)).unwrap();
    stream.set_nodelay(true).unwrap();
    match scheme {
        Scheme::Ws => Some(Box::new(stream)),
        Scheme::Wss => {
            let identity = native_tls::Identity::from_pkcs8(CHAIN, KEY).unwrap();
            let acceptor = native_tls::TlsAcceptor::new(identity).unwrap();
            Some(Box::new(acceptor.accept(stream).ok()?))
        }
    }
}

fn fragment(payload: &'static str, opcode: Data, fin: bool) -> PeerMessage {
    PeerMessage::Frame(Frame::message(payload, OpCode::Data(opcode), fin))
}

/// What the peer sends when it has got the first message, and when it has got the second.
fn answer(socket: &mut PeerSocket<Box<dyn Stream>>, to: &PeerMessage) -> Result<(), PeerError> {
    if to.is_text() {
        socket.write(PeerMessage::text("whole"))?;
        socket.write(fragment("in ", Data::Text, false))?;
        socket.write(PeerMessage::Ping("ping".into()))?;
        socket.write(fragment("fragments", Data::Continue, true))?;
        return socket.send(PeerMessage::binary(pattern(1, 3000)));
    }
    socket.send(PeerMessage::text("bye"))
}

/// The messages that the session brings.
fn answers() -> [Message; 4] {
    [
        "whole".into(),
        "in fragments".into(),
        pattern(1, 3000).into(),
        "bye".into(),
    ]
}

/// The messages that the session sends.
fn requests() -> [Message; 2] {
    ["begin".into(), pattern(2, LARGE).into()]
}

/// A peer that is not ours. Returns what it got, each message whole.
fn serve(listener: &TcpListener, scheme: Scheme) -> Vec<PeerMessage> {
    let mut got = Vec::new();
    let Some(stream) = accept(listener.accept().unwrap().0, scheme) else {
        return got;
    };
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return got;
    };
    loop {
        let message = match socket.read() {
            Ok(message) => message,
            Err(error) => {
                assert!(is_loss(&error), "the frames are whole: {error}");
                return got;
            }
        };
        if message.is_text() || message.is_binary() {
            if answer(&mut socket, &message).is_err() {
                // What it was sent is there still.
                while let Ok(message) = socket.read() {
                    got.push(message);
                }
                return got;
            }
            got.push(message);
        }
    }
}

fn is_loss(error: &PeerError) -> bool {
    use tungstenite::error::ProtocolError::{ResetWithoutClosingHandshake, SendAfterClosing};
    matches!(
        error,
        PeerError::ConnectionClosed
            | PeerError::Io(_)
            | PeerError::Protocol(ResetWithoutClosingHandshake | SendAfterClosing)
    )
}

/// What became of a session.
#[derive(Default)]
struct Session {
    connected: bool,
    /// Sends that were accepted.
    accepted: usize,
    received: Vec<Message>,
    errors: Vec<Error>,
    unsent: usize,
    normal: bool,
}

/// The next message, or why there is none.
type Next<'a> = dyn FnMut() -> Result<Message, Error> + 'a;

impl Session {
    fn run(&mut self, ws: &WebSocket, next: &mut Next<'_>) {
        self.connected = true;
        for (request, count) in requests().into_iter().zip([3, 1]) {
            match ws.send(request) {
                Ok(()) => self.accepted += 1,
                Err(error) => self.errors.push(error.error),
            }
            for _ in 0..count {
                match next() {
                    Ok(message) => self.received.push(message),
                    Err(error) => self.errors.push(error),
                }
            }
        }
        match ws.close() {
            Ok(closed) => self.normal = closed.is_normal(),
            Err(error) => self.errors.push(error),
        }
        let sends = [ws.send("late"), ws.feed("later"), ws.send_all(["last"])];
        assert!(
            sends.iter().all(Result::is_err),
            "nothing is Ok after the end"
        );
        self.unsent = ws.closed().unwrap().unsent;
    }

    /// Takes messages by receive calls.
    fn receive(&mut self, ws: WebSocket) {
        self.run(&ws, &mut || Ok(ws.recv()?));
        for RecvError(error) in [ws.recv().unwrap_err(), ws.recv().unwrap_err()] {
            match error {
                Error::Closed(_) if self.normal => {}
                error => self.errors.push(error),
            }
        }
        assert!(ws.iter().count() <= 1, "an iterator tells of an error once");
    }
}

/// One session, and what the peer got of it.
fn session(scheme: Scheme, channel: bool, plan: &Arc<Plan>) -> (Session, Vec<PeerMessage>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = spawn(move || serve(&listener, scheme));
    let transport = Nth {
        stream: TcpStream::connect(addr).unwrap(),
        plan: Arc::clone(plan),
    };
    let mut config = as_asked(patient(Config::client()));
    config.fragment_size = Some(2000);
    let builder = client_builder(scheme, addr.port()).config(config);
    let mut session = Session::default();
    if channel {
        deliver(&mut session, builder, transport);
    } else {
        match builder.connect_over(transport) {
            Ok(ws) => session.receive(ws),
            Err(error) => session.errors.push(error),
        }
    }
    (session, peer.within(LATE, "the peer"))
}

/// Takes messages from a channel: `Closed` comes once, and last.
fn deliver(session: &mut Session, builder: ClientBuilder, transport: Nth) {
    let (events, arrivals) = unbounded();
    let ws = match builder.deliver_to(events, ()).connect_over(transport) {
        Ok(ws) => ws,
        Err(error) => return session.errors.push(error),
    };
    let mut ends = Vec::new();
    session.run(&ws, &mut || {
        loop {
            match arrivals.recv_timeout(LATE) {
                Ok(Event::Message { message, .. }) => return Ok(message),
                Ok(Event::Closed { error, .. }) => ends.push(error),
                Ok(_) => continue,
                Err(_) => {}
            }
            return Err(ends[0].clone().unwrap());
        }
    });
    drop(ws);
    for event in arrivals.iter() {
        match event {
            Event::Closed { error, .. } => ends.push(error),
            Event::Message { message, .. } => {
                assert!(ends.is_empty(), "the end comes last");
                session.received.push(message);
            }
            _ => {}
        }
    }
    assert_eq!(ends.len(), 1, "one end");
    session.errors.extend(ends.into_iter().flatten());
}

fn check(session: &Session, got: &[PeerMessage], plan: &Plan) {
    let (sent, expected) = (requests(), answers());
    let got: Vec<_> = got
        .iter()
        .map(|message| message.clone().into_data())
        .collect();
    let sent: Vec<_> = sent.iter().map(|message| message.as_bytes()).collect();
    assert!(sent.iter().zip(&got).all(|(a, b)| *a == &b[..]) && got.len() <= sent.len());
    assert!(
        expected.starts_with(&session.received),
        "{:?}",
        session.received
    );
    assert!(
        session.accepted - session.unsent <= got.len(),
        "what was accepted and not counted arrived"
    );
    let whole = session.received.len() == 4 && got.len() == 2 && session.normal;
    let Some(kind) = plan.kind() else {
        assert!(whole && session.errors.is_empty(), "{:?}", session.errors);
        return;
    };
    if session.errors.is_empty() {
        assert!(whole, "a failure is told of, unless all was over");
    }
    if plan.failed() == Some(Operation::Shutdown) {
        assert!(whole && session.errors.is_empty(), "{:?}", session.errors);
    }
    for error in &session.errors {
        match error {
            Error::Io(e) => assert_eq!(e.kind(), kind),
            // The end of the stream within a handshake.
            Error::Tls(_) | Error::Handshake(_) => {
                assert!(
                    !session.connected && kind == ErrorKind::UnexpectedEof,
                    "{error}"
                );
            }
            error => panic!("{error:?} after {kind:?}"),
        }
    }
}

/// Returns whether there was an N-th operation.
fn try_nth(scheme: Scheme, channel: bool, nth: usize, failure: Failure) -> bool {
    let mut reached = false;
    once_within(BOUND, || {
        let plan = Plan::new(nth, failure);
        let began = Instant::now();
        let (session, got) = session(scheme, channel, &plan);
        // Whoever reads holds the stream to the last.
        eventually("the end of the thread", || Arc::strong_count(&plan) == 1);
        let took = began.elapsed();
        reached = plan.was_reached();
        check(&session, &got, &plan);
        took
    });
    reached
}

/// Returns how many operations there were.
fn try_every_n(scheme: Scheme, channel: bool, failure: Failure) -> usize {
    let mut reached = 0;
    for first in (1..).step_by(AT_ONCE) {
        let runs = (first..first + AT_ONCE).map(|nth| {
            let run = spawn(move || try_nth(scheme, channel, nth, failure));
            (nth, run)
        });
        let runs: Vec<_> = runs.collect();
        let before = reached;
        for (nth, run) in runs {
            let what = format!("{failure:?} of operation {nth}");
            reached += usize::from(run.within(3 * LATE, &what));
        }
        if reached == before {
            return reached;
        }
    }
    unreachable!()
}

fn try_all(scheme: Scheme, channel: bool) {
    if !Scheme::all().contains(&scheme) {
        return;
    }
    watchdog(300, move || {
        for failure in Failure::ALL {
            let count = try_every_n(scheme, channel, failure);
            assert!(count > 15, "the session has more operations than {count}");
        }
    });
}

#[test]
fn any_operation_may_fail_under_receive_calls() {
    try_all(Scheme::Ws, false);
}

#[test]
fn any_operation_may_fail_under_a_channel() {
    try_all(Scheme::Ws, true);
}

#[test]
fn any_operation_may_fail_under_tls() {
    try_all(Scheme::Wss, false);
}

#[test]
fn any_operation_may_fail_under_tls_and_a_channel() {
    try_all(Scheme::Wss, true);
}
