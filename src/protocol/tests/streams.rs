//! Streams of frames for the properties: right ones, damaged ones, and noise.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

/// A message, how its sender cuts it, and the control frames that go between the fragments.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) message: Message,
    cuts: Vec<Index>,
    pub(super) controls: Vec<Control>,
}

/// A ping or a pong.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub(super) is_ping: bool,
    pub(super) payload: Vec<u8>,
}

impl Step {
    /// The payload in fragments: one more than there are cuts.
    pub(super) fn fragments(&self) -> Vec<&[u8]> {
        let bytes = self.message.as_bytes();
        let mut ends: Vec<_> = self
            .cuts
            .iter()
            .map(|cut| cut.index(bytes.len() + 1))
            .collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        let mut start = 0;
        let cut = |end| &bytes[std::mem::replace(&mut start, end)..end];
        ends.into_iter().map(cut).collect()
    }

    /// What a receiver makes of it: a control frame follows each fragment but the last, and what
    /// is left of them the message.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events: Vec<_> = self.controls.iter().map(Control::event).collect();
        let between = self.cuts.len().min(events.len());
        events.insert(between, Event::Message(self.message.clone()));
        events
    }

    /// As frames to `role`.
    pub(super) fn encode(&self, role: Role) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut controls = self.controls.iter().map(|control| control.encode(role));
        let kind = if self.message.is_text() { 1 } else { 2 };
        let fragments = self.fragments();
        for (i, fragment) in fragments.iter().enumerate() {
            let last = i + 1 == fragments.len();
            let opcode = if i == 0 { kind } else { 0 };
            bytes.extend(frame(role, opcode | u8::from(last) << 7, fragment));
            if !last {
                bytes.extend(controls.next().unwrap_or_default());
            }
        }
        controls.for_each(|control| bytes.extend(control));
        bytes
    }
}

impl Control {
    fn event(&self) -> Event {
        match self.is_ping {
            true => ping(&self.payload),
            false => pong(&self.payload),
        }
    }

    fn encode(&self, role: Role) -> Vec<u8> {
        frame(role, if self.is_ping { 0x89 } else { 0x8a }, &self.payload)
    }
}

pub(super) fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(&ROLES[..])
}

/// Mostly short, sometimes in a longer form of length.
fn message() -> impl Strategy<Value = Message> {
    let repeated = |(byte, length): (u8, usize)| Message::from(vec![byte; length]);
    prop_oneof![
        6 => any::<String>().prop_map(Message::from),
        6 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Message::from),
        2 => (any::<u8>(), 120..140_usize).prop_map(repeated),
        1 => "[a-z€]{100,200}".prop_map(Message::from),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    let payload = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..5),
        1 => prop::collection::vec(any::<u8>(), 125),
    ];
    (any::<bool>(), payload).prop_map(|(is_ping, payload)| Control { is_ping, payload })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let cuts = prop::collection::vec(any::<Index>(), 0..4);
    let controls = prop::collection::vec(control(), 0..3);
    (message(), cuts, controls).prop_map(|(message, cuts, controls)| Step {
        message,
        cuts,
        controls,
    })
}

/// Messages that need each form of length, in one to five frames.
pub(super) fn long_step() -> impl Strategy<Value = Step> {
    let length = prop::sample::select(&[65_535, 65_536, 70_001][..]);
    (step(), length, any::<u8>()).prop_map(|(step, length, byte)| Step {
        message: Message::from(vec![byte; length]),
        ..step
    })
}

/// A Close frame's code, mostly one that may be sent, and its reason.
fn close_body() -> impl Strategy<Value = (u16, String)> {
    let code = prop_oneof![
        3 => prop::sample::select(&[1000, 1001, 1011, 1014, 3000, 4999][..]),
        1 => prop::sample::select(&[0, 999, 1004, 1005, 1006, 1015, 2999, 5000][..]),
    ];
    (code, "[ -~€]{0,9}")
}

/// Frames to `role` that are right, now and then with a Close frame.
pub(super) fn right(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let end = prop_oneof![
        2 => Just(Vec::new()),
        1 => Just(frame(role, 0x88, b"")),
        2 => close_body().prop_map(move |(code, reason)| close_frame(role, code, reason.as_bytes())),
    ];
    let steps = prop::collection::vec(step(), 0..5);
    (steps, end, prop::option::weighted(0.3, step())).prop_map(move |(steps, end, after)| {
        let mut bytes: Vec<u8> = steps.iter().flat_map(|step| step.encode(role)).collect();
        bytes.extend(end);
        bytes.extend(after.iter().flat_map(|step| step.encode(role)));
        bytes
    })
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(u8),
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
}

/// The same with single bits and bytes changed, added or lost.
pub(super) fn damaged(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let damage = prop_oneof![
        8 => (0..8_u8).prop_map(|bit| Damage::Flip(1 << bit)),
        4 => any::<u8>().prop_map(Damage::Set),
        2 => any::<u8>().prop_map(Damage::Insert),
        2 => Just(Damage::Remove),
        1 => Just(Damage::Cut),
    ];
    let damages = prop::collection::vec((any::<Index>(), damage), 1..4);
    (right(role), damages).prop_map(|(mut bytes, damages)| {
        for (index, damage) in damages {
            let at = index.index(bytes.len().max(1));
            match (damage, bytes.get_mut(at)) {
                (Damage::Flip(bit), Some(byte)) => *byte ^= bit,
                (Damage::Set(new), Some(byte)) => *byte = new,
                (Damage::Insert(new), _) => bytes.insert(at, new),
                (Damage::Remove, Some(_)) => drop(bytes.remove(at)),
                (Damage::Cut, _) => bytes.truncate(at),
                (_, None) => {}
            }
        }
        bytes
    })
}

/// Frames that are well formed, in an order that mostly is not.
pub(super) fn disordered(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(
        &[
            0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x00, 0x80, 0x89, 0x8a, 0x88,
        ][..],
    );
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        "[a-zéα€🦀]{0,4}".prop_map(String::into_bytes),
        prop::collection::vec(
            prop::sample::select(&b"\xe2\x82\xac\xf0\x9f\xa6\x80a"[..]),
            0..4
        ),
    ];
    prop::collection::vec((first, payload), 0..8).prop_map(move |frames| {
        let encode = |(first, payload): (u8, Vec<u8>)| frame(role, first, &payload);
        frames.into_iter().flat_map(encode).collect()
    })
}

/// Headers and bytes of any kind.
pub(super) fn noise(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0..200_u64, 65_530..65_540_u64, any::<u64>()];
    let header = (any::<u8>(), length).prop_map(move |(first, length)| header(role, first, length));
    let piece = prop_oneof![header, prop::collection::vec(any::<u8>(), 0..12)];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Any of them.
pub(super) fn any_stream() -> impl Strategy<Value = (Role, Vec<u8>)> {
    role().prop_flat_map(|role| {
        let bytes = prop_oneof![
            2 => right(role),
            6 => damaged(role),
            2 => disordered(role),
            1 => noise(role),
        ];
        (Just(role), bytes)
    })
}
