//! Messages that are handed on in pieces while they arrive.

use super::properties::{pieces, sizes, tiny_limits};
use super::streaming::{Came, Streaming, Taking, stream};
use super::streams::{any_stream, long_step, role, step};
use super::*;
use crate::protocol::PieceEnd;
use proptest::prelude::*;
use std::time::Duration;

/// Every cut gives what `expected` says once the pieces are put together.
fn joins_in_every_cut(role: Role, limits: &Limits, above: usize, bytes: &[u8], expected: &Outcome) {
    let check = |reads: &[&[u8]]| {
        let streaming = stream(role, limits, above, reads.iter().copied());
        let cuts: Vec<_> = reads.iter().map(|read| read.len()).collect();
        let (outcome, _) = streaming.joined();
        assert_eq!(outcome, *expected, "{role:?}, reads of {cuts:?}");
    };
    check(&[bytes]);
    check(&bytes.chunks(1).collect::<Vec<_>>());
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        check(&[head, tail]);
        for second in (at..=bytes.len()).filter(|_| bytes.len() <= 40) {
            check(&[head, &bytes[at..second], &bytes[second..]]);
        }
    }
}

fn joins(role: Role, bytes: &str, events: &[Event]) {
    for above in [0, 1, 2, 4, 100] {
        let expected = Outcome::events(events);
        joins_in_every_cut(role, &Limits::default(), above, &hex(bytes), &expected);
    }
}

#[test]
fn pieces_are_the_message_whatever_the_cuts() {
    joins(
        Role::Client,
        "82 05 0102030405",
        &[binary(&[1, 2, 3, 4, 5])],
    );
    joins(
        Role::Server,
        "81 85 37fa213d 7f 9f 4d 51 58",
        &[text("Hello")],
    );
    joins(
        Role::Client,
        "01 03 48 65 6c  80 02 6c 6f",
        &[text("Hello")],
    );
    joins(
        Role::Client,
        "02 02 0102  00 00  80 00  81 01 61  01 00  80 03 626364  82 00",
        &[binary(&[1, 2]), text("a"), text("bcd"), binary(b"")],
    );
}

#[test]
fn control_frames_come_between_pieces_in_their_order() {
    joins(
        Role::Client,
        "01 02 6865  89 01 70  00 01 6c  8a 00  89 00  80 02 6c6f  82 03 010203",
        &[
            ping(b"p"),
            pong(b""),
            ping(b""),
            text("hello"),
            binary(&[1, 2, 3]),
        ],
    );
}

#[test]
fn a_character_may_be_cut_by_pieces() {
    joins(
        Role::Client,
        "01 01 e2  00 01 82  80 01 ac  81 04 f09fa680",
        &[text("\u{20ac}"), text("\u{1f980}")],
    );
    let streaming = stream(
        Role::Client,
        &Limits::default(),
        0,
        hex("81 03 e282ac").chunks(1),
    );
    let payloads: Vec<_> = (streaming.pieces().iter())
        .map(|piece| piece.payload.to_vec())
        .collect();
    assert_eq!(payloads, [b"\xe2", b"\x82", b"\xac"]);
}

#[test]
fn the_first_piece_and_the_last_are_marked() {
    let streaming = stream(
        Role::Client,
        &Limits::default(),
        2,
        hex("02 02 0102  00 01 03  80 00").chunks(1),
    );
    let marks: Vec<_> = (streaming.pieces().iter())
        .map(|piece| (piece.first, piece.end, piece.payload.to_vec()))
        .collect();
    assert_eq!(
        marks,
        [
            // What came before it was known that it goes in pieces.
            (true, PieceEnd::More, vec![1, 2]),
            (false, PieceEnd::More, vec![3]),
            (false, PieceEnd::Last, vec![]),
        ]
    );
}

