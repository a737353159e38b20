//! The control plane's clock: it never stands still and never runs backwards within a process.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

static LAST: AtomicI64 = AtomicI64::new(0);

/// Now, in whole microseconds, later than every answer before: two changes never share a moment.
pub fn now() -> Timestamp {
    let micros = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        });
    let last = LAST
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| {
            Some(micros.max(last.saturating_add(1)))
        })
        .unwrap_or_default();
    Timestamp::from_unix_nanos(i128::from(micros.max(last.saturating_add(1))) * 1000)
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn every_moment_is_later_than_the_one_before() {
        let moments: Vec<_> = (0..10_000).map(|_| now()).collect();
        assert!(moments.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
