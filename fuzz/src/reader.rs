//! A decoder fed as a reader feeds it, with what has to hold at each step.

use std::sync::LazyLock;
use std::time::Instant;
use wsync::internals::codec::{Event, Receiving, Side, Taking};
use wsync::{Error, Limits, MessageKind, ProtocolError};

/// An [`Error`] of the decoder that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Protocol(ProtocolError),
    TooBig { size: u64, limit: u64 },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(e) => Failure::Protocol(e),
            Error::TooBig { size, limit } => Failure::TooBig { size, limit },
            other => panic!("not an error of the decoder: {other:?}"),
        }
    }
}

/// Everything that a decoder said about some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub events: Vec<Event>,
    pub failure: Option<Failure>,
    /// How long the begin of a header is that waits for more.
    pub left: usize,
}

impl Outcome {
    /// Whether a Close frame or a failure ended it.
    pub fn is_over(&self) -> bool {
        self.failure.is_some() || matches!(self.events.last(), Some(Event::Close(_)))
    }

    /// As if nothing had come in pieces. What came of a message that did not end is checked and left
    /// out.
    pub fn joined(self, limits: &Limits) -> Outcome {
        let mut events = Vec::with_capacity(self.events.len());
        let mut begun: Option<(MessageKind, Vec<u8>)> = None;
        for event in self.events {
            let Event::Piece {
                kind,
                first,
                last,
                payload,
            } = event
            else {
                let whole = matches!(event, Event::Message(_));
                assert!(!whole || begun.is_none(), "a message within another");
                events.push(event);
                continue;
            };
            assert_eq!(first, begun.is_none(), "a message has one first piece");
            assert!(last || !payload.is_empty(), "an empty piece");
            let (of, bytes) = begun.get_or_insert_with(|| (kind, Vec::new()));
            assert_eq!(*of, kind);
            bytes.extend_from_slice(&payload);
            assert!(bytes.len() <= limits.message);
            if last {
                let message = match (kind, begun.take().unwrap_or((kind, Vec::new())).1) {
                    (MessageKind::Text, bytes) => String::from_utf8(bytes).expect("text").into(),
                    (_, bytes) => bytes.into(),
                };
                events.push(Event::Message(message));
            }
        }
        Outcome { events, ..self }
    }
}

/// Of a message, of a frame, and how many fragments.
pub fn limits(message: usize, frame: Option<usize>, fragments: usize) -> Limits {
    let mut limits = Limits::default();
    (limits.message, limits.frame, limits.fragments) = (message, frame, fragments);
    limits
}

/// How a stream is decoded.
#[derive(Debug, Clone)]
pub struct Setting {
    pub side: Side,
    pub limits: Limits,
    pub stream_above: Option<usize>,
    /// Compression was agreed on, with context takeover or without.
    pub inflating: Option<bool>,
    /// What the sink says after each message.
    pub wants_more: bool,
    pub room: (usize, usize),
    /// Large payloads are read to where they stay.
    pub direct: bool,
    /// Memory is given back between reads.
    pub shrinks: bool,
}

impl Setting {
    /// All comes at once, to a sink that takes everything.
    pub fn new(side: Side, limits: Limits) -> Self {
        Setting {
            side,
            limits,
            stream_above: None,
            inflating: None,
            wants_more: true,
            room: (usize::MAX, usize::MAX),
            direct: false,
            shrinks: false,
        }
    }

    /// What comes of the pieces.
    pub fn decode<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
        let mut reader = Reader::new(self);
        pieces.into_iter().for_each(|piece| reader.read(piece));
        reader.end()
    }
}

/// The longest header is 14 bytes.
const MAX_HEADER: usize = 14;

/// Space that may be lent for a message of which nothing has come, and the least allocation.
const AHEAD: usize = 64 << 10;
const FIRST: usize = 4 << 10;

/// Decodes one read after the other.
pub struct Reader<'s> {
    setting: &'s Setting,
    receiving: Receiving,
    taking: Taking,
    unread: Vec<u8>,
    failure: Option<Failure>,
    /// Bytes so far.
    came: usize,
}

impl<'s> Reader<'s> {
    pub fn new(setting: &'s Setting) -> Self {
        static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
        let (limits, above) = (setting.limits.clone(), setting.stream_above);
        let mut receiving = Receiving::new(setting.side, limits, above, *NOW);
        if let Some(takeover) = setting.inflating {
            receiving = receiving.inflating(takeover);
        }
        Reader {
            setting,
            receiving,
            taking: Taking {
                events: Vec::new(),
                wants_more: setting.wants_more,
                room: setting.room,
            },
            unread: Vec::new(),
            failure: None,
            came: 0,
        }
    }

    pub fn end(self) -> Outcome {
        assert!(!self.receiving.is_pending(), "all was asked for");
        Outcome {
            events: self.taking.events,
            failure: self.failure,
            left: self.unread.len(),
        }
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || matches!(self.taking.events.last(), Some(Event::Close(_)))
    }

    pub fn read(&mut self, mut piece: &[u8]) {
        self.came += piece.len();
        while self.setting.direct && self.unread.is_empty() && !piece.is_empty() {
            let Some(space) = self.receiving.space() else {
                break;
            };
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            piece = &piece[n..];
            if let Err(error) = self.receiving.fill(n, &mut self.taking) {
                self.failure = Some(error.into());
            }
            self.check_memory();
        }
        if !piece.is_empty() {
            self.receive(piece);
        }
        if self.setting.shrinks {
            self.receiving.shrink();
        }
    }

    fn receive(&mut self, piece: &[u8]) {
        self.unread.extend_from_slice(piece);
        let mut start = 0;
        loop {
            let rest = &mut self.unread[start..];
            let before = self.taking.events.len();
            let received = self.receiving.receive(rest, &mut self.taking);
            let gave = self.taking.events.len() > before;
            match received {
                Ok((n, true)) => {
                    start += n;
                    break;
                }
                Ok((n, false)) => {
                    assert!(n > 0 || gave, "no progress");
                    start += n;
                }
                Err(error) => {
                    assert_eq!(self.failure, None, "nothing fails after the end");
                    self.failure = Some(error.into());
                }
            }
            self.check_memory();
            if self.is_over() {
                self.check_discarding(start);
                return;
            }
        }
        self.check_memory();
        self.unread.drain(..start);
        assert!(self.unread.len() < MAX_HEADER, "only a header may wait");
    }

    /// All is discarded at the end.
    fn check_discarding(&mut self, start: usize) {
        let before = self.taking.events.len();
        let rest = &mut self.unread[start..];
        let length = rest.len();
        let received = self.receiving.receive(rest, &mut self.taking);
        assert!(matches!(received, Ok((n, true)) if n == length));
        assert_eq!(self.taking.events.len(), before);
        assert_eq!(self.receiving.held(), 0);
        assert!(!self.receiving.is_in_message());
        self.unread.clear();
    }

    /// Memory follows what came, within the limit of a message.
    fn check_memory(&self) {
        let (held, limit) = (self.receiving.held(), self.setting.limits.message);
        match self.setting.inflating {
            None => {
                let ahead = if self.setting.direct { AHEAD } else { 0 };
                assert!(held <= limit, "{held} held, above the limit of {limit}");
                assert!(held <= FIRST.max(2 * (self.came + ahead)), "{held} held");
            }
            Some(_) => assert!(held <= limit.saturating_add(AHEAD), "{held} held"),
        }
    }
}
