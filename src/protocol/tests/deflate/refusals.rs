//! What is not a compressed message as RFC 7692 has it: refused, and after which byte.

use super::reader::{Reader, begin_of};
use super::*;

/// Frames to either role are refused at their last byte, whatever the cuts and whatever follows.
fn refuses(frames: &[(u8, &str)], events: &[Event], why: ProtocolError) {
    for role in ROLES {
        refuses_bytes(role, &frames_to(role, frames), events, why);
    }
}

fn refuses_bytes(role: Role, bytes: &[u8], events: &[Event], why: ProtocolError) {
    let limits = Limits::default();
    let after = feeder(role, &limits, true).refused_after(bytes);
    assert_eq!(after, (bytes.len(), why.into()), "{role:?} {bytes:x?}");
    let expected = Outcome::events(events).then(why);
    inflated_in_every_cut(role, &limits, bytes, &expected);
    let more = [bytes, &frames_to(role, &[(0xc1, "f248cdc9c90700")])].concat();
    inflated_in_every_cut(role, &limits, &more, &expected);
}

/// The first two bytes of a frame are refused.
fn refuses_header(before: &[(u8, &str)], first: u8, events: &[Event]) {
    for role in ROLES {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        let bytes = [frames_to(role, before), vec![first, mask | 1]].concat();
        refuses_bytes(role, &bytes, events, ProtocolError::ReservedBits);
    }
}

#[test]
fn rsv1_is_refused_on_all_but_the_first_frame_of_a_message() {
    for first in [0xc0, 0x40] {
        refuses_header(&[], first, &[]);
        refuses_header(&[(0x41, "f248cd")], first, &[]);
        refuses_header(&[(0x01, "61")], first, &[]);
    }
}

#[test]
fn rsv1_is_refused_on_control_frames_and_reserved_opcodes() {
    for opcode in (0x3..=0x7).chain(0x8..=0xf) {
        for fin in [0, 0x80] {
            refuses_header(&[], 0x40 | fin | opcode, &[]);
            refuses_header(&[(0x41, "f248cd")], 0x40 | fin | opcode, &[]);
        }
    }
}

#[test]
fn rsv2_and_rsv3_are_refused_with_rsv1_and_without() {
    for bits in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70] {
        for opcode in [0x81, 0x02, 0x80, 0x89] {
            refuses_header(&[], bits | opcode, &[]);
        }
        let hello = [(0xc1, "f248cdc9c90700")];
        refuses_header(&hello, bits | 0x81, &[text("Hello")]);
    }
}

#[test]
fn rsv1_is_refused_if_nothing_was_agreed() {
    for role in ROLES {
        for first in [0xc1, 0x41, 0xc2, 0x42] {
            let bytes = frames_to(role, &[(first, "f248cdc9c90700")]);
            let refused = refused_after(role, &Limits::default(), &bytes);
            assert_eq!(refused, (2, ProtocolError::ReservedBits.into()));
        }
    }
    assert_eq!(
        u16::from(ProtocolError::ReservedBits.close_code()),
        1002,
        "a protocol error"
    );
}

#[test]
fn the_order_of_frames_is_that_of_messages_that_are_not_compressed() {
    let (begun, why) = ((0x41, "f248cd"), ProtocolError::ExpectedContinuation);
    for first in [0xc1, 0x41, 0x82, 0x01] {
        refuses(&[begun, (first, "")], &[], why);
    }
    let whole = (0xc1, "f248cdc9c90700");
    let why = ProtocolError::UnexpectedContinuation;
    refuses(&[whole, (0x80, "")], &[text("Hello")], why);
}

#[test]
fn what_is_not_deflate_is_refused_at_the_first_byte_that_shows_it() {
    for payload in [
        // A block of the third type.
        "06",
        "07",
        // A length, and something else than its inverse.
        "0005000000",
        // A reference to before the begin.
        "f20011",
        // More codes of literals than there are, and more codes than their lengths allow.
        "e4ffff",
        "04109224",
    ] {
        refuses(&[(0xc2, payload)], &[], ProtocolError::Deflate);
        refuses(&[(0x42, payload)], &[], ProtocolError::Deflate);
        let hello = (0xc1, "f348cdc9c9070000");
        refuses(
            &[hello, (0x42, ""), (0x80, payload)],
            &[text("Hello")],
            ProtocolError::Deflate,
        );
    }
}

