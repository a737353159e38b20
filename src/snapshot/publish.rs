//! The pointer, its one writer and its readers.
//!
//! A publisher keeps every retired snapshot until no reader holds it any more and drops it on a thread of its
//! own, so that freeing a large program never delays a decision.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use tokio::sync::watch;

use super::{Snapshot, lower_priority};

/// How often the retiring thread looks whether the last reader let go.
const RETIRE_INTERVAL: Duration = Duration::from_millis(100);

/// What readers see: one load gives all of it.
#[derive(Clone, Debug, Default)]
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
pub struct Publisher {
    current: Arc<ArcSwap<Current>>,
    number: watch::Sender<u64>,
    retired: Sender<Arc<Snapshot>>,
    /// Held from reading the active snapshot to replacing it: two writers would compare with the same one.
    writing: Mutex<()>,
}

/// The reading half; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    current: Arc<ArcSwap<Current>>,
    number: watch::Receiver<u64>,
}

/// A worker's own view of the pointer (`arc_swap::Cache`): a load is one relaxed read while nothing changed.
#[derive(Debug)]
pub struct WorkerReader {
    cache: Cache<Arc<ArcSwap<Current>>, Arc<Current>>,
}

/// A publisher and its reader, with nothing published.
#[must_use]
pub fn channel() -> (Publisher, Reader) {
    let current = Arc::new(ArcSwap::from_pointee(Current::default()));
    let (number, numbers) = watch::channel(0);
    let (retired, to_drop) = std::sync::mpsc::channel();
    let spawned = std::thread::Builder::new()
        .name("retire".into())
        .spawn(move || retire(&to_drop));
    // Without the thread `retired` has no receiver, and snapshots are dropped where they are replaced.
    drop(spawned);
    let publisher = Publisher {
        current: Arc::clone(&current),
        number,
        retired,
        writing: Mutex::new(()),
    };
    let reader = Reader {
        current,
        number: numbers,
    };
    (publisher, reader)
}

impl Publisher {
    /// Swaps in a newer snapshot.
    ///
    /// # Errors
    ///
    /// [`NotNewer`]: the active one stays.
    pub fn publish(&self, snapshot: Snapshot) -> Result<Arc<Snapshot>, NotNewer> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.current.load_full();
        if let Some(active) = &active.snapshot
            && snapshot.number <= active.number
        {
            return Err(NotNewer {
                offered: snapshot.name,
                active: active.name.clone(),
            });
        }
        let snapshot = Arc::new(snapshot);
        self.current.store(Arc::new(Current {
            snapshot: Some(Arc::clone(&snapshot)),
            ended: None,
        }));
        self.number.send_replace(snapshot.number);
        if let Some(old) = &active.snapshot {
            // Fails only without the thread; then this is where the snapshot is dropped.
            drop(self.retired.send(Arc::clone(old)));
        }
        Ok(snapshot)
    }

    /// Leaves nothing that decides, as before the first snapshot.
    pub fn withdraw(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.current.swap(Arc::new(Current::default()));
        if let Some(old) = &active.snapshot {
            drop(self.retired.send(Arc::clone(old)));
        }
    }

    /// Ends the active snapshot, or (None) lets it decide again.
    pub fn set_ended(&self, ended: Option<Ended>) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.current.load_full();
        if active.ended != ended {
            self.current.store(Arc::new(Current {
                snapshot: active.snapshot.clone(),
                ended,
            }));
        }
    }

    /// Another reading half.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            current: Arc::clone(&self.current),
            number: self.number.subscribe(),
        }
    }
}

impl Reader {
    /// What decides now.
    #[must_use]
    pub fn load(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// A view for one worker.
    #[must_use]
    pub fn worker(&self) -> WorkerReader {
        WorkerReader {
            cache: Cache::new(Arc::clone(&self.current)),
        }
    }

    /// Waits until a revision with at least this number is active. Never ends where none comes any more.
    pub async fn reached(&self, number: u64) {
        let mut numbers = self.number.clone();
        if numbers.wait_for(|active| *active >= number).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl WorkerReader {
    /// What decides now. Lets go of the snapshot that this view held before.
    pub fn load(&mut self) -> &Arc<Current> {
        self.cache.load()
    }
}

/// Drops each snapshot once nobody else holds it; ends with the publisher.
fn retire(retired: &Receiver<Arc<Snapshot>>) {
    lower_priority();
    let mut held: Vec<Arc<Snapshot>> = Vec::new();
    loop {
        let next = if held.is_empty() {
            retired.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            retired.recv_timeout(RETIRE_INTERVAL)
        };
        match next {
            Ok(snapshot) => held.push(snapshot),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        held.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}

#[cfg(test)]
mod tests;
