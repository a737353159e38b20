//! The look with wider registers: bytes are told apart by a look-up of each half of them, 26 instructions for a block.

use std::arch::x86_64::{
    __m256i, _mm_set_epi64x, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_or_si256,
    _mm256_set_epi64x, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi16, _mm256_testz_si256,
};

use super::{BLOCK, WINDOW};

/// Bits of the traces: `riz`, `oki`, `i-k`.
const TRACES: [u8; 3] = [1, 2, 4];
/// Bits of bytes that may not stand in a line by themselves.
const CONTROL: u8 = 8;
const BACKSLASH: u8 = 16;

/// The bits of a byte: those that both the entry of its lower and the entry of its upper half have. Each bit stands for one
/// character in both cases, or for all control characters; so no other byte has both.
struct Bits {
    lower: [u8; 16],
    upper: [u8; 16],
}

const FIRST: Bits = Bits::of(*b"roi").with_harmful();
const SECOND: Bits = Bits::of(*b"ik-");
const THIRD: Bits = Bits::of(*b"zik");

impl Bits {
    /// The bytes of the traces at one place.
    const fn of(letters: [u8; 3]) -> Self {
        let mut bits = Self {
            lower: [0; 16],
            upper: [0; 16],
        };
        let mut trace = 0;
        while trace < letters.len() {
            let letter = letters[trace];
            bits.add(letter, TRACES[trace]);
            bits.add(letter.to_ascii_uppercase(), TRACES[trace]);
            trace += 1;
        }
        bits
    }

    const fn with_harmful(mut self) -> Self {
        let mut byte = 0;
        while byte < 0x20 {
            self.add(byte, CONTROL);
            byte += 1;
        }
        self.add(b'\\', BACKSLASH);
        self
    }

    const fn add(&mut self, byte: u8, bit: u8) {
        self.lower[(byte & 0x0f) as usize] |= bit;
        self.upper[(byte >> 4) as usize] |= bit;
    }
}

/// As [`super::look`].
#[target_feature(enable = "avx2")]
pub(super) fn is_harmless(text: &[u8]) -> bool {
    let mut found = _mm256_setzero_si256();
    let mut rest = text;
    while let Some(window) = rest.first_chunk::<WINDOW>() {
        found = _mm256_or_si256(found, harm(window));
        rest = rest.get(BLOCK..).unwrap_or_default();
    }
    // Less than a window is left.
    let mut last = [b' '; BLOCK + WINDOW];
    if let Some(place) = last.get_mut(..rest.len()) {
        place.copy_from_slice(rest);
    }
    if let (Some(first), Some(second)) = (last.first_chunk(), last.last_chunk()) {
        found = _mm256_or_si256(found, _mm256_or_si256(harm(first), harm(second)));
    }
    _mm256_testz_si256(found, found) == 1
}

/// Not zero for each byte of the block that may not stand in a line, or begins a trace.
#[target_feature(enable = "avx2")]
#[inline]
fn harm(window: &[u8; WINDOW]) -> __m256i {
    let ([first @ .., _, _], [_, second @ .., _], [_, _, third @ ..]) = (window, window, window);
    let first = bits(first, &FIRST);
    let following = _mm256_and_si256(bits(second, &SECOND), bits(third, &THIRD));
    let alone = _mm256_set1_epi8((CONTROL | BACKSLASH).cast_signed());
    _mm256_and_si256(first, _mm256_or_si256(following, alone))
}

/// The bits of each byte; a byte that is no ASCII has none.
#[target_feature(enable = "avx2")]
#[inline]
fn bits(bytes: &[u8; BLOCK], table: &Bits) -> __m256i {
    let bytes = block(bytes);
    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0f));
    _mm256_and_si256(
        _mm256_shuffle_epi8(entries(&table.lower), bytes),
        _mm256_shuffle_epi8(entries(&table.upper), upper),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn block(bytes: &[u8; BLOCK]) -> __m256i {
    let (words, _) = bytes.as_chunks::<8>();
    let &[a, b, c, d] = words else {
        return _mm256_setzero_si256();
    };
    _mm256_set_epi64x(word(d), word(c), word(b), word(a))
}

#[target_feature(enable = "avx2")]
#[inline]
fn entries(table: &[u8; 16]) -> __m256i {
    let (words, _) = table.as_chunks::<8>();
    let &[a, b] = words else {
        return _mm256_setzero_si256();
    };
    _mm256_broadcastsi128_si256(_mm_set_epi64x(word(b), word(a)))
}

/// The compiler makes one load of a block's words.
#[inline]
const fn word(bytes: [u8; 8]) -> i64 {
    i64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_stands_for_nothing_else() {
        for (table, letters, harmful) in [
            (FIRST, b"roi", true),
            (SECOND, b"ik-", false),
            (THIRD, b"zik", false),
        ] {
            for byte in 0..=u8::MAX {
                let found = if byte.is_ascii() {
                    table.lower[usize::from(byte & 0x0f)] & table.upper[usize::from(byte >> 4)]
                } else {
                    0
                };
                let lower = byte.to_ascii_lowercase();
                let is_letter = |(letter, bit): (&u8, u8)| if *letter == lower { bit } else { 0 };
                let mut expected: u8 = letters.iter().zip(TRACES).map(is_letter).sum();
                if harmful && byte < 0x20 {
                    expected |= CONTROL;
                }
                if harmful && byte == b'\\' {
                    expected |= BACKSLASH;
                }
                assert_eq!(found, expected, "{byte}");
            }
        }
    }
}
