//! The decoder beside tungstenite's: the same messages and the same verdict, but for what
//! [`Difference`] and [`difference`] list.

use super::streams::any_stream;
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::protocol::{WebSocket, WebSocketConfig};

/// Above what a control frame may hold, and below most lengths of 16 bits.
const MESSAGE: usize = 700;
const FRAME: usize = 400;

/// Why the two may not agree. Each is meant, and has a test that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// We refuse a length in a longer form than needed (section 5.2), also one of a control frame,
    /// which needs no longer form; the referee takes them.
    LongForm,
    /// We refuse at the first byte that tells; the referee waits for the whole header, and mostly
    /// for the whole frame.
    Late,
    /// We fail the connection at a close code that must not be sent (section 7.4); the referee
    /// gives a Close frame of its own making, with 1002.
    CloseCode,
    /// We take 1014, which IANA registered; to the referee it is a code as above.
    BadGateway,
    /// Both refuse, for reasons of which the frame has several, or which have another name: we
    /// call a length of 2^63 or more a broken rule, the referee too big.
    OtherReason,
}

/// The difference that explains two verdicts, if one does.
///
/// Three more cannot come up in the property, and are only shown by their tests:
/// - after the peer's Close frame we discard everything; the referee, which as a client reads on,
///   refuses it (the verdicts end at that frame);
/// - we bound the number of fragments (no stream comes near the bound);
/// - our limit on frames is for data, the referee's also for control frames ([`FRAME`] leaves room
///   for them).
fn difference(ours: &Verdict, referee: &mut Referee) -> Option<Difference> {
    use ProtocolError::{BadCloseCode, ControlTooLong, LengthForm};
    let theirs = referee.verdict.clone();
    let same = ours.seen == theirs.seen;
    match (ours.end, theirs.end) {
        (End::Refused(_), End::Refused(_)) if same => return Some(Difference::OtherReason),
        (End::Refused(_), End::Waiting) if same && referee.is_late() => {
            return Some(Difference::Late);
        }
        (End::Closed, End::Closed) => {
            let (last, before) = ours.seen.split_last()?;
            let gateway = matches!(last, Seen::Close(Some((1014, _))));
            return (gateway && theirs.ends_in_violation_after(before))
                .then_some(Difference::BadGateway);
        }
        _ => {}
    }
    match ours.failure? {
        Failure::Protocol(BadCloseCode(_)) => theirs
            .ends_in_violation_after(&ours.seen)
            .then_some(Difference::CloseCode),
        Failure::Protocol(LengthForm | ControlTooLong) => theirs
            .seen
            .starts_with(&ours.seen)
            .then_some(Difference::LongForm),
        _ => None,
    }
}

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

#[derive(Debug, Clone)]
struct Verdict {
    seen: Vec<Seen>,
    end: End,
    /// Why, if it is ours.
    failure: Option<Failure>,
}

impl Verdict {
    fn agrees(&self, other: &Verdict) -> bool {
        (&self.seen, self.end) == (&other.seen, other.end)
    }

    /// Whether this is the referee's at a close code that it does not know.
    fn ends_in_violation_after(&self, before: &[Seen]) -> bool {
        let violation = Seen::Close(Some((1002, "Protocol violation".to_owned())));
        self.end == End::Closed && self.seen.split_last() == Some((&violation, before))
    }
}

fn ours(role: Role, limits: &Limits, bytes: &[u8]) -> Verdict {
    let outcome = decode(role, limits, [bytes]);
    let code = |failure| match failure {
        Failure::Protocol(e) => e.close_code().into(),
        Failure::TooBig { .. } => 1009,
    };
    let end = match outcome.failure {
        Some(failure) => End::Refused(code(failure)),
        None if outcome.is_over() => End::Closed,
        None => End::Waiting,
    };
    let seen = |event| match event {
        Event::Message(Message::Text(text)) => Seen::Text(text.to_string()),
        Event::Message(Message::Binary(bytes)) => Seen::Binary(bytes.into()),
        Event::Ping(bytes) => Seen::Ping(bytes.into()),
        Event::Pong(bytes) => Seen::Pong(bytes.into()),
        Event::Close(frame) if frame == CloseFrame::no_status() => Seen::Close(None),
        Event::Close(frame) => Seen::Close(Some((frame.code.into(), frame.reason.to_string()))),
    };
    Verdict {
        seen: outcome.events.into_iter().map(seen).collect(),
        end,
        failure: outcome.failure,
    }
}

