//! Memory for calls under way, used again.

use std::cell::RefCell;

use bumpalo::Bump;

/// Arenas that are kept for later.
const KEPT: usize = 16;
/// A larger one is let go of.
const KEPT_BYTES: usize = 1024 * 1024;

/// The arenas of one thread: a call may wait, so each has its own.
#[derive(Debug, Default)]
pub(super) struct Arenas(RefCell<Vec<Bump>>);

impl Arenas {
    /// An empty one.
    pub(super) fn take(&self) -> Bump {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// One that is not used any more.
    pub(super) fn put(&self, mut arena: Bump) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT && arena.allocated_bytes() <= KEPT_BYTES {
            arena.reset();
            kept.push(arena);
        }
    }
}
