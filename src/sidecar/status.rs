//! What the sidecar runs and how its sources fare: written by activation, shown by `/v1/status`, reported to the
//! control plane. Never on the way of a decision but for one atomic read (the bundle's age).

mod report;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::Timestamp;

pub use report::{
    ActiveReport, BundleReport, CacheReport, Failure, KeyReport, KeyringReport, LastKnownGood,
    PartReport, Report, SourceReport, UploadReport,
};

/// The shared status of one sidecar.
#[derive(Debug)]
pub struct Status {
    report: Mutex<Report>,
    /// Unix seconds from which the active bundle's age counts; `i64::MIN` without a bundle.
    fresh_as_of: AtomicI64,
    changed: watch::Sender<()>,
}

impl Status {
    /// Before anything happened.
    #[must_use]
    pub fn new(report: Report) -> Self {
        Self {
            report: Mutex::new(report),
            fresh_as_of: AtomicI64::new(i64::MIN),
            changed: watch::Sender::new(()),
        }
    }

    /// Tells of every change of the report.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A copy for an answer, with ages as of `now`.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> Report {
        let mut report = self.lock().clone();
        if let Some(bundle) = &mut report.bundle {
            bundle.age_seconds = self.bundle_age(now).unwrap_or(0);
        }
        report
    }

    /// Seconds since the active bundle's source last confirmed it; before its first confirmation in this process
    /// since it was issued. None without a bundle.
    #[must_use]
    pub fn bundle_age(&self, now: Timestamp) -> Option<u64> {
        match self.fresh_as_of.load(Ordering::Relaxed) {
            i64::MIN => None,
            since => Some(u64::try_from(now.unix_seconds() - since).unwrap_or(0)),
        }
    }

    /// The first bundle is about to decide, and as fresh as this moment: who decides by it before it is reported says
    /// so. Does nothing where one decides already.
    pub fn begin(&self, as_of: Timestamp) {
        let since = as_of.unix_seconds();
        // Somebody else's is as good.
        let _ = self.fresh_as_of.compare_exchange(
            i64::MIN,
            since,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// The active bundle is as fresh as this moment.
    pub fn confirm(&self, as_of: Timestamp) {
        self.fresh_as_of
            .store(as_of.unix_seconds(), Ordering::Relaxed);
    }

    /// Changes the report.
    pub fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock());
        self.changed.send_replace(());
    }

    /// Changes one source's part of the report.
    pub fn update_source(&self, source: &str, change: impl FnOnce(&mut SourceReport)) {
        let mut report = self.lock();
        let found = report.sources.iter_mut().find(|found| found.name == source);
        if let Some(found) = found {
            change(found);
        }
        drop(report);
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_counts_from_the_last_confirmation() {
        let status = Status::new(Report::default());
        let at = Timestamp::from_unix_seconds;
        assert_eq!(status.bundle_age(at(100)), None);
        status.begin(at(80));
        assert_eq!(status.bundle_age(at(100)), Some(20));
        status.begin(at(95));
        assert_eq!(status.bundle_age(at(100)), Some(20));
        status.confirm(at(90));
        assert_eq!(status.bundle_age(at(100)), Some(10));
        status.confirm(at(100));
        assert_eq!(status.bundle_age(at(100)), Some(0));
        assert_eq!(status.bundle_age(at(99)), Some(0));
    }
}
