//! Member names of one object, found by their first and last eight bytes.
//!
//! Filled from policies, looked up by requests: no request can make the table's keys collide.

/// So many bytes hold a short name, the quote and the colon after it, and the byte after that.
pub(super) const WINDOW: usize = 24;

/// A member name as it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'t> {
    bytes: &'t [u8],
    /// The first eight bytes; a shorter name is filled up with zeros.
    head: u64,
    /// The last eight bytes; of a shorter name, zero.
    tail: u64,
}

impl<'t> Name<'t> {
    pub fn new(bytes: &'t [u8]) -> Self {
        if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Self {
                bytes,
                head: u64::from_le_bytes(*head),
                tail: u64::from_le_bytes(*tail),
            };
        }
        let mut head = [0; 8];
        for (to, from) in head.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self {
            bytes,
            head: u64::from_le_bytes(head),
            tail: 0,
        }
    }

    /// The name at `start..end` of a text: short ones are cut out of the eight bytes that begin there.
    #[inline]
    pub fn within(text: &'t [u8], start: usize, end: usize) -> Self {
        let bytes = text.get(start..end).unwrap_or_default();
        let next = text.get(start..).and_then(|rest| rest.first_chunk::<8>());
        match next {
            Some(next) if bytes.len() < 8 => Self {
                bytes,
                head: u64::from_le_bytes(*next) & !(u64::MAX << (8 * bytes.len())),
                tail: 0,
            },
            _ => Self::new(bytes),
        }
    }

    /// The name in the first `length` bytes of `window`, of which it fills at most sixteen.
    #[inline]
    pub fn short(window: &'t [u8; WINDOW], length: usize) -> Self {
        let first = u64::from_le_bytes(*window.first_chunk().unwrap_or(&[0; 8]));
        let bytes = window.get(..length).unwrap_or_default();
        match bytes.last_chunk() {
            None => Self {
                bytes,
                head: first & !(u64::MAX << (8 * bytes.len() as u32)),
                tail: 0,
            },
            Some(tail) => Self {
                bytes,
                head: first,
                tail: u64::from_le_bytes(*tail),
            },
        }
    }

    #[inline]
    pub fn is(&self, name: &str) -> bool {
        self.bytes == name.as_bytes()
    }

    #[inline]
    fn hash(&self) -> u64 {
        /// The golden ratio, as Fibonacci hashing has it.
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash =
            (self.head ^ self.tail.rotate_left(29)).wrapping_add(self.bytes.len() as u64);
        if self.bytes.len() > 16 {
            let middle = self.bytes.get(8..self.bytes.len() - 8).unwrap_or_default();
            for byte in middle {
                hash = hash.rotate_left(7).wrapping_mul(MIX) ^ u64::from(*byte);
            }
        }
        hash.wrapping_mul(MIX)
    }
}

/// Names with a number each.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// A power of two, at most half of it taken; empty without any name.
    places: Vec<Place>,
    /// Bits of a hash that are not used.
    shift: u32,
    count: usize,
}

#[derive(Clone, Debug)]
struct Place {
    head: u64,
    tail: u64,
    /// Bytes of the name; [`FREE`] where there is none.
    length: u32,
    value: u32,
    /// What neither end holds of a long name.
    middle: Box<[u8]>,
}

const FREE: u32 = u32::MAX;

impl Names {
    pub const EMPTY: Self = Self {
        places: Vec::new(),
        shift: 0,
        count: 0,
    };

    /// Adds a name that is not there yet.
    pub fn add(&mut self, name: &str, value: u32) {
        self.count += 1;
        if self.count * 2 > self.places.len() {
            let size = (self.count * 2).next_power_of_two().max(4);
            let free = Place {
                head: 0,
                tail: 0,
                length: FREE,
                value: 0,
                middle: Box::default(),
            };
            let old = std::mem::replace(&mut self.places, vec![free; size]);
            self.shift = 64 - size.trailing_zeros();
            for place in old.into_iter().filter(|place| place.length != FREE) {
                let hash = place.hash();
                self.put(hash, place);
            }
        }
        let name = Name::new(name.as_bytes());
        let length = name.bytes.len();
        let place = Place {
            head: name.head,
            tail: name.tail,
            length: length as u32,
            value,
            middle: name
                .bytes
                .get(8..length.saturating_sub(8))
                .unwrap_or_default()
                .into(),
        };
        self.put(name.hash(), place);
    }

    fn put(&mut self, hash: u64, place: Place) {
        let mask = self.places.len() - 1;
        let mut index = (hash >> self.shift) as usize;
        while self.places[index & mask].length != FREE {
            index += 1;
        }
        self.places[index & mask] = place;
    }

    /// The number of a name.
    #[inline]
    pub fn find(&self, name: &Name<'_>) -> Option<u32> {
        let mask = self.places.len().wrapping_sub(1);
        let mut index = (name.hash() >> self.shift) as usize;
        loop {
            let place = self.places.get(index & mask)?;
            if place.head == name.head && place.is(name) {
                return Some(place.value);
            }
            if place.length == FREE {
                return None;
            }
            index += 1;
        }
    }
}

impl Place {
    #[inline]
    fn is(&self, name: &Name<'_>) -> bool {
        let length = name.bytes.len();
        self.tail == name.tail
            && self.length as usize == length
            && (length <= 16 || name.bytes.get(8..length - 8) == Some(&*self.middle))
    }

    fn hash(&self) -> u64 {
        if self.length <= 16 {
            let bytes = [0; 16];
            let name = Name {
                bytes: bytes.get(..self.length as usize).unwrap_or_default(),
                head: self.head,
                tail: self.tail,
            };
            return name.hash();
        }
        let mut bytes = self.head.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.middle);
        bytes.extend_from_slice(&self.tail.to_le_bytes());
        Name::new(&bytes).hash()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn names_are_found_as_a_map_finds_them(
            known in prop::collection::hash_set("[ab\u{0}é]{0,20}", 0..60),
            asked in prop::collection::vec("[ab\u{0}é]{0,20}", 0..60),
            before in 0..10_usize,
            after in 0..10_usize,
        ) {
            let mut names = Names::default();
            let mut map = HashMap::new();
            for (value, name) in known.iter().enumerate() {
                names.add(name, value as u32);
                map.insert(name.clone(), value as u32);
            }
            for name in known.iter().chain(&asked) {
                let expected = map.get(name).copied();
                prop_assert_eq!(names.find(&Name::new(name.as_bytes())), expected);
                let text = format!("{}{name}{}", "x".repeat(before), "y".repeat(after));
                let within = Name::within(text.as_bytes(), before, before + name.len());
                prop_assert_eq!(names.find(&within), expected);
                let mut window = [b'z'; WINDOW];
                if name.len() <= 16 {
                    window[..name.len()].copy_from_slice(name.as_bytes());
                    prop_assert_eq!(names.find(&Name::short(&window, name.len())), expected);
                }
            }
        }
    }
}
