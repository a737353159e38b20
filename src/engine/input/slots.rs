//! The values of one request. Pages of slots come from the arena when the first of their slots is set,
//! so that starting a request costs a few bytes per hundred paths and resetting costs nothing.

use std::cell::Cell;

use bumpalo::Bump;

use crate::engine::program::DuplicateMembers;
use crate::engine::value::Value;

use super::scan::Scanner;
use super::{Habit, InputError, Layout, Part, PartName, Root, Slot};

const PAGE: usize = 16;

/// What is known about a path of this request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    /// Nothing there: the member is missing, or its parent is no object.
    Absent,
    /// An object that nobody reads as a whole.
    Object,
    /// A value that is no object, and that nobody reads.
    Other,
    Value(Value<'a>),
}

type Page<'a> = [Cell<Entry<'a>>; PAGE];

/// The values of one request. Lives in the arena of the decision and is dropped with it.
#[derive(Debug)]
pub struct Slots<'a> {
    pages: &'a [Cell<Option<&'a Page<'a>>>],
    arena: &'a Bump,
    pub(super) habit: Option<&'a Habit>,
}

impl<'a> Slots<'a> {
    /// Slots without any value, in `arena`.
    pub fn new(layout: &Layout, arena: &'a Bump) -> Self {
        let pages = layout.len().div_ceil(PAGE);
        Self {
            pages: arena.alloc_slice_fill_with(pages, |_| Cell::new(None)),
            arena,
            habit: None,
        }
    }

    /// As [`Slots::new`], for a worker that reads many texts.
    pub fn of_worker(layout: &Layout, arena: &'a Bump, habit: &'a Habit) -> Self {
        habit.of(layout);
        Self {
            habit: Some(habit),
            ..Self::new(layout, arena)
        }
    }

