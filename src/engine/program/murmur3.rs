//! MurmurHash3, x86, 32 bit (Austin Appleby, public domain): the hash of `hash: murmur3` experiments.

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// A hash under way: what many texts begin with is hashed once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Murmur3 {
    hash: u32,
    length: u32,
    block: u32,
}

impl Murmur3 {
    pub const fn new(seed: u32) -> Self {
        Self {
            hash: seed,
            length: 0,
            block: 0,
        }
    }

    /// With `bytes` after what it has.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let Self {
            mut hash,
            mut length,
            mut block,
        } = self;
        for byte in bytes {
            block |= u32::from(*byte) << (8 * (length % 4));
            length = length.wrapping_add(1);
            if length.is_multiple_of(4) {
                hash = (hash ^ mix(block)).rotate_left(13);
                hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
                block = 0;
            }
        }
        Self {
            hash,
            length,
            block,
        }
    }

    /// The hash of all.
    pub const fn finish(self) -> u32 {
        finish(self.hash ^ mix(self.block) ^ self.length)
    }
}

const fn mix(block: u32) -> u32 {
    block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2)
}

const fn finish(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::Murmur3;

    fn hash(text: &str, seed: u32) -> u32 {
        let whole = Murmur3::new(seed).with(text.as_bytes()).finish();
        for cut in 0..=text.len() {
            let (start, end) = text.as_bytes().split_at(cut);
            assert_eq!(Murmur3::new(seed).with(start).with(end).finish(), whole);
        }
        whole
    }

    #[test]
    fn agrees_with_published_vectors() {
        assert_eq!(hash("", 0), 0);
        assert_eq!(hash("", 1), 0x514e_28b7);
        assert_eq!(hash("", 0xffff_ffff), 0x81f1_6f39);
        assert_eq!(hash("test", 0), 0xba6b_d213);
        assert_eq!(hash("test", 0x9747_b28c), 0x704b_81dc);
        assert_eq!(hash("Hello, world!", 0), 0xc036_3e43);
        assert_eq!(hash("Hello, world!", 0x9747_b28c), 0x2488_4cba);
        assert_eq!(hash("aaa", 0x9747_b28c), 0x283e_0130);
        assert_eq!(
            hash("The quick brown fox jumps over the lazy dog", 0x9747_b28c),
            0x2fa8_26cd
        );
    }
}
