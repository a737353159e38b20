//! Working memory of one worker.

use bumpalo::Bump;

use crate::engine::input::Habit;

/// What one worker may keep between decisions, in bytes.
const RETAINED: usize = 1024 * 1024;

/// Room for most decisions from the first one on.
const FIRST: usize = 16 * 1024;

/// Working memory of one worker: reset between decisions, never shared.
#[derive(Debug)]
pub struct Scratch {
    pub(super) arena: Bump,
    pub(super) habit: Habit,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            arena: Bump::with_capacity(FIRST),
            habit: Habit::default(),
        }
    }
}

impl Scratch {
    /// Forgets the previous decision, keeping the memory (but no more than a bounded amount of it).
    pub fn reset(&mut self) {
        self.habit.begin();
        if self.arena.allocated_bytes() > RETAINED {
            self.arena = Bump::with_capacity(FIRST);
        } else {
            self.arena.reset();
        }
    }
}
