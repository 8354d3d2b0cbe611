//! The examples of RFC 7692 section 7.2.3 and what else is right, each in every cut.

use super::*;

/// Frames to either role give `events`, whatever the cuts.
fn gives(frames: &[(u8, &str)], events: &[Event]) {
    for role in ROLES {
        let expected = Outcome::events(events);
        let bytes = frames_to(role, frames);
        inflated_in_every_cut(role, &Limits::default(), &bytes, &expected);
    }
}

#[test]
fn one_compressed_block() {
    gives(&[(0xc1, "f248cdc9c90700")], &[text("Hello")]);
    gives(&[(0xc2, "f248cdc9c90700")], &[binary(b"Hello")]);
}

#[test]
fn a_fragmented_message() {
    let fragments = [(0x41, "f248cd"), (0x80, "c9c90700")];
    gives(&fragments, &[text("Hello")]);
    let payload = ["f2", "48", "cd", "c9", "c9", "07", "00"];
    let mut fragments = vec![(0x42, "")];
    fragments.extend(payload.map(|byte| (0x00, byte)));
    fragments.extend([(0x00, ""), (0x80, "")]);
    gives(&fragments, &[binary(b"Hello")]);
}

#[test]
fn the_window_is_taken_over() {
    let frames = [(0xc1, "f248cdc9c90700"), (0xc1, "f200110000")];
    gives(&frames, &[text("Hello"), text("Hello")]);
}

#[test]
fn without_takeover_each_message_begins_afresh() {
    for role in ROLES {
        let once = frames_to(role, &[(0xc1, "f248cdc9c90700")]);
        let hello = || text("Hello");
        let outcome = feeder(role, &Limits::default(), false).feed_all([&once[..], &once]);
        assert_eq!(outcome, Outcome::events([hello(), hello()]));

        let again = frames_to(role, &[(0xc1, "f200110000")]);
        let outcome = feeder(role, &Limits::default(), false).feed_all([&once[..], &again]);
        let expected = Outcome::events([hello()]).then(ProtocolError::Deflate);
        assert_eq!(outcome, expected, "there is nothing to refer to");
    }
}

#[test]
fn a_block_without_compression() {
    gives(&[(0xc1, "000500faff48656c6c6f00")], &[text("Hello")]);
}

#[test]
fn a_final_block_does_not_end_the_stream() {
    let is_final = (0xc1, "f348cdc9c9070000");
    gives(&[is_final], &[text("Hello")]);
    let hello = || text("Hello");
    gives(&[is_final, is_final], &[hello(), hello()]);
    gives(&[is_final, (0xc1, "f248cdc9c90700")], &[hello(), hello()]);
    let within = "f348cdc9c90700 f348cdc9c90700 f248cdc9c90700";
    gives(&[(0xc1, within)], &[text("HelloHelloHello")]);
}

#[test]
fn two_blocks_in_a_message() {
    let blocks = "f248050000 00ffff cac9c90700";
    gives(&[(0xc1, blocks)], &[text("Hello")]);
    let fragments = [(0x41, "f24805000000ffff"), (0x80, "cac9c90700")];
    gives(&fragments, &[text("Hello")]);
}

#[test]
fn empty_messages() {
    gives(&[(0xc1, "00")], &[text("")]);
    gives(&[(0xc2, "00"), (0xc2, "00")], &[binary(b""), binary(b"")]);
    gives(&[(0x42, ""), (0x80, "00")], &[binary(b"")]);
    gives(&[(0xc2, "0200")], &[binary(b"")]);
}

#[test]
fn control_frames_go_between_the_fragments_of_a_compressed_message() {
    let frames = [
        (0x41, "f248cd"),
        (0x89, "70"),
        (0x00, "c9"),
        (0x8a, ""),
        (0x80, "c90700"),
    ];
    gives(&frames, &[ping(b"p"), pong(b""), text("Hello")]);
    gives(&[(0x41, "f248cd"), (0x88, "03e8")], &[close(1000, "")]);
}

#[test]
fn messages_that_are_not_compressed_leave_the_context_as_it_is() {
    let frames = [
        (0xc1, "f248cdc9c90700"),
        (0x82, "0102"),
        (0x01, "61"),
        (0x80, "62"),
        (0xc1, "f200110000"),
    ];
    let (hello, plain) = (|| text("Hello"), [binary(&[1, 2]), text("ab")]);
    gives(&frames, &[&[hello()], &plain[..], &[hello()]].concat());
}

