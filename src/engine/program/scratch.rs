//! Working memory of one worker.

use bumpalo::Bump;

/// What one worker may keep between decisions, in bytes.
const RETAINED: usize = 1024 * 1024;

/// Room for most decisions from the first one on.
const FIRST: usize = 16 * 1024;

/// Working memory of one worker: reset between decisions, never shared.
#[derive(Debug)]
pub struct Scratch {
    pub(super) arena: Bump,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            arena: Bump::with_capacity(FIRST),
        }
    }
}

impl Scratch {
    /// Forgets the previous decision, keeping the memory (but no more than a bounded amount of it).
    pub fn reset(&mut self) {
        if self.arena.allocated_bytes() > RETAINED {
            *self = Self::default();
        } else {
            self.arena.reset();
        }
    }
}
