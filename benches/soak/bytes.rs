//! Messages whose content follows from their number, so that each can be checked alone.

/// The shortest and the longest.
const LENGTHS: (usize, usize) = (1 << 10, 64 << 10);

/// The number in place of a sequence number that says: so many there were.
pub(crate) const LAST: u64 = u64::MAX;

/// A number that looks like chance (splitmix64).
pub(crate) fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The content of messages.
#[derive(Debug)]
pub(crate) struct Content {
    /// A message is its number, the connection's, and a part of this.
    pattern: Vec<u8>,
    longest: usize,
}

impl Content {
    pub(crate) fn new() -> Self {
        Content::up_to(LENGTHS.1)
    }

    pub(crate) fn up_to(longest: usize) -> Self {
        let words = (0..(longest as u64) / 4).map(mixed);
        Content {
            pattern: words.flat_map(u64::to_be_bytes).collect(),
            longest,
        }
    }

    fn part(&self, connection: u64, n: u64) -> &[u8] {
        let chance = mixed(connection << 40 ^ n);
        let shortest = LENGTHS.0.min(self.longest);
        let length = shortest + (chance >> 32) as usize % (self.longest - shortest + 1);
        let start = chance as u32 as usize % (self.pattern.len() - self.longest + 1);
        &self.pattern[start..start + length - 16]
    }

    /// Appends message `n` of a connection.
    pub(crate) fn append(&self, out: &mut Vec<u8>, connection: u64, n: u64) {
        out.extend_from_slice(&n.to_be_bytes());
        out.extend_from_slice(&connection.to_be_bytes());
        out.extend_from_slice(self.part(connection, n));
    }

    /// Whether these bytes are message `n` of that connection.
    pub(crate) fn is(&self, bytes: &[u8], connection: u64, n: u64) -> bool {
        matches!(numbers(bytes), Some((first, second)) if first == n && second == connection)
            && bytes[16..] == *self.part(connection, n)
    }
}

/// The two numbers that a message begins with.
pub(crate) fn numbers(bytes: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize| -> Option<u64> {
        let eight = bytes.get(at..at + 8)?;
        Some(u64::from_be_bytes(eight.try_into().ok()?))
    };
    Some((number(0)?, number(8)?))
}

/// Appends a binary message as a client's frame whose key is zero, so that nothing has to be masked.
pub(crate) fn append_plain(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    payload(out);
    let length = out.len() - start - 14;
    match length {
        ..126 => {
            out[start + 1] = 0x80 | length as u8;
            out.drain(start + 2..start + 10);
        }
        126..0x1_0000 => {
            out[start + 1] = 0x80 | 126;
            out[start + 2..start + 4].copy_from_slice(&(length as u16).to_be_bytes());
            out.drain(start + 4..start + 10);
        }
        _ => out[start + 2..start + 10].copy_from_slice(&(length as u64).to_be_bytes()),
    }
}
