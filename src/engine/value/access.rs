//! Lists and maps read alike, whether they lie in the arena or in the bundle's data.

use crate::engine::data::DataRef;

use super::Value;
use super::compare::keys_equal;

/// A list.
#[derive(Clone, Copy, Debug)]
pub enum ListView<'a> {
    Values(&'a [Value<'a>]),
    Data(DataRef<'a>),
}

/// A map.
#[derive(Clone, Copy, Debug)]
pub enum MapView<'a> {
    Values(&'a [(Value<'a>, Value<'a>)]),
    Data(DataRef<'a>),
}

impl<'a> ListView<'a> {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Values(items) => items.len(),
            Self::Data(data) => data.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index` (from 0).
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Values(items) => items.get(index).copied(),
            Self::Data(data) => data.at(index),
        }
    }

    /// The elements in order.
    #[must_use]
    pub fn iter(&self) -> Items<'a> {
        Items {
            list: *self,
            next: 0,
        }
    }
}

impl<'a> IntoIterator for &ListView<'a> {
    type Item = Value<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

/// Elements of a list, in order.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    list: ListView<'a>,
    next: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let item = self.list.get(self.next)?;
        self.next += 1;
        Some(item)
    }
}

impl<'a> MapView<'a> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Values(entries) => entries.len(),
            Self::Data(data) => data.len(),
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries a look-up may touch: what it costs.
    #[must_use]
    pub fn lookup_cost(&self) -> u64 {
        match self {
            Self::Values(entries) => entries.len() as u64 / 16,
            Self::Data(_) => 1,
        }
    }

    /// The value at a string key.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Values(entries) => entries
                .iter()
                .find(|(key, _)| matches!(key, Value::String(text) if *text == name))
                .map(|(_, value)| *value),
            Self::Data(data) => data.get(name),
        }
    }

    /// The value at `key`; numeric keys are found by value.
    #[must_use]
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (_, Value::String(name)) => self.get_str(name),
            (Self::Values(entries), _) => entries
                .iter()
                .find(|(candidate, _)| keys_equal(candidate, key))
                .map(|(_, value)| *value),
            (Self::Data(_), _) => None,
        }
    }

    /// The entry at `index`, in the order written.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<(Value<'a>, Value<'a>)> {
        match self {
            Self::Values(entries) => entries.get(index).copied(),
            Self::Data(data) => data
                .entry(index)
                .map(|(key, value)| (Value::String(key), value)),
        }
    }

    /// The entries in the order written.
    #[must_use]
    pub fn iter(&self) -> Entries<'a> {
        Entries {
            map: *self,
            next: 0,
        }
    }
}

impl<'a> IntoIterator for &MapView<'a> {
    type Item = (Value<'a>, Value<'a>);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// Entries of a map, in the order written.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    map: MapView<'a>,
    next: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.map.entry(self.next)?;
        self.next += 1;
        Some(entry)
    }
}
