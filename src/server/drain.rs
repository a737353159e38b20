//! The two signals of a server's life: draining has begun, and whether it is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Starts the drain, once.
#[derive(Clone, Debug)]
pub struct Drain(Arc<watch::Sender<bool>>);

/// Learns that the drain has started.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<bool>);

/// A drain and those who wait for it.
#[must_use]
pub fn drain() -> (Drain, Draining) {
    let (sender, receiver) = watch::channel(false);
    (Drain(Arc::new(sender)), Draining(receiver))
}

impl Drain {
    /// From now on nothing new is accepted.
    pub fn start(&self) {
        self.0.send_replace(true);
    }
}

impl Draining {
    /// Whether it has started.
    #[must_use]
    pub fn has_started(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it has started (or nobody is left who could start it).
    pub async fn started(&mut self) {
        let _ = self.0.wait_for(|started| *started).await;
    }
}

/// A latch: ready once told so, until it is told otherwise for good.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    ready: Arc<AtomicBool>,
    ending: Arc<AtomicBool>,
}

impl Readiness {
    /// Everything needed to serve is there.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// A shutdown has begun.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// Whether it was ever ready.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether traffic is welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.has_started() && !self.ending.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_ends_for_good() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        readiness.set_ready();
        assert!(readiness.is_ready());
        readiness.end();
        readiness.set_ready();
        assert!(!readiness.is_ready());
        assert!(readiness.has_started());
    }

    #[tokio::test]
    async fn everybody_learns_of_the_drain() {
        let (drain, draining) = drain();
        let (mut first, mut second) = (draining.clone(), draining);
        assert!(!first.has_started());
        drain.start();
        first.started().await;
        second.started().await;
        assert!(second.has_started());
    }
}