#[test]
fn the_next_message_begins_anew() {
    let (begin, end) = (hex("82 03 0102"), hex("03"));
    let reads = [&begin[..], &end].repeat(3);
    let streaming = stream(Role::Client, &Limits::default(), 2, reads);
    let marks: Vec<_> = (streaming.pieces().iter())
        .map(|piece| (piece.first, piece.end))
        .collect();
    let (first, last) = ((true, PieceEnd::More), (false, PieceEnd::Last));
    assert_eq!(marks, [first, last].repeat(3));
}

#[test]
fn a_message_as_long_as_the_threshold_is_whole_and_a_longer_one_is_not() {
    for role in ROLES {
        for (length, in_pieces) in [(9, false), (10, false), (11, true), (300, true)] {
            let payload = vec![7; length];
            let one = frame(role, 0x82, &payload);
            let (head, tail) = payload.split_at(5);
            let two = [frame(role, 0x02, head), frame(role, 0x80, tail)].concat();
            for bytes in [one, two] {
                for size in [1, 3, bytes.len() - 1] {
                    let streaming = stream(role, &Limits::default(), 10, bytes.chunks(size));
                    assert_eq!(!streaming.pieces().is_empty(), in_pieces, "{length} bytes");
                    let (outcome, rest) = streaming.joined();
                    assert_eq!(outcome.events, [binary(&payload)]);
                    assert_eq!(rest, None);
                }
            }
        }
    }
}

#[test]
fn an_unfragmented_message_that_comes_at_once_is_whole_whatever_its_length() {
    for role in ROLES {
        let bytes = frame(role, 0x81, &[0x61; 1000]);
        let streaming = stream(role, &Limits::default(), 10, [&bytes[..]]);
        assert_eq!(streaming.pieces(), Vec::<&Piece>::new());
        assert_eq!(streaming.joined().0.events, [text(&"a".repeat(1000))]);
    }
}

#[test]
fn wrong_utf_8_in_pieces_is_refused_as_early_as_in_a_whole_message() {
    for role in ROLES {
        for (text, good) in [
            (&b"abc\xc3\x28 and so on"[..], 4),
            (b"ab\xed\xa0\x80", 3),
            (b"ab\xf4\x90\x80\x80", 3),
            (b"ab\xe2\x82", 4),
        ] {
            let (head, tail) = text.split_at(3);
            let one = frame(role, 0x81, text);
            let two = [frame(role, 0x01, head), frame(role, 0x80, tail)].concat();
            for bytes in [one, two] {
                let (after, failure) = refused_after(role, &Limits::default(), &bytes);
                assert_eq!(failure, Failure::Protocol(ProtocolError::Utf8));
                let mut streaming = Streaming::new(role, &Limits::default(), 0);
                for (i, byte) in bytes.iter().enumerate() {
                    streaming.feed(&[*byte]);
                    assert_eq!(streaming.failure.is_some(), i + 1 >= after, "byte {i}");
                }
                let rest = streaming.joined().1.map(Message::into_bytes);
                assert_eq!(rest.as_deref(), Some(&text[..good]));
            }
        }
    }
}

/// The failure, and what of the unfinished message was handed on.
fn fails(limits: &Limits, bytes: &str, size: usize) -> (Option<Failure>, Option<Message>) {
    let bytes = hex(bytes);
    let streaming = stream(Role::Client, limits, 1, bytes.chunks(size));
    let (outcome, rest) = streaming.joined();
    (outcome.failure, rest)
}

