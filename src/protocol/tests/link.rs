//! Two endpoints joined by a virtual link, in virtual time; pings and deadlines.

use super::*;
use crate::close::{CloseCode, Closed, Initiator};
use std::collections::VecDeque;
use std::time::Duration;

pub(super) const DELAY: Duration = Duration::from_millis(50);
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a connection makes of the two halves of the protocol.
pub(super) struct Endpoint {
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    unread: Vec<u8>,
    pub(super) messages: Vec<Message>,
    pub(super) failure: Option<Error>,
    /// Taken by the writer, not yet by the link.
    writing: Vec<u8>,
    /// How many bytes the link takes at a time.
    pub(super) room: usize,
    /// All that the link took.
    pub(super) written: Vec<u8>,
}

impl Endpoint {
    fn new(role: Role) -> Self {
        Endpoint {
            inbound: Inbound::new(role, limits(1 << 20, 1 << 16, 100), None),
            outbound: Outbound::new(role),
            unread: Vec::new(),
            messages: Vec::new(),
            failure: None,
            writing: Vec::new(),
            room: usize::MAX,
            written: Vec::new(),
        }
    }

    pub(super) fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.unread.extend_from_slice(bytes);
        loop {
            match self.inbound.event(&mut self.unread, now) {
                Ok((n, event)) => {
                    self.unread.drain(..n);
                    match event {
                        Some(event) => self.take(event, now),
                        None => return,
                    }
                }
                Err(error) => self.fail(error, now),
            }
        }
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Message(message) => self.messages.push(message),
            Event::Ping(payload) => self.outbound.answer(payload, !self.writing.is_empty()),
            Event::Pong(_) => {}
            Event::Close(frame) => self.outbound.receive_close(frame, now, Some(CLOSE_TIMEOUT)),
        }
    }

    fn fail(&mut self, error: Error, now: Instant) {
        self.close(error.close_code().expect("the peer's fault"), now);
        self.failure = Some(error);
    }

    fn close(&mut self, code: CloseCode, now: Instant) {
        let reason = "".into();
        self.outbound
            .close(CloseFrame { code, reason }, now, Some(CLOSE_TIMEOUT));
    }

    pub(super) fn write(&mut self) -> Vec<u8> {
        if self.writing.is_empty() {
            self.writing = take(&mut self.outbound);
        }
        let rest = self.writing.split_off(self.room.min(self.writing.len()));
        let bytes = std::mem::replace(&mut self.writing, rest);
        self.written.extend_from_slice(&bytes);
        bytes
    }

    /// The payloads that were written in frames of this first byte.
    pub(super) fn written(&self, first: u8) -> Vec<Vec<u8>> {
        let frames = frames(&self.written).into_iter();
        frames
            .filter(|frame| frame.0 == first)
            .map(|frame| frame.1)
            .collect()
    }
}

/// One direction, with a delay: in order, in pieces of any size.
pub(super) struct Wire {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    random: u64,
}

impl Wire {
    fn new(seed: u64) -> Self {
        let pieces = VecDeque::new();
        Wire {
            pieces,
            random: seed | 1,
        }
    }

    pub(super) fn send(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            // Xorshift: the same pieces for the same seed.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let size = 1 + self.random as usize % 9;
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            self.pieces.push_back((now + DELAY, piece.to_vec()));
            bytes = rest;
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.pieces.front().map(|(at, _)| *at)
    }
}

pub(super) struct Link {
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) to_client: Wire,
    pub(super) to_server: Wire,
    pub(super) now: Instant,
}

impl Link {
    pub(super) fn new(seed: u64) -> Self {
        Link {
            client: Endpoint::new(Role::Client),
            server: Endpoint::new(Role::Server),
            to_client: Wire::new(seed),
            to_server: Wire::new(!seed),
            now: Instant::now(),
        }
    }

    /// Lets both write, and lets time pass, until nothing is under way. Returns how long that took.
    pub(super) fn run(&mut self) -> Duration {
        let start = self.now;
        self.write();
        while let Some(at) = [&self.to_client, &self.to_server]
            .into_iter()
            .filter_map(Wire::next_arrival)
            .min()
        {
            self.now = at;
            for (wire, endpoint) in [
                (&mut self.to_client, &mut self.client),
                (&mut self.to_server, &mut self.server),
            ] {
                if wire.next_arrival() == Some(at) {
                    let (_, piece) = wire.pieces.pop_front().unwrap();
                    endpoint.receive(&piece, at);
                }
            }
            self.write();
        }
        self.now - start
    }

    pub(super) fn write(&mut self) {
        self.to_server.send(&self.client.write(), self.now);
        self.to_client.send(&self.server.write(), self.now);
    }

