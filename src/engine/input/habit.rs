//! What a worker's texts usually look like: callers send the same members in the same order again and again.
//!
//! The members of a decision's texts are counted, and the next one is held against the one of that number in the texts
//! before. Each guess is checked against the bytes: it can be in vain, and it cannot mislead.

use std::cell::Cell;

use super::names::ShortName;
use super::{Layout, Slot};

/// How many members are remembered.
const KEPT: usize = 64;

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
    /// The name, in the bits of it that are kept.
    name: u128,
    keep: u128,
    length: u32,
    object: Slot,
    /// Where its value goes, or [`NOBODY`].
    child: Slot,
}

/// No slot.
const NOBODY: Slot = Slot(u32::MAX);

const NONE: Member = Member {
    name: 0,
    keep: 0,
    length: 0,
    object: NOBODY,
    child: NOBODY,
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

    /// The length and the slot of the next member's name, where it is the usual one; `block` begins with it.
    #[inline]
    pub(super) fn guess(&self, object: Slot, block: &[u8; 16]) -> Option<(usize, Option<Slot>)> {
        let member = self.members.get(self.next.get())?.get();
        if member.object != object || u128::from_le_bytes(*block) & member.keep != member.name {
            return None;
        }
        let child = (member.child != NOBODY).then_some(member.child);
        Some((member.length as usize, child))
    }

    /// The guess was right.
    #[inline]
    pub(super) fn confirm(&self) {
        self.next.set(self.next.get() + 1);
    }

    /// What came instead; None for a name that is not remembered.
    pub(super) fn learn(&self, object: Slot, name: Option<ShortName>, child: Option<Slot>) {
        let next = self.next.get();
        self.next.set(next.saturating_add(1));
        if let Some(place) = self.members.get(next) {
            place.set(name.map_or(NONE, |name| {
                let (name, keep, length) = name.bits();
                Member {
                    name,
                    keep,
                    length,
                    object,
                    child: child.unwrap_or(NOBODY),
                }
            }));
        }
    }
}
