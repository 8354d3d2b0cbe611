//! Transcripts of what is right, each in every cut.

use super::*;

/// `bytes` in hexadecimal give `events`, whatever the cuts.
fn gives(role: Role, bytes: &str, events: &[Event]) {
    let expected = Outcome::events(events);
    in_every_cut(role, &Limits::default(), &hex(bytes), &expected);
}

#[test]
fn the_examples_of_rfc_6455_section_5_7_are_decoded() {
    use Role::{Client, Server};
    gives(Client, "81 05 48 65 6c 6c 6f", &[text("Hello")]);
    gives(Server, "81 85 37fa213d 7f 9f 4d 51 58", &[text("Hello")]);
    gives(Client, "01 03 48 65 6c  80 02 6c 6f", &[text("Hello")]);
    gives(Client, "89 05 48 65 6c 6c 6f", &[ping(b"Hello")]);
    gives(Server, "8a 85 37fa213d 7f 9f 4d 51 58", &[pong(b"Hello")]);
    for (head, length) in [("82 7e 0100", 256), ("82 7f 0000000000010000", 65536)] {
        let payload = vec![0x5a; length];
        let bytes = [hex(head), payload.clone()].concat();
        let expected = Outcome::events([binary(&payload)]);
        in_every_cut(Client, &Limits::default(), &bytes, &expected);
    }
}

#[test]
fn messages_of_every_form_of_length_are_decoded() {
    for role in ROLES {
        for length in [0, 1, 125, 126, 127, 65535, 65536] {
            // A character of three bytes stands across most cuts.
            let words = "x".repeat(length % 3) + &"\u{20ac}".repeat(length / 3);
            let mut bytes = frame(role, 0x81, words.as_bytes());
            let event = text(&words);
            in_every_cut(role, &Limits::default(), &bytes, &Outcome::events([event]));
            bytes[0] = 0x82;
            let event = binary(words.as_bytes());
            in_every_cut(role, &Limits::default(), &bytes, &Outcome::events([event]));
        }
    }
}

#[test]
fn control_frames_hold_up_to_125_bytes() {
    for role in ROLES {
        for length in [0, 1, 125] {
            let payload = vec![0xee; length];
            let bytes = [frame(role, 0x89, &payload), frame(role, 0x8a, &payload)].concat();
            let expected = Outcome::events([ping(&payload), pong(&payload)]);
            in_every_cut(role, &Limits::default(), &bytes, &expected);
        }
    }
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    gives(
        Role::Client,
        "01 01 e2  00 01 82  80 01 ac",
        &[text("\u{20ac}")],
    );
    gives(
        Role::Client,
        "01 02 f09f  00 00  80 02 a680",
        &[text("\u{1f980}")],
    );
    gives(
        Role::Server,
        "01 82 01020304 60c1  00 81 00000000 a9  80 80 55555555",
        &[text("a\u{e9}")],
    );
}

#[test]
fn fragments_may_be_empty() {
    gives(Role::Client, "02 00  00 00  80 00", &[binary(b"")]);
    gives(Role::Client, "01 00  80 02 6869", &[text("hi")]);
    gives(Role::Client, "02 01 07  00 00  80 00", &[binary(&[7])]);
}

#[test]
fn control_frames_may_come_between_fragments() {
    gives(
        Role::Client,
        "01 02 6865  89 01 70  00 01 6c  8a 00  89 00  80 02 6c6f  81 00",
        &[ping(b"p"), pong(b""), ping(b""), text("hello"), text("")],
    );
    gives(
        Role::Client,
        "02 01 01  89 02 c328  88 02 03e8",
        &[ping(&[0xc3, 0x28]), close(1000, "")],
    );
}

#[test]
fn a_ping_between_fragments_does_not_disturb_a_character() {
    gives(
        Role::Client,
        "01 01 c3  89 01 ff  80 01 a9",
        &[ping(&[0xff]), text("\u{e9}")],
    );
}

#[test]
fn each_frame_has_a_masking_key_of_its_own() {
    gives(
        Role::Server,
        "02 83 01020304 000000  89 82 aabbccdd aabb  80 85 11223344 1122334411",
        &[ping(&[0, 0]), binary(&[1, 2, 3, 0, 0, 0, 0, 0])],
    );
}

