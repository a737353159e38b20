//! From a key to a variant: the bucketing of Unleash (`hash: murmur3`) and the registry's A/B rule (`hash: md5`).
//!
//! Unleash: `murmur3_x86_32("<group>:<key>", seed) mod N + 1`; see its client specification.

use md5::{Digest as _, Md5};

use crate::model::Group;

use super::murmur3::Murmur3;

/// Unleash's seed for variants; gradual rollout uses seed 0.
const VARIANT_SEED: u32 = 86_028_157;

/// The group of an experiment, hashed as far as all keys have it in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Salt {
    rollout: Murmur3,
    variant: Murmur3,
}

impl Salt {
    pub fn new(group: &str) -> Self {
        let under = |seed| Murmur3::new(seed).with(group.as_bytes()).with(b":");
        Self {
            rollout: under(0),
            variant: under(VARIANT_SEED),
        }
    }
}

/// The bucket of `key`, from 1 to `buckets`. Zero buckets count as one.
fn normalized(key: &str, group: Murmur3, buckets: u64) -> u64 {
    u64::from(group.with(key.as_bytes()).finish()) % buckets.max(1) + 1
}

/// Whether `key` lies within the first `percent` of a hundred.
pub(super) fn in_rollout(key: &str, salt: &Salt, percent: u32) -> bool {
    percent >= 100 || percent > 0 && normalized(key, salt.rollout, 100) <= u64::from(percent)
}

/// The index of the variant that `key` falls into; None where the weights sum to nothing.
pub(super) fn variant(key: &str, salt: &Salt, weights: &[u32]) -> Option<usize> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    if total == 0 {
        return None;
    }
    let bucket = normalized(key, salt.variant, total);
    let mut reached = 0;
    weights.iter().position(|weight| {
        reached += u64::from(*weight);
        reached >= bucket
    })
}

/// The registry's group: the MD5 of the key as one number, even = A, odd = B.
pub(super) fn md5_group(key: &str) -> Group {
    let digest = Md5::digest(key.as_bytes());
    if digest.last().is_some_and(|byte| byte % 2 == 1) {
        Group::B
    } else {
        Group::A
    }
}

#[cfg(test)]
mod tests;
