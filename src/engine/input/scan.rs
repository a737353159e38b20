//! The scanner: strict RFC 8259, driven by the trie.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::program::DuplicateMembers;
use crate::engine::value::Value;

use super::block::first_stop;
use super::habit::{Child, WINDOW};
use super::layout::Node;
use super::names::ShortName;
use super::slots::{Entry, Slots};
use super::text::{Refused, Text};
use super::{Habit, InputError, Layout, Part, PartName, Slot};

/// Objects with more members than this are checked for duplicates by sorting.
const PAIRWISE: usize = 16;

pub(super) struct Scanner<'s, 'a> {
    text: Text<'a>,
    arena: &'a Bump,
    layout: &'s Layout,
    slots: &'s Slots<'a>,
    habit: Option<&'a Habit>,
    depth_left: usize,
    duplicates: DuplicateMembers,
    /// Elements of the lists and members of the objects that are being built.
    items: BumpVec<'a, Value<'a>>,
}

/// The place after what was read.
type Place = Result<usize, Refused>;

impl<'s, 'a> Scanner<'s, 'a> {
    pub fn new(
        text: &'a str,
        (layout, slots): (&'s Layout, &'s Slots<'a>),
        arena: &'a Bump,
        max_depth: usize,
        duplicates: DuplicateMembers,
    ) -> Self {
        Self {
            text: Text::new(text),
            arena,
            layout,
            slots,
            habit: slots.habit,
            depth_left: max_depth,
            duplicates,
            items: BumpVec::new_in(arena),
        }
    }

    /// The whole text is one value, which belongs at `slot`.
    pub fn document(mut self, slot: Slot) -> Result<(), InputError> {
        let start = self.text.skip_space(0);
        let read = self.value_at(slot, start);
        read.and_then(|end| self.end(end))
            .map(|_| ())
            .map_err(|Refused| self.text.fault())
    }

    /// As [`Scanner::document`], with members of it at roots of their own besides; None where it is no object.
    pub fn document_of<const N: usize>(
        mut self,
        slot: Slot,
        roots: [PartName; N],
    ) -> Result<Option<[Part; N]>, InputError> {
        let start = self.text.skip_space(0);
        if self.text.peek(start) != b'{' {
            return self.document(slot).map(|()| None);
        }
        let mut parts = [Part::Missing; N];
        let read = self.object_of(slot, start, &roots, &mut parts);
        read.and_then(|end| self.end(end))
            .map(|_| Some(parts))
            .map_err(|Refused| self.text.fault())
    }

    fn end(&self, at: usize) -> Place {
        let at = self.text.skip_space(at);
        if at < self.text.bytes.len() {
            Err(self.text.refuse("text after the value", at))
        } else {
            Ok(at)
        }
    }

    fn value_at(&mut self, slot: Slot, at: usize) -> Place {
        let node = self.layout.node(slot);
        if node.value {
            let (value, end) = self.value(at)?;
            if node.is_leaf() {
                self.slots.put(slot, Entry::Value(value));
            } else {
                self.slots.spread(self.layout, slot, value);
            }
            return Ok(end);
        }
        if self.text.peek(at) == b'{' {
            self.slots.put(slot, Entry::Object);
            return self.object_at(slot, node, at);
        }
        self.slots.put(slot, Entry::Other);
        self.skip(at)
    }

    /// An object of which only some members are read.
    fn object_at(&mut self, slot: Slot, node: &Node, at: usize) -> Place {
        let mut at = self.enter(at)?;
        if self.text.peek(at) == b'}' {
            return Ok(self.leave(at + 1));
        }
        loop {
            let (child, value) = self.next_key(slot, node, at)?;
            let end = match child {
                Child::Nowhere => self.skip(value)?,
                Child::Leaf(child) => self.leaf(child, at, value)?,
                Child::Node(child) => {
                    self.again(child, at)?;
                    self.value_at(child, value)?
                }
            };
            let (more, next) = self.text.next(end, b'}')?;
            if !more {
                return Ok(self.leave(next));
            }
            at = next;
        }
    }

    /// The value of a member that is kept as a whole.
    #[inline]
    fn leaf(&mut self, slot: Slot, at: usize, value: usize) -> Place {
        let Some(place) = self.slots.place(slot) else {
            return self.skip(value);
        };
        if !matches!(place.get(), Entry::Absent) {
            self.again(slot, at)?;
        }
        if let Some((text, end)) = self.text.plain_string(value) {
            place.set(Entry::Value(Value::String(text)));
            return Ok(end);
        }
        let (value, end) = self.value(value)?;
        place.set(Entry::Value(value));
        Ok(end)
    }

    /// The object of the whole text: members called as one of `roots` go there, too.
    fn object_of(
        &mut self,
        slot: Slot,
        start: usize,
        roots: &[PartName],
        parts: &mut [Part],
    ) -> Place {
        let node = self.layout.node(slot);
        if node.value {
            self.value_at(slot, start)?;
        } else {
            self.slots.put(slot, Entry::Object);
        }
        let mut at = self.enter(start)?;
        if self.text.peek(at) == b'}' {
            return Ok(self.leave(at + 1));
        }
        loop {
            let (name, child, value) = if let Some((name, length)) = short_name(&self.window(at)) {
                let value = self.text.skip_space(at + length);
                (Some(name), node.find_short(name), value)
            } else {
                let (name, value) = self.key(at)?;
                (ShortName::new(name), node.find(name), value)
            };
            let root = roots.iter().position(|root| Some(root.name) == name);
            let mut end = None;
            if let Some(child) = child.filter(|_| !node.value) {
                self.again(child, at)?;
                end = Some(self.value_at(child, value)?);
            }
            if let Some((part, root)) =
                root.and_then(|index| parts.get_mut(index).zip(roots.get(index)))
            {
                let slot = Layout::root(root.root);
                self.again(slot, at)?;
                *part = Part::beginning_with(self.text.peek(value));
                end = Some(self.value_at(slot, value)?);
            }
            let end = match end {
                Some(end) => end,
                None => self.skip(value)?,
            };
            let (more, next) = self.text.next(end, b'}')?;
            if !more {
                return Ok(self.leave(next));
            }
            at = next;
        }
    }

    /// A member that is read has come: was it there already?
    #[inline]
    fn again(&self, slot: Slot, at: usize) -> Result<(), Refused> {
        if self.slots.contains(slot) {
            if self.duplicates == DuplicateMembers::Refuse {
                return Err(self.text.refuse("duplicate member", at));
            }
            self.slots.clear(self.layout, slot);
        }
        Ok(())
    }

    /// The next bytes of the text; zeros behind its end.
    #[inline]
    fn window(&self, at: usize) -> [u8; WINDOW] {
        match self.text.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            Some(window) => *window,
            None => self.last_window(at),
        }
    }

