//! Transcripts of what is broken: what is refused, and after which byte.

use super::*;

/// `bytes` in hexadecimal are refused with `failure` at their last byte and not before; after
/// `events`, whatever the cuts, and whatever follows.
fn refuses(
    role: Role,
    limits: &Limits,
    bytes: &[u8],
    events: &[Event],
    failure: impl Into<Failure>,
) {
    let failure = failure.into();
    let (after, why) = refused_after(role, limits, bytes);
    assert_eq!((after, why), (bytes.len(), failure), "{role:?} {bytes:x?}");
    let expected = Outcome::events(events).then(failure);
    in_every_cut(role, limits, bytes, &expected);
    let more = [bytes, &hex("81 01 61  88 00  ff ff")].concat();
    in_every_cut(role, limits, &more, &expected);
}

/// To a client, without limits that matter.
fn client_refuses(bytes: &str, failure: impl Into<Failure>) {
    refuses(Role::Client, &Limits::default(), &hex(bytes), &[], failure);
}

fn server_refuses(bytes: &str, failure: impl Into<Failure>) {
    refuses(Role::Server, &Limits::default(), &hex(bytes), &[], failure);
}

fn too_big(size: u64, limit: u64) -> Failure {
    Failure::TooBig { size, limit }
}

#[test]
fn reserved_bits_are_refused_after_two_bytes() {
    for first in ["c1", "a1", "91", "f1", "c0", "c9", "99", "a8", "4f"] {
        client_refuses(&format!("{first} 7f"), ProtocolError::ReservedBits);
        server_refuses(&format!("{first} fe"), ProtocolError::ReservedBits);
    }
}

#[test]
fn reserved_opcodes_are_refused_after_two_bytes() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        for fin in [0x00, 0x80] {
            let first = format!("{:02x}", fin | opcode);
            let why = ProtocolError::BadOpcode(opcode);
            client_refuses(&format!("{first} 7e"), why);
            server_refuses(&format!("{first} ff"), why);
        }
    }
}

#[test]
fn the_wrong_side_of_the_mask_is_refused_after_two_bytes() {
    for first in ["81", "02", "89", "88"] {
        server_refuses(&format!("{first} 05"), ProtocolError::Unmasked);
        client_refuses(&format!("{first} 85"), ProtocolError::Masked);
        client_refuses(&format!("{first} 80"), ProtocolError::Masked);
    }
}

#[test]
fn control_frames_above_125_bytes_are_refused_after_two_bytes() {
    for first in ["88", "89", "8a"] {
        for form in [0x7e, 0x7f] {
            client_refuses(
                &format!("{first} {form:02x}"),
                ProtocolError::ControlTooLong,
            );
            server_refuses(
                &format!("{first} {:02x}", form | 0x80),
                ProtocolError::ControlTooLong,
            );
        }
    }
}

#[test]
fn fragmented_control_frames_are_refused_after_two_bytes() {
    for first in ["08", "09", "0a"] {
        client_refuses(&format!("{first} 00"), ProtocolError::FragmentedControl);
        server_refuses(&format!("{first} 85"), ProtocolError::FragmentedControl);
    }
}

#[test]
fn lengths_in_a_longer_form_than_needed_are_refused_with_the_header() {
    for length in ["0000", "0001", "007d"] {
        client_refuses(&format!("82 7e {length}"), ProtocolError::LengthForm);
        server_refuses(
            &format!("82 fe {length} 01020304"),
            ProtocolError::LengthForm,
        );
    }
    for length in ["0000000000000000", "000000000000007e", "000000000000ffff"] {
        client_refuses(&format!("82 7f {length}"), ProtocolError::LengthForm);
        server_refuses(
            &format!("82 ff {length} 01020304"),
            ProtocolError::LengthForm,
        );
    }
}

#[test]
fn lengths_of_2_to_the_63_are_refused_with_the_header() {
    for length in ["8000000000000000", "8000000000000001", "ffffffffffffffff"] {
        client_refuses(&format!("82 7f {length}"), ProtocolError::LengthOverflow);
        server_refuses(
            &format!("82 ff {length} 01020304"),
            ProtocolError::LengthOverflow,
        );
    }
}

