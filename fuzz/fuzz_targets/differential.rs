//! The decoder beside tungstenite's: the same messages and the same verdict, but for what
//! [`is_meant`] lists; src/protocol/tests/differential.rs shows each of these.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::protocol::{WebSocket, WebSocketConfig};
use wsync::internals::codec::{Event, Side};
use wsync::{CloseCode, Message, ProtocolError};
use wsync_fuzz::{Failure, Input, Outcome, Setting, limits};

/// Above what a control frame may hold, and below most lengths of 16 bits.
const MESSAGE: usize = 700;
const FRAME: usize = 400;
const MAX_HEADER: usize = 14;

/// What was received, in neither library's types.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// For more bytes.
    Waiting,
    Closed,
    /// With the close code that fits.
    Refused(u16),
}

fn seen(event: Event) -> Seen {
    match event {
        Event::Message(Message::Text(text)) => Seen::Text(text.to_string()),
        Event::Message(message) => Seen::Binary(message.as_bytes().to_vec()),
        Event::Piece { .. } => panic!("not asked for"),
        Event::Ping(bytes) => Seen::Ping(bytes.into()),
        Event::Pong(bytes) => Seen::Pong(bytes.into()),
        Event::Close(frame) if frame.code == CloseCode::NO_STATUS => Seen::Close(None),
        Event::Close(frame) => Seen::Close(Some((frame.code.into(), frame.reason.to_string()))),
    }
}

fn end(outcome: &Outcome) -> End {
    match outcome.failure {
        Some(Failure::Protocol(e)) => End::Refused(e.close_code().into()),
        Some(Failure::TooBig { .. }) => End::Refused(1009),
        None if outcome.is_over() => End::Closed,
        None => End::Waiting,
    }
}

/// Bytes to read, after which a read would block; what is written is lost.
struct Tape<'a>(&'a [u8]);

impl Read for Tape<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Tape<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Referee<'a> {
    socket: WebSocket<Tape<'a>>,
    seen: Vec<Seen>,
    end: End,
}

impl<'a> Referee<'a> {
    fn new(side: Side, bytes: &'a [u8]) -> Self {
        let role = match side {
            Side::Client => tungstenite::protocol::Role::Client,
            Side::Server => tungstenite::protocol::Role::Server,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(512)
            .max_message_size(Some(MESSAGE))
            .max_frame_size(Some(FRAME));
        let mut referee = Referee {
            socket: WebSocket::from_raw_socket(Tape(bytes), role, Some(config)),
            seen: Vec::new(),
            end: End::Waiting,
        };
        referee.read();
        referee
    }

    /// Reads up to a Close frame or a refusal.
    fn read(&mut self) {
        while self.end == End::Waiting {
            let seen = match self.socket.read() {
                Ok(tungstenite::Message::Text(text)) => Seen::Text(text.to_string()),
                Ok(tungstenite::Message::Binary(bytes)) => Seen::Binary(bytes.into()),
                Ok(tungstenite::Message::Ping(bytes)) => Seen::Ping(bytes.into()),
                Ok(tungstenite::Message::Pong(bytes)) => Seen::Pong(bytes.into()),
                Ok(tungstenite::Message::Close(frame)) => {
                    self.end = End::Closed;
                    Seen::Close(frame.map(|f| (f.code.into(), f.reason.to_string())))
                }
                Ok(other) => panic!("never read: {other:?}"),
                Err(tungstenite::Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => {
                    self.end = End::Refused(code_of(&e));
                    return;
                }
            };
            self.seen.push(seen);
        }
    }

    /// Whether it refuses as well when the frame goes on, and gives nothing before.
    fn is_late(&mut self) -> bool {
        let before = self.seen.len();
        for _ in 0..FRAME + MAX_HEADER {
            self.socket.get_mut().0 = &[1];
            self.read();
            if self.end != End::Waiting {
                break;
            }
        }
        matches!(self.end, End::Refused(_)) && self.seen.len() == before
    }

    /// Whether it met a close code that it does not know.
    fn ends_in_violation_after(&self, before: &[Seen]) -> bool {
        let violation = Seen::Close(Some((1002, "Protocol violation".to_owned())));
        self.end == End::Closed && self.seen.split_last() == Some((&violation, before))
    }
}

fn code_of(error: &tungstenite::Error) -> u16 {
    match error {
        tungstenite::Error::Protocol(_) => 1002,
        tungstenite::Error::Utf8(_) => 1007,
        tungstenite::Error::Capacity(_) => 1009,
        other => panic!("not an error of the protocol: {other:?}"),
    }
}

/// Whether the two differ in one of these:
/// - both refuse, with another code: we call a length of 2^63 or more a broken rule, and of several
///   things that are wrong the other may see another first;
/// - we refuse at the first byte that tells, the referee at the end of the header or the frame;
/// - we take the close code 1014, and fail the connection at one that must not be sent, where the
///   referee gives a Close frame of its own making;
/// - we refuse a length in a longer form than needed, which the referee takes.
fn is_meant(ours: &[Seen], failure: Option<Failure>, end: End, referee: &mut Referee<'_>) -> bool {
    use ProtocolError::{BadCloseCode, ControlTooLong, LengthForm};
    let same = ours == referee.seen;
    match (end, referee.end) {
        (End::Refused(_), End::Refused(_)) if same => return true,
        (End::Refused(_), End::Waiting) if same && referee.is_late() => return true,
        (End::Closed, End::Closed) => {
            return ours.split_last().is_some_and(|(last, before)| {
                matches!(last, Seen::Close(Some((1014, _))))
                    && referee.ends_in_violation_after(before)
            });
        }
        _ => {}
    }
    match failure {
        Some(Failure::Protocol(BadCloseCode(_))) => referee.ends_in_violation_after(ours),
        Some(Failure::Protocol(LengthForm | ControlTooLong)) => referee.seen.starts_with(ours),
        _ => false,
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let side = match input.byte() & 1 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let limits = limits(MESSAGE, Some(FRAME), usize::MAX);
    let outcome = Setting::new(side, limits).decode([input.rest()]);
    let mut referee = Referee::new(side, input.rest());
    let (end, failure) = (end(&outcome), outcome.failure);
    let ours: Vec<Seen> = outcome.events.into_iter().map(seen).collect();
    assert!(
        (&ours, end) == (&referee.seen, referee.end) || is_meant(&ours, failure, end, &mut referee),
        "{ours:?} {end:?} {failure:?}\n{:?} {:?}",
        referee.seen,
        referee.end
    );
});
