//! Compressed messages that are handed on in pieces while they are inflated.

use super::super::streaming::{Came, Streaming};
use super::texts::Random;
use super::*;
use crate::protocol::PieceEnd;

/// The most that a piece has: what is worth one, and what is inflated before it is counted.
const PIECE: usize = (64 << 10) + (16 << 10);

fn streaming(role: Role, above: usize) -> Streaming {
    let limits = Limits {
        message: 64 << 20,
        ..Limits::default()
    };
    Streaming::of(Inbound::new(role, limits, Some(above)).inflating(true))
}

#[test]
fn pieces_of_compressed_messages_are_bounded_and_are_the_message() {
    let mut random = Random::new(3);
    for message in [vec![0; 1 << 20], random.bytes(200_000)] {
        let payload = deflated(&message);
        for role in ROLES {
            for bytes in compressed(role, 2, &payload, 1 + payload.len() / 5) {
                for (above, size) in [(0, 1000), (1000, 100), (100_000, 30_000), (1000, 1 << 20)] {
                    let mut streaming = streaming(role, above);
                    for read in bytes.chunks(size) {
                        streaming.feed(read);
                        let held = streaming.inbound.held();
                        assert!(held <= 2 * above.max(PIECE), "{held} held above {above}");
                    }
                    assert!(streaming.joined().0 == Outcome::events([binary(&message)]));
                    let pieces = streaming.pieces();
                    assert!(pieces.len() > 1);
                    for (n, piece) in pieces.into_iter().enumerate() {
                        let most = if n == 0 { above + PIECE } else { PIECE };
                        assert!(piece.payload.len() <= most, "{}", piece.payload.len());
                    }
                }
            }
        }
    }
}

#[test]
fn many_frames_of_one_read_are_handed_on_before_they_are_much() {
    const FRAMES: usize = 100;
    // Each is less than is inflated at a time, so that none fills it.
    let part = vec![7; 15 << 10];
    for role in ROLES {
        let mut deflater = Deflater::new(settings(6, 15, 8));
        let mut bytes = Vec::new();
        for n in 1..=FRAMES {
            let mut payload = Vec::new();
            let (first, end) = match n {
                1 => (0x42, Part::Flush),
                FRAMES => (0x80, Part::Last),
                _ => (0x00, Part::Flush),
            };
            deflater.deflate(&part, end, &mut payload);
            bytes.extend(frame(role, first, &payload));
        }
        let mut streaming = streaming(role, 1000);
        streaming.feed(&bytes);
        assert!(streaming.joined().0 == Outcome::events([binary(&part.repeat(FRAMES))]));
        for piece in streaming.pieces() {
            assert!(piece.payload.len() <= PIECE, "{}", piece.payload.len());
        }
    }
}

#[test]
fn a_message_as_long_as_the_threshold_is_whole_and_a_longer_one_is_not() {
    for length in [10, 1000, 16 << 10, 20_000, 100_000] {
        let payload = deflated(&Random::new(4).bytes(length));
        for role in ROLES {
            for bytes in compressed(role, 2, &payload, 1 + payload.len() / 2) {
                for (above, whole) in [(length + 1, true), (length, true), (length - 1, false)] {
                    for size in [1, 700, bytes.len()] {
                        let mut streaming = streaming(role, above);
                        bytes.chunks(size).for_each(|read| streaming.feed(read));
                        assert_eq!(streaming.pieces().is_empty(), whole, "{length}, {above}");
                    }
                }
            }
        }
    }
}

/// Whatever one read brings, one piece at a time is inflated.
#[test]
fn a_sink_that_wants_no_more_stops_the_inflating() {
    const LENGTH: usize = 10 << 20;
    let payload = deflated(&vec![7; LENGTH]);
    for role in ROLES {
        let mut bytes = [frame(role, 0xc2, &payload), frame(role, 0x89, b"p")].concat();
        let mut streaming = streaming(role, 1000);
        streaming.sink.wants_more = false;
        let (mut start, mut came) = (0, 0);
        loop {
            let rest = &mut bytes[start..];
            let now = streaming.now;
            let received = streaming.inbound.receive(rest, now, &mut streaming.sink);
            let (n, step) = received.unwrap();
            start += n;
            assert_eq!(step, Step::Full);
            let [Came::Piece(piece)] = &streaming.sink.came[..] else {
                panic!("one piece, not {}", streaming.sink.came.len());
            };
            assert!(piece.payload.iter().all(|byte| *byte == 7));
            assert!(piece.payload.len() <= PIECE);
            assert_eq!(streaming.inbound.held(), 0);
            came += piece.payload.len();
            let is_last = piece.end == PieceEnd::Last;
            assert_eq!(streaming.inbound.is_pending(), !is_last);
            streaming.sink.came.clear();
            if is_last {
                break;
            }
        }
        assert_eq!(came, LENGTH);
        let now = streaming.now;
        let received = streaming
            .inbound
            .receive(&mut bytes[start..], now, &mut streaming.sink);
        let (_, step) = received.unwrap();
        assert_eq!(step, Step::Ping(b"p".as_slice().into()));
    }
}

#[test]
fn what_was_taken_is_inflated_on_without_new_bytes() {
    // A little more than a piece. One of the cuts is where the piece ends within a reference.
    let message = vec![7; 66_000];
    let payload = deflated(&message);
    for role in ROLES {
        let mut pending = 0;
        for cut in 1..payload.len() {
            let mut streaming = streaming(role, 0);
            streaming.sink.wants_more = false;
            let (begin, end) = payload.split_at(cut);
            let mut begin = frame(role, 0x42, begin);
            let now = streaming.now;
            let received = streaming
                .inbound
                .receive(&mut begin, now, &mut streaming.sink);
            let (n, step) = received.unwrap();
            if n == begin.len() && streaming.inbound.is_pending() {
                assert_eq!(step, Step::Full);
                pending += 1;
                streaming.feed(&[]);
                assert!(!streaming.inbound.is_pending());
                assert_eq!(streaming.pieces().len(), 2, "the rest of the reference");
            }
            streaming.feed(&begin[n..]);
            streaming.feed(&frame(role, 0x80, end));
            assert!(streaming.joined().0 == Outcome::events([binary(&message)]));
        }
        assert!(pending > 0, "in no cut");
    }
}

#[test]
fn a_failure_leaves_nothing_pending() {
    let mut payload = deflated(&vec![7; 1 << 20]);
    // A block of the third type.
    payload.extend(hex("0000ffff 06"));
    for role in ROLES {
        let mut streaming = streaming(role, 0);
        streaming.sink.wants_more = false;
        let mut bytes = frame(role, 0xc2, &payload);
        let now = streaming.now;
        let received = streaming
            .inbound
            .receive(&mut bytes, now, &mut streaming.sink);
        let (n, step) = received.unwrap();
        assert_eq!((step, streaming.inbound.is_pending()), (Step::Full, true));
        streaming.feed(&bytes[n..]);
        let refused = Failure::Protocol(ProtocolError::Deflate);
        assert_eq!(streaming.failure, Some(refused));
        assert!(!streaming.inbound.is_pending() && !streaming.inbound.is_large());
        assert_eq!(streaming.inbound.held(), 0);
    }
}
