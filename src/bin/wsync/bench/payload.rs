//! Messages that can be told from each other, and from what a server makes of them.

use wsync::Message;

/// What a text is made of: 64 characters, so that a random byte makes one.
const CHARACTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// The number of a message is its first digits; the rest is the same in all.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    template: Vec<u8>,
    binary: bool,
}

impl Payload {
    pub(super) fn new(size: usize, binary: bool) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            // xorshift: nothing to compress beyond the 6 bits of a character.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let byte = |_| match binary {
            true => next(),
            false => CHARACTERS[usize::from(next() % 64)],
        };
        Payload {
            template: (0..size).map(byte).collect(),
            binary,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.template.len()
    }

    pub(super) fn message(&self, number: u64) -> Message {
        let mut bytes = self.template.clone();
        let digits = digits(number);
        bytes[..digits.len()].copy_from_slice(&digits);
        match String::from_utf8(bytes) {
            Ok(text) if !self.binary => text.into(),
            Ok(text) => text.into_bytes().into(),
            Err(error) => error.into_bytes().into(),
        }
    }

    /// Whether it is the message of this number.
    pub(super) fn is(&self, number: u64, message: &Message) -> bool {
        let (digits, bytes) = (digits(number), message.as_bytes());
        message.is_binary() == self.binary
            && bytes.len() == self.template.len()
            && bytes.starts_with(&digits)
            && bytes[digits.len()..] == self.template[digits.len()..]
    }

    /// What is wrong with a message that should have been the one of this number.
    pub(super) fn difference(&self, number: u64, message: &Message) -> String {
        let later = (1..=1 << 16).find(|more| self.is(number + more, message));
        if let Some(missing) = later {
            return format!("{missing} messages were not sent back");
        }
        let (sent, came) = (self.message(number), message);
        let kind = |message: &Message| if message.is_text() { "text" } else { "binary" };
        let (is, was) = (kind(came), kind(&sent));
        match sent
            .as_bytes()
            .iter()
            .zip(came.as_bytes())
            .position(|(a, b)| a != b)
        {
            _ if is != was => format!("what was {was} comes back as {is}"),
            Some(at) => format!("what comes back differs from what was sent, first in byte {at}"),
            None => format!(
                "what had {} bytes comes back with {}",
                sent.len(),
                came.len()
            ),
        }
    }
}

/// Eight hexadecimal digits: the same message comes again after four thousand million.
fn digits(number: u64) -> [u8; 8] {
    let mut digits = [0; 8];
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (28 - 4 * place) & 15) as usize];
    }
    digits
}