#[test]
fn the_limits_are_those_of_the_message_not_of_a_piece() {
    let too_big = |size, limit| Some(Failure::TooBig { size, limit });
    for size in [1, 2, 5, 100] {
        let message = limits(6, 6, 9);
        assert_eq!(
            fails(&message, "02 03 010203  00 03 040506  80 01 07", size),
            (too_big(7, 6), Some(Message::from(&[1, 2, 3, 4, 5, 6])))
        );
        let frame = limits(9, 3, 9);
        assert_eq!(
            fails(&frame, "02 03 010203  80 04 04050607", size),
            (too_big(4, 3), Some(Message::from(&[1, 2, 3])))
        );
        let fragments = limits(9, 9, 3);
        assert_eq!(
            fails(&fragments, "02 01 01  00 01 02  00 01 03  80 01 04", size),
            (too_big(4, 3), Some(Message::from(&[1, 2, 3])))
        );
        let (failure, rest) = fails(&fragments, "02 02 0102  00 00  00 00", size);
        assert_eq!(failure, too_big(5, 3));
        assert_eq!(rest, Some(Message::from(&[1, 2])));
    }
}

#[test]
fn what_came_before_the_end_is_handed_on_whatever_the_cuts() {
    let begin = hex("02 03 010203  00 02 0405");
    for end in ["88 02 03e8", "82 01 07", "c0 01 07", "89 7e 0100"] {
        let bytes = [begin.clone(), hex(end), hex("80 01 06")].concat();
        for size in 1..bytes.len() {
            let streaming = stream(Role::Client, &Limits::default(), 2, bytes.chunks(size));
            assert!(streaming.is_over());
            let rest = streaming.joined().1;
            assert_eq!(rest, Some(Message::from(&[1, 2, 3, 4, 5])), "{end}, {size}");
            assert_eq!(streaming.inbound.held(), 0);
            assert_eq!(streaming.inbound.message_begun(), None);
        }
    }
}

#[test]
fn what_is_held_follows_the_reads_and_not_the_message() {
    const READ: usize = 5000;
    let unlimited = limits(usize::MAX, usize::MAX, usize::MAX);
    let in_one = vec![header(Role::Client, 0x82, 1 << 40)];
    let in_fragments = vec![hex("02 01 61")];
    for (begin, fragments) in [(in_one, false), (in_fragments, true)] {
        let mut streaming = Streaming::new(Role::Client, &unlimited, 100);
        begin.iter().for_each(|read| streaming.feed(read));
        let read = match fragments {
            true => frame(Role::Client, 0x00, &[7; READ]),
            false => vec![7; READ],
        };
        for _ in 0..2000 {
            streaming.feed(&read);
            assert_eq!(streaming.inbound.held(), 0);
            assert!(streaming.inbound.space().is_none(), "read past the queue");
            for came in streaming.sink.came.drain(..) {
                let Came::Piece(piece) = came else {
                    panic!("{came:?}")
                };
                assert!(piece.payload.len() <= READ + 1);
                let capacity = piece.payload.try_into_mut().unwrap().capacity();
                assert!(capacity <= READ + READ / 4, "{capacity} kept");
            }
        }
    }
}

#[test]
fn before_the_threshold_a_message_is_held_as_any_other() {
    let unlimited = limits(usize::MAX, usize::MAX, usize::MAX);
    let mut streaming = Streaming::new(Role::Client, &unlimited, 100_000);
    streaming.feed(&hex("02 00"));
    let fragment = frame(Role::Client, 0x00, &[7; 1000]);
    for n in 1..=100 {
        streaming.feed(&fragment);
        assert!(streaming.pieces().is_empty(), "{n} KB");
        assert!(streaming.inbound.held() <= 4096.max(2 * n * 1000));
    }
    // A header decides.
    streaming.feed(&header(Role::Client, 0x00, 1));
    let lengths: Vec<_> = (streaming.pieces().iter())
        .map(|piece| piece.payload.len())
        .collect();
    assert_eq!(lengths, [100_000]);
    assert_eq!(streaming.inbound.held(), 0);
}

