//! What holds for every compressed stream.

use super::super::properties::{pieces, sizes, tiny_limits};
use super::super::streaming::Streaming;
use super::super::streams::role;
use super::*;
use crate::protocol::PieceEnd;
use proptest::prelude::*;
use proptest::sample::Index;

/// A message, how it is cut, and how its sender goes on after each cut.
#[derive(Debug, Clone)]
struct Sent {
    message: Message,
    compressed: bool,
    cuts: Vec<(Index, Part)>,
    ping: bool,
}

/// How a sender compresses and a receiver reads.
#[derive(Debug, Clone)]
struct Agreed {
    sender: Role,
    settings: DeflateSettings,
    takeover: bool,
}

fn agreed() -> impl Strategy<Value = Agreed> {
    (role(), 1..=9_u8, 8..=15_u8, 1..=9_u8, any::<bool>()).prop_map(
        |(sender, level, window_bits, mem_level, takeover)| Agreed {
            sender,
            settings: settings(level, window_bits, mem_level),
            takeover,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let repeated = |(piece, times): (Vec<u8>, usize)| Message::from(piece.repeat(times));
    prop_oneof![
        4 => any::<String>().prop_map(Message::from),
        4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Message::from),
        4 => ("[a-c€]{1,20}", 0..200_usize).prop_map(|(word, n)| Message::from(word.repeat(n))),
        1 => (prop::collection::vec(any::<u8>(), 1..300), 0..400_usize).prop_map(repeated),
        1 => prop::sample::select(&[16_383, 16_384, 16_385, 32_768, 65_536][..])
            .prop_map(|length| Message::from(vec![7; length])),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let part = prop::sample::select(&[Part::More, Part::More, Part::Flush][..]);
    let cuts = prop::collection::vec((any::<Index>(), part), 0..4);
    (message(), prop::bool::weighted(0.8), cuts, any::<bool>()).prop_map(
        |(message, compressed, cuts, ping)| Sent {
            message,
            compressed,
            cuts,
            ping,
        },
    )
}

impl Sent {
    fn parts(&self) -> Vec<(&[u8], Part)> {
        let bytes = self.message.as_bytes();
        let place = |(cut, part): &(Index, Part)| (cut.index(bytes.len() + 1), *part);
        let mut ends: Vec<_> = self.cuts.iter().map(place).collect();
        ends.sort_by_key(|(end, _)| *end);
        ends.push((bytes.len(), Part::Last));
        let mut start = 0;
        let cut = |(end, part)| (&bytes[std::mem::replace(&mut start, end)..end], part);
        ends.into_iter().map(cut).collect()
    }

    /// As a sender does: what the compressor keeps to itself makes no fragment.
    fn encode(&self, outbound: &mut Outbound, deflater: &mut Deflater) -> usize {
        let mut fragments = 0;
        for (piece, part) in self.parts() {
            let mut payload = piece.to_vec();
            if self.compressed {
                payload.clear();
                deflater.deflate(piece, part, &mut payload);
                if payload.is_empty() {
                    assert_ne!(part, Part::Last, "the last fragment is never empty");
                    continue;
                }
            }
            outbound.fragment(&Fragment {
                compressed: self.compressed,
                ..fragment(
                    self.message.kind(),
                    fragments == 0,
                    part == Part::Last,
                    &payload,
                )
            });
            fragments += 1;
            if self.ping {
                outbound.ping(b"between");
            }
        }
        fragments
    }
}

/// What a sender sends, to which role, and what comes of it.
fn encoded(agreed: &Agreed, messages: &[Sent]) -> (Role, Vec<u8>, Outcome) {
    let mut outbound = Outbound::new(agreed.sender);
    let mut deflater = Deflater::new(agreed.settings);
    let mut events = Vec::new();
    for sent in messages {
        let fragments = sent.encode(&mut outbound, &mut deflater);
        if !agreed.takeover {
            deflater.reset();
        }
        let pings = if sent.ping { fragments } else { 0 };
        events.extend(vec![ping(b"between"); pings.saturating_sub(1)]);
        events.push(Event::Message(sent.message.clone()));
        events.extend(vec![ping(b"between"); pings.min(1)]);
    }
    let receiver = match agreed.sender {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    };
    (receiver, take(&mut outbound), Outcome::events(events))
}

/// Bytes that are mostly DEFLATE.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let right = (message(), damage, any::<bool>()).prop_map(|(message, damage, is_final)| {
        let mut payload = deflated(message.as_bytes());
        payload[0] |= u8::from(is_final);
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        payload
    });
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    let blocks = prop::sample::select(
        &[
            "0300",
            "000000ffff",
            "010000ffff",
            "f248cdc9c90700",
            "f348cdc9c90700",
        ][..],
    );
    let blocks = prop::collection::vec(blocks, 0..20);
    prop_oneof![
        4 => right,
        2 => noise,
        1 => blocks.prop_map(|blocks| hex(&blocks.concat())),
    ]
}

