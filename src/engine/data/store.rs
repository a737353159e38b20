//! The arena: how values lie in memory.

use std::hash::Hasher;

use crate::engine::value::Value;

use super::DataRef;

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
    /// Index in the table of wide numbers.
    Int,
    Uint,
    Double,
    /// Offset in the string arena.
    String,
    /// Word offset of the length, followed by the elements.
    List,
    /// Word offset of a shape, or of a hash table's header.
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

    const fn from_word(word: u32) -> Self {
        Self(word)
    }

    pub const fn word(self) -> u32 {
        self.0
    }
}

/// All values of a document.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub words: Vec<u32>,
    pub strings: Vec<u8>,
    pub wide: Vec<u64>,
    /// Keys of each shape, as references to strings.
    pub shapes: Vec<Box<[Reference]>>,
}

/// The same for the same text in every process: tables are part of the arena.
pub(super) fn hash(text: &[u8]) -> u32 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(text);
    hasher.finish() as u32
}

impl Store {
    pub fn resident_bytes(&self) -> usize {
        let shapes: usize = self
            .shapes
            .iter()
            .map(|keys| size_of_val(&**keys) + size_of::<Box<[Reference]>>())
            .sum();
        self.words.capacity() * 4 + self.strings.capacity() + self.wide.capacity() * 8 + shapes
    }

    fn word(&self, at: usize) -> Option<u32> {
        self.words.get(at).copied()
    }

    fn reference(&self, at: usize) -> Option<Reference> {
        self.word(at).map(Reference::from_word)
    }

    pub fn value(&self, at: Reference) -> Value<'_> {
        let wide = || self.wide.get(at.payload()).copied().unwrap_or_default();
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
    pub fn bytes(&self, at: Reference) -> &[u8] {
        let start = at.payload();
        let mut length = 0;
        let mut shift = 0;
        for (index, byte) in self.strings.iter().skip(start).take(5).enumerate() {
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                let from = start + index + 1;
                return self.strings.get(from..from + length).unwrap_or_default();
            }
        }
        &[]
    }

    pub fn text(&self, at: Reference) -> &str {
        std::str::from_utf8(self.bytes(at)).unwrap_or_default()
    }

    /// Adds a string without looking for an equal one.
    pub fn push_string(&mut self, text: &[u8]) -> Option<Reference> {
        let at = Reference::new(Tag::String, self.strings.len())?;
        let mut length = text.len();
        while length >= 0x80 {
            self.strings.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.strings.push(length as u8);
        self.strings.extend_from_slice(text);
        Some(at)
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
        self.wide.push(bits);
        Reference::new(tag, self.wide.len() - 1)
    }

    pub fn push_list(&mut self, items: &[Reference]) -> Option<Reference> {
        let at = Reference::new(Tag::List, self.words.len())?;
        self.words.push(u32::try_from(items.len()).ok()?);
        self.words.extend(items.iter().map(|item| item.word()));
        Some(at)
    }

    pub fn push_record(&mut self, shape: u32, values: &[Reference]) -> Option<Reference> {
        let at = Reference::new(Tag::Map, self.words.len())?;
        self.words.push(shape);
        self.words.extend(values.iter().map(|value| value.word()));
        Some(at)
    }

    /// Adds a map of more than [`RECORD`] keys: header, keys, values, table of entry numbers from 1.
    /// `Err` holds a key that occurs twice.
    pub fn push_hashed(
        &mut self,
        keys: &[Reference],
        values: &[Reference],
    ) -> Result<Option<Reference>, Reference> {
        let Some(at) = Reference::new(Tag::Map, self.words.len()) else {
            return Ok(None);
        };
        let count = keys.len();
        self.words.push(HASHED | count as u32);
        self.words.extend(keys.iter().map(|key| key.word()));
        self.words.extend(values.iter().map(|value| value.word()));
        let table = self.words.len();
        let size = table_size(count);
        self.words.resize(table + size, 0);
        for (index, key) in keys.iter().enumerate() {
            let mut place = hash(self.bytes(*key)) as usize & (size - 1);
            loop {
                match self.word(table + place).unwrap_or_default() {
                    0 => break,
                    other if keys.get(other as usize - 1) == Some(key) => return Err(*key),
                    _ => place = (place + 1) & (size - 1),
                }
            }
            if let Some(word) = self.words.get_mut(table + place) {
                *word = index as u32 + 1;
            }
        }
        Ok(Some(at))
    }

    /// Where keys, values and table of a map lie.
    fn map(&self, at: Reference) -> Option<MapAt<'_>> {
        let start = at.payload();
        let header = self.word(start)?;
        if header & HASHED == 0 {
            return Some(MapAt::Record {
                keys: self.shapes.get(header as usize)?,
                values: start + 1,
            });
        }
        let count = (header & !HASHED) as usize;
        Some(MapAt::Hashed {
            keys: start + 1,
            values: start + 1 + count,
            table: start + 1 + 2 * count,
            count,
        })
    }

    pub fn len(&self, at: Reference) -> usize {
        match at.tag() {
            Tag::List => self.word(at.payload()).unwrap_or_default() as usize,
            Tag::Map => match self.map(at) {
                Some(MapAt::Record { keys, .. }) => keys.len(),
                Some(MapAt::Hashed { count, .. }) => count,
                None => 0,
            },
            _ => 0,
        }
    }

    pub fn element(&self, at: Reference, index: usize) -> Option<Reference> {
        if at.tag() != Tag::List || index >= self.len(at) {
            return None;
        }
        self.reference(at.payload() + 1 + index)
    }

    pub fn member(&self, at: Reference, name: &str) -> Option<Reference> {
        if at.tag() != Tag::Map {
            return None;
        }
        match self.map(at)? {
            MapAt::Record { keys, values } => {
                let index = keys
                    .iter()
                    .position(|key| self.bytes(*key) == name.as_bytes())?;
                self.reference(values + index)
            }
            MapAt::Hashed {
                keys,
                values,
                table,
                count,
            } => {
                let mask = table_size(count) - 1;
                let mut place = hash(name.as_bytes()) as usize & mask;
                loop {
                    let index = self.word(table + place)?.checked_sub(1)? as usize;
                    if self.bytes(self.reference(keys + index)?) == name.as_bytes() {
                        return self.reference(values + index);
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
        match self.map(at)? {
            MapAt::Record { keys, values } => {
                Some((*keys.get(index)?, self.reference(values + index)?))
            }
            MapAt::Hashed {
                keys,
                values,
                count,
                ..
            } if index < count => Some((
                self.reference(keys + index)?,
                self.reference(values + index)?,
            )),
            MapAt::Hashed { .. } => None,
        }
    }
}

enum MapAt<'s> {
    Record {
        keys: &'s [Reference],
        values: usize,
    },
    Hashed {
        keys: usize,
        values: usize,
        table: usize,
        count: usize,
    },
}

/// Slots of a hash table for `count` keys: a power of two, at most 3/4 full.
fn table_size(count: usize) -> usize {
    (count + count / 3 + 1).next_power_of_two()
}
