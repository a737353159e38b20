//! Working memory of one worker.

use bumpalo::Bump;

/// What one worker may keep between decisions, in bytes.
const RETAINED: usize = 1024 * 1024;

/// Working memory of one worker: reset between decisions, never shared.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) arena: Bump,
}

impl Scratch {
    /// Forgets the previous decision, keeping the memory (but no more than a bounded amount of it).
    pub fn reset(&mut self) {
        if self.arena.allocated_bytes() > RETAINED {
            self.arena = Bump::new();
        } else {
            self.arena.reset();
        }
    }
}
