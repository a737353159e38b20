//! From JSON text to the arena, in one pass.

use std::collections::HashMap;

use crate::engine::input::parse_number;
use crate::engine::value::Value;

use super::merge::Folder;
use super::reader::Bytes;
use super::store::{RECORD, Reference, Store, hash};
use super::{Data, DataError};

/// Nesting of a data file.
const MAX_DEPTH: usize = 256;
/// Values longer than this are not looked up among the strings that are there.
const SHARED: usize = 64;

/// Builds a [`Data`] from files as they come out of an archive.
#[derive(Debug, Default)]
pub struct DataBuilder {
    pub(super) content: Content,
    files: Folder,
}

/// The arena while it grows.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub store: Store,
    shared: Shared,
    shapes: HashMap<Box<[Reference]>, u32>,
    /// Values, and names before them, of the lists and objects that are open.
    open: Vec<Reference>,
    scratch: Vec<u8>,
}

/// The strings of the arena by content.
#[derive(Debug, Default)]
struct Shared {
    /// Open addressing; `None` is free.
    table: Vec<Option<Reference>>,
    count: usize,
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
        self.content.open.clear();
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
        store.words.shrink_to_fit();
        store.strings.shrink_to_fit();
        store.wide.shrink_to_fit();
        store.shapes.shrink_to_fit();
        Data { store, root }
    }
}

fn too_large(bytes: &Bytes<'_>) -> DataError {
    bytes.error("the data document is larger than 512 MiB of strings or 2 GiB of values")
}

impl Content {
    fn value(&mut self, bytes: &mut Bytes<'_>, depth: usize) -> Result<Reference, DataError> {
        let scalar = match bytes.peek()? {
            Some(b'{') => return self.object(bytes, depth),
            Some(b'[') => return self.list(bytes, depth),
            Some(b'"') => {
                let mut scratch = std::mem::take(&mut self.scratch);
                let read = bytes.string(&mut scratch);
                let found = read.map(|()| self.string(&scratch, scratch.len() <= SHARED));
                self.scratch = scratch;
                return found?.ok_or_else(|| too_large(bytes));
            }
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
        let whole = bytes.number(&mut self.scratch)?;
        let text = std::str::from_utf8(&self.scratch).unwrap_or_default();
        let value = parse_number(text, whole).ok_or_else(|| bytes.error("number out of range"))?;
        self.store
            .push_scalar(&value)
            .ok_or_else(|| too_large(bytes))
    }

    /// The place of a string, an equal one's where `share` allows it.
    pub fn string(&mut self, text: &[u8], share: bool) -> Option<Reference> {
        if !share {
            return self.store.push_string(text);
        }
        self.shared.find_or_add(&mut self.store, text)
    }

    fn list(&mut self, bytes: &mut Bytes<'_>, depth: usize) -> Result<Reference, DataError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(bytes.error("nested too deeply"));
        };
        bytes.advance(1);
        let base = self.open.len();
        let mut more = bytes.first(b']')?;
        while more {
            let item = self.value(bytes, depth)?;
            self.open.push(item);
            more = bytes.more(b']')?;
        }
        let list = self
            .store
            .push_list(self.open.get(base..).unwrap_or_default());
        self.open.truncate(base);
        list.ok_or_else(|| too_large(bytes))
    }

    fn object(&mut self, bytes: &mut Bytes<'_>, depth: usize) -> Result<Reference, DataError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(bytes.error("nested too deeply"));
        };
        bytes.advance(1);
        let base = self.open.len();
        let mut more = bytes.first(b'}')?;
        while more {
            let key = self.key(bytes)?;
            self.open.push(key);
            let value = self.value(bytes, depth)?;
            self.open.push(value);
            more = bytes.more(b'}')?;
        }
        let pairs = self.open.split_off(base);
        match self.map(&pairs) {
            Ok(map) => map.ok_or_else(|| too_large(bytes)),
            Err(key) => Err(bytes.error(format!("duplicate member `{}`", self.store.text(key)))),
        }
    }

    fn key(&mut self, bytes: &mut Bytes<'_>) -> Result<Reference, DataError> {
        if bytes.peek()? != Some(b'"') {
            return Err(bytes.error("expected a member name"));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let read = bytes.string(&mut scratch);
        let found = read.map(|()| self.string(&scratch, true));
        self.scratch = scratch;
        let key = found?.ok_or_else(|| too_large(bytes))?;
        bytes.skip_space()?;
        if bytes.peek()? != Some(b':') {
            return Err(bytes.error("expected `:`"));
        }
        bytes.advance(1);
        bytes.skip_space()?;
        Ok(key)
    }

    /// A map of names and values in turn. `Err` holds a name that occurs twice.
    pub fn map(&mut self, pairs: &[Reference]) -> Result<Option<Reference>, Reference> {
        let keys: Vec<Reference> = pairs.iter().step_by(2).copied().collect();
        let values: Vec<Reference> = pairs.iter().skip(1).step_by(2).copied().collect();
        if keys.len() > RECORD {
            return self.store.push_hashed(&keys, &values);
        }
        let shape = match self.shapes.get(keys.as_slice()) {
            Some(shape) => *shape,
            None => self.shape(keys)?,
        };
        Ok(self.store.push_record(shape, &values))
    }

    fn shape(&mut self, keys: Vec<Reference>) -> Result<u32, Reference> {
        for (index, key) in keys.iter().enumerate() {
            if keys.iter().take(index).any(|earlier| earlier == key) {
                return Err(*key);
            }
        }
        let shape = self.store.shapes.len() as u32;
        self.store.shapes.push(keys.clone().into());
        self.shapes.insert(keys.into(), shape);
        Ok(shape)
    }
}

impl Shared {
    fn find_or_add(&mut self, store: &mut Store, text: &[u8]) -> Option<Reference> {
        if (self.count + 1) * 4 > self.table.len() * 3 {
            self.grow(store);
        }
        let mask = self.table.len() - 1;
        let mut place = hash(text) as usize & mask;
        while let Some(Some(found)) = self.table.get(place) {
            if store.bytes(*found) == text {
                return Some(*found);
            }
            place = (place + 1) & mask;
        }
        let added = store.push_string(text)?;
        if let Some(free) = self.table.get_mut(place) {
            *free = Some(added);
        }
        self.count += 1;
        Some(added)
    }

    fn grow(&mut self, store: &Store) {
        let size = (self.table.len() * 2).max(64);
        let old = std::mem::replace(&mut self.table, vec![None; size]);
        for entry in old.into_iter().flatten() {
            let mut place = hash(store.bytes(entry)) as usize & (size - 1);
            while let Some(Some(_)) = self.table.get(place) {
                place = (place + 1) & (size - 1);
            }
            if let Some(free) = self.table.get_mut(place) {
                *free = Some(entry);
            }
        }
    }
}
