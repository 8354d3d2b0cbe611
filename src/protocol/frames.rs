//! Encoded frames, one after the other, in which large payloads are shared rather than copied.

use bytes::Bytes;

/// Bytes to be written in order. Offsets count all of them.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// Payloads that are kept apart, each with its place in `bytes`.
    apart: Vec<(usize, Bytes)>,
    /// Of the payloads in `apart` together.
    apart_length: usize,
    /// What was in `bytes` when they were last moved away.
    usual: usize,
}

/// More than this is not made room for in advance.
const MOST_USUAL: usize = 256 << 10;

impl Frames {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.apart_length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To put at most `room` bytes at the end.
    #[inline]
    pub(super) fn tail(&mut self, room: usize) -> &mut Vec<u8> {
        if self.bytes.capacity() - self.bytes.len() < room {
            self.grow(room);
        }
        &mut self.bytes
    }

    /// To as much as was needed the last time: in small steps, what is there would be copied at each.
    #[cold]
    fn grow(&mut self, room: usize) {
        let usual = self.usual.min(MOST_USUAL);
        let room = room.max(usual.saturating_sub(self.bytes.len()));
        self.bytes.reserve(room);
    }

    /// Puts a payload at the end without copying it.
    pub(super) fn put_apart(&mut self, payload: Bytes) {
        self.apart_length += payload.len();
        self.apart.push((self.bytes.len(), payload));
    }

    /// Moves everything from `other` to the end. Into an empty one it is a swap.
    pub(crate) fn append(&mut self, other: &mut Frames) {
        let usual = other.bytes.len();
        if self.is_empty() {
            std::mem::swap(self, other);
            other.usual = usual;
            return;
        }
        other.usual = usual;
        let offset = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let moved = other
            .apart
            .drain(..)
            .map(|(at, payload)| (at + offset, payload));
        self.apart.extend(moved);
        self.apart_length += std::mem::take(&mut other.apart_length);
    }

    /// All of it, if nothing is kept apart.
    pub(crate) fn as_one(&self) -> Option<&[u8]> {
        self.apart.is_empty().then_some(&*self.bytes)
    }

    /// Whether the byte at this offset is of a payload that is kept apart.
    pub(crate) fn is_apart_at(&self, offset: usize) -> bool {
        let mut payloads = 0;
        self.apart.iter().any(|(at, payload)| {
            let start = at + payloads;
            payloads += payload.len();
            (start..start + payload.len()).contains(&offset)
        })
    }

    /// The pieces from the offset `from` on.
    pub(crate) fn pieces(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        let mut skip = from;
        let before_each = self.apart.iter().flat_map(move |(at, payload)| {
            let bytes = self.bytes.get(start..*at).unwrap_or_default();
            start = *at;
            [bytes, payload]
        });
        let last = self.apart.last().map_or(0, |(at, _)| *at);
        let rest = self.bytes.get(last..).unwrap_or_default();
        before_each.chain([rest]).filter_map(move |piece| {
            let passed = skip.min(piece.len());
            skip -= passed;
            piece.get(passed..).filter(|piece| !piece.is_empty())
        })
    }

    /// Drops everything from the offset `length` on.
    pub(crate) fn truncate(&mut self, length: usize) {
        while self.len() > length {
            let last = self.apart.last().map_or(0, |(at, _)| *at);
            if self.bytes.len() > last {
                let surplus = (self.len() - length).min(self.bytes.len() - last);
                self.bytes.truncate(self.bytes.len() - surplus);
            } else if let Some((_, payload)) = self.apart.pop() {
                self.apart_length -= payload.len();
                if self.len() < length {
                    self.put_apart(payload.slice(..length - self.len()));
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.apart.clear();
        self.apart_length = 0;
    }

    /// Gives memory back that a large message needed, if nothing is in it.
    pub(crate) fn shrink(&mut self, keep: usize) {
        if self.is_empty() && self.bytes.capacity() > keep {
            self.bytes = Vec::new();
        }
        if self.apart.is_empty() && self.apart.capacity() > 0 {
            self.apart = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;
    use bytes::Bytes;
    use proptest::prelude::*;

    /// Frames, and the bytes that they stand for.
    fn build(parts: &[(bool, Vec<u8>)]) -> (Frames, Vec<u8>) {
        let mut frames = Frames::default();
        for (apart, bytes) in parts {
            match apart {
                true => frames.put_apart(Bytes::from(bytes.clone())),
                false => frames.tail(bytes.len()).extend_from_slice(bytes),
            }
        }
        let flat = parts.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        (frames, flat)
    }

    fn parts() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
        prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 0..5)),
            0..8,
        )
    }

    proptest! {
        #[test]
        fn pieces_from_any_offset_are_the_rest(parts in parts(), from in 0usize..50) {
            let (frames, flat) = build(&parts);
            prop_assert_eq!(frames.len(), flat.len());
            let from = from.min(flat.len());
            prop_assert_eq!(frames.pieces(from).collect::<Vec<_>>().concat(), &flat[from..]);
            let mut apart = parts.iter().flat_map(|(apart, bytes)| vec![*apart; bytes.len()]);
            prop_assert_eq!(frames.is_apart_at(from), apart.nth(from) == Some(true));
        }

        #[test]
        fn appending_and_truncating_keep_the_order(one in parts(), two in parts(), keep in 0usize..60) {
            let (mut frames, mut flat) = build(&one);
            let (mut other, tail) = build(&two);
            frames.append(&mut other);
            prop_assert!(other.is_empty() || flat.is_empty());
            flat.extend(tail);
            frames.truncate(keep);
            flat.truncate(keep);
            prop_assert_eq!(frames.len(), flat.len());
            prop_assert_eq!(frames.pieces(0).collect::<Vec<_>>().concat(), flat);
        }

        #[test]
        fn it_is_one_slice_unless_a_payload_is_apart(parts in parts()) {
            let (frames, flat) = build(&parts);
            let apart = parts.iter().any(|(apart, _)| *apart);
            prop_assert_eq!(frames.as_one(), (!apart).then_some(&*flat));
        }

        #[test]
        fn cleared_and_shrunk_it_is_empty_and_holds_what_it_may_keep(parts in parts(), keep in 0usize..20) {
            let (mut frames, flat) = build(&parts);
            frames.shrink(keep);
            prop_assert_eq!(frames.pieces(0).collect::<Vec<_>>().concat(), flat);
            frames.clear();
            prop_assert!(frames.is_empty() && frames.pieces(0).next().is_none());
            frames.shrink(keep);
            prop_assert!(frames.bytes.capacity() <= keep && frames.apart.capacity() == 0);
        }
    }
}
