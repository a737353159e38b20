//! How long to wait before trying again.

use std::time::Duration;

/// Delays that double up to a maximum, each drawn from the upper half of its range, so that many
/// clients of one failed server do not come back at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    maximum: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts with delays of at most `base`; they never exceed `maximum`.
    #[must_use]
    pub const fn new(base: Duration, maximum: Duration) -> Self {
        Self {
            base,
            maximum,
            failures: 0,
        }
    }

    /// The delay after one more failure.
    pub fn next_delay(&mut self) -> Duration {
        self.delay(rand::random())
    }

    /// After a success the delays start small again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// `unit` is uniform in `0..1`.
    fn delay(&mut self, unit: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        let range = self.base.saturating_mul(doubled).min(self.maximum);
        self.failures = self.failures.saturating_add(1);
        range.mul_f64(0.5 + unit / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_stay_in_their_half_and_never_exceed_the_maximum() {
        let maximum = Duration::from_mins(1);
        for unit in [0.0, 0.5, 0.999] {
            let mut backoff = Backoff::new(Duration::from_secs(1), maximum);
            for failures in 0..100_u32 {
                let range = Duration::from_secs(2_u64.saturating_pow(failures)).min(maximum);
                let delay = backoff.delay(unit);
                assert!(
                    delay >= range / 2 && delay <= range,
                    "{failures}: {delay:?}"
                );
            }
            backoff.reset();
            assert!(backoff.delay(unit) <= Duration::from_secs(1));
        }
    }
}