    pub(super) fn close_client(&mut self, code: CloseCode) {
        self.client.close(code, self.now);
    }

    pub(super) fn close_server(&mut self, code: CloseCode) {
        self.server.close(code, self.now);
    }

    /// How both ended, after one Close frame each way.
    pub(super) fn closed(&self) -> (Closed, Closed) {
        for endpoint in [&self.client, &self.server] {
            assert_eq!(endpoint.written(0x88).len(), 1, "one Close frame");
            assert!(!endpoint.outbound.is_open());
        }
        (
            self.client.outbound.closed().clone(),
            self.server.outbound.closed().clone(),
        )
    }
}

/// Runs with several sizes of pieces.
pub(super) fn for_each_link(test: impl Fn(Link)) {
    (1..30)
        .map(|seed| Link::new(seed * 0x9e37_79b9))
        .for_each(test);
}

pub(super) fn closed(received: u16, sent: u16, initiator: Initiator) -> Closed {
    let frame = |code: u16| {
        let (code, reason) = (code.into(), "".into());
        Some(CloseFrame { code, reason })
    };
    Closed {
        received: frame(received),
        sent: frame(sent),
        initiator: Some(initiator),
        ..Closed::default()
    }
}

#[test]
fn every_ping_is_answered_in_order_while_the_writer_keeps_up() {
    for_each_link(|mut link| {
        let payloads: Vec<_> = (0..50_u8).map(|i| vec![i; i.into()]).collect();
        payloads
            .iter()
            .for_each(|payload| link.client.outbound.ping(payload));
        link.run();
        assert_eq!(link.server.written(0x8a), payloads);
    });
}

#[test]
fn a_ping_flood_with_a_stalled_writer_keeps_the_newest_pong() {
    let mut link = Link::new(7);
    link.server.outbound.message(&Message::from(vec![0; 1000]));
    link.server.room = 100;
    link.write();
    link.server.room = 0;
    for i in 0..5000_u32 {
        link.client.outbound.ping(&i.to_be_bytes());
    }
    link.run();
    assert_eq!(link.server.outbound.len(), 0, "nothing piles up");
    assert!(!link.server.outbound.is_empty(), "one pong is due");
    link.server.room = usize::MAX;
    link.run();
    assert_eq!(link.server.written(0x8a), [4999_u32.to_be_bytes()]);
    assert!(link.server.outbound.is_empty());
}

#[test]
fn the_message_deadline_counts_from_the_first_frame() {
    let mut link = Link::new(5);
    let deadline = |link: &Link| {
        let begun = link.server.inbound.message_begun();
        begun.map(|begun| begun + MESSAGE_TIMEOUT)
    };
    link.client.outbound.message(&Message::from("whole"));
    link.run();
    assert_eq!(deadline(&link), None, "none is in progress");
    link.client
        .outbound
        .fragment(&fragment(MessageKind::Binary, true, false, b"1"));
    link.run();
    let expected = Some(link.now + MESSAGE_TIMEOUT);
    assert_eq!(deadline(&link), expected);
    for payload in [&b"2"[..], b"", b"4"] {
        link.now += Duration::from_secs(9);
        link.client.outbound.ping(b"");
        link.client
            .outbound
            .fragment(&fragment(MessageKind::Binary, false, false, payload));
        link.run();
        assert_eq!(deadline(&link), expected, "later frames do not move it");
    }
    link.client
        .outbound
        .fragment(&fragment(MessageKind::Binary, false, true, b"5"));
    link.run();
    assert_eq!(deadline(&link), None, "the message has come");
    link.client
        .outbound
        .fragment(&fragment(MessageKind::Text, true, false, b""));
    link.run();
    assert_eq!(
        deadline(&link),
        Some(link.now + MESSAGE_TIMEOUT),
        "another one begins"
    );
}

#[test]
fn the_message_deadline_counts_for_one_frame_that_comes_slowly() {
    let mut link = Link::new(5);
    link.client.outbound.message(&Message::from("slow"));
    link.client.room = 7;
    link.run();
    assert_eq!(link.server.messages, [Message::from("slow")]);
    assert_eq!(link.server.inbound.message_begun(), None);

    let bytes = frame(Role::Server, 0x82, b"slow");
    let start = link.now;
    for byte in &bytes[..bytes.len() - 1] {
        link.server.receive(&[*byte], link.now);
        link.now += Duration::from_secs(1);
    }
    // The header was complete with its sixth byte.
    let begun = link.server.inbound.message_begun();
    assert_eq!(begun, Some(start + Duration::from_secs(5)));
}
