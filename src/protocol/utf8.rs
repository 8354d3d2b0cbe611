//! UTF-8 in pieces (RFC 6455 section 8.1): the first byte that cannot be right is refused at once.

use crate::error::ProtocolError;

/// A check that goes on from piece to piece.
#[derive(Debug, Clone, Default)]
pub(crate) struct Utf8 {
    /// The begin of a character whose end has not come.
    begun: [u8; 4],
    length: usize,
}

impl Utf8 {
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let rest = self.complete(bytes)?;
        let Err(error) = std::str::from_utf8(rest) else {
            return Ok(());
        };
        if error.error_len().is_some() {
            return Err(ProtocolError::Utf8);
        }
        rest.iter()
            .skip(error.valid_up_to())
            .for_each(|&byte| self.push(byte));
        Ok(())
    }

    /// Whether the text may end here.
    pub(crate) fn finish(&self) -> Result<(), ProtocolError> {
        if self.length == 0 {
            Ok(())
        } else {
            Err(ProtocolError::Utf8)
        }
    }

    /// Completes the begun character, and returns what comes after it.
    fn complete<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        while self.length > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            self.push(byte);
            let begun = self.begun.get(..self.length).unwrap_or_default();
            match std::str::from_utf8(begun) {
                Ok(_) => self.length = 0,
                Err(e) if e.error_len().is_some() => return Err(ProtocolError::Utf8),
                Err(_) => {}
            }
        }
        Ok(bytes)
    }

    /// A begun character has at most three bytes, and completing it four.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.begun.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8;
    use proptest::prelude::*;

    /// How many bytes pass before the check refuses one, fed one at a time.
    fn accepted(bytes: &[u8]) -> usize {
        let mut utf8 = Utf8::default();
        bytes
            .iter()
            .take_while(|b| utf8.receive(&[**b]).is_ok())
            .count()
    }

    #[test]
    fn the_first_impossible_byte_is_refused() {
        assert_eq!(accepted(b"\xf4\x90\x80\x80"), 1, "above U+10FFFF");
        assert_eq!(accepted(b"\xed\xa0\x80"), 1, "a surrogate");
        assert_eq!(accepted(b"\xc0\xaf"), 0, "overlong");
        assert_eq!(accepted(b"a\xce\xbaX\xce\xceX"), 5, "two lead bytes");
    }

    proptest! {
        #[test]
        fn any_cut_agrees_with_the_whole(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                any::<String>().prop_map(String::into_bytes),
            ],
            cut in 0usize..40,
        ) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut utf8 = Utf8::default();
            let pieces = utf8.receive(head).and_then(|()| utf8.receive(tail)).and_then(|()| utf8.finish());
            prop_assert_eq!(pieces.is_ok(), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
