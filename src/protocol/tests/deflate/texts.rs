//! Texts of several kinds to compress, the same in every run.

/// A generator of xorshift: what it gives has no matches of its own.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % end
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// A kind of text: makes some `length` bytes that may refer to what came before.
pub(super) type Kind = fn(&mut Random, before: &[u8], length: usize) -> Vec<u8>;

pub(super) const KINDS: [(&str, Kind); 5] = [
    ("repeats", repeats),
    ("words", words),
    ("json", json),
    ("runs", runs),
    ("noise", |random, _, length| random.bytes(length)),
];

/// What stood at distances around each power of two comes again, with noise between.
fn repeats(random: &mut Random, before: &[u8], length: usize) -> Vec<u8> {
    let mut text = before.to_vec();
    while text.len() < before.len() + length {
        let power = 1 << (7 + random.below(9));
        let around = [
            power - 263,
            power - 262,
            power - 8,
            power,
            power + 1,
            power + 9,
        ];
        let distance = around[random.below(6)].clamp(40, 40_000) as usize;
        if let Some(start) = text.len().checked_sub(distance) {
            text.extend_from_within(start..start + 24);
        }
        let noise = 1 + random.below(12);
        text.extend(random.bytes(noise));
    }
    text.split_off(before.len())
}

fn words(random: &mut Random, _: &[u8], length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < length {
        // The shorter a word's number, the more often it comes.
        let most = 1 + random.below(3000);
        let mut number = random.below(most) * 7919;
        while number > 0 {
            text.push(b"etaoinsrhldcumfp"[number % 16]);
            number /= 16;
        }
        text.push(b' ');
    }
    text
}

fn json(random: &mut Random, _: &[u8], length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < length {
        let (id, price) = (random.below(100_000), random.below(10_000));
        let symbol = ["EURUSD", "GBPUSD", "BTCUSDT", "XAUUSD"][random.below(4)];
        let trade = format!(
            r#"{{"type":"trade","id":{id},"symbol":"{symbol}","price":{price}.5,"buyer":true}},"#
        );
        text.extend(trade.bytes());
    }
    text
}

fn runs(random: &mut Random, _: &[u8], length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < length {
        let (byte, times) = (random.below(4) as u8, 1 + random.below(2000));
        text.resize(text.len() + times, byte);
    }
    text
}
