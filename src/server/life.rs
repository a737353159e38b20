//! How long connections may be silent, and the drain: one sweep over all connections of a listener now and then,
//! instead of a timer and a signal that every request would have to ask.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use super::drain::Draining;

/// A request is being answered: the time does not count.
const BUSY: u64 = u64::MAX;

/// The connections of one listener on one thread. Clones are the same set.
#[derive(Clone, Debug)]
pub(super) struct Lives {
    all: Arc<Mutex<Vec<Weak<Life>>>>,
    sweeps: Arc<AtomicU64>,
    interval: Duration,
    /// Sweeps that a connection may wait for a request.
    patience: u64,
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Life {
    sweeps: Arc<AtomicU64>,
    /// The sweep since which it waits for a whole head; or [`BUSY`].
    waiting_since: AtomicU64,
    expired: AtomicBool,
    draining: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// While it lives the connection is busy.
#[derive(Debug)]
pub struct Busy(Arc<Life>);

impl Lives {
    /// Connections may be without a whole head for `timeout`; they are cut off at most an eighth of it later, or a second.
    pub(super) fn new(timeout: Duration) -> Self {
        let interval = (timeout / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let sweeps = timeout.as_nanos().div_ceil(interval.as_nanos());
        Self {
            all: Arc::default(),
            sweeps: Arc::default(),
            interval,
            // The first of them may have come right after the waiting began.
            patience: u64::try_from(sweeps).unwrap_or(u64::MAX).saturating_add(1),
        }
    }

    /// A new connection, which waits for its first request.
    pub(super) fn begin(&self) -> Arc<Life> {
        let life = Arc::new(Life {
            sweeps: Arc::clone(&self.sweeps),
            waiting_since: AtomicU64::new(self.sweeps.load(Ordering::Relaxed)),
            expired: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(&life));
        life
    }

    /// Cuts off those that waited too long, and tells all when the drain begins. Never returns.
    pub(super) async fn watch(&self, mut draining: Draining) -> Infallible {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = draining.started() => break,
                _ = ticks.tick() => self.sweep(false),
            }
        }
        loop {
            self.sweep(true);
            ticks.tick().await;
        }
    }

    fn sweep(&self, drain: bool) {
        let now = self.sweeps.fetch_add(1, Ordering::Relaxed) + 1;
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|life| {
            let Some(life) = life.upgrade() else {
                return false;
            };
            let since = life.waiting_since.load(Ordering::Relaxed);
            let expired = since != BUSY && now.saturating_sub(since) > self.patience;
            if expired {
                life.expired.store(true, Ordering::Relaxed);
            }
            let told = drain && !life.draining.swap(true, Ordering::Relaxed);
            if expired || told {
                life.wake();
            }
            true
        });
    }
}

impl Life {
    pub(super) fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whom to wake.
    pub(super) fn watched_by(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    /// A head has arrived and is being answered.
    pub(super) fn work(&self) {
        self.waiting_since.store(BUSY, Ordering::Relaxed);
    }

    /// It was answered: the next one is waited for.
    pub(super) fn wait(&self) {
        let now = self.sweeps.load(Ordering::Relaxed);
        self.waiting_since.store(now, Ordering::Relaxed);
    }

    /// Keeps it busy for longer than the answer's head takes.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        Busy(Arc::clone(self))
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_wait_for_a_request_are_cut_off_and_never_early() {
        let lives = Lives::new(Duration::from_secs(2));
        let (waiting, working, streaming) = (lives.begin(), lives.begin(), lives.begin());
        working.work();
        let busy = {
            streaming.work();
            streaming.busy()
        };
        // Eight sweeps are the two seconds, and one more makes up for a late start.
        for _ in 0..9 {
            lives.sweep(false);
        }
        assert!(!waiting.has_expired());
        lives.sweep(false);
        assert!(waiting.has_expired());
        assert!(!working.has_expired() && !streaming.has_expired());
        drop(busy);
        for _ in 0..10 {
            lives.sweep(false);
        }
        assert!(streaming.has_expired() && !working.has_expired());
    }

    #[test]
    fn the_drain_reaches_everybody_and_the_gone_are_forgotten() {
        let lives = Lives::new(Duration::from_secs(2));
        let life = lives.begin();
        drop(lives.begin());
        lives.sweep(true);
        assert!(life.is_draining());
        assert_eq!(lives.all.lock().unwrap().len(), 1);
    }
}
