//! Masking (RFC 6455 section 5.3).

/// Applies the masking key and turns it, so that the next bytes of the same payload go on with it.
pub(super) fn apply(bytes: &mut [u8], key: &mut [u8; 4]) {
    let [a, b, c, d] = *key;
    if [a, b, c, d] == [0; 4] {
        // From a server, that is: without a mask.
        return;
    }
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for chunk in &mut words {
        if let Ok(eight) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ word).to_ne_bytes());
        }
    }
    let rest = words.into_remainder();
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    key.rotate_left(rest.len() % 4);
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
            let mut turning = key;
            let (head, tail) = masked.split_at_mut(cut.min(bytes.len()));
            super::apply(head, &mut turning);
            super::apply(tail, &mut turning);
            prop_assert_eq!(masked, expected);
        }
    }
}