    fn last_window(&self, at: usize) -> [u8; WINDOW] {
        let mut window = [0; WINDOW];
        let rest = self.text.bytes.get(at..).unwrap_or_default();
        window
            .iter_mut()
            .zip(rest)
            .for_each(|(to, from)| *to = *from);
        window
    }

    /// The next member of the object at `slot`, and the place of its value.
    #[inline]
    fn next_key(&self, slot: Slot, node: &Node, at: usize) -> Result<(Child, usize), Refused> {
        let window = self.window(at);
        if let Some((length, child)) = self.habit.and_then(|habit| habit.guess(slot, &window)) {
            return Ok((child, self.text.skip_space(at + length)));
        }
        self.other_key(slot, node, at, &window)
    }

    /// As [`Scanner::next_key`], whichever member it is.
    fn other_key(
        &self,
        slot: Slot,
        node: &Node,
        at: usize,
        window: &[u8; WINDOW],
    ) -> Result<(Child, usize), Refused> {
        let (name, child, value) = if let Some((name, length)) = short_name(window) {
            let value = self.text.skip_space(at + length);
            (Some((window, length)), node.find_short(name), value)
        } else {
            let (name, value) = self.key(at)?;
            (None, node.find(name), value)
        };
        let child = match child {
            None => Child::Nowhere,
            Some(child) if self.layout.node(child).is_kept_leaf => Child::Leaf(child),
            Some(child) => Child::Node(child),
        };
        if let Some(habit) = self.habit {
            habit.learn(slot, name, child);
        }
        Ok((child, value))
    }

    /// A member's name, and the place of its value.
    #[inline(never)]
    fn key(&self, at: usize) -> Result<(&'a str, usize), Refused> {
        if self.text.peek(at) != b'"' {
            return Err(self.text.refuse("expected a member name", at));
        }
        let (name, end) = self.text.string(at, self.arena)?;
        Ok((name, self.text.colon(end)?))
    }

