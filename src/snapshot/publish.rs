//! The pointer, its one writer and its readers.

use std::sync::Arc;

use super::Snapshot;

/// What readers see: one load gives all of it.
#[derive(Debug, Default)]
pub struct Current {
    pub snapshot: Option<Arc<Snapshot>>,
    /// Set when the snapshot must no longer decide.
    pub ended: Option<Ended>,
}

/// Why a snapshot no longer decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Expired,
    Untrusted,
}

/// A snapshot that is not newer than the active one.
#[derive(Debug, thiserror::Error)]
#[error("revision {offered} is not newer than the active {active}")]
pub struct NotNewer {
    pub offered: String,
    pub active: String,
}

/// The writing half.
#[derive(Debug)]
pub struct Publisher {}

/// The reading half; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {}

/// A worker's own view of the pointer (`arc_swap::Cache`): a load is one relaxed read while nothing changed.
#[derive(Debug)]
pub struct WorkerReader {}

/// A publisher and its reader, with nothing published.
#[must_use]
pub fn channel() -> (Publisher, Reader) {
    todo!()
}

impl Publisher {
    /// Swaps in a newer snapshot.
    ///
    /// # Errors
    ///
    /// [`NotNewer`]: the active one stays.
    pub fn publish(&self, _snapshot: Snapshot) -> Result<Arc<Snapshot>, NotNewer> {
        todo!()
    }

    /// Ends the active snapshot, or (None) lets it decide again.
    pub fn set_ended(&self, _ended: Option<Ended>) {
        todo!()
    }
}

impl Reader {
    /// What decides now.
    #[must_use]
    pub fn load(&self) -> Arc<Current> {
        todo!()
    }

    /// A view for one worker.
    #[must_use]
    pub fn worker(&self) -> WorkerReader {
        todo!()
    }

    /// Waits until a revision with at least this number is active.
    pub async fn reached(&self, _number: u64) {
        todo!()
    }
}

impl WorkerReader {
    /// What decides now.
    pub fn load(&mut self) -> &Arc<Current> {
        todo!()
    }
}