/// Frames of compressed messages that may be wrong.
fn frames_of_any_payload() -> impl Strategy<Value = (Role, Vec<u8>)> {
    let kind = prop::sample::select(&[1_u8, 2, 2][..]);
    let messages = prop::collection::vec((kind, payload(), 1..400_usize, any::<bool>()), 1..4);
    (role(), messages).prop_map(|(role, messages)| {
        let encode = |(kind, payload, size, whole): (u8, Vec<u8>, usize, bool)| {
            let [one, fragments] = compressed(role, kind, &payload, size);
            if whole || payload.is_empty() {
                one
            } else {
                fragments
            }
        };
        (role, messages.into_iter().flat_map(encode).collect())
    })
}

/// How much a decoder may hold for a message up to `limit`.
fn most_held(limit: usize) -> usize {
    limit.saturating_add(64 << 10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_deflated_is_inflated(
        agreed in agreed(),
        messages in prop::collection::vec(sent(), 0..5),
        sizes in sizes(),
    ) {
        let (role, bytes, expected) = encoded(&agreed, &messages);
        for reads in [vec![&bytes[..]], pieces(&bytes, &sizes)] {
            let outcome = feeder(role, &Limits::default(), agreed.takeover).feed_all(reads);
            prop_assert!(outcome == expected);
        }
    }

    #[test]
    fn shrinking_between_reads_changes_nothing(
        agreed in agreed(),
        messages in prop::collection::vec(sent(), 0..5),
        sizes in sizes(),
    ) {
        let (role, bytes, expected) = encoded(&agreed, &messages);
        let mut feeder = feeder(role, &Limits::default(), agreed.takeover);
        for read in pieces(&bytes, &sizes) {
            feeder.feed(read);
            feeder.inbound.shrink();
            prop_assert!(!feeder.inbound.is_large());
        }
        prop_assert!(feeder.outcome == expected);
    }

    #[test]
    fn pieces_put_together_are_what_comes_whole(
        agreed in agreed(),
        messages in prop::collection::vec(sent(), 0..5),
        sizes in sizes(),
        above in prop_oneof![0..300_usize, 300..40_000_usize],
        wants_more in any::<bool>(),
    ) {
        let (role, bytes, expected) = encoded(&agreed, &messages);
        let inbound = Inbound::new(role, Limits::default(), Some(above));
        let mut streaming = Streaming::of(inbound.inflating(agreed.takeover));
        streaming.sink.wants_more = wants_more;
        for read in pieces(&bytes, &sizes) {
            streaming.feed(read);
            prop_assert!(streaming.inbound.held() <= 2 * (above + (80 << 10)));
        }
        let (outcome, rest) = streaming.joined();
        prop_assert!(outcome == expected);
        prop_assert_eq!(rest, None);
        for piece in streaming.pieces() {
            prop_assert!(piece.end == PieceEnd::Last || !piece.payload.is_empty());
            prop_assert!(piece.payload.len() <= above + (80 << 10));
        }
    }

    #[test]
    fn no_payload_is_any_harm(
        (role, bytes) in frames_of_any_payload(),
        sizes in sizes(),
        limits in prop_oneof![
            2 => tiny_limits(),
            4 => (0..70_000_usize).prop_map(|message| limits(message, usize::MAX, usize::MAX)),
            4 => Just(limits(1 << 24, usize::MAX, usize::MAX)),
        ],
        takeover in any::<bool>(),
    ) {
        let whole = feeder(role, &limits, takeover).feed_all([&bytes[..]]);
        for event in &whole.events {
            let Event::Message(message) = event else { panic!("{event:?}") };
            prop_assert!(message.len() <= limits.message);
        }
        if let Some(Failure::Protocol(why)) = whole.failure {
            prop_assert!([ProtocolError::Deflate, ProtocolError::Utf8].contains(&why));
        }
        for reads in [pieces(&bytes, &sizes), bytes.chunks(1).collect()] {
            let mut feeder = feeder(role, &limits, takeover);
            for read in reads {
                feeder.feed(read);
                prop_assert!(feeder.inbound.held() <= most_held(limits.message));
            }
            // Of several things that are wrong, cuts decide which is seen first.
            prop_assert_eq!(feeder.outcome.failure.is_some(), whole.failure.is_some());
            prop_assert!(feeder.outcome.events == whole.events);
            prop_assert!(feeder.outcome.left == whole.left);
        }
    }

    #[test]
    fn no_payload_in_pieces_is_any_harm(
        (role, bytes) in frames_of_any_payload(),
        sizes in sizes(),
        message in prop_oneof![0..1000_usize, 1000..300_000_usize],
        above in 0..1000_usize,
        wants_more in any::<bool>(),
    ) {
        let limits = limits(message, usize::MAX, usize::MAX);
        let whole = feeder(role, &limits, true).feed_all([&bytes[..]]);
        let inbound = Inbound::new(role, limits, Some(above)).inflating(true);
        let mut streaming = Streaming::of(inbound);
        streaming.sink.wants_more = wants_more;
        for read in pieces(&bytes, &sizes) {
            streaming.feed(read);
            prop_assert!(streaming.inbound.held() <= 2 * (80 << 10));
        }
        let (outcome, rest) = streaming.joined();
        prop_assert_eq!(outcome.failure.is_some(), whole.failure.is_some());
        prop_assert!(outcome.events == whole.events);
        prop_assert!(rest.is_none_or(|rest| rest.len() <= message));
        prop_assert!(!streaming.inbound.is_pending());
    }
}
