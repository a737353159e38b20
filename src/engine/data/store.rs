//! The arena: how values lie in memory.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::engine::value::Value;

use super::DataRef;
use super::arena::Arena;

/// Maps with more keys than this carry a hash table.
pub(super) const RECORD: usize = 32;

/// A tagged reference into a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reference(u32);

/// What a reference points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The payload is 0 null, 1 false, 2 true.
    Constant,
    /// The payload is the number plus 2^28.
    Small,
    /// Address of 64 bits.
    Int,
    Uint,
    Double,
    /// Address of the length, followed by the text.
    String,
    /// Address of the length, followed by the elements.
    List,
    /// Address of a shape, followed by the values, or of a hash table's header.
    Map,
}

const PAYLOAD: u32 = (1 << 29) - 1;
const SMALL: i64 = 1 << 28;
/// Marks a map's first word as the number of entries of a hashed map, not a shape.
const HASHED: u32 = 1 << 31;

impl Reference {
    /// None where the payload does not fit: the document is too large.
    pub fn new(tag: Tag, payload: usize) -> Option<Self> {
        let payload = u32::try_from(payload).ok().filter(|it| *it <= PAYLOAD)?;
        Some(Self(((tag as u32) << 29) | payload))
    }

    pub const fn tag(self) -> Tag {
        match self.0 >> 29 {
            0 => Tag::Constant,
            1 => Tag::Small,
            2 => Tag::Int,
            3 => Tag::Uint,
            4 => Tag::Double,
            5 => Tag::String,
            6 => Tag::List,
            _ => Tag::Map,
        }
    }

    pub const fn payload(self) -> usize {
        (self.0 & PAYLOAD) as usize
    }

    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    pub const fn word(self) -> u32 {
        self.0
    }
}

/// Each string behind its length, seven bits a byte, the lowest first. Chunks of a mebibyte here and of words: the
/// allocator rounds smaller ones up and keeps what is between.
type Strings = Arena<u8, 20>;

/// All values of a document.
#[derive(Debug, Default)]
pub(super) struct Store {
    words: Arena<u32, 18>,
    strings: Strings,
    wide: Arena<u64, 12>,
    /// Keys of each shape, as references to strings.
    shapes: Vec<Box<[Reference]>>,
    /// Seeded anew for every document: who chooses keys cannot make them collide.
    hashing: RandomState,
}

impl Store {
    pub fn resident_bytes(&self) -> usize {
        let shapes: usize = self.shapes.iter().map(|keys| size_of_val(&**keys)).sum();
        self.words.resident_bytes()
            + self.strings.resident_bytes()
            + self.wide.resident_bytes()
            + self.shapes.capacity() * size_of::<Box<[Reference]>>()
            + shapes
    }

    /// Gives back what growing took in advance.
    pub fn shrink(&mut self) {
        self.words.shrink();
        self.strings.shrink();
        self.wide.shrink();
        self.shapes.shrink_to_fit();
    }

    /// The hash that tables of this document use.
    pub fn hash(&self, text: &[u8]) -> u64 {
        self.hashing.hash_one(text)
    }