#[test]
fn what_came_before_a_final_block_can_t_be_referred_to() {
    refuses(
        &[(0xc1, "f348cdc9c9070000"), (0xc1, "f20011")],
        &[text("Hello")],
        ProtocolError::Deflate,
    );
}

/// A message that a peer has cut: the rest of it is the tail.
#[test]
fn a_message_that_ends_too_soon_is_what_is_there_or_refused() {
    let whole: String = (0..300).map(|n| format!("{},", n * n)).collect();
    let payload = deflated(whole.as_bytes());
    for role in ROLES {
        let second = frame(role, 0xc1, &hex("f248cdc9c90700"));
        for cut in 0..payload.len() {
            let first = frame(role, 0xc2, &payload[..cut]);
            let outcome = feeder(role, &Limits::default(), false).feed_all([&first[..], &second]);
            match outcome.failure {
                Some(why) => {
                    assert_eq!(why, ProtocolError::Deflate.into());
                    assert_eq!(outcome.events, []);
                }
                None => {
                    let [Event::Message(message), next] = &outcome.events[..] else {
                        panic!("{outcome:?}");
                    };
                    let (came, there) = (message.as_bytes(), begin_of(&payload[..cut]));
                    assert!(came.starts_with(&there), "{cut} bytes");
                    // The tail may be read as a few symbols.
                    assert!(came.len() <= there.len() + 32 * 258);
                    assert_eq!(*next, text("Hello"), "the next begins afresh");
                }
            }
        }
    }
}

/// After how many bytes of `payload` what is there is not UTF-8, whatever comes.
fn wrong_after(payload: &[u8]) -> usize {
    let is_wrong = |length: usize| {
        let there = begin_of(&payload[..length]);
        std::str::from_utf8(&there).is_err_and(|error| error.error_len().is_some())
    };
    let (mut good, mut wrong) = (0, payload.len());
    while good + 1 < wrong {
        let middle = (good + wrong) / 2;
        match is_wrong(middle) {
            true => wrong = middle,
            false => good = middle,
        }
    }
    wrong
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_the_byte_that_shows_it() {
    for bad in [
        &b"ab\xff"[..],
        b"\xc3\x28 and so on",
        b"abc\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        for length in [0, 100, 1000, 40_000] {
            let good: String = (0..)
                .flat_map(|n: u32| n.to_string().into_bytes())
                .take(length)
                .map(char::from)
                .collect();
            let payload = deflated(&[good.as_bytes(), bad, &[b'z'; 2000]].concat());
            for role in ROLES {
                let bytes = frame(role, 0xc1, &payload);
                let header = bytes.len() - payload.len();
                let refused = feeder(role, &Limits::default(), true).refused_after(&bytes);
                let after = header + wrong_after(&payload);
                assert_eq!(refused, (after, ProtocolError::Utf8.into()), "{length}");
                let expected = Outcome::events([]).then(ProtocolError::Utf8);
                inflated_in_every_cut(role, &Limits::default(), &bytes, &expected);
            }
        }
    }
    assert_eq!(u16::from(ProtocolError::Utf8.close_code()), 1007);
}

#[test]
fn a_text_that_ends_within_a_character_is_refused_at_its_end() {
    for role in ROLES {
        for text in [&b"\xe2"[..], b"abc\xe2\x82", b"\xf0\x9f\xa6"] {
            let payload = deflated(text);
            for bytes in compressed(role, 1, &payload, 2) {
                refuses_bytes(role, &bytes, &[], ProtocolError::Utf8);
            }
        }
    }
}

#[test]
fn wrong_text_within_a_long_message_is_refused_before_its_rest_is_inflated() {
    let payload = deflated(&[&b"ab\xff"[..], &vec![b'a'; 10 << 20]].concat());
    let bytes = frame(Role::Client, 0xc1, &payload);
    let limits = Limits {
        message: 64 << 20,
        ..Limits::default()
    };
    let mut inbound = Inbound::new(Role::Client, limits, None).inflating(true);
    let (head, rest) = bytes.split_at(40);
    assert!(rest.len() > 1000);
    let mut head = head.to_vec();
    let refused = inbound.event(&mut head, Instant::now());
    assert!(matches!(refused, Err(Error::Protocol(ProtocolError::Utf8))));
    assert_eq!(inbound.held(), 0);
    let (taken, event) = inbound.event(&mut rest.to_vec(), Instant::now()).unwrap();
    assert_eq!((taken, event), (rest.len(), None), "discarded");
    let mut whole = Reader::new(&payload);
    whole.run();
    assert_eq!(whole.output.len(), 3 + (10 << 20));
}
