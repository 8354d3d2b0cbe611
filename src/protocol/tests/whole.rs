//! Messages that come whole are taken together.

use super::properties::{pieces, sizes, tiny_limits};
use super::streams::role;
use super::*;
use proptest::prelude::*;

/// Wants more always, but has room for so many at once.
struct Several {
    room: (usize, usize),
    came: Vec<Event>,
}

impl Sink for Several {
    fn push(&mut self, message: Message) -> bool {
        self.came.push(Event::Message(message));
        true
    }

    fn room(&self) -> (usize, usize) {
        self.room
    }

    fn push_all(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        let (most, most_bytes) = self.room;
        let (mut count, mut bytes) = (0, 0);
        for message in messages {
            assert!(count < most && bytes < most_bytes, "there is no room");
            (count, bytes) = (count + 1, bytes + message.len());
            self.push(message);
        }
        true
    }

    fn push_piece(&mut self, piece: Piece) -> bool {
        unreachable!("{piece:?} was not asked for")
    }
}

/// Decodes as a reader does whose queue has such room.
pub(super) fn decode_together<'a>(
    role: Role,
    limits: &Limits,
    room: (usize, usize),
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut inbound = Inbound::new(role, limits.clone(), None);
    let came = Vec::new();
    let mut sink = Several { room, came };
    let mut failure = None;
    let mut left = Vec::new();
    for piece in pieces {
        left.extend_from_slice(piece);
        loop {
            match inbound.receive(&mut left, Instant::now(), &mut sink) {
                Ok((n, step)) => {
                    left.drain(..n);
                    match step {
                        Step::More => break,
                        Step::Full => unreachable!("it always wants more"),
                        Step::Ping(payload) => sink.came.push(Event::Ping(payload)),
                        Step::Pong(payload) => sink.came.push(Event::Pong(payload)),
                        Step::Close(frame) => sink.came.push(Event::Close(frame)),
                    }
                }
                Err(error) => failure = Some(error.into()),
            }
        }
    }
    Outcome {
        events: sink.came,
        failure,
        left,
    }
}

#[test]
fn those_that_came_together_share_little_memory() {
    for role in ROLES {
        let mut input = frame(role, 0x82, &[7; 100]).repeat(1000);
        let room = (usize::MAX, usize::MAX);
        let came = Vec::new();
        let mut sink = Several { room, came };
        let mut inbound = Inbound::new(role, Limits::default(), None);
        let (n, _) = inbound
            .receive(&mut input, Instant::now(), &mut sink)
            .unwrap();
        assert_eq!((n, sink.came.len()), (input.len(), 1000));
        drop(inbound);
        for (i, event) in sink.came.iter().enumerate().step_by(300) {
            let Event::Message(Message::Binary(payload)) = event.clone() else {
                panic!("message {i} is {event:?}");
            };
            assert_eq!(payload, [7; 100].as_slice());
            assert!(!input.as_ptr_range().contains(&payload.as_ptr()));
        }
        // The others of its block are dropped.
        let Some(Event::Message(last)) = sink.came.pop() else {
            unreachable!("there are 1000");
        };
        drop(sink);
        let capacity = last.into_bytes().try_into_mut().unwrap().capacity();
        assert!(capacity <= 8192, "{capacity} kept");
    }
}

/// Frames that mostly are whole messages.
fn frames(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        20 => Just(0x82_u8),
        20 => Just(0x81),
        2 => Just(0x89),
        1 => Just(0x01),
        1 => Just(0x80),
        1 => Just(0xc2),
        1 => Just(0x88),
    ];
    let length = prop_oneof![8 => 0..30_usize, 2 => 100..130_usize, 1 => 2000..9000_usize];
    let byte = prop_oneof![50 => Just(b'x'), 1 => Just(0xff)];
    let one = (first, length, byte)
        .prop_map(move |(first, length, byte)| frame(role, first, &vec![byte; length]));
    prop::collection::vec(one, 1..40).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn together_and_one_at_a_time_are_the_same(
        (role, bytes) in role().prop_flat_map(|role| (Just(role), frames(role))),
        limits in prop_oneof![Just(Limits::default()), tiny_limits()],
        sizes in sizes(),
        room in (0..10_usize, prop_oneof![0..300_usize, Just(usize::MAX)]),
    ) {
        let alone = decode(role, &limits, pieces(&bytes, &sizes));
        let together = decode_together(role, &limits, room, pieces(&bytes, &sizes));
        prop_assert_eq!(together, alone);
    }
}