#[test]
fn no_space_is_lent_for_a_message_in_pieces() {
    let mut streaming = Streaming::new(Role::Client, &Limits::default(), LARGE);
    streaming.feed(&header(Role::Client, 0x82, 1 << 19));
    assert!(streaming.inbound.space().is_none() && !streaming.inbound.is_in_large_frame());
    let mut streaming = Streaming::new(Role::Client, &Limits::default(), 1 << 19);
    streaming.feed(&header(Role::Client, 0x02, 1 << 19));
    let space = streaming.inbound.space().expect("not longer").len();
    let step = streaming.inbound.fill(space, &mut streaming.sink);
    assert_eq!(step.unwrap(), Step::More);
    assert!(streaming.sink.came.is_empty());
}

#[test]
fn space_that_was_lent_before_the_threshold_leaves_nothing_in_the_pieces() {
    let length = 4 * LARGE;
    let mut streaming = Streaming::new(Role::Client, &Limits::default(), length);
    streaming.feed(&header(Role::Client, 0x02, length as u64));
    let mut came = 0;
    while let Some(space) = streaming.inbound.space() {
        space.fill(7);
        let n = space.len().min(3 * LARGE - came).max(1);
        came += n;
        let step = streaming.inbound.fill(n, &mut streaming.sink).unwrap();
        assert_eq!(step, Step::More);
    }
    streaming.feed(&vec![7; length - came]);
    assert!(streaming.pieces().is_empty());
    streaming.feed(&frame(Role::Client, 0x80, &[7; 9]));
    let (outcome, rest) = streaming.joined();
    assert!(outcome.events == [binary(&vec![7; length + 9])]);
    assert_eq!(rest, None);
    assert!(!streaming.pieces().is_empty());
}

#[test]
fn the_time_of_a_message_in_pieces_counts_from_piece_to_piece() {
    let began = Instant::now();
    let mut streaming = Streaming::new(Role::Client, &Limits::default(), 2);
    let mut after = |seconds, bytes: &str| {
        streaming.now = began + Duration::from_secs(seconds);
        streaming.feed(&hex(bytes));
        let begun = streaming.inbound.message_begun();
        begun.map(|begun| (begun - began).as_secs())
    };
    assert_eq!(after(1, "02 01 01"), Some(1));
    // Not yet longer than the threshold: the time of the whole message.
    assert_eq!(after(2, "00 01 02"), Some(1));
    assert_eq!(after(3, "00 01 03"), Some(3));
    // A header, a ping or an empty fragment are no piece.
    assert_eq!(after(4, "00"), Some(3));
    assert_eq!(after(5, "02"), Some(3));
    assert_eq!(after(6, "04"), Some(6));
    assert_eq!(after(7, "05  89 00"), Some(7));
    assert_eq!(after(8, "89 00  00 00"), Some(7));
    assert_eq!(after(9, "80 01"), Some(7));
    assert_eq!(after(10, "06"), None);
    assert_eq!(after(11, "02 01 01"), Some(11));
}

#[test]
fn time_in_which_nothing_was_taken_is_not_the_message_s() {
    for above in [0, 100] {
        let mut streaming = Streaming::new(Role::Client, &Limits::default(), above);
        streaming.feed(&hex("02 01 01"));
        streaming.inbound.excuse(Duration::from_secs(5));
        let begun = streaming.inbound.message_begun();
        assert_eq!(begun, Some(streaming.now + Duration::from_secs(5)));
        streaming.feed(&hex("80 00"));
        streaming.inbound.excuse(Duration::from_secs(5));
        assert_eq!(streaming.inbound.message_begun(), None);
    }
}

