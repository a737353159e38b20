//! Sixteen bytes of text at a time: where a string ends.

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// The place of the first quote, backslash or control character; [`BLOCK`] where there is none.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "vector instructions; `first_stop_is_the_first` holds them against plain code"
)]
#[inline]
pub(super) fn first_stop(block: &[u8; BLOCK]) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let word = u128::from_le_bytes(*block);
    // SAFETY: these need SSE2 and nothing else, and SSE2 is part of x86_64.
    let mask = unsafe {
        let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control))
    };
    (mask as u32 | 1 << BLOCK).trailing_zeros() as usize
}

/// The place of the first quote, backslash or control character; [`BLOCK`] where there is none.
///
/// Eight bytes at a time: the lowest flagged byte of each test is exact, and only that one is used
/// (Hacker's Delight, 6-1).
#[cfg(any(not(target_arch = "x86_64"), test))]
#[inline]
pub(super) fn first_stop_by_words(block: &[u8; BLOCK]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, _) = block.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(0x20 * ONES) & !word & HIGHS;
        let quote = zero(word ^ (u64::from(b'"') * ONES));
        let backslash = zero(word ^ (u64::from(b'\\') * ONES));
        let found = control | quote | backslash;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    BLOCK
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use first_stop_by_words as first_stop;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(block: &[u8; BLOCK]) -> usize {
        let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        block.iter().position(stop).unwrap_or(BLOCK)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn first_stop_is_the_first(bytes in any::<[u8; BLOCK]>(), place in 0..BLOCK, special in 0..5_usize) {
            let mut block = bytes.map(|byte| if byte < 0x20 { byte | 0x80 } else { byte });
            prop_assert_eq!(first_stop(&bytes), naive(&bytes));
            prop_assert_eq!(first_stop_by_words(&bytes), naive(&bytes));
            block[place] = [b'"', b'\\', 0, 0x1f, 0x20][special];
            prop_assert_eq!(first_stop(&block), naive(&block));
            prop_assert_eq!(first_stop_by_words(&block), naive(&block));
        }
    }
}