#[test]
fn a_continuation_of_nothing_is_refused_with_the_header() {
    let why = ProtocolError::UnexpectedContinuation;
    client_refuses("80 05", why);
    client_refuses("00 00", why);
    client_refuses("00 7e 0080", why);
    server_refuses("80 85 01020304", why);
    let limits = Limits::default();
    refuses(
        Role::Client,
        &limits,
        &hex("81 00  80 00"),
        &[text("")],
        why,
    );
    let whole = hex("01 01 61  80 01 62  00 01");
    refuses(Role::Client, &limits, &whole, &[text("ab")], why);
}

#[test]
fn a_message_within_another_is_refused_with_the_header() {
    let why = ProtocolError::ExpectedContinuation;
    client_refuses("01 01 61  81 05", why);
    client_refuses("01 01 61  01 05", why);
    client_refuses("02 00  82 00", why);
    server_refuses("02 80 01020304  81 81 01020304", why);
    let limits = Limits::default();
    let bytes = hex("02 01 61  89 00  00 01 62  82 00");
    refuses(Role::Client, &limits, &bytes, &[ping(b"")], why);
}

#[test]
fn a_close_frame_of_one_byte_is_refused() {
    client_refuses("88 01 03", ProtocolError::CloseLength);
    server_refuses("88 81 01020304 02", ProtocolError::CloseLength);
}

#[test]
fn close_codes_that_must_not_be_sent_are_refused() {
    let never = [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ];
    for code in never {
        for role in ROLES {
            for reason in ["", "why"] {
                let bytes = close_frame(role, code, reason.as_bytes());
                let why = ProtocolError::BadCloseCode(code);
                refuses(role, &Limits::default(), &bytes, &[], why);
            }
        }
    }
}

#[test]
fn a_close_reason_that_is_not_utf_8_is_refused() {
    client_refuses("88 03 03e8 ff", ProtocolError::Utf8);
    client_refuses("88 05 03e8 edbfbf", ProtocolError::Utf8);
    client_refuses("88 04 03e8 e282", ProtocolError::Utf8);
}

#[test]
fn the_first_impossible_byte_of_a_text_is_refused_within_its_frame() {
    for bytes in [
        "81 05 ff",
        "81 05 61 80",
        "81 05 c0",
        "81 05 c3 28",
        "81 05 ed a0",
        "81 05 e0 9f",
        "81 05 f0 8f",
        "81 05 f4 90",
        "81 05 f5",
        "81 05 e282 28",
        "81 06 f09fa6 c3",
        "81 7e 1000 6162 fe",
    ] {
        client_refuses(bytes, ProtocolError::Utf8);
    }
    server_refuses("81 85 00000000 61c3c3", ProtocolError::Utf8);
    server_refuses("81 85 01020304 60 c1 ec", ProtocolError::Utf8);
}

#[test]
fn the_first_impossible_byte_of_a_text_is_refused_across_fragments() {
    for bytes in [
        "01 01 61  00 03 62 c0",
        "01 01 f0  80 03 80",
        "01 01 ed  00 01 a0",
        "01 01 f4  00 00  80 03 90",
        "01 02 e282  00 01 e2",
        "01 03 f09fa6  80 01 61",
        "01 01 c3  80 02 c3",
    ] {
        client_refuses(bytes, ProtocolError::Utf8);
    }
    let bytes = hex("01 01 c3  8a 00  80 05 28");
    refuses(
        Role::Client,
        &Limits::default(),
        &bytes,
        &[pong(b"")],
        ProtocolError::Utf8,
    );
}

#[test]
fn a_text_that_ends_within_a_character_is_refused_at_its_end() {
    client_refuses("81 01 e2", ProtocolError::Utf8);
    client_refuses("81 04 61 f09fa6", ProtocolError::Utf8);
    client_refuses("01 01 e2  80 00", ProtocolError::Utf8);
    client_refuses("01 01 e2  80 01 82", ProtocolError::Utf8);
}

