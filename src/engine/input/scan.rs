//! The scanner: strict RFC 8259, driven by the trie.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::program::DuplicateMembers;
use crate::engine::value::Value;

use super::slots::{Entry, Slots};
use super::text::{self, Cursor};
use super::{InputError, Layout, Slot};

/// Objects with more members than this are checked for duplicates by sorting.
const PAIRWISE: usize = 16;

pub(super) struct Scanner<'s, 'a> {
    cursor: Cursor<'a>,
    arena: &'a Bump,
    layout: &'s Layout,
    depth_left: usize,
    duplicates: DuplicateMembers,
    /// Elements of the lists and members of the objects that are being built.
    items: BumpVec<'a, Value<'a>>,
}

impl<'s, 'a> Scanner<'s, 'a> {
    pub fn new(
        text: &'a str,
        arena: &'a Bump,
        layout: &'s Layout,
        max_depth: usize,
        duplicates: DuplicateMembers,
    ) -> Self {
        Self {
            cursor: Cursor::new(text),
            arena,
            layout,
            depth_left: max_depth,
            duplicates,
            items: BumpVec::new_in(arena),
        }
    }

    /// The whole text is one value, which belongs at `slot`.
    pub fn document(mut self, slots: &Slots<'a>, slot: Slot) -> Result<(), InputError> {
        self.cursor.skip_space();
        self.value_at(slots, slot)?;
        self.cursor.skip_space();
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => Err(self.cursor.error("text after the value")),
        }
    }

    fn value_at(&mut self, slots: &Slots<'a>, slot: Slot) -> Result<(), InputError> {
        if self.layout.keeps_value(slot) {
            let value = self.value()?;
            slots.spread(self.layout, slot, value);
            return Ok(());
        }
        if self.cursor.peek() == Some(b'{') {
            slots.put(slot, Entry::Object);
            return self.object_at(slots, slot);
        }
        slots.put(slot, Entry::Other);
        self.skip()
    }

    /// An object of which only some members are read.
    fn object_at(&mut self, slots: &Slots<'a>, slot: Slot) -> Result<(), InputError> {
        self.enter()?;
        let mut more = self.cursor.first(b'}')?;
        while more {
            let start = self.cursor.offset();
            let name = self.key()?;
            match self.layout.find(slot, name) {
                None => self.skip()?,
                Some(child) => {
                    if slots.contains(child) {
                        if self.duplicates == DuplicateMembers::Refuse {
                            return Err(InputError {
                                message: "duplicate member",
                                offset: start,
                            });
                        }
                        slots.clear(self.layout, child);
                    }
                    self.value_at(slots, child)?;
                }
            }
            more = self.cursor.next(b'}')?;
        }
        self.leave();
        Ok(())
    }

    /// A member's name and the colon; the cursor is at its value after that.
    fn key(&mut self) -> Result<&'a str, InputError> {
        if self.cursor.peek() != Some(b'"') {
            return Err(self.cursor.error("expected a member name"));
        }
        let name = text::string(&mut self.cursor, self.arena)?;
        self.cursor.skip_space();
        self.cursor.expect(b':', "expected `:`")?;
        self.cursor.skip_space();
        Ok(name)
    }

    fn enter(&mut self) -> Result<(), InputError> {
        self.depth_left = self
            .depth_left
            .checked_sub(1)
            .ok_or_else(|| self.cursor.error("nested too deeply"))?;
        self.cursor.bump();
        Ok(())
    }

    fn leave(&mut self) {
        self.depth_left += 1;
    }

    /// A whole value, kept.
    fn value(&mut self) -> Result<Value<'a>, InputError> {
        match self.cursor.peek() {
            Some(b'"') => Ok(Value::String(text::string(&mut self.cursor, self.arena)?)),
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'-' | b'0'..=b'9') => text::number(&mut self.cursor),
            _ => text::word(&mut self.cursor),
        }
    }

    fn array(&mut self) -> Result<Value<'a>, InputError> {
        self.enter()?;
        let base = self.items.len();
        let mut more = self.cursor.first(b']')?;
        while more {
            let item = self.value()?;
            self.items.push(item);
            more = self.cursor.next(b']')?;
        }
        self.leave();
        let built = self.items.get(base..).unwrap_or_default();
        let items = self.arena.alloc_slice_copy(built);
        self.items.truncate(base);
        Ok(Value::List(items))
    }

    fn object(&mut self) -> Result<Value<'a>, InputError> {
        let start = self.cursor.offset();
        self.enter()?;
        let base = self.items.len();
        let mut more = self.cursor.first(b'}')?;
        while more {
            let name = self.key()?;
            let value = self.value()?;
            self.items.push(Value::String(name));
            self.items.push(value);
            more = self.cursor.next(b'}')?;
        }
        self.leave();
        let built = self.items.get(base..).unwrap_or_default();
        let entries = self
            .arena
            .alloc_slice_fill_iter(built.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        self.items.truncate(base);
        Ok(Value::Map(self.distinct(entries, start)?))
    }

    /// The entries without duplicates: of several the last, at the place of the first.
    fn distinct(
        &self,
        entries: &'a mut [(Value<'a>, Value<'a>)],
        offset: usize,
    ) -> Result<&'a [(Value<'a>, Value<'a>)], InputError> {
        if !has_duplicates(entries, self.arena) {
            return Ok(entries);
        }
        if self.duplicates == DuplicateMembers::Refuse {
            return Err(InputError {
                message: "duplicate member",
                offset,
            });
        }
        Ok(last_wins(entries, self.arena))
    }

    /// A value nobody reads: only its syntax is checked.
    fn skip(&mut self) -> Result<(), InputError> {
        match self.cursor.peek() {
            Some(b'"') => text::skip_string(&mut self.cursor),
            Some(b'{') => {
                self.enter()?;
                let mut more = self.cursor.first(b'}')?;
                while more {
                    if self.cursor.peek() != Some(b'"') {
                        return Err(self.cursor.error("expected a member name"));
                    }
                    text::skip_string(&mut self.cursor)?;
                    self.cursor.skip_space();
                    self.cursor.expect(b':', "expected `:`")?;
                    self.cursor.skip_space();
                    self.skip()?;
                    more = self.cursor.next(b'}')?;
                }
                self.leave();
                Ok(())
            }
            Some(b'[') => {
                self.enter()?;
                let mut more = self.cursor.first(b']')?;
                while more {
                    self.skip()?;
                    more = self.cursor.next(b']')?;
                }
                self.leave();
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => text::number(&mut self.cursor).map(drop),
            _ => text::word(&mut self.cursor).map(drop),
        }
    }
}

fn name_of<'a>(entry: &(Value<'a>, Value<'a>)) -> &'a str {
    entry.0.as_str().unwrap_or_default()
}

fn has_duplicates<'a>(entries: &[(Value<'a>, Value<'a>)], arena: &'a Bump) -> bool {
    if entries.len() <= PAIRWISE {
        return entries.iter().enumerate().any(|(index, entry)| {
            entries
                .iter()
                .take(index)
                .any(|earlier| name_of(earlier) == name_of(entry))
        });
    }
    let names = arena.alloc_slice_fill_iter(entries.iter().map(name_of));
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn last_wins<'a>(
    entries: &[(Value<'a>, Value<'a>)],
    arena: &'a Bump,
) -> &'a [(Value<'a>, Value<'a>)] {
    // Rare, so a map of its own is fine.
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    let mut kept: BumpVec<'a, (Value<'a>, Value<'a>)> = BumpVec::new_in(arena);
    for entry in entries {
        match places.entry(name_of(entry)) {
            std::collections::hash_map::Entry::Occupied(place) => {
                if let Some(earlier) = kept.get_mut(*place.get()) {
                    earlier.1 = entry.1;
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(*entry);
            }
        }
    }
    kept.into_bump_slice()
}