#[test]
fn a_character_may_be_cut_wherever_it_is() {
    for role in ROLES {
        // Three bytes each, so that one stands across the end of what is inflated at once.
        for length in [1, 5, 6000, 12_000] {
            let words = "\u{20ac}".repeat(length);
            let payload = deflated(words.as_bytes());
            for bytes in compressed(role, 1, &payload, 1) {
                let expected = Outcome::events([text(&words)]);
                inflated_in_every_cut(role, &Limits::default(), &bytes, &expected);
            }
        }
    }
}

#[test]
fn the_examples_are_what_the_encoder_gives() {
    for level in [3, 6, 9] {
        let mut deflater = Deflater::new(settings(level, 15, 8));
        let mut next = |message: &[u8]| {
            let mut out = Vec::new();
            deflater.deflate(message, Part::Last, &mut out);
            out
        };
        assert_eq!(next(b"Hello"), hex("f248cdc9c90700"), "level {level}");
        assert_eq!(next(b"Hello"), hex("f200110000"), "level {level}");
        assert_eq!(next(b""), hex("00"));
        assert_eq!(next(b""), hex("00"));
    }
    assert_eq!(deflated(b""), hex("00"));
}

#[test]
fn without_context_the_same_message_gives_the_same_bytes() {
    let mut deflater = Deflater::new(settings(6, 12, 5));
    let mut outs = [Vec::new(), Vec::new()];
    for out in &mut outs {
        deflater.deflate(b"Hello", Part::Last, out);
        deflater.reset();
    }
    assert_eq!(outs, [hex("f248cdc9c90700"), hex("f248cdc9c90700")]);
}

#[test]
fn a_flush_makes_readable_what_came_so_far() {
    for role in ROLES {
        let mut deflater = Deflater::new(settings(6, 15, 8));
        let (mut begin, mut end) = (Vec::new(), Vec::new());
        deflater.deflate(b"Hel", Part::More, &mut begin);
        deflater.deflate(b"lo", Part::Flush, &mut begin);
        deflater.deflate(b"", Part::Last, &mut end);
        assert_eq!(end, hex("00"), "nothing is left to flush");
        let inbound = Inbound::new(role, Limits::default(), Some(0)).inflating(true);
        let mut streaming = super::super::streaming::Streaming::of(inbound);
        streaming.feed(&frame(role, 0x41, &begin));
        assert_eq!(streaming.joined().1, Some(Message::from(b"Hello")));
        streaming.feed(&frame(role, 0x80, &end));
        assert_eq!(streaming.joined().0, Outcome::events([text("Hello")]));
    }
}

#[test]
fn rsv1_stands_on_the_first_frame_of_a_compressed_message_alone() {
    for role in ROLES {
        let mut outbound = Outbound::new(role);
        for (first, last, compressed) in [
            (true, false, true),
            (false, false, true),
            (false, true, true),
            (true, true, true),
            (true, true, false),
        ] {
            outbound.fragment(&Fragment {
                compressed,
                ..fragment(MessageKind::Text, first, last, b"x")
            });
            outbound.ping(b"");
        }
        outbound.close(CloseFrame::no_status(), Instant::now(), None);
        let firsts: Vec<_> = (frames(&take(&mut outbound)).into_iter())
            .map(|(first, _)| first)
            .filter(|first| *first != 0x89)
            .collect();
        assert_eq!(firsts, [0x41, 0x00, 0x80, 0xc1, 0x81, 0x88]);
    }
}

/// A final block of `literals` of nine bits each, and then matches of 258 bytes at distance 1;
/// and what is in it.
fn final_block(literals: usize, matches: usize) -> (Vec<u8>, Vec<u8>) {
    let mut bits = vec![true, true, false];
    // Codes go from the highest bit on (RFC 1951 section 3.1.1).
    let mut put = |code: u32, length: u32| {
        bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    };
    (0..literals).for_each(|_| put(0b1_1001_0000, 9));
    for _ in 0..matches {
        put(0b1100_0101, 8);
        put(0, 5);
    }
    put(0, 7);
    let byte = |bits: &[bool]| (0..).zip(bits).map(|(n, bit)| u8::from(*bit) << n).sum();
    let block = bits.chunks(8).map(byte).collect();
    (block, vec![144; literals + 258 * matches])
}

#[test]
fn a_final_block_may_end_within_what_was_read_before() {
    // Its last match, or not, goes beyond what is inflated at once; and its end comes at each bit.
    for matches in [63, 64, 127] {
        for literals in 1..=130 {
            let (mut payload, message) = final_block(literals, matches);
            payload.push(0);
            for role in ROLES {
                let once = frame(role, 0xc2, &payload);
                let bytes = [once.clone(), once].concat();
                let outcome = feeder(role, &Limits::default(), true).feed_all([&bytes[..]]);
                let expected = Outcome::events([binary(&message), binary(&message)]);
                assert!(outcome == expected, "{literals}, {matches}: {outcome:?}");
            }
        }
    }
}