    /// Where they lie.
    #[cfg(test)]
    pub(super) const fn arena(&self) -> &'a Bump {
        self.arena
    }

    /// The value at `slot`; None where the request has none there (or a parent is no object).
    #[must_use]
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<Value<'a>> {
        match self.entry(slot) {
            Entry::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the request has a value at `slot`, kept or not.
    #[must_use]
    #[inline]
    pub fn contains(&self, slot: Slot) -> bool {
        !matches!(self.entry(slot), Entry::Absent)
    }

    /// Whether the value at `slot` is an object (so that a member may be missing from it).
    #[must_use]
    pub fn is_object(&self, slot: Slot) -> bool {
        match self.entry(slot) {
            Entry::Object => true,
            Entry::Value(value) => value.as_map().is_some(),
            Entry::Absent | Entry::Other => false,
        }
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
        layout: &Layout,
        root: Root,
        text: &'a [u8],
        arena: &'a Bump,
        max_depth: usize,
        duplicates: DuplicateMembers,
    ) -> Result<(), InputError> {
        let text = utf8(text)?;
        let slot = Layout::root(root);
        self.clear(layout, slot);
        Scanner::new(text, (layout, self), arena, max_depth, duplicates).document(slot)
    }

    /// As [`Slots::fill`]; members of the text's object go to roots of their own, too. What came under each
    /// name; None where the text is no object.
    ///
    /// # Errors
    ///
    /// As [`Slots::fill`].
    #[expect(clippy::too_many_arguments, reason = "`fill` and one more")]
    pub fn fill_parts<const N: usize>(
        &self,
        layout: &Layout,
        root: Root,
        parts: [PartName; N],
        text: &'a [u8],
        arena: &'a Bump,
        max_depth: usize,
        duplicates: DuplicateMembers,
    ) -> Result<Option<[Part; N]>, InputError> {
        let text = utf8(text)?;
        for root in parts.iter().map(|part| part.root).chain([root]) {
            let slot = Layout::root(root);
            if self.contains(slot) {
                self.clear(layout, slot);
            }
        }
        Scanner::new(text, (layout, self), arena, max_depth, duplicates)
            .document_of(Layout::root(root), parts)
    }

    /// Sets one path below `root`, and the paths below it, to a value that did not come as JSON.
    /// Unknown paths are ignored; parents become objects.
    pub fn set(&self, layout: &Layout, root: Root, path: &[&str], value: Value<'a>) {
        let mut slot = Layout::root(root);
        for name in path {
            if !self.contains(slot) {
                self.put(slot, Entry::Object);
            }
            match layout.find(slot, name) {
                Some(child) => slot = child,
                None => return,
            }
        }
        self.spread(layout, slot, value);
    }

    /// Sets an object that did not come as JSON at `slot`: as a whole where someone keeps it, else `member` is called for
    /// each name that is read, with its slot.
    pub fn set_members(
        &self,
        layout: &Layout,
        slot: Slot,
        whole: impl FnOnce() -> Value<'a>,
        mut member: impl FnMut(&str, Slot),
    ) {
        if layout.keeps(slot) {
            self.spread(layout, slot, whole());
            return;
        }
        self.put(slot, Entry::Object);
        for (name, child) in layout.children(slot) {
            member(name, Slot(*child));
        }
    }

    /// As [`Slots::fill`], for a slot that held nothing before.
    ///
    /// # Errors
    ///
    /// As [`Slots::fill`].
    pub fn fill_at(
        &self,
        layout: &Layout,
        slot: Slot,
        text: &'a [u8],
        max_depth: usize,
        duplicates: DuplicateMembers,
    ) -> Result<(), InputError> {
        let text = utf8(text)?;
        Scanner::new(text, (layout, self), self.arena, max_depth, duplicates).document(slot)
    }

    /// Puts `value` at `slot` and its members at the slots below.
    pub fn spread(&self, layout: &Layout, slot: Slot, value: Value<'a>) {
        self.put(slot, Entry::Value(value));
        let Some(map) = value.as_map() else { return };
        for (name, child) in layout.children(slot) {
            if let Some(member) = map.get_str(name) {
                self.spread(layout, Slot(*child), member);
            }
        }
    }

    /// Forgets `slot` and everything below it.
    pub fn clear(&self, layout: &Layout, slot: Slot) {
        if !self.contains(slot) {
            return;
        }
        self.put(slot, Entry::Absent);
        for (_, child) in layout.children(slot) {
            self.clear(layout, Slot(*child));
        }
    }

    #[inline]
    pub(super) fn entry(&self, slot: Slot) -> Entry<'a> {
        let index = slot.0 as usize;
        self.pages
            .get(index / PAGE)
            .and_then(Cell::get)
            .map_or(Entry::Absent, |page| page[index % PAGE].get())
    }

    #[inline]
    pub(super) fn put(&self, slot: Slot, entry: Entry<'a>) {
        if let Some(place) = self.place(slot) {
            place.set(entry);
        }
    }

    /// Where a value of `slot` goes; None for a slot that no layout has.
    #[inline]
    pub(super) fn place(&self, slot: Slot) -> Option<&'a Cell<Entry<'a>>> {
        let index = slot.0 as usize;
        let place = self.pages.get(index / PAGE)?;
        let page = match place.get() {
            Some(page) => page,
            None => self.page(place)?,
        };
        Some(&page[index % PAGE])
    }

    fn page(&self, place: &Cell<Option<&'a Page<'a>>>) -> Option<&'a Page<'a>> {
        // By way of a slice, because an array would be made elsewhere and copied here.
        let page: &'a [_] = self
            .arena
            .alloc_slice_fill_with(PAGE, |_| Cell::new(Entry::Absent));
        place.set(page.try_into().ok());
        place.get()
    }
}

#[expect(
    unsafe_code,
    reason = "ASCII needs no second look; `text_is_checked_as_the_standard_library_does`"
)]
fn utf8(text: &[u8]) -> Result<&str, InputError> {
    if is_ascii(text) {
        // SAFETY: each byte of ASCII is a character of UTF-8 by itself.
        return Ok(unsafe { std::str::from_utf8_unchecked(text) });
    }
    std::str::from_utf8(text).map_err(|error| InputError {
        message: "invalid UTF-8",
        offset: error.valid_up_to(),
    })
}

/// As the standard library's, which looks at the last bytes one by one.
fn is_ascii(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<64>();
    match text.last_chunk::<64>() {
        Some(last) if !rest.is_empty() => blocks.as_flattened().is_ascii() && last.is_ascii(),
        _ => text.is_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::utf8;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn text_is_checked_as_the_standard_library_does(
            mut text in "[ -~]{0,200}".prop_map(String::into_bytes),
            at in 0..200_usize,
            byte in any::<u8>(),
        ) {
            prop_assert!(utf8(&text).is_ok());
            let places = text.len().max(1);
            if let Some(place) = text.get_mut(at % places) {
                *place = byte;
            }
            let expected = std::str::from_utf8(&text).map_err(|error| error.valid_up_to());
            prop_assert_eq!(utf8(&text).map_err(|error| error.offset), expected);
        }
    }
}
