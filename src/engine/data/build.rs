//! From JSON text to the arena, in one pass.

use crate::engine::input::parse_number;
use crate::engine::table::Table;
use crate::engine::value::Value;

use super::merge::Folder;
use super::reader::Bytes;
use super::store::{RECORD, Reference, Store};
use super::strings::Strings;
use super::{Data, DataError};

/// Nesting of a data file.
const MAX_DEPTH: usize = 256;
/// Elements of one list or object after which they are put aside: a growing stack leaves memory behind.
const ASIDE: usize = 16 * 1024;
/// Values longer than this are not looked up among the strings that are there.
const SHARED: usize = 64;

/// Builds a [`Data`] from files as they come out of an archive.
#[derive(Debug, Default)]
pub struct DataBuilder {
    pub(super) content: Content,
    files: Folder,
}

/// The document while it grows.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub store: Store,
    strings: Strings,
    shapes: Table<Box<[Reference]>, u32>,
    /// Names and values of the lists and objects that are open.
    names: Vec<Reference>,
    values: Vec<Reference>,
    scratch: Vec<u8>,
}

impl DataBuilder {
    /// Adds the JSON text that `reader` yields at `path` (the segments of the file's folder).
    /// Files are merged; two values at one place, or a duplicate member inside a file, are errors.
    ///
    /// # Errors
    ///
    /// Text that is no JSON, too deep, duplicate members, clashes; read errors of `reader`.
    pub fn add(&mut self, path: &[&str], reader: &mut dyn std::io::Read) -> Result<(), DataError> {
        let mut bytes = Bytes::new(reader);
        bytes.skip_space()?;
        if path.is_empty() && bytes.peek()? != Some(b'{') {
            return Err(bytes.error("the data document must be an object"));
        }
        self.content.names.clear();
        self.content.values.clear();
        let value = self.content.value(&mut bytes, MAX_DEPTH)?;
        bytes.skip_space()?;
        if bytes.peek()?.is_some() {
            return Err(bytes.error("text after the value"));
        }
        match self.files.place(&self.content.store, path, value) {
            Ok(()) => Ok(()),
            Err(place) => {
                Err(bytes.error(format!("`{place}` has a value from another file already")))
            }
        }
    }

    /// The finished document.
    #[must_use]
    pub fn finish(mut self) -> Data {
        let root = self.files.build(&mut self.content);
        let mut store = self.content.store;
        store.shrink();
        Data { store, root }
    }
}

fn too_large(bytes: &Bytes<'_>) -> DataError {
    bytes.error("the data document is too large for the compact form, which holds 512 MiB of strings and 2 GiB of values")
}

impl Content {
    fn value(&mut self, bytes: &mut Bytes<'_>, depth: usize) -> Result<Reference, DataError> {
        let scalar = match bytes.peek()? {
            Some(b'{') => return self.object(bytes, depth),
            Some(b'[') => return self.list(bytes, depth),
            Some(b'"') => return self.text(bytes, SHARED),
            Some(b't') => bytes.expect(b"true").map(|()| Value::Bool(true))?,
            Some(b'f') => bytes.expect(b"false").map(|()| Value::Bool(false))?,
            Some(b'n') => bytes.expect(b"null").map(|()| Value::Null)?,
            Some(b'-' | b'0'..=b'9') => return self.number(bytes),
            Some(_) => return Err(bytes.error("expected a value")),
            None => return Err(bytes.error("the text ends too early")),
        };
        self.store
            .push_scalar(&scalar)
            .ok_or_else(|| too_large(bytes))
    }

    fn number(&mut self, bytes: &mut Bytes<'_>) -> Result<Reference, DataError> {
        if let Some(value) = bytes.small_number() {
            return self
                .store
                .push_scalar(&Value::Int(value))
                .ok_or_else(|| too_large(bytes));
        }
        let whole = bytes.number(&mut self.scratch)?;
        let text = std::str::from_utf8(&self.scratch).unwrap_or_default();
        let value = parse_number(text, whole).ok_or_else(|| bytes.error("number out of range"))?;
        self.store
            .push_scalar(&value)
            .ok_or_else(|| too_large(bytes))
    }

    /// The string at the cursor: an equal one's place where it has at most `shared` bytes.
    fn text(&mut self, bytes: &mut Bytes<'_>, shared: usize) -> Result<Reference, DataError> {
        let text = bytes.string(&mut self.scratch)?;
        let found = if text.len() <= shared {
            self.strings.find_or_add(&mut self.store, text)
        } else {
            self.store.push_string(text)
        };
        found.ok_or_else(|| too_large(bytes))
    }

