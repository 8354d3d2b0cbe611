//! Limits count what a message is after inflating, and memory follows what came.

use super::reader::begin_of;
use super::texts::Random;
use super::*;

/// So much may be held beyond the limit of a message.
const AHEAD: usize = 64 << 10;

/// What the decoder inflates before it counts.
const CHUNK: usize = 16 << 10;

fn message_limit(message: usize) -> Limits {
    Limits {
        message,
        ..Limits::default()
    }
}

fn too_big(size: usize, limit: usize) -> Failure {
    let (size, limit) = (size as u64, limit as u64);
    Failure::TooBig { size, limit }
}

#[test]
fn a_bomb_is_refused_with_the_byte_that_passes_the_limit() {
    const LIMIT: usize = 100_000;
    let payload = deflated(&vec![0; 10 << 20]);
    assert!(payload.len() < (10 << 20) / 1000 + 100, "1000 to 1");
    for role in ROLES {
        let [whole, fragments] = compressed(role, 2, &payload, 10);
        let feed = |bytes: &[u8]| {
            let mut feeder = feeder(role, &message_limit(LIMIT), true);
            let mut came = 0;
            while feeder.outcome.failure.is_none() {
                feeder.feed(&bytes[came..=came]);
                came += 1;
                assert!(feeder.inbound.held() <= LIMIT + AHEAD);
            }
            assert!(matches!(
                feeder.outcome.failure,
                Some(Failure::TooBig { .. })
            ));
            assert_eq!(feeder.inbound.held(), 0);
            came
        };
        let came = feed(&whole) - (whole.len() - payload.len());
        let there = |length| begin_of(&payload[..length]).len();
        assert!(there(came) > LIMIT && there(came - 1) <= LIMIT, "{came}");
        let header = if role == Role::Server { 6 } else { 2 };
        let frames = came.div_ceil(10);
        assert_eq!(feed(&fragments), came + frames * header);
    }
}

#[test]
fn a_bomb_in_one_read_is_not_inflated_beyond_the_limit() {
    let payload = deflated(&vec![0; 10 << 20]);
    for limit in [20_000, 100_000, 1 << 20] {
        for role in ROLES {
            let bytes = frame(role, 0xc2, &payload);
            let outcome = feeder(role, &message_limit(limit), true).feed_all([&bytes[..]]);
            let Some(Failure::TooBig { size, limit: of }) = outcome.failure else {
                panic!("{limit}: {outcome:?}");
            };
            assert_eq!(of, limit as u64);
            assert!(size > of && size <= of + CHUNK as u64, "{size} of {of}");
            assert_eq!(outcome.events, []);
        }
    }
}

#[test]
fn a_message_as_long_as_the_limit_passes_and_a_longer_one_does_not() {
    for length in [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 100_000] {
        let message = Random::new(length as u64).bytes(length);
        for message in [message, vec![7; length]] {
            let payload = deflated(&message);
            for role in ROLES {
                for bytes in compressed(role, 2, &payload, 1 + payload.len() / 3) {
                    let outcome = feeder(role, &message_limit(length), true).feed_all([&bytes[..]]);
                    assert!(outcome == Outcome::events([binary(&message)]), "{length}");
                    let Some(less) = length.checked_sub(1) else {
                        continue;
                    };
                    let outcome = feeder(role, &message_limit(less), true).feed_all([&bytes[..]]);
                    assert_eq!(outcome.failure, Some(too_big(length, less)));
                    assert_eq!(outcome.events, []);
                }
            }
        }
    }
}

#[test]
fn the_size_of_a_message_is_counted_anew_for_each() {
    let once = frame(Role::Client, 0xc2, &deflated(&[7; 1000]));
    let outcome = feeder(Role::Client, &message_limit(1000), false).feed_all([&once.repeat(5)[..]]);
    assert_eq!(outcome, Outcome::events(vec![binary(&[7; 1000]); 5]));
}

#[test]
fn the_limit_of_a_frame_is_that_of_its_compressed_size() {
    let limits = limits(100_000, 100, 9);
    let payload = deflated(&[0; 50_000]);
    assert!(payload.len() <= 100);
    for role in ROLES {
        let bytes = frame(role, 0xc2, &payload);
        let expected = Outcome::events([binary(&[0; 50_000])]);
        inflated_in_every_cut(role, &limits, &bytes, &expected);
        for before in [vec![], frame(role, 0x42, b"")] {
            let first = if before.is_empty() { 0xc2 } else { 0x80 };
            let bytes = [before, header(role, first, 101)].concat();
            let after = bytes.len() - if role == Role::Server { 4 } else { 0 };
            let (refused, why) = feeder(role, &limits, true).refused_after(&bytes);
            assert!(refused >= after, "with the header");
            assert_eq!(why, too_big(101, 100));
        }
    }
}

