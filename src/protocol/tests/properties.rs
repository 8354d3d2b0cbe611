//! What holds for every stream.

use super::streams::{Step, any_stream, long_step, role, step};
use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// Encodes as a sender does that puts control frames between the fragments.
fn encode(outbound: &mut Outbound, step: &Step) {
    let fragments = step.fragments();
    let last = fragments.len() - 1;
    let mut controls = step.controls.iter();
    for (i, fragment) in fragments.iter().enumerate() {
        match last {
            0 => outbound.message(&step.message),
            _ => {
                let kind = step.message.kind();
                outbound.fragment(&super::fragment(kind, i == 0, i == last, fragment));
            }
        }
        let rest = if i == last { usize::MAX } else { 1 };
        for control in controls.by_ref().take(rest) {
            match control.is_ping {
                true => outbound.ping(&control.payload),
                false => outbound.pong(&control.payload),
            }
        }
    }
}

fn peer(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Cuts `bytes` into pieces of the given sizes, over and over.
pub(super) fn pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

pub(super) fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![1..4_usize, 1..20_usize, 100..10_000_usize];
    prop::collection::vec(size, 1..8)
}

/// Limits that ordinary messages exceed.
pub(super) fn tiny_limits() -> impl Strategy<Value = Limits> {
    (0..30_usize, 0..20_usize, 1..6_usize)
        .prop_map(|(message, frame, fragments)| limits(message, frame, fragments))
}

fn check_round_trip(sender: Role, steps: &[Step], sizes: &[usize]) {
    let mut outbound = Outbound::new(sender);
    steps.iter().for_each(|step| encode(&mut outbound, step));
    let mut frames = Frames::default();
    let messages = outbound.take(&mut frames);
    assert_eq!(messages, steps.len(), "messages end in it");
    let bytes = frames.pieces(0).collect::<Vec<_>>().concat();
    let events: Vec<_> = steps.iter().flat_map(Step::events).collect();
    let expected = Outcome::events(events);
    let receiver = peer(sender);
    assert!(decode(receiver, &Limits::default(), pieces(&bytes, sizes)) == expected);
    assert!(decode_directly(receiver, &Limits::default(), pieces(&bytes, sizes)) == expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_encoded_is_decoded(
        sender in role(),
        steps in prop::collection::vec(step(), 0..6),
        sizes in sizes(),
    ) {
        check_round_trip(sender, &steps, &sizes);
    }

    #[test]
    fn cuts_change_neither_events_nor_failure((role, bytes) in any_stream(), sizes in sizes()) {
        let limits = Limits::default();
        let whole = decode(role, &limits, [&bytes[..]]);
        prop_assert_eq!(&decode(role, &limits, pieces(&bytes, &sizes)), &whole);
        prop_assert_eq!(&decode(role, &limits, bytes.chunks(1)), &whole);
    }

    #[test]
    fn cuts_change_nothing_under_tiny_limits(
        (role, bytes) in any_stream(),
        sizes in sizes(),
        limits in tiny_limits(),
    ) {
        let whole = decode(role, &limits, [&bytes[..]]);
        prop_assert_eq!(&decode(role, &limits, pieces(&bytes, &sizes)), &whole);
        prop_assert_eq!(&decode(role, &limits, bytes.chunks(1)), &whole);
        for event in whole.events {
            if let Event::Message(message) = event {
                prop_assert!(message.len() <= limits.message);
            }
        }
    }

    #[test]
    fn garbage_is_no_harm(
        role in role(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        limits in prop_oneof![tiny_limits(), Just(limits(usize::MAX, usize::MAX, usize::MAX))],
    ) {
        let mut feeder = Feeder::new(role, &limits);
        for piece in bytes.chunks(7) {
            feeder.feed(piece);
            prop_assert!(feeder.inbound.held() <= 4096);
        }
        prop_assert_eq!(feeder.outcome, decode(role, &limits, [&bytes[..]]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_long_is_encoded_and_decoded(
        sender in role(),
        steps in prop::collection::vec(long_step(), 1..3),
        sizes in sizes(),
    ) {
        check_round_trip(sender, &steps, &sizes);
    }
}

#[test]
fn masking_keys_are_fresh_for_each_frame() {
    const FRAMES: usize = 2000;
    let mut outbound = Outbound::new(Role::Client);
    (0..FRAMES).for_each(|_| outbound.message(&Message::from(&[0, 0, 0, 0])));
    let bytes = take(&mut outbound);
    let keys: Vec<[u8; 4]> = bytes
        .chunks(10)
        .map(|frame| {
            assert_eq!(frame[..2], [0x82, 0x84]);
            assert_eq!(frame[2..6], frame[6..], "zeros show the key");
            frame[2..6].try_into().unwrap()
        })
        .collect();
    assert_eq!(keys.len(), FRAMES);
    // Of 2000 keys of 32 bits two may well be equal by chance, but not many.
    assert!(keys.iter().collect::<HashSet<_>>().len() > FRAMES - 10);
    for place in 0..4 {
        let values: HashSet<u8> = keys.iter().map(|key| key[place]).collect();
        assert!(
            values.len() > 200,
            "byte {place} has {} values",
            values.len()
        );
    }
}

#[test]
fn a_client_masks_every_frame_and_a_server_none() {
    for (role, mask) in [(Role::Client, 0x80), (Role::Server, 0)] {
        let mut outbound = Outbound::new(role);
        outbound.message(&Message::from("a"));
        outbound.ping(b"b");
        outbound.pong(b"c");
        outbound.fragment(&fragment(MessageKind::Binary, true, false, b"d"));
        outbound.close(CloseFrame::no_status(), Instant::now(), None);
        let bytes = take(&mut outbound);
        let header = if role == Role::Client { 6 } else { 2 };
        let seconds: Vec<_> = bytes.chunks(header + 1).map(|frame| frame[1]).collect();
        assert_eq!(seconds, [mask | 1, mask | 1, mask | 1, mask | 1, mask]);
        let firsts: Vec<_> = frames(&bytes).into_iter().map(|(first, _)| first).collect();
        assert_eq!(firsts, [0x81, 0x89, 0x8a, 0x02, 0x88]);
    }
}
