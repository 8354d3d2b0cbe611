//! A decoder that hands on pieces, fed as a reader does it.

use super::*;
use crate::message::MessageKind;
use crate::protocol::PieceEnd;

/// What a sink that takes pieces was given, and what the steps between said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Came {
    Whole(Message),
    Piece(Piece),
    Other(Event),
}

/// Takes what it gets, and says that it wants more or not.
pub(super) struct Taking {
    pub(super) came: Vec<Came>,
    pub(super) wants_more: bool,
}

impl Sink for Taking {
    fn push(&mut self, message: Message) -> bool {
        self.came.push(Came::Whole(message));
        self.wants_more
    }

    fn room(&self) -> (usize, usize) {
        match self.wants_more {
            true => (usize::MAX, usize::MAX),
            false => (1, usize::MAX),
        }
    }

    fn push_all(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        messages.fold(true, |_, message| self.push(message))
    }

    fn push_piece(&mut self, piece: Piece) -> bool {
        self.came.push(Came::Piece(piece));
        self.wants_more
    }
}

/// Feeds a decoder that hands on pieces, as a reader does.
pub(super) struct Streaming {
    pub(super) inbound: Inbound,
    pub(super) sink: Taking,
    left: Vec<u8>,
    pub(super) failure: Option<Failure>,
    pub(super) now: Instant,
}

impl Streaming {
    pub(super) fn new(role: Role, limits: &Limits, above: usize) -> Self {
        Streaming::of(Inbound::new(role, limits.clone(), Some(above)))
    }

    pub(super) fn of(inbound: Inbound) -> Self {
        Streaming {
            inbound,
            sink: Taking {
                came: Vec::new(),
                wants_more: true,
            },
            left: Vec::new(),
            failure: None,
            now: Instant::now(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.failure.is_some()
            || (self.sink.came.iter()).any(|came| matches!(came, Came::Other(Event::Close(_))))
    }

    /// What one read brought.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        let mut unread = std::mem::take(&mut self.left);
        unread.extend_from_slice(piece);
        let mut start = 0;
        loop {
            let over = self.is_over();
            let before = self.sink.came.len();
            let rest = &mut unread[start..];
            let length = rest.len();
            let (n, step) = match self.inbound.receive(rest, self.now, &mut self.sink) {
                Ok(received) => received,
                Err(error) => {
                    assert!(!over, "nothing fails after the end");
                    self.failure = Some(error.into());
                    continue;
                }
            };
            start += n;
            match step {
                Step::More => {
                    assert!(!over || (n, self.sink.came.len()) == (length, before));
                    break;
                }
                Step::Full => assert!(!self.sink.wants_more),
                Step::Ping(payload) => self.sink.came.push(Came::Other(Event::Ping(payload))),
                Step::Pong(payload) => self.sink.came.push(Came::Other(Event::Pong(payload))),
                Step::Close(frame) => self.sink.came.push(Came::Other(Event::Close(frame))),
            }
        }
        self.left = unread[start..].to_vec();
    }

    /// The events as if nothing had come in pieces, and what came of a message that did not end.
    pub(super) fn joined(&self) -> (Outcome, Option<Message>) {
        let mut events = Vec::new();
        let mut begun: Option<(MessageKind, Vec<u8>)> = None;
        for came in &self.sink.came {
            match came {
                Came::Other(event) => events.push(event.clone()),
                Came::Whole(message) => {
                    assert_eq!(begun, None, "a message within another");
                    events.push(Event::Message(message.clone()));
                }
                Came::Piece(piece) => {
                    assert_eq!(piece.first, begun.is_none(), "{piece:?}");
                    let (kind, payload) = begun.get_or_insert((piece.kind, Vec::new()));
                    assert_eq!(piece.kind, *kind);
                    payload.extend_from_slice(&piece.payload);
                    match piece.end {
                        PieceEnd::More => assert!(!piece.payload.is_empty()),
                        PieceEnd::Last => events.extend(begun.take().map(whole)),
                        PieceEnd::Torn => panic!("only a queue tears messages"),
                    }
                }
            }
        }
        let outcome = Outcome {
            events,
            failure: self.failure,
            left: self.left.clone(),
        };
        (outcome, begun.map(|(_, payload)| Message::from(payload)))
    }

    pub(super) fn pieces(&self) -> Vec<&Piece> {
        let came = self.sink.came.iter();
        came.filter_map(|came| match came {
            Came::Piece(piece) => Some(piece),
            _ => None,
        })
        .collect()
    }
}

fn whole((kind, payload): (MessageKind, Vec<u8>)) -> Event {
    Event::Message(match kind {
        MessageKind::Text => {
            Message::from(String::from_utf8(payload).expect("text in pieces is text"))
        }
        MessageKind::Binary => Message::from(payload),
    })
}

pub(super) fn stream<'a>(
    role: Role,
    limits: &Limits,
    above: usize,
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> Streaming {
    let mut streaming = Streaming::new(role, limits, above);
    reads.into_iter().for_each(|read| streaming.feed(read));
    streaming
}
