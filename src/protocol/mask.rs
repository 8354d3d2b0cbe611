//! Masking (RFC 6455 section 5.3).

/// Applies the masking key, and returns it turned so that the next bytes of the same payload go on
/// with it. The key is the four bytes as they lie in memory.
#[must_use]
pub(super) fn apply(bytes: &mut [u8], key: u32) -> u32 {
    if key == 0 {
        // From a server, that is: without a mask.
        return key;
    }
    apply_whole(bytes, key);
    // The bytes of the key turn to the left, whatever their order in a word.
    let turn = 8 * (bytes.len() % 4) as u32;
    u32::from_le(key).rotate_right(turn).to_le()
}

/// The same for a whole payload.
#[inline(always)]
pub(super) fn apply_whole(bytes: &mut [u8], key: u32) {
    if key == 0 {
        return;
    }
    let half = u64::from(key) << 32 | u64::from(key);
    let word = u128::from(half) << 64 | u128::from(half);
    let mut words = bytes.chunks_exact_mut(16);
    for chunk in &mut words {
        if let Ok(bytes) = <[u8; 16]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u128::from_ne_bytes(bytes) ^ word).to_ne_bytes());
        }
    }
    let mut keys = words.into_remainder().chunks_exact_mut(4);
    for chunk in &mut keys {
        if let Ok(bytes) = <[u8; 4]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u32::from_ne_bytes(bytes) ^ key).to_ne_bytes());
        }
    }
    for (byte, key) in keys.into_remainder().iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// What [`append`] masks at once.
const BLOCK: usize = 32;

/// Room that [`append`] needs behind the payload.
pub(super) const SPARE: usize = BLOCK - 1;

/// Appends a payload with the masking key applied.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, payload: &[u8], key: u32) {
    let start = out.len();
    out.extend_from_slice(payload);
    // So that there are only whole blocks, which are short work.
    out.extend_from_slice(&[0; SPARE]);
    let pattern = [key.to_ne_bytes(); BLOCK / 4];
    let appended = out.get_mut(start..).unwrap_or_default();
    for block in appended.chunks_exact_mut(BLOCK) {
        for (byte, key) in block.iter_mut().zip(pattern.as_flattened()) {
            *byte ^= key;
        }
    }
    out.truncate(start + payload.len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masking_in_pieces_equals_masking_each_byte(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            key in any::<[u8; 4]>(),
            cut in 0usize..200,
        ) {
            let expected: Vec<u8> = bytes.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect();
            let mut masked = bytes.clone();
            let (head, tail) = masked.split_at_mut(cut.min(bytes.len()));
            let turned = super::apply(head, u32::from_ne_bytes(key));
            let _ = super::apply(tail, turned);
            prop_assert_eq!(&masked, &expected);
            let mut appended = vec![0; cut];
            super::append(&mut appended, &bytes, u32::from_ne_bytes(key));
            prop_assert_eq!(&appended[cut..], expected);
        }
    }
}