    pub fn value(&self, at: Reference) -> Value<'_> {
        let wide = || {
            let bits = self.wide.tail(at.payload());
            bits.first().copied().unwrap_or_default()
        };
        match at.tag() {
            Tag::Constant => match at.payload() {
                0 => Value::Null,
                other => Value::Bool(other == 2),
            },
            Tag::Small => Value::Int(at.payload() as i64 - SMALL),
            Tag::Int => Value::Int(wide() as i64),
            Tag::Uint => Value::Uint(wide()),
            Tag::Double => Value::Double(f64::from_bits(wide())),
            Tag::String => Value::String(self.text(at)),
            Tag::List | Tag::Map => Value::Data(DataRef { store: self, at }),
        }
    }

    /// The bytes of the string at `at`.
    #[inline]
    pub fn bytes(&self, at: Reference) -> &[u8] {
        text_at(&self.strings, at)
    }

    pub fn text(&self, at: Reference) -> &str {
        std::str::from_utf8(self.bytes(at)).unwrap_or_default()
    }

    /// Adds a string without looking for an equal one.
    pub fn push_string(&mut self, text: &[u8]) -> Option<Reference> {
        let mut prefix = [0; 5];
        let mut digits = 0;
        let mut left = u32::try_from(text.len()).ok()?;
        for place in &mut prefix {
            digits += 1;
            *place = (left & 0x7f) as u8;
            left >>= 7;
            if left == 0 {
                break;
            }
            *place |= 0x80;
        }
        let (at, chunk) = self.strings.run(digits + text.len());
        let reference = Reference::new(Tag::String, at)?;
        chunk.extend(prefix.iter().take(digits));
        chunk.extend_from_slice(text);
        Some(reference)
    }

    /// Adds a scalar that is no string.
    pub fn push_scalar(&mut self, value: &Value<'_>) -> Option<Reference> {
        match *value {
            Value::Null => Reference::new(Tag::Constant, 0),
            Value::Bool(value) => Reference::new(Tag::Constant, 1 + usize::from(value)),
            Value::Int(value) if (-SMALL..SMALL).contains(&value) => {
                Reference::new(Tag::Small, (value + SMALL) as usize)
            }
            Value::Int(value) => self.push_wide(Tag::Int, value as u64),
            Value::Uint(value) => self.push_wide(Tag::Uint, value),
            Value::Double(value) => self.push_wide(Tag::Double, value.to_bits()),
            _ => None,
        }
    }

    fn push_wide(&mut self, tag: Tag, bits: u64) -> Option<Reference> {
        let (at, chunk) = self.wide.run(1);
        let reference = Reference::new(tag, at)?;
        chunk.push(bits);
        Some(reference)
    }

    /// Adds a list of `count` items.
    pub fn push_list(
        &mut self,
        count: usize,
        items: impl Iterator<Item = Reference>,
    ) -> Option<Reference> {
        self.push_run(Tag::List, u32::try_from(count).ok()?, count, items)
    }

    pub fn push_record(&mut self, shape: u32, values: &[Reference]) -> Option<Reference> {
        self.push_run(Tag::Map, shape, values.len(), values.iter().copied())
    }

    fn push_run(
        &mut self,
        tag: Tag,
        first: u32,
        count: usize,
        rest: impl Iterator<Item = Reference>,
    ) -> Option<Reference> {
        let (at, chunk) = self.words.run(1 + count);
        let reference = Reference::new(tag, at)?;
        chunk.push(first);
        chunk.extend(rest.map(Reference::word));
        Some(reference)
    }

    /// Adds a shape. None where there are too many, `Err` a key that occurs twice in it.
    pub fn push_shape(&mut self, keys: &[Reference]) -> Result<Option<u32>, Reference> {
        for (index, key) in keys.iter().enumerate() {
            if keys.iter().take(index).any(|earlier| earlier == key) {
                return Err(*key);
            }
        }
        let shape = u32::try_from(self.shapes.len()).ok();
        self.shapes.push(keys.into());
        Ok(shape.filter(|shape| shape & HASHED == 0))
    }

    /// Adds a map of `count` keys, more than [`RECORD`]: header, keys, values, table of entry numbers from 1.
    /// `Err` holds a key that occurs twice.
    pub fn push_hashed(
        &mut self,
        count: usize,
        keys: impl Iterator<Item = Reference>,
        values: impl Iterator<Item = Reference>,
    ) -> Result<Option<Reference>, Reference> {
        let size = table_size(count);
        let (at, chunk) = self.words.run(1 + 2 * count + size);
        let start = chunk.len();
        chunk.push(HASHED | count as u32);
        chunk.extend(keys.map(Reference::word));
        chunk.extend(values.map(Reference::word));
        chunk.resize(start + 1 + 2 * count + size, 0);
        let (entries, table) = chunk.split_at_mut(start + 1 + 2 * count);
        let keys = entries
            .get(start + 1..start + 1 + count)
            .unwrap_or_default();
        for (key, number) in keys.iter().zip(1_u32..) {
            let text = text_at(&self.strings, Reference(*key));
            let mut place = self.hashing.hash_one(text) as usize & (size - 1);
            while let Some(other) = table.get(place).filter(|other| **other != 0) {
                if keys.get(*other as usize - 1) == Some(key) {
                    return Err(Reference(*key));
                }
                place = (place + 1) & (size - 1);
            }
            if let Some(free) = table.get_mut(place) {
                *free = number;
            }
        }
        Ok(Reference::new(Tag::Map, at))
    }

    /// Where keys, values and table of a map lie.
    fn map(&self, at: Reference) -> Option<MapAt<'_>> {
        let (header, rest) = self.words.tail(at.payload()).split_first()?;
        if header & HASHED == 0 {
            return Some(MapAt::Record {
                keys: self.shapes.get(*header as usize)?,
                values: rest,
            });
        }
        let count = (header & !HASHED) as usize;
        let (keys, rest) = rest.split_at_checked(count)?;
        let (values, rest) = rest.split_at_checked(count)?;
        Some(MapAt::Hashed {
            keys,
            values,
            table: rest.get(..table_size(count))?,
        })
    }

    pub fn len(&self, at: Reference) -> usize {
        match at.tag() {
            Tag::List => self.list(at).len(),
            Tag::Map => match self.map(at) {
                Some(MapAt::Record { keys, .. }) => keys.len(),
                Some(MapAt::Hashed { keys, .. }) => keys.len(),
                None => 0,
            },
            _ => 0,
        }
    }

    fn list(&self, at: Reference) -> &[u32] {
        let tail = self.words.tail(at.payload());
        let items = tail
            .split_first()
            .and_then(|(length, rest)| rest.get(..*length as usize));
        items.unwrap_or_default()
    }

    pub fn element(&self, at: Reference, index: usize) -> Option<Reference> {
        if at.tag() != Tag::List {
            return None;
        }
        self.list(at).get(index).copied().map(Reference)
    }

    pub fn member(&self, at: Reference, name: &str) -> Option<Reference> {
        if at.tag() != Tag::Map {
            return None;
        }
        let name = name.as_bytes();
        match self.map(at)? {
            MapAt::Record { keys, values } => {
                let index = keys.iter().position(|key| self.bytes(*key) == name)?;
                values.get(index).copied().map(Reference)
            }
            MapAt::Hashed {
                keys,
                values,
                table,
            } => {
                let mask = table.len() - 1;
                let mut place = self.hash(name) as usize & mask;
                loop {
                    let index = table.get(place)?.checked_sub(1)? as usize;
                    if self.bytes(Reference(*keys.get(index)?)) == name {
                        return values.get(index).copied().map(Reference);
                    }
                    place = (place + 1) & mask;
                }
            }
        }
    }

    pub fn entry(&self, at: Reference, index: usize) -> Option<(&str, Reference)> {
        let (key, value) = self.entry_at(at, index)?;
        Some((self.text(key), value))
    }

    /// Key and value of an entry of a map.
    pub fn entry_at(&self, at: Reference, index: usize) -> Option<(Reference, Reference)> {
        if at.tag() != Tag::Map {
            return None;
        }
        let (key, value) = match self.map(at)? {
            MapAt::Record { keys, values } => (*keys.get(index)?, values.get(index)?),
            MapAt::Hashed { keys, values, .. } => {
                (Reference(*keys.get(index)?), values.get(index)?)
            }
        };
        Some((key, Reference(*value)))
    }
}

/// A map's parts; a record's values may have anything behind them.
enum MapAt<'s> {
    Record {
        keys: &'s [Reference],
        values: &'s [u32],
    },
    Hashed {
        keys: &'s [u32],
        values: &'s [u32],
        table: &'s [u32],
    },
}

#[inline]
fn text_at(strings: &Strings, at: Reference) -> &[u8] {
    let tail = strings.tail(at.payload());
    // Most strings are short: one byte of length.
    if let Some((&length, text)) = tail.split_first()
        && length < 0x80
    {
        return text.get(..usize::from(length)).unwrap_or_default();
    }
    long(tail)
}

/// A string whose length takes several bytes.
#[cold]
fn long(tail: &[u8]) -> &[u8] {
    let mut length = 0;
    for (index, byte) in tail.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let from = index + 1;
            return tail.get(from..from + length).unwrap_or_default();
        }
    }
    &[]
}

/// Slots of a hash table for `count` keys: a power of two, at most 3/4 full.
fn table_size(count: usize) -> usize {
    (count + count / 3 + 1).next_power_of_two()
}