#[test]
fn a_frame_above_its_limit_is_refused_with_the_header() {
    let limits = limits(1000, 100, 9);
    refuses(Role::Client, &limits, &hex("82 65"), &[], too_big(101, 100));
    refuses(
        Role::Client,
        &limits,
        &hex("01 7e 0100"),
        &[],
        too_big(256, 100),
    );
    let masked = hex("81 e5 01020304");
    refuses(Role::Server, &limits, &masked, &[], too_big(101, 100));
    let second = hex("02 01 61  00 65");
    refuses(Role::Client, &limits, &second, &[], too_big(101, 100));
}

#[test]
fn a_message_above_its_limit_is_refused_with_the_header_that_exceeds_it() {
    let limits = limits(4, 100, 9);
    refuses(Role::Client, &limits, &hex("82 05"), &[], too_big(5, 4));
    let second = hex("02 03 616263  80 02");
    refuses(Role::Client, &limits, &second, &[], too_big(5, 4));
    let third = hex("01 03 616263  89 00  00 01 64  00 01");
    refuses(Role::Client, &limits, &third, &[ping(b"")], too_big(5, 4));
}

#[test]
fn enormous_lengths_are_compared_without_wrapping() {
    let limits = limits(1 << 20, 1 << 20, 9);
    for length in [1 << 31, 1 << 32, (1 << 32) + 1, 1 << 62, (1 << 63) - 1_u64] {
        for role in ROLES {
            let failure = too_big(length, 1 << 20);
            refuses(role, &limits, &header(role, 0x82, length), &[], failure);
            let second = [frame(role, 0x02, b"abc"), header(role, 0x80, length)].concat();
            refuses(role, &limits, &second, &[], failure);
        }
    }
}

#[test]
fn fragments_above_their_limit_are_refused_with_the_header() {
    let limits = limits(100, 100, 3);
    let bytes = hex("02 01 61  00 01 62  00 01 63  80 01");
    refuses(Role::Client, &limits, &bytes, &[], too_big(4, 3));
}

#[test]
fn empty_fragments_count_twice() {
    let limits = limits(100, 100, 4);
    refuses(
        Role::Client,
        &limits,
        &hex("02 00  00 00  00 00"),
        &[],
        too_big(6, 4),
    );
    refuses(
        Role::Client,
        &limits,
        &hex("01 01 61  00 00  80 00"),
        &[],
        too_big(5, 4),
    );
}

#[test]
fn with_a_limit_of_one_fragment_nothing_may_be_fragmented() {
    let limits = limits(100, 100, 1);
    let second = hex("02 01 61  80 01");
    refuses(Role::Client, &limits, &second, &[], too_big(2, 1));
    refuses(Role::Client, &limits, &hex("02 00"), &[], too_big(2, 1));
}

#[test]
fn what_came_before_a_failure_is_told_before_it() {
    let bytes = hex("81 01 61  89 01 62  c1 00");
    let events = [text("a"), ping(b"b")];
    let why = ProtocolError::ReservedBits;
    refuses(Role::Client, &Limits::default(), &bytes, &events, why);
}

#[test]
fn what_was_read_in_place_is_refused_as_well() {
    let mut bytes = frame(Role::Server, 0x81, &vec![b'a'; 2 * LARGE]);
    bytes[9 + LARGE] ^= 0x80;
    for size in [1, 100, 5000, bytes.len()] {
        let outcome = decode_directly(Role::Server, &Limits::default(), bytes.chunks(size));
        assert_eq!(outcome, Outcome::events([]).then(ProtocolError::Utf8));
    }
    let mut unfinished = frame(Role::Client, 0x81, &vec![b'a'; 2 * LARGE]);
    *unfinished.last_mut().unwrap() = 0xe2;
    let outcome = decode_directly(Role::Client, &Limits::default(), unfinished.chunks(LARGE));
    assert_eq!(outcome, Outcome::events([]).then(ProtocolError::Utf8));
}
