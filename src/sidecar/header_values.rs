//! Values of response headers that a thread makes once and gives to many responses.

use std::cell::RefCell;

use bytes::BytesMut;
use http::HeaderValue;
use uuid::Uuid;

use crate::api::id;

/// See the module.
#[derive(Debug)]
pub struct HeaderValues {
    /// A number and its text, while it stays the same.
    age: RefCell<(u64, HeaderValue)>,
    revision: RefCell<HeaderValue>,
    /// Ids are written into a block that is used again once all of its values are gone.
    ids: RefCell<BytesMut>,
}

impl Default for HeaderValues {
    fn default() -> Self {
        Self {
            age: RefCell::new((0, HeaderValue::from(0))),
            revision: RefCell::new(HeaderValue::from_static("")),
            ids: RefCell::default(),
        }
    }
}

impl HeaderValues {
    /// Ids in a block.
    const BLOCK: usize = 64;

    /// Seconds.
    pub fn age(&self, age: u64) -> HeaderValue {
        let mut known = self.age.borrow_mut();
        if known.0 != age {
            *known = (age, HeaderValue::from(age));
        }
        known.1.clone()
    }

    /// The name of a revision; None where it cannot be sent.
    pub fn revision(&self, name: &str) -> Option<HeaderValue> {
        let mut known = self.revision.borrow_mut();
        if *known != name {
            *known = HeaderValue::from_str(name).ok()?;
        }
        Some(known.clone())
    }

    /// An id as text.
    #[expect(
        unsafe_code,
        reason = "looking at every byte again costs as much as writing them"
    )]
    pub fn id(&self, id: Uuid) -> HeaderValue {
        let mut block = self.ids.borrow_mut();
        if block.capacity() < id::LENGTH {
            block.reserve(id::LENGTH * Self::BLOCK);
        }
        block.extend_from_slice(&id::hyphenated(id));
        let text = block.split().freeze();
        // SAFETY: digits and hyphens may stand in a header; `values_are_those_of_the_moment` reads them back.
        unsafe { HeaderValue::from_maybe_shared_unchecked(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_moment() {
        let values = HeaderValues::default();
        for age in [0, 7, 7, 8] {
            assert_eq!(values.age(age), age.to_string());
        }
        for name in ["1-a", "1-a", "2-b"] {
            assert_eq!(values.revision(name).unwrap(), name);
        }
        assert_eq!(values.revision("\n"), None);
        let ids: Vec<_> = (0..200).map(|n| values.id(Uuid::from_u128(n))).collect();
        for (n, id) in (0..200).zip(ids) {
            assert_eq!(id, Uuid::from_u128(n).to_string());
        }
    }
}
