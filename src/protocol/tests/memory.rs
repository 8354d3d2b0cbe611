//! Memory follows the bytes that came, not the lengths that were announced.

use super::*;
use bytes::BytesMut;

const UNLIMITED: usize = usize::MAX;

/// So much space may be lent for a message of which nothing has come.
const AHEAD: usize = 64 << 10;

fn unlimited() -> Limits {
    limits(UNLIMITED, UNLIMITED, UNLIMITED)
}

/// What the one event in `pieces` keeps allocated.
fn kept<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> BytesMut {
    let mut outcome = decode(Role::Client, &Limits::default(), pieces);
    assert_eq!((outcome.events.len(), outcome.failure), (1, None));
    let bytes = payload(outcome.events.remove(0));
    own(bytes)
}

fn own(bytes: Bytes) -> BytesMut {
    match bytes.try_into_mut() {
        Ok(bytes) => bytes,
        Err(bytes) => panic!("{} bytes are shared", bytes.len()),
    }
}

fn payload(event: Event) -> Bytes {
    match event {
        Event::Message(message) => message.into_bytes(),
        Event::Ping(bytes) | Event::Pong(bytes) => bytes,
        Event::Close(frame) => frame.reason.into_bytes(),
    }
}

#[test]
fn an_announced_length_allocates_nothing() {
    for length in [1 << 20, 1 << 31, 1 << 62, (1 << 63) - 1_u64] {
        for role in ROLES {
            for first in [0x82, 0x01] {
                let mut feeder = Feeder::new(role, &unlimited());
                feeder.feed(&header(role, first, length));
                assert_eq!(feeder.inbound.held(), 0, "{length} announced");
                feeder.feed(&[0x37; 10]);
                assert!(feeder.inbound.held() <= 4096, "{length} announced");
            }
        }
    }
}

#[test]
fn what_is_held_follows_what_came() {
    for (first, announced) in [(0x82, 1 << 40), (0x82, 200_000), (0x01, 1 << 40)] {
        let mut feeder = Feeder::new(Role::Client, &unlimited());
        feeder.feed(&header(Role::Client, first, announced));
        for came in 1..=150 {
            feeder.feed(&[0x61; 1000]);
            let held = feeder.inbound.held();
            assert!(
                held <= 4096.max(2 * came * 1000),
                "{held} held for {came} KB"
            );
        }
    }
}

#[test]
fn a_message_that_comes_slowly_in_one_frame_is_held_in_its_size() {
    let bytes = frame(Role::Client, 0x82, &[7; 5000]);
    let mut feeder = Feeder::new(Role::Client, &unlimited());
    for byte in &bytes[..bytes.len() - 1] {
        feeder.feed(&[*byte]);
        assert!(feeder.inbound.held() <= 5000);
    }
}

#[test]
fn fragments_are_gathered_with_few_moves() {
    let mut feeder = Feeder::new(Role::Client, &unlimited());
    feeder.feed(&hex("02 00"));
    let (mut moves, mut last) = (0, 0);
    for _ in 0..20_000 {
        feeder.feed(&hex("00 01 61"));
        let held = feeder.inbound.held();
        moves += usize::from(held != last);
        last = held;
    }
    assert!(last <= 40_000, "{last} held");
    assert!(moves <= 10, "moved {moves} times");
}

#[test]
fn nothing_is_held_between_messages() {
    let bytes = hex("02 02 6162  00 01 63  80 01 64  82 01 65");
    let mut feeder = Feeder::new(Role::Client, &unlimited());
    bytes.chunks(1).for_each(|byte| feeder.feed(byte));
    assert_eq!(feeder.outcome.events, [binary(b"abcd"), binary(b"e")]);
    assert_eq!(feeder.inbound.held(), 0);
}

#[test]
fn a_message_in_progress_is_given_up_at_the_end() {
    for end in ["88 00", "c1 00"] {
        let bytes = [frame(Role::Client, 0x02, &[7; 5000]), hex(end)].concat();
        let mut feeder = Feeder::new(Role::Client, &unlimited());
        feeder.feed(&bytes);
        assert!(feeder.outcome.is_over());
        assert_eq!(feeder.inbound.held(), 0);
        assert_eq!(feeder.inbound.message_begun(), None);
    }
    let mut feeder = Feeder::new(Role::Client, &unlimited());
    feeder.direct = true;
    feeder.feed(&header(Role::Client, 0x81, 1 << 20));
    feeder.feed(&[0xff; 5000]);
    assert!(feeder.outcome.is_over());
    assert_eq!(feeder.inbound.held(), 0);
    assert_eq!(feeder.inbound.message_begun(), None);
}

