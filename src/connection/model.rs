//! Models of a connection for a checker that tries orders in which threads can run (`.ci/models`): the
//! whole of it over a socket in memory, with a peer that the model drives.
//!
//! A lost wake-up is a deadlock, which the checker reports. No clock runs: what waits in a condition
//! variable waits until it is woken, what waits for the socket as [`Wire`] says, and the time of
//! `ws-timer` comes when the schedule says. Memory is sequentially consistent.

mod closing;
mod failing;
mod receiving;
mod sending;
mod turn;
pub(crate) mod wire;

use crate::close::{CloseCode, Closed};
use crate::config::Config;
use crate::connection::Opened;
use crate::delivery::OnPong;
use crate::error::Error;
use crate::handle::{Head, Heads};
use crate::keepalive::Keepalive;
use crate::message::Message;
use crate::protocol::Role;
use crate::websocket::WebSocket;
use http::Request;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread::{self, JoinHandle};
use std::sync::Arc;
use std::time::Duration;
use wire::{Frame, Peer, Wire};

/// So long that a wait for it ends by what is waited for, or because the model says so.
const LONG: Duration = Duration::from_secs(3600);

/// So many schedules at random, and as many that change priorities at few places.
pub(crate) fn check(model: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = std::env::var("WSYNC_SCHEDULES").map_or(500, |n| n.parse().unwrap());
    let mut config = shuttle::Config::new();
    config.stack_size = 256 << 10;
    let random = RandomScheduler::new(schedules);
    shuttle::Runner::new(random, config.clone()).run(model.clone());
    shuttle::Runner::new(PctScheduler::new(3, schedules), config).run(model);
}

/// Without timeouts and pings; a thread reads.
pub(crate) fn config() -> Config {
    let mut config = Config::server();
    config.timeouts.open = None;
    config.timeouts.message = None;
    config.timeouts.send = None;
    config.timeouts.close = None;
    config.keepalive = Keepalive::off();
    config.direct_read = false;
    config
}

/// A server's connection, its socket, and the thread that reads.
struct Model {
    ws: Arc<WebSocket>,
    wire: Arc<Wire>,
    reader: JoinHandle<()>,
}

impl Model {
    /// The kernel's buffer for what is sent has so many bytes.
    fn open(config: Config, buffer: usize) -> Self {
        let wire = Wire::new(buffer);
        let (ws, reader) = WebSocket::new(&mut opened(config, &wire), heads(), None);
        let ws = Arc::new(ws);
        let connection = Arc::clone(ws.connection());
        let reader = thread::spawn(move || {
            let queue = Arc::clone(connection.queue());
            drop(connection);
            queue.serve(reader);
        });
        Model { ws, wire, reader }
    }

    fn spawn<T: Send + 'static>(
        &self,
        f: impl FnOnce(&WebSocket) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let ws = Arc::clone(&self.ws);
        thread::spawn(move || f(&ws))
    }

    fn peer(&self, f: impl FnOnce(&mut Peer) + Send + 'static) -> JoinHandle<Vec<Frame>> {
        wire::peer(&self.wire, f)
    }

    /// Sends messages of one byte each, until one fails.
    fn sender(&self, numbers: &'static [u8]) -> JoinHandle<Sent> {
        self.spawn(|ws| send(ws, numbers))
    }

    /// Takes all until the end.
    fn consumer(&self) -> JoinHandle<Vec<u8>> {
        self.spawn(receive)
    }

    /// After the reader has ended.
    fn end(self, peer: JoinHandle<Vec<Frame>>) -> End {
        join(self.reader);
        let frames = join(peer);
        let connection = self.ws.connection();
        let end = connection.end().expect("the reader has ended").clone();
        assert!(connection.wait_for_end(None));
        while connection.lock_send().writing {
            // The timer's thread.
            thread::yield_now();
        }
        let path = connection.lock_send();
        assert!(path.waiting == 0 && path.in_flight == 0);
        assert!(path.dead.is_some() && path.outbound.is_empty());
        drop(path);
        let stats = self.ws.queue().stats();
        let taken = stats.delivered + stats.dropped;
        assert_eq!(stats.received, taken + connection.queue().len() as u64);
        connection.queue().clear();
        assert_eq!(
            (connection.queue().len(), connection.queue().bytes()),
            (0, 0)
        );
        End {
            closed: Closed::clone(&end.closed),
            error: end.error,
            frames,
        }
    }
}