#[test]
fn all_of_unicode_up_to_its_borders_is_text() {
    for character in [
        '\0', '\u{7f}', '\u{80}', '\u{7ff}', '\u{800}', '\u{d7ff}', '\u{e000}',
    ]
    .into_iter()
    .chain(['\u{ffff}', '\u{10000}', '\u{10ffff}'])
    {
        for role in ROLES {
            let word = character.to_string();
            let (head, tail) = word.as_bytes().split_at(word.len() / 2);
            let bytes = [
                frame(role, 0x81, word.as_bytes()),
                frame(role, 0x01, head),
                frame(role, 0x80, tail),
            ];
            let expected = Outcome::events([text(&word), text(&word)]);
            in_every_cut(role, &Limits::default(), &bytes.concat(), &expected);
        }
    }
}

#[test]
fn a_close_frame_may_be_empty() {
    gives(Role::Client, "88 00", &[close(1005, "")]);
    gives(Role::Server, "88 80 01020304", &[close(1005, "")]);
}

#[test]
fn every_close_code_that_may_be_sent_is_received() {
    for code in (1000..=1003)
        .chain(1007..=1014)
        .chain([3000, 3999, 4000, 4999])
    {
        for role in ROLES {
            let expected = Outcome::events([close(code, "")]);
            in_every_cut(
                role,
                &Limits::default(),
                &close_frame(role, code, b""),
                &expected,
            );
        }
    }
}

#[test]
fn a_close_reason_may_fill_its_frame() {
    for role in ROLES {
        let reason = "\u{20ac}".repeat(41);
        let expected = Outcome::events([close(1001, &reason)]);
        let bytes = close_frame(role, 1001, reason.as_bytes());
        in_every_cut(role, &Limits::default(), &bytes, &expected);
    }
}

#[test]
fn everything_after_a_close_frame_is_discarded() {
    gives(
        Role::Client,
        "81 01 61  88 03 03e8 21  81 01 62  88 00  ff ff ff ff",
        &[text("a"), close(1000, "!")],
    );
}

#[test]
fn a_message_in_progress_is_discarded_by_a_close_frame() {
    gives(
        Role::Client,
        "01 01 61  88 00  80 01 62",
        &[close(1005, "")],
    );
}

#[test]
fn the_begin_of_a_header_waits_untouched() {
    let long = hex("81 fe 0100 01020304");
    for cut in 0..long.len() {
        let outcome = decode(Role::Server, &Limits::default(), [&long[..cut]]);
        assert_eq!(outcome.left, &long[..cut]);
        assert_eq!(outcome.events, []);
    }
}

#[test]
fn limits_are_inclusive() {
    let limits = limits(4, 3, 4);
    for role in ROLES {
        let bytes = [
            frame(role, 0x82, b"abc"),
            frame(role, 0x02, b"abc"),
            frame(role, 0x00, b""),
            frame(role, 0x80, b"d"),
        ];
        let expected = Outcome::events([binary(b"abc"), binary(b"abcd")]);
        in_every_cut(role, &limits, &bytes.concat(), &expected);
    }
}

#[test]
fn the_size_and_number_of_fragments_are_counted_for_each_message_anew() {
    let bytes = hex("02 03 616263  80 01 64").repeat(3);
    let expected = Outcome::events(vec![binary(b"abcd"); 3]);
    in_every_cut(Role::Client, &limits(4, 3, 2), &bytes, &expected);
}

#[test]
fn no_limit_on_data_touches_control_frames() {
    let bytes = hex("89 05 48 65 6c 6c 6f  88 04 03e8 6869");
    let expected = Outcome::events([ping(b"Hello"), close(1000, "hi")]);
    in_every_cut(Role::Client, &limits(0, 0, 1), &bytes, &expected);
}

#[test]
fn a_message_in_one_frame_is_within_any_limit_of_fragments() {
    for bytes in ["82 00", "82 01 61"] {
        let bytes = hex(bytes);
        let expected = Outcome::events([binary(&bytes[2..])]);
        in_every_cut(Role::Client, &limits(9, 9, 1), &bytes, &expected);
    }
}