/// Bytes to read, after which a read would block; what is written is lost.
struct Tape(VecDeque<u8>);

impl Read for Tape {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Referee {
    socket: WebSocket<Tape>,
    verdict: Verdict,
}

impl Referee {
    fn new(role: Role, limits: &Limits) -> Self {
        let role = match role {
            Role::Client => tungstenite::protocol::Role::Client,
            Role::Server => tungstenite::protocol::Role::Server,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(512)
            .max_message_size(Some(limits.message))
            .max_frame_size(limits.frame);
        Referee {
            socket: WebSocket::from_raw_socket(Tape(VecDeque::new()), role, Some(config)),
            verdict: Verdict {
                seen: Vec::new(),
                end: End::Waiting,
                failure: None,
            },
        }
    }

    /// Reads up to a Close frame or a refusal.
    fn feed(&mut self, bytes: &[u8]) {
        self.socket.get_mut().0.extend(bytes);
        while self.verdict.end == End::Waiting {
            let seen = match self.socket.read() {
                Ok(tungstenite::Message::Text(text)) => Seen::Text(text.to_string()),
                Ok(tungstenite::Message::Binary(bytes)) => Seen::Binary(bytes.into()),
                Ok(tungstenite::Message::Ping(bytes)) => Seen::Ping(bytes.into()),
                Ok(tungstenite::Message::Pong(bytes)) => Seen::Pong(bytes.into()),
                Ok(tungstenite::Message::Close(frame)) => {
                    self.verdict.end = End::Closed;
                    Seen::Close(frame.map(|f| (f.code.into(), f.reason.to_string())))
                }
                Ok(other) => panic!("never read: {other:?}"),
                Err(tungstenite::Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => {
                    self.verdict.end = End::Refused(code_of(&e));
                    return;
                }
            };
            self.verdict.seen.push(seen);
        }
    }

    /// Whether it refuses as well when the frame goes on, and gives nothing before.
    fn is_late(&mut self) -> bool {
        let before = self.verdict.seen.len();
        for _ in 0..FRAME + MAX_HEADER {
            self.feed(&[1]);
            if self.verdict.end != End::Waiting {
                break;
            }
        }
        matches!(self.verdict.end, End::Refused(_)) && self.verdict.seen.len() == before
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

fn theirs(role: Role, limits: &Limits, bytes: &[u8]) -> Referee {
    let mut referee = Referee::new(role, limits);
    referee.feed(bytes);
    referee
}

fn room() -> Limits {
    limits(MESSAGE, FRAME, usize::MAX)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn both_give_the_same_but_for_the_listed_differences((role, bytes) in any_stream()) {
        let ours = ours(role, &room(), &bytes);
        let mut referee = theirs(role, &room(), &bytes);
        prop_assert!(
            ours.agrees(&referee.verdict) || difference(&ours, &mut referee).is_some(),
            "{ours:?}\n{:?}", referee.verdict
        );
    }
}

/// Bytes in hexadecimal to a client for which the two differ, and how; what we say; and what the
/// referee gives, and its end.
#[track_caller]
fn differ(bytes: &str, expected: Difference, failure: Option<Failure>, seen: &[Seen], end: End) {
    let bytes = hex(bytes);
    let ours = ours(Role::Client, &room(), &bytes);
    let mut referee = theirs(Role::Client, &room(), &bytes);
    assert_eq!(ours.failure, failure);
    assert_eq!(
        (&referee.verdict.seen[..], referee.verdict.end),
        (seen, end)
    );
    assert_eq!(difference(&ours, &mut referee), Some(expected));
}

#[test]
fn the_referee_takes_lengths_in_a_longer_form() {
    let seen = [Seen::Binary(vec![0x61])];
    let why = Some(ProtocolError::LengthForm.into());
    for bytes in ["82 7e 0001 61", "82 7f 0000000000000001 61"] {
        differ(bytes, Difference::LongForm, why, &seen, End::Waiting);
    }
    let seen = [Seen::Ping(vec![0x61])];
    let why = Some(ProtocolError::ControlTooLong.into());
    differ(
        "89 7e 0001 61",
        Difference::LongForm,
        why,
        &seen,
        End::Waiting,
    );
}

#[test]
fn the_referee_judges_late() {
    for (bytes, why) in [
        ("c1 05", ProtocolError::ReservedBits),
        ("83 7e", ProtocolError::BadOpcode(3)),
        ("81 85 00000000 68", ProtocolError::Masked),
        ("89 7e", ProtocolError::ControlTooLong),
        ("09 05", ProtocolError::FragmentedControl),
        ("80 05", ProtocolError::UnexpectedContinuation),
        ("01 01 61 82 05", ProtocolError::ExpectedContinuation),
        ("81 05 ff", ProtocolError::Utf8),
        ("01 01 f4 00 05 90", ProtocolError::Utf8),
    ] {
        differ(bytes, Difference::Late, Some(why.into()), &[], End::Waiting);
    }
    let message = [
        header(Role::Client, 0x02, 300),
        vec![0; 300],
        hex("00 7e 0191"),
    ]
    .concat();
    let ours = ours(Role::Client, &limits(MESSAGE, 500, 9), &message);
    assert_eq!(
        ours.failure,
        Some(Failure::TooBig {
            size: 701,
            limit: 700
        })
    );
    let mut referee = theirs(Role::Client, &limits(MESSAGE, 500, 9), &message);
    assert_eq!(difference(&ours, &mut referee), Some(Difference::Late));
}

#[test]
fn the_referee_answers_a_close_code_that_must_not_be_sent() {
    let seen = [Seen::Close(Some((1002, "Protocol violation".to_owned())))];
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        let why = Some(ProtocolError::BadCloseCode(code).into());
        let bytes = format!("88 04 {code:04x} 6869");
        differ(&bytes, Difference::CloseCode, why, &seen, End::Closed);
    }
}

#[test]
fn the_referee_does_not_know_the_close_code_1014() {
    let seen = [Seen::Close(Some((1002, "Protocol violation".to_owned())))];
    differ(
        "88 02 03f6",
        Difference::BadGateway,
        None,
        &seen,
        End::Closed,
    );
}

#[test]
fn the_referee_refuses_for_another_reason() {
    for (bytes, why, code) in [
        (
            "82 7f 8000000000000000",
            ProtocolError::LengthOverflow,
            1009,
        ),
        ("c2 7f 0000000000010000", ProtocolError::ReservedBits, 1009),
        ("88 03 03e7 ff", ProtocolError::BadCloseCode(999), 1007),
    ] {
        let end = End::Refused(code);
        differ(bytes, Difference::OtherReason, Some(why.into()), &[], end);
    }
}

#[test]
fn the_referee_as_a_client_refuses_what_comes_after_close() {
    let bytes = hex("88 02 03e8 81 01 61");
    let closed = Seen::Close(Some((1000, String::new())));
    let ours = ours(Role::Client, &room(), &bytes);
    assert_eq!((ours.seen, ours.end), (vec![closed.clone()], End::Closed));
    let mut referee = theirs(Role::Client, &room(), &bytes);
    assert_eq!(referee.verdict.seen, [closed]);
    assert!(matches!(
        referee.socket.read(),
        Err(tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ReceivedAfterClosing
        ))
    ));
}

#[test]
fn the_referee_takes_any_number_of_fragments() {
    let bytes = hex(&format!("02 00 {} 80 00", "00 00".repeat(1000)));
    let ours = ours(Role::Client, &limits(MESSAGE, FRAME, 1000), &bytes);
    assert_eq!(ours.end, End::Refused(1009));
    let referee = theirs(Role::Client, &limits(MESSAGE, FRAME, 1000), &bytes);
    assert_eq!(referee.verdict.seen, [Seen::Binary(Vec::new())]);
}

#[test]
fn the_referee_limits_control_frames_as_data() {
    let bytes = hex("89 05 48 65 6c 6c 6f");
    let ours = ours(Role::Client, &limits(4, 4, 9), &bytes);
    assert_eq!(ours.seen, [Seen::Ping(b"Hello".to_vec())]);
    let referee = theirs(Role::Client, &limits(4, 4, 9), &bytes);
    assert_eq!(referee.verdict.end, End::Refused(1009));
}