    /// After an opening bracket: the place of the first element or of the closing bracket.
    #[inline]
    fn enter(&mut self, at: usize) -> Place {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(self.text.skip_space(at + 1))
            }
            None => Err(self.text.refuse("nested too deeply", at)),
        }
    }

    #[inline]
    fn leave(&mut self, at: usize) -> usize {
        self.depth_left += 1;
        at
    }

    /// A whole value, kept.
    fn value(&mut self, at: usize) -> Result<(Value<'a>, usize), Refused> {
        match self.text.peek(at) {
            b'"' => {
                let (text, end) = self.text.string(at, self.arena)?;
                Ok((Value::String(text), end))
            }
            b'{' => self.object(at),
            b'[' => self.array(at),
            b'-' | b'0'..=b'9' => self.text.number(at),
            _ => self.text.word(at),
        }
    }

    fn array(&mut self, at: usize) -> Result<(Value<'a>, usize), Refused> {
        let mut at = self.enter(at)?;
        let base = self.begin();
        let mut more = self.text.peek(at) != b']';
        if !more {
            at += 1;
        }
        while more {
            let (item, end) = match self.text.plain_string(at) {
                Some((text, end)) => (Value::String(text), end),
                None => self.value(at)?,
            };
            self.items.push(item);
            (more, at) = self.text.next(end, b']')?;
        }
        let built = self.items.get(base..).unwrap_or_default();
        let items = self.arena.alloc_slice_copy(built);
        self.items.truncate(base);
        Ok((Value::List(items), self.leave(at)))
    }

    fn object(&mut self, start: usize) -> Result<(Value<'a>, usize), Refused> {
        let mut at = self.enter(start)?;
        let base = self.begin();
        let mut more = self.text.peek(at) != b'}';
        if !more {
            at += 1;
        }
        while more {
            if self.text.peek(at) != b'"' {
                return Err(self.text.refuse("expected a member name", at));
            }
            let (name, end) = self.text.string(at, self.arena)?;
            let (value, end) = self.value(self.text.colon(end)?)?;
            self.items.push(Value::String(name));
            self.items.push(value);
            (more, at) = self.text.next(end, b'}')?;
        }
        let built = self.items.get(base..).unwrap_or_default();
        let entries = self
            .arena
            .alloc_slice_fill_iter(built.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        self.items.truncate(base);
        Ok((Value::Map(self.distinct(entries, start)?), self.leave(at)))
    }

    /// Where the elements of the next list or object begin among those that are being built.
    #[inline]
    fn begin(&mut self) -> usize {
        /// Enough for most lists, so that the vector grows once.
        const FIRST: usize = 16;
        if self.items.capacity() == 0 {
            self.items.reserve_exact(FIRST);
        }
        self.items.len()
    }

    /// The entries without duplicates: of several the last, at the place of the first.
    fn distinct(
        &self,
        entries: &'a mut [(Value<'a>, Value<'a>)],
        at: usize,
    ) -> Result<&'a [(Value<'a>, Value<'a>)], Refused> {
        if !has_duplicates(entries, self.arena) {
            return Ok(entries);
        }
        if self.duplicates == DuplicateMembers::Refuse {
            return Err(self.text.refuse("duplicate member", at));
        }
        Ok(last_wins(entries, self.arena))
    }

    /// A value nobody reads: only its syntax is checked.
    #[inline]
    fn skip(&mut self, at: usize) -> Place {
        match self.text.plain_end(at) {
            Some(end) => Ok(end),
            None => self.skip_other(at),
        }
    }

    fn skip_other(&mut self, at: usize) -> Place {
        match self.text.peek(at) {
            b'"' => self.text.skip_string(at),
            open @ (b'{' | b'[') => self.skip_container(at, open),
            b'-' | b'0'..=b'9' => self.text.number(at).map(|(_, end)| end),
            _ => self.text.word(at).map(|(_, end)| end),
        }
    }

    fn skip_container(&mut self, at: usize, open: u8) -> Place {
        // In ASCII, each closing bracket is two after its opening one.
        let close = open + 2;
        let mut at = self.enter(at)?;
        let mut more = self.text.peek(at) != close;
        if !more {
            at += 1;
        }
        while more {
            if open == b'{' {
                if self.text.peek(at) != b'"' {
                    return Err(self.text.refuse("expected a member name", at));
                }
                at = self.text.colon(self.text.skip_string(at)?)?;
            }
            let end = self.skip(at)?;
            (more, at) = self.text.next(end, close)?;
        }
        Ok(self.leave(at))
    }
}

/// A short name without escapes that a text begins with, in its quotes, with the colon right after it, which nearly all
/// are; and how many bytes that is.
#[inline]
fn short_name(window: &[u8; WINDOW]) -> Option<(ShortName, usize)> {
    let [open, rest @ ..] = window;
    let block = rest.first_chunk()?;
    let length = first_stop(block);
    // Behind a stop in the first sixteen bytes lie more.
    let [quote, colon, ..] = rest.get(length..)? else {
        return None;
    };
    if [*open, *quote, *colon] != *b"\"\":" {
        return None;
    }
    Some((ShortName::within(block, length)?, length + 3))
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
    // Positions, grouped by name: the first of a group keeps its place, the last gives its value.
    let order = arena.alloc_slice_fill_iter(0..entries.len());
    order.sort_unstable_by_key(|position| (entries.get(*position).map(name_of), *position));
    let kept = arena.alloc_slice_fill_with(entries.len(), |_| None);
    for group in order.chunk_by(|a, b| entries.get(*a).map(name_of) == entries.get(*b).map(name_of))
    {
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            let pair = entries.get(*first).zip(entries.get(*last));
            if let (Some(place), Some((first, last))) = (kept.get_mut(*first), pair) {
                *place = Some((first.0, last.1));
            }
        }
    }
    BumpVec::from_iter_in(kept.iter().flatten().copied(), arena).into_bump_slice()
}
