//! The wall clock of one process: it never runs backwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::model::Timestamp;

/// A wall clock that stands still where the system's was set back. Clones share what they have seen.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The latest moment handed out, in nanoseconds since the Unix epoch (good until the year 2262).
    latest: Arc<AtomicI64>,
}

impl Clock {
    /// The present moment to within a few milliseconds, never before one that was handed out already.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        self.at_least(now.tv_sec * 1_000_000_000 + now.tv_nsec)
    }

    fn at_least(&self, nanos: i64) -> Timestamp {
        // Within a tick of the coarse clock nobody has to write.
        let mut latest = self.latest.load(Ordering::Relaxed);
        if nanos > latest {
            latest = self.latest.fetch_max(nanos, Ordering::Relaxed).max(nanos);
        }
        Timestamp::from_unix_nanos(i128::from(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_where_the_system_clock_was_set_back() {
        let clock = Clock::default();
        assert_eq!(clock.at_least(2_000_000_000).unix_seconds(), 2);
        assert_eq!(clock.at_least(1_000_000_000).unix_seconds(), 2);
        assert_eq!(clock.clone().at_least(3_000_000_000).unix_seconds(), 3);
    }
}