#[test]
fn a_sink_that_wants_no_more_stops_the_decoder_behind_the_message() {
    let bytes = hex("82 03 010203  82 03 040506  82 01 07");
    for size in 1..=bytes.len() {
        let mut streaming = Streaming::new(Role::Client, &Limits::default(), 2);
        streaming.sink.wants_more = false;
        bytes.chunks(size).for_each(|read| streaming.feed(read));
        let expected = [binary(&[1, 2, 3]), binary(&[4, 5, 6]), binary(&[7])];
        assert_eq!(streaming.joined().0, Outcome::events(expected));
    }
    let mut inbound = Inbound::new(Role::Client, Limits::default(), Some(2));
    let mut sink = Taking {
        came: Vec::new(),
        wants_more: false,
    };
    let now = Instant::now();
    let mut bytes = bytes.clone();
    let (n, step) = inbound.receive(&mut bytes[..4], now, &mut sink).unwrap();
    assert_eq!((n, step), (4, Step::More));
    let (n, step) = inbound.receive(&mut bytes[4..], now, &mut sink).unwrap();
    assert_eq!((n, step, sink.came.len()), (1, Step::Full, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn pieces_put_together_are_what_comes_whole(
        (role, bytes) in any_stream(),
        sizes in sizes(),
        limits in prop_oneof![Just(Limits::default()), tiny_limits()],
        above in prop_oneof![0..8_usize, 8..200_usize],
        wants_more in any::<bool>(),
    ) {
        let expected = decode(role, &limits, [&bytes[..]]);
        for reads in [pieces(&bytes, &sizes), bytes.chunks(1).collect(), vec![&bytes[..]]] {
            let mut streaming = Streaming::new(role, &limits, above);
            streaming.sink.wants_more = wants_more;
            for read in reads {
                streaming.feed(read);
                prop_assert!(streaming.inbound.held() <= 4096.max(2 * above));
            }
            let (outcome, rest) = streaming.joined();
            prop_assert_eq!(&outcome, &expected);
            if let Some(rest) = rest {
                prop_assert!(rest.len() <= limits.message);
            }
            for piece in streaming.pieces() {
                prop_assert!(piece.end == PieceEnd::Last || !piece.payload.is_empty());
            }
        }
    }

    #[test]
    fn a_failure_comes_with_the_same_byte_in_pieces_and_whole(
        (role, bytes) in any_stream(),
        limits in tiny_limits(),
        above in 0..8_usize,
    ) {
        let mut plain = Feeder::new(role, &limits);
        let mut streaming = Streaming::new(role, &limits, above);
        for byte in &bytes {
            plain.feed(&[*byte]);
            streaming.feed(&[*byte]);
            prop_assert_eq!(plain.outcome.failure, streaming.failure);
            if above == 0 {
                prop_assert_eq!(streaming.inbound.held(), 0);
            }
        }
    }

    #[test]
    fn what_is_longer_than_the_threshold_comes_in_pieces(
        role in role(),
        steps in prop::collection::vec(step(), 1..4),
        above in 0..40_usize,
    ) {
        let bytes: Vec<u8> = steps.iter().flat_map(|step| step.encode(role)).collect();
        let streaming = stream(role, &Limits::default(), above, bytes.chunks(1));
        let mut longer = steps.iter().filter(|step| step.message.len() > above);
        prop_assert!(streaming.pieces().iter().filter(|piece| piece.first).count() == longer.clone().count());
        for came in &streaming.sink.came {
            match came {
                Came::Whole(message) => prop_assert!(message.len() <= above),
                Came::Piece(piece) if piece.first => {
                    let step = longer.next().unwrap();
                    prop_assert_eq!(piece.kind, step.message.kind());
                    prop_assert!(step.message.as_bytes().starts_with(&piece.payload));
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_long_comes_in_pieces(
        role in role(),
        steps in prop::collection::vec(long_step(), 1..3),
        sizes in sizes(),
        above in prop::sample::select(&[0, 1000, 65_535, 70_000, 80_000][..]),
    ) {
        let bytes: Vec<u8> = steps.iter().flat_map(|step| step.encode(role)).collect();
        let events: Vec<_> = steps.iter().flat_map(|step| step.events()).collect();
        let streaming = stream(role, &Limits::default(), above, pieces(&bytes, &sizes));
        let (outcome, rest) = streaming.joined();
        prop_assert!(outcome == Outcome::events(events));
        prop_assert_eq!(rest, None);
    }
}
