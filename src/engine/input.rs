//! From JSON text to slots: one pass over the text, driven by a trie of the paths that the loaded
//! policies mention. What no policy mentions is checked for syntax and skipped.

use bumpalo::Bump;

use super::program::DuplicateMembers;
use super::value::Value;

/// The variables that come from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    Input,
    Subject,
    Action,
    Resource,
    Context,
    Http,
    Jwt,
    Params,
    Source,
    Destination,
    Tls,
    Extensions,
    Metadata,
}

/// Index of a path's value in [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u32);

/// Which paths the program reads, and where each lands. Built while compiling, then frozen.
#[derive(Debug, Default)]
pub struct Layout {}

impl Layout {
    /// The slot of `path` below `root`, made on first use. An empty path is the whole root.
    pub fn slot(&mut self, _root: Root, _path: &[&str]) -> Slot {
        todo!()
    }
}

/// The values of one request.
#[derive(Debug)]
pub struct Slots<'a> {
    _values: &'a [Value<'a>],
}

impl<'a> Slots<'a> {
    /// No values yet, with room for everything that `layout` knows.
    #[must_use]
    pub fn new(_layout: &Layout, _arena: &'a Bump) -> Self {
        todo!()
    }

    /// The value at `slot`; None where the request has none there (or a parent is no object).
    #[must_use]
    pub fn get(&self, _slot: Slot) -> Option<Value<'a>> {
        todo!()
    }

    /// Sets `root` from JSON `text` in one pass; what it held before is forgotten. Takes `&self` (cells
    /// inside): the captures of a path template change while a frame borrows the slots.
    ///
    /// # Errors
    ///
    /// Text that is no JSON, nested deeper than `max_depth`, or with a duplicate of a member that is read
    /// (where `duplicates` says so).
    pub fn fill(
        &self,
        _layout: &Layout,
        _root: Root,
        _text: &'a [u8],
        _arena: &'a Bump,
        _max_depth: usize,
        _duplicates: DuplicateMembers,
    ) -> Result<(), InputError> {
        todo!()
    }

    /// Sets one path below `root` to a value that did not come as JSON. Unknown paths are ignored.
    pub fn set(&self, _layout: &Layout, _root: Root, _path: &[&str], _value: Value<'a>) {
        todo!()
    }
}

/// A request body that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {offset}")]
pub struct InputError {
    pub message: &'static str,
    pub offset: usize,
}