    /// The place of a name.
    pub fn name(&mut self, name: &str) -> Option<Reference> {
        self.strings.find_or_add(&mut self.store, name.as_bytes())
    }

    fn list(&mut self, bytes: &mut Bytes<'_>, depth: usize) -> Result<Reference, DataError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(bytes.error("nested too deeply"));
        };
        bytes.advance(1);
        let base = self.values.len();
        let mut aside = Vec::new();
        let mut more = bytes.first(b']')?;
        while more {
            let item = self.value(bytes, depth)?;
            self.values.push(item);
            if self.values.len() - base == ASIDE {
                aside.push(self.values.split_off(base));
            }
            more = bytes.more(b']')?;
        }
        let rest = self.values.get(base..).unwrap_or_default();
        let items = aside.iter().flatten().chain(rest).copied();
        let list = self
            .store
            .push_list(aside.len() * ASIDE + rest.len(), items);
        self.values.truncate(base);
        list.ok_or_else(|| too_large(bytes))
    }

    fn object(&mut self, bytes: &mut Bytes<'_>, depth: usize) -> Result<Reference, DataError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(bytes.error("nested too deeply"));
        };
        bytes.advance(1);
        let (names, values) = (self.names.len(), self.values.len());
        let mut aside = Vec::new();
        let mut more = bytes.first(b'}')?;
        while more {
            let name = self.key(bytes)?;
            self.names.push(name);
            let value = self.value(bytes, depth)?;
            self.values.push(value);
            if self.names.len() - names == ASIDE {
                aside.push((self.names.split_off(names), self.values.split_off(values)));
            }
            more = bytes.more(b'}')?;
        }
        let map = if aside.is_empty() {
            self.map(names, values)
        } else {
            self.large_map(&aside, names, values)
        };
        self.names.truncate(names);
        self.values.truncate(values);
        match map {
            Ok(map) => map.ok_or_else(|| too_large(bytes)),
            Err(key) => Err(bytes.error(format!("duplicate member `{}`", self.store.text(key)))),
        }
    }

    fn key(&mut self, bytes: &mut Bytes<'_>) -> Result<Reference, DataError> {
        if bytes.peek()? != Some(b'"') {
            return Err(bytes.error("expected a member name"));
        }
        // Names are compared by their places.
        let key = self.text(bytes, usize::MAX)?;
        bytes.skip_space()?;
        if bytes.peek()? != Some(b':') {
            return Err(bytes.error("expected `:`"));
        }
        bytes.advance(1);
        bytes.skip_space()?;
        Ok(key)
    }

    /// A map of names and values in turn. `Err` holds a name that occurs twice.
    pub fn map_of(&mut self, pairs: &[Reference]) -> Result<Option<Reference>, Reference> {
        let (names, values) = (self.names.len(), self.values.len());
        self.names.extend(pairs.iter().step_by(2));
        self.values.extend(pairs.iter().skip(1).step_by(2));
        let map = self.map(names, values);
        self.names.truncate(names);
        self.values.truncate(values);
        map
    }

    /// A map of the names and values that were put aside, and of those that were opened last.
    fn large_map(
        &mut self,
        aside: &[(Vec<Reference>, Vec<Reference>)],
        names: usize,
        values: usize,
    ) -> Result<Option<Reference>, Reference> {
        let names = self.names.get(names..).unwrap_or_default();
        let values = self.values.get(values..).unwrap_or_default();
        let count = aside.len() * ASIDE + names.len();
        let names = aside.iter().flat_map(|(names, _)| names).chain(names);
        let values = aside.iter().flat_map(|(_, values)| values).chain(values);
        self.store
            .push_hashed(count, names.copied(), values.copied())
    }

    /// A map of the names and values that were opened last.
    fn map(&mut self, names: usize, values: usize) -> Result<Option<Reference>, Reference> {
        let names = self.names.get(names..).unwrap_or_default();
        let values = self.values.get(values..).unwrap_or_default();
        if names.len() > RECORD {
            let (count, names) = (names.len(), names.iter().copied());
            return self.store.push_hashed(count, names, values.iter().copied());
        }
        let shape = match self.shapes.get(names) {
            Some(shape) => *shape,
            None => match self.store.push_shape(names)? {
                Some(shape) => {
                    self.shapes.insert(names.into(), shape);
                    shape
                }
                None => return Ok(None),
            },
        };
        Ok(self.store.push_record(shape, values))
    }
}