#[test]
fn a_small_payload_does_not_pin_the_input() {
    for frame in [
        "81 01 78",
        "82 01 78",
        "89 01 78",
        "8a 01 78",
        "88 03 03e8 78",
    ] {
        let frame = hex(frame);
        let mut input = frame.clone();
        input.resize(64 << 10, 0);
        let mut inbound = Inbound::new(Role::Client, Limits::default(), None);
        let (taken, event) = inbound.event(&mut input, Instant::now()).unwrap();
        assert_eq!(taken, frame.len());
        let bytes = payload(event.unwrap());
        assert!(!input.as_ptr_range().contains(&bytes.as_ptr()));
        // Messages that came together share an allocation, but a small one.
        drop(inbound);
        let capacity = own(bytes).capacity();
        assert!(capacity <= 8192, "{capacity} kept");
    }
}

#[test]
fn a_small_message_that_comes_alone_keeps_no_more_than_itself() {
    let payload = kept([hex("82 01 78").as_slice()]);
    assert!(payload.capacity() <= 16, "{} kept", payload.capacity());
}

/// A message of `length` bytes in one frame, and in fragments of up to 1000.
fn messages(length: usize) -> [Vec<u8>; 2] {
    let mut fragments = hex("02 00");
    for piece in vec![7; length].chunks(1000) {
        fragments.extend(frame(Role::Client, 0x00, piece));
    }
    fragments.extend(hex("80 00"));
    [frame(Role::Client, 0x82, &vec![7; length]), fragments]
}

#[test]
fn a_payload_that_comes_in_pieces_keeps_little_more_than_its_size() {
    for length in [1, 100, 4097, LARGE - 1] {
        for bytes in messages(length) {
            for size in [1, 700, 4096, bytes.len()] {
                let payload = kept(bytes.chunks(size));
                let spare = payload.capacity() - payload.len();
                assert!(spare <= length / 4, "{spare} to spare for {length}");
            }
        }
    }
}

#[test]
fn a_large_payload_keeps_at_most_twice_its_size() {
    for length in [LARGE, 70_000, 150_000] {
        for bytes in messages(length) {
            for direct in [false, true] {
                let mut feeder = Feeder::new(Role::Client, &unlimited());
                feeder.direct = direct;
                let (most, last) = bytes.split_at(bytes.len() - 2);
                most.chunks(4096).for_each(|piece| feeder.feed(piece));
                // Not so much that it would have to be copied to be kept.
                assert!(feeder.inbound.held() <= 2 * length + AHEAD);
                feeder.feed(last);
                assert_eq!(feeder.outcome.events, [binary(&vec![7; length])]);
                assert_eq!(feeder.inbound.held(), 0);
            }
        }
    }
}

#[test]
fn space_is_lent_ahead_of_what_came_but_not_far() {
    for role in ROLES {
        let mut feeder = Feeder::new(role, &unlimited());
        feeder.feed(&header(role, 0x82, 1 << 40));
        let mut came = 0;
        while came < 1 << 20 {
            let lent = feeder.inbound.space().expect("much is to come").len();
            assert!(lent <= AHEAD.max(came), "{lent} lent after {came}");
            assert!(feeder.inbound.held() <= 4 * AHEAD.max(came));
            assert_eq!(feeder.inbound.fill_event(1000.min(lent)).unwrap(), None);
            came += 1000;
        }
    }
}

#[test]
fn no_space_is_lent_for_what_ends_soon() {
    let mut feeder = Feeder::new(Role::Client, &unlimited());
    assert!(feeder.inbound.space().is_none(), "no frame has begun");
    feeder.feed(&header(Role::Client, 0x82, LARGE as u64 - 1));
    assert!(feeder.inbound.space().is_none(), "little is to come");
    feeder.feed(&vec![7; LARGE - 1]);
    feeder.feed(&hex("89 7d 61"));
    assert!(feeder.inbound.space().is_none(), "a control frame");
    feeder.feed(&[0x62; 124]);
    feeder.feed(&hex("c1 00"));
    assert!(feeder.inbound.space().is_none(), "all is discarded");
}