fn opened(config: Config, wire: &Arc<Wire>) -> Opened {
    Opened {
        role: Role::Server,
        config: Arc::new(config),
        transport: Arc::clone(wire) as _,
        tls: None,
        ended: false,
        rest: Vec::new(),
        deflate: None,
        outlet: None,
        on_pong: OnPong::default(),
        place: None,
    }
}

fn heads() -> Heads {
    Heads {
        request: Box::new(Request::new(())),
        response: Head::from_bytes(Vec::new()),
    }
}

/// What a sender knows.
#[derive(Debug)]
struct Sent {
    accepted: Vec<u8>,
    /// Why it went no further.
    error: Option<Error>,
    /// It got the message back that failed.
    handed_back: Option<u8>,
}

fn send(ws: &WebSocket, numbers: &[u8]) -> Sent {
    let mut sent = Sent {
        accepted: Vec::new(),
        error: None,
        handed_back: None,
    };
    for n in numbers {
        match ws.send(vec![*n]) {
            Ok(()) => sent.accepted.push(*n),
            Err(failed) => {
                sent.handed_back = failed.message.map(number);
                sent.error = Some(failed.error);
                break;
            }
        }
    }
    sent
}

fn receive(ws: &WebSocket) -> Vec<u8> {
    let all = std::iter::from_fn(|| ws.recv().ok().map(number)).collect();
    assert!(ws.closed().is_some(), "who gets no more knows why");
    all
}

fn number(message: Message) -> u8 {
    message.into_bytes()[0]
}

fn join<T>(handle: JoinHandle<T>) -> T {
    handle.join().unwrap()
}

/// How it ended, and what the peer got.
#[derive(Debug)]
struct End {
    closed: Closed,
    error: Option<Error>,
    frames: Vec<Frame>,
}

impl End {
    fn messages(&self) -> Vec<u8> {
        wire::messages(&self.frames)
    }

    /// What was accepted is what was sent, and Close was the last frame.
    fn assert_clean(&self, sent: &[Sent]) {
        assert!(self.error.is_none(), "{self:?}");
        assert_eq!(self.closed.unsent, 0);
        assert!(self.frames.last().is_some_and(Frame::is_close), "{self:?}");
        self.assert_kept(sent);
        for sender in sent {
            let seen = self.seen_of(sender);
            assert_eq!(seen, sender.accepted, "{self:?}");
        }
    }

    /// Nothing was lost without being counted, sent twice, or sent behind Close.
    fn assert_kept(&self, sent: &[Sent]) {
        let closes = self.frames.iter().filter(|frame| frame.is_close()).count();
        assert!(closes <= 1, "{self:?}");
        if closes == 1 {
            assert!(self.frames.last().is_some_and(Frame::is_close), "{self:?}");
        }
        let mut accepted = 0;
        let mut seen = 0;
        for sender in sent {
            let ours = self.seen_of(sender);
            assert!(ours.is_sorted_by(|a, b| a < b), "{self:?}");
            let whole = ours.len().min(sender.accepted.len());
            assert_eq!(ours[..whole], sender.accepted[..whole], "{self:?}");
            let back = sender.handed_back;
            assert!(back.is_none_or(|n| !ours.contains(&n)), "{self:?}");
            accepted += sender.accepted.len();
            seen += whole;
        }
        assert!(accepted <= seen + self.closed.unsent, "{self:?} {sent:?}");
    }

    /// The messages of one sender: their tens are the same.
    fn seen_of(&self, sender: &Sent) -> Vec<u8> {
        let mut known = sender.accepted.iter().chain(&sender.handed_back);
        let Some(tens) = known.next().map(|n| n / 10) else {
            return Vec::new();
        };
        let mut all = self.messages();
        all.retain(|n| n / 10 == tens);
        all
    }

    fn sent_code(&self) -> Option<CloseCode> {
        self.closed.sent.as_ref().map(|frame| frame.code)
    }
}
