//! When requests are meant to be sent: settled before the run, never adapted to how the server does.

use std::time::Duration;

/// Intended send times of an open-loop run, as offsets from its start.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    interval: f64,
    count: u64,
}

impl Schedule {
    /// A constant rate for a duration.
    #[must_use]
    pub fn constant(per_second: f64, duration: Duration) -> Self {
        Self {
            interval: 1.0 / per_second,
            count: (per_second * duration.as_secs_f64()) as u64,
        }
    }

    /// How many requests the run has.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// When request `index` is meant to be sent.
    #[must_use]
    pub fn intended(&self, index: u64) -> Duration {
        Duration::from_secs_f64(self.interval * index as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_has_equal_intervals_and_never_skips() {
        let schedule = Schedule::constant(1000.0, Duration::from_secs(2));
        assert_eq!(schedule.count(), 2000);
        assert_eq!(schedule.intended(0), Duration::ZERO);
        assert_eq!(schedule.intended(1500), Duration::from_millis(1500));
    }
}
