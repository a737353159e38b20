//! What a worker's texts usually look like: callers send the same members in the same order again and again.
//!
//! The members of a decision's texts are counted, and the next one is held against the one of that number in the texts
//! before. Each guess is checked against the bytes: it can be in vain, and it cannot mislead.

use std::cell::Cell;

use super::{Layout, Slot};

/// How many members are remembered.
const KEPT: usize = 64;

/// So many bytes hold most names in their quotes, and the colon.
pub(super) const WINDOW: usize = 24;

/// The members that came lately.
#[derive(Debug)]
pub struct Habit {
    members: Box<[Cell<Member>; KEPT]>,
    /// The number of the next one.
    next: Cell<usize>,
    /// Whose slots they are; 0 for no one's.
    layout: Cell<u64>,
}

/// A member of the object at a slot.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// The name in its quotes and the colon; zeros behind.
    text: [u64; WINDOW / 8],
    /// Which bits of the text that is: `length` bytes.
    keep: [u64; WINDOW / 8],
    length: u32,
    object: Slot,
    child: Child,
}

/// Where the value of a member goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Child {
    /// Nobody reads it.
    Nowhere,
    /// The whole value is kept, and no member of it by itself.
    Leaf(Slot),
    Node(Slot),
}

/// No slot.
const NOBODY: Slot = Slot(u32::MAX);

const NONE: Member = Member {
    text: [0; WINDOW / 8],
    keep: [0; WINDOW / 8],
    length: 0,
    object: NOBODY,
    child: Child::Nowhere,
};

impl Default for Habit {
    fn default() -> Self {
        Self {
            members: Box::new([const { Cell::new(NONE) }; KEPT]),
            next: Cell::new(0),
            layout: Cell::new(0),
        }
    }
}

impl Habit {
    /// Begins the texts of another decision.
    pub fn begin(&self) {
        self.next.set(0);
    }

    /// What is learnt belongs to a layout: with another one it is forgotten.
    pub(super) fn of(&self, layout: &Layout) {
        if self.layout.replace(layout.id()) != layout.id() {
            self.members.iter().for_each(|member| member.set(NONE));
        }
    }

    /// The next member of an object, where `window` begins with the usual one: how many bytes its name takes, and where
    /// its value goes.
    #[inline]
    pub(super) fn guess(&self, object: Slot, window: &[u8; WINDOW]) -> Option<(usize, Child)> {
        let next = self.next.get();
        let member = self.members.get(next)?.get();
        if member.object != object {
            return None;
        }
        let [first, second, third] = words(window);
        let differs = (first & member.keep[0] ^ member.text[0])
            | (second & member.keep[1] ^ member.text[1])
            | (third & member.keep[2] ^ member.text[2]);
        if differs != 0 {
            return None;
        }
        self.next.set(next + 1);
        Some((member.length as usize, member.child))
    }

    /// What came instead: `window` begins with `length` bytes of a name in its quotes, without escapes, and the colon.
    /// None for a name that is not remembered.
    pub(super) fn learn(&self, object: Slot, name: Option<(&[u8; WINDOW], usize)>, child: Child) {
        let next = self.next.get();
        self.next.set(next.saturating_add(1));
        let Some(place) = self.members.get(next) else {
            return;
        };
        place.set(name.map_or(NONE, |(window, length)| {
            let mut keep = [0; WINDOW];
            keep.iter_mut().take(length).for_each(|byte| *byte = 0xff);
            let keep = words(&keep);
            let text = words(window);
            Member {
                text: [text[0] & keep[0], text[1] & keep[1], text[2] & keep[2]],
                keep,
                length: length as u32,
                object,
                child,
            }
        }));
    }
}

#[inline]
fn words(bytes: &[u8; WINDOW]) -> [u64; WINDOW / 8] {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
    [word(0), word(1), word(2)]
}