#[test]
fn the_frames_of_a_message_are_bounded_whatever_they_give() {
    // Blocks of nothing.
    let block = hex("000000ffff");
    for limit in [0, 1000, 8000] {
        let most = limit + limit / 8 + 64;
        let mut payload = block.repeat(most / 5);
        payload.resize(most - 1, 0x00);
        payload.truncate((most - 1) / 5 * 5);
        payload.push(0x00);
        for role in ROLES {
            let whole = frame(role, 0xc2, &payload);
            let outcome = feeder(role, &message_limit(limit), true).feed_all([&whole[..]]);
            assert_eq!(outcome, Outcome::events([binary(b"")]), "{limit}");

            let too_long = header(role, 0xc2, most as u64 + 1);
            let outcome = feeder(role, &message_limit(limit), true).feed_all([&too_long[..]]);
            assert_eq!(outcome.failure, Some(too_big(most + 1, most)));

            let mut feeder = feeder(role, &message_limit(limit), true);
            feeder.feed(&frame(role, 0x42, b""));
            let mut came = 0;
            while feeder.outcome.failure.is_none() {
                assert!(came <= most, "without an end");
                feeder.feed(&frame(role, 0x00, &block));
                came += 5;
            }
            assert_eq!(feeder.outcome.failure, Some(too_big(came, most)));
            assert!(came - 5 <= most);
        }
    }
}

#[test]
fn without_a_limit_nothing_wraps() {
    let limits = limits(usize::MAX, usize::MAX, usize::MAX);
    for role in ROLES {
        let mut feeder = feeder(role, &limits, true);
        feeder.feed(&frame(role, 0x42, &hex("f248")));
        feeder.feed(&header(role, 0x80, (1 << 63) - 1));
        assert_eq!(feeder.outcome, Outcome::events([]));
        assert!(feeder.inbound.held() <= 4096);
    }
}

#[test]
fn the_fragments_of_a_compressed_message_are_counted() {
    for role in ROLES {
        let limits = limits(1000, 1000, 3);
        let three = frames_to(role, &[(0x42, "f248"), (0x00, "cdc9"), (0x80, "c90700")]);
        let expected = Outcome::events([binary(b"Hello")]);
        inflated_in_every_cut(role, &limits, &three, &expected);
        let four = [(0x42, "f2"), (0x00, "48"), (0x00, "cd"), (0x80, "c9")];
        let outcome = feeder(role, &limits, true).feed_all([&frames_to(role, &four)[..]]);
        assert_eq!(outcome.failure, Some(too_big(4, 3)));
        let empty = [(0x42, "f248"), (0x00, ""), (0x80, "cdc9c90700")];
        let outcome = feeder(role, &limits, true).feed_all([&frames_to(role, &empty)[..]]);
        assert_eq!(
            outcome.failure,
            Some(too_big(4, 3)),
            "an empty one counts twice"
        );
    }
}

#[test]
fn many_final_blocks_and_many_empty_ones_are_a_message_of_nothing() {
    for block in ["0300", "010000ffff", "000000ffff"] {
        let payload = hex(&block.repeat(40_000 / block.len())).into_iter();
        let payload: Vec<_> = payload.chain([0x00]).collect();
        for size in [1, 7, payload.len() + 20] {
            let bytes = frame(Role::Client, 0xc2, &payload);
            let outcome =
                feeder(Role::Client, &Limits::default(), true).feed_all(bytes.chunks(size));
            assert_eq!(outcome, Outcome::events([binary(b"")]), "{block}");
        }
    }
}

#[test]
fn what_is_announced_allocates_nothing() {
    let limits = limits(usize::MAX, usize::MAX, usize::MAX);
    for role in ROLES {
        for first in [0xc2, 0x41] {
            let mut feeder = feeder(role, &limits, true);
            feeder.feed(&header(role, first, 1 << 40));
            assert_eq!(feeder.inbound.held(), 0);
            assert!(feeder.inbound.space().is_none(), "it has to be inflated");
            assert!(!feeder.inbound.is_in_large_frame());
        }
    }
}

#[test]
fn what_is_held_follows_what_was_inflated() {
    let message = Random::new(1).bytes(200_000);
    let payload = deflated(&message);
    let mut feeder = feeder(Role::Client, &message_limit(1 << 30), true);
    let mut came = 0;
    feeder.feed(&header(Role::Client, 0xc2, payload.len() as u64));
    for piece in payload.chunks(1000) {
        feeder.feed(piece);
        came += piece.len();
        let held = feeder.inbound.held();
        assert!(held <= 4096.max(2 * came + CHUNK), "{held} held for {came}");
    }
    assert!(feeder.outcome == Outcome::events([binary(&message)]));
    assert_eq!(feeder.inbound.held(), 0);
}

#[test]
fn what_only_a_load_needs_is_given_back_and_the_context_is_not() {
    for role in ROLES {
        let [first, second, third] = ["f248cdc9c90700", "f200110000", "f2001100"]
            .map(|payload| frame(role, 0xc1, &hex(payload)));
        let mut feeder = feeder(role, &Limits::default(), true);
        feeder.feed(&first);
        assert!(feeder.inbound.is_large());
        feeder.inbound.shrink();
        assert!(!feeder.inbound.is_large());
        for byte in &second {
            feeder.feed(&[*byte]);
            feeder.inbound.shrink();
            assert!(!feeder.inbound.is_large());
        }
        let hello = || text("Hello");
        assert_eq!(feeder.outcome, Outcome::events([hello(), hello()]));
        feeder.feed(&third);
        assert!(feeder.inbound.is_large());
    }
}

#[test]
fn without_takeover_nothing_is_kept_between_messages() {
    let bytes = frame(Role::Client, 0xc1, &hex("f248cdc9c90700"));
    let mut feeder = feeder(Role::Client, &Limits::default(), false);
    feeder.feed(&bytes[..5]);
    assert!(feeder.inbound.is_large());
    feeder.feed(&bytes[5..]);
    assert!(!feeder.inbound.is_large());
    assert_eq!(feeder.inbound.held(), 0);
}
