//! The bundle's data document in a compact form: an arena of tagged references, built in one
//! streaming pass, looked up without unpacking.
//!
//! A reference is 32 bits: 3 of tag, 29 of payload. Strings lie in one byte arena, each after its
//! length; equal short strings and equal keys share one place. Objects of up to 32 members are
//! records: a shape (the keys, shared by all objects that have the same) and the values. Larger ones
//! carry a hash table. Arenas grow in chunks: what is there is never copied, so that building takes
//! little more than what is kept.

mod arena;
mod build;
mod merge;
mod reader;
mod store;
mod strings;
#[cfg(test)]
mod tests;

pub use build::DataBuilder;

use store::{Reference, Store, Tag};

use super::value::Value;

/// The data document of a snapshot: one object.
#[derive(Debug, Default)]
pub struct Data {
    store: Store,
    /// None is the empty object.
    root: Option<Reference>,
}

/// A list or map inside a [`Data`].
#[derive(Clone, Copy, Debug)]
pub struct DataRef<'a> {
    store: &'a Store,
    at: Reference,
}

/// A place inside a [`Data`] found while compiling, good for that [`Data`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataNode(Reference);

/// Data that cannot become part of the document.
#[derive(Debug, thiserror::Error)]
#[error("{message} (at byte {offset})")]
pub struct DataError {
    pub message: String,
    /// In the file.
    pub offset: u64,
}

impl Data {
    /// Bytes this keeps resident.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        self.store.resident_bytes()
    }

    /// The whole document.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        self.root
            .map_or(Value::Map(&[]), |root| self.store.value(root))
    }

    /// The place at `path`, where the document has one.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<DataNode> {
        path.iter()
            .try_fold(self.root?, |at, name| self.store.member(at, name))
            .map(DataNode)
    }

    /// The place of member `name` of the map at `node`.
    #[must_use]
    pub fn member(&self, node: DataNode, name: &str) -> Option<DataNode> {
        self.store.member(node.0, name).map(DataNode)
    }

    /// The value at a place of this document.
    #[must_use]
    pub fn value(&self, node: DataNode) -> Value<'_> {
        self.store.value(node.0)
    }
}

impl<'a> DataRef<'a> {
    /// Whether this is a list (else it is a map).
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.at.tag() == Tag::List
    }

    /// Number of elements or entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len(self.at)
    }

    /// Whether there is no element or entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index` of a list.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<Value<'a>> {
        self.store
            .element(self.at, index)
            .map(|at| self.store.value(at))
    }

    /// The value at key `name` of a map.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.store
            .member(self.at, name)
            .map(|at| self.store.value(at))
    }

    /// The entry at `index` of a map, in the order written.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<(&'a str, Value<'a>)> {
        self.store
            .entry(self.at, index)
            .map(|(key, at)| (key, self.store.value(at)))
    }
}
