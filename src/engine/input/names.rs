//! Member names of one object: short ones as two words that hold the name and its length, longer ones by hash.
//!
//! Filled from policies, looked up by requests: no request can make the table's keys collide.

use crate::engine::table::Table;

/// Longest name that fits into two words beside its length.
pub(super) const SHORT: usize = 15;

/// A name of at most [`SHORT`] bytes, filled up with zeros; the last byte is the length and one, so that no name is all
/// zeros and none is another one with zeros behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShortName {
    head: u64,
    tail: u64,
}

impl ShortName {
    /// The name in the first `length` bytes of `block`, which are at most [`SHORT`].
    #[inline]
    pub fn within(block: &[u8; SHORT + 1], length: usize) -> Option<Self> {
        let (keep, mark) = MASKS.get(length)?;
        let word = u128::from_le_bytes(*block) & keep | mark;
        Some(Self {
            head: word as u64,
            tail: (word >> 64) as u64,
        })
    }

    /// None where the name is longer.
    pub fn new(name: &str) -> Option<Self> {
        let mut block = [0; SHORT + 1];
        block
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Self::within(&block, name.len())
    }

    /// A constant name.
    pub const fn of(name: &'static str) -> Self {
        let mut block = [0; SHORT + 1];
        let (from, mut at) = (name.as_bytes(), 0);
        while at < from.len() {
            block[at] = from[at];
            at += 1;
        }
        let word = u128::from_le_bytes(block) | MASKS[from.len()].1;
        Self {
            head: word as u64,
            tail: (word >> 64) as u64,
        }
    }

    #[inline]
    const fn hash(self) -> u64 {
        /// The golden ratio, as Fibonacci hashing has it.
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        (self.head ^ self.tail.rotate_left(29)).wrapping_mul(MIX)
    }
}

/// By length: which bits are the name's, and the mark of the length.
const MASKS: [(u128, u128); SHORT + 1] = {
    let mut masks = [(0, 0); SHORT + 1];
    let mut length = 0;
    while length <= SHORT {
        masks[length] = ((1 << (8 * length)) - 1, (length as u128 + 1) << (8 * SHORT));
        length += 1;
    }
    masks
};

/// Names with a number each.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// A power of two, at most half of it taken; empty without any short name.
    places: Vec<Place>,
    /// Bits of a hash that are not used.
    shift: u32,
    count: usize,
    long: Option<Box<Table<Box<str>, u32>>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    name: ShortName,
    value: u32,
}

impl Place {
    /// No name is all zeros.
    const FREE: Self = Self {
        name: ShortName { head: 0, tail: 0 },
        value: 0,
    };

    #[inline]
    const fn is_free(&self) -> bool {
        self.name.tail == 0
    }
}

impl Names {
    pub const EMPTY: Self = Self {
        places: Vec::new(),
        shift: 0,
        count: 0,
        long: None,
    };

    /// Adds a name that is not there yet.
    pub fn add(&mut self, name: &str, value: u32) {
        let Some(name) = ShortName::new(name) else {
            self.long.get_or_insert_default().insert(name.into(), value);
            return;
        };
        self.count += 1;
        if self.count * 2 > self.places.len() {
            let size = (self.count * 2).next_power_of_two().max(4);
            let old = std::mem::replace(&mut self.places, vec![Place::FREE; size]);
            self.shift = 64 - size.trailing_zeros();
            for place in old.into_iter().filter(|place| !place.is_free()) {
                self.put(place);
            }
        }
        self.put(Place { name, value });
    }

    fn put(&mut self, place: Place) {
        let mask = self.places.len() - 1;
        let mut index = (place.name.hash() >> self.shift) as usize;
        while !self.places[index & mask].is_free() {
            index += 1;
        }
        self.places[index & mask] = place;
    }

    /// The number of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        match ShortName::new(name) {
            Some(name) => self.find_short(name),
            None => self.long.as_ref()?.get(name).copied(),
        }
    }

    /// The number of a short name.
    #[inline]
    pub fn find_short(&self, name: ShortName) -> Option<u32> {
        let mask = self.places.len().wrapping_sub(1);
        let mut index = (name.hash() >> self.shift) as usize;
        loop {
            let place = self.places.get(index & mask)?;
            if place.name == name {
                return Some(place.value);
            }
            if place.is_free() {
                return None;
            }
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_constant_name_is_the_name() {
        for name in ["", "a", "subject", "fifteen_bytes__"] {
            assert_eq!(Some(ShortName::of(name)), ShortName::new(name));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn names_are_found_as_a_map_finds_them(
            known in prop::collection::hash_set("[ab\u{0}é]{0,20}", 0..60),
            asked in prop::collection::vec("[ab\u{0}é]{0,20}", 0..60),
            behind in any::<[u8; SHORT + 1]>(),
        ) {
            let mut names = Names::default();
            let mut map = HashMap::new();
            for (value, name) in known.iter().enumerate() {
                names.add(name, value as u32);
                map.insert(name.clone(), value as u32);
            }
            for name in known.iter().chain(&asked) {
                let expected = map.get(name).copied();
                prop_assert_eq!(names.find(name), expected);
                prop_assert_eq!(ShortName::new(name).is_some(), name.len() <= SHORT);
                let mut block = behind;
                if name.len() <= SHORT {
                    block[..name.len()].copy_from_slice(name.as_bytes());
                    let short = ShortName::within(&block, name.len()).unwrap();
                    prop_assert_eq!(names.find_short(short), expected);
                }
            }
        }
    }
}
