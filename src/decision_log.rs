//! Records of decisions, on their way from the threads that decide to whoever keeps them.
//!
//! A worker's [`Recorder`] copies each record into a buffer of its own: no lock, no wait, no allocation once its
//! buffers are made. Full buffers, and once a second the one in use, go to the one [`Consumer`] as owned [`Batch`]es
//! and come back empty when a batch is dropped. Where a worker has no empty buffer left the record is dropped and
//! counted: a slow consumer costs records, never time.
//!
//! A log that leads nowhere for the time being is switched off: then a record costs one look at that.
//!
//! Masking, formats, files and uploads are the consumer's.

mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as recycling;

use tokio::sync::mpsc;

pub use record::{Record, Records};

/// Bytes of one buffer: each that is full wakes the consumer. A record that does not fit into one goes without its input and
/// result.
pub const BUFFER_BYTES: usize = 128 * 1024;

/// The sending end; each worker takes a [`Recorder`] of its own.
#[derive(Clone, Debug)]
pub struct Log {
    full: mpsc::UnboundedSender<Batch>,
    dropped: Arc<AtomicU64>,
    buffers: usize,
    results: bool,
    on: Switch,
}

/// Whether records are taken at all. Clones are one switch.
#[derive(Clone, Debug)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// From now on.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    #[inline]
    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Consumer {
    full: mpsc::UnboundedReceiver<Batch>,
    dropped: Arc<AtomicU64>,
    on: Switch,
}

/// Records in the order in which one worker decided. Its buffer goes back to the worker when it is dropped.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    home: recycling::SyncSender<Vec<u8>>,
}

/// Records the decisions of one worker.
#[derive(Debug)]
pub struct Recorder {
    /// The buffer in use: empty, without memory, where there is none. Never grows.
    bytes: Vec<u8>,
    /// Where the last record begins, while it may still be completed.
    last: Option<usize>,
    full: mpsc::UnboundedSender<Batch>,
    home: recycling::SyncSender<Vec<u8>>,
    empty: recycling::Receiver<Vec<u8>>,
    /// Buffers that may still be made.
    unmade: usize,
    results: bool,
    on: Switch,
    dropped: Arc<AtomicU64>,
}

/// A log and its consumer. Every worker holds at most `bytes`, rounded up to whole buffers, and at least two of those.
/// Without `results` nothing is kept of what was answered. It is switched on.
#[must_use]
pub fn channel(bytes: usize, results: bool) -> (Log, Consumer) {
    // Unbounded in name: there are never more batches than buffers.
    let (sender, receiver) = mpsc::unbounded_channel();
    let dropped = Arc::new(AtomicU64::new(0));
    let on = Switch(Arc::new(AtomicBool::new(true)));
    let log = Log {
        full: sender,
        dropped: Arc::clone(&dropped),
        buffers: bytes.div_ceil(BUFFER_BYTES).max(2),
        results,
        on: on.clone(),
    };
    let consumer = Consumer {
        full: receiver,
        dropped,
        on,
    };
    (log, consumer)
}

impl Log {
    /// A recorder for one worker.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        let (home, empty) = recycling::sync_channel(self.buffers);
        Recorder {
            bytes: Vec::new(),
            last: None,
            full: self.full.clone(),
            home,
            empty,
            unmade: self.buffers,
            results: self.results,
            on: self.on.clone(),
            dropped: Arc::clone(&self.dropped),
        }
    }

    /// Whether records are taken.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.is_on()
    }
}

impl Consumer {
    /// The next batch; None when the log and all its recorders are gone.
    pub async fn next(&mut self) -> Option<Batch> {
        self.full.recv().await
    }

    /// As [`Self::next`], for a thread that may block.
    pub fn blocking_next(&mut self) -> Option<Batch> {
        self.full.blocking_recv()
    }

    /// Whether records are taken, and the way to change that.
    #[must_use]
    pub fn switch(&self) -> Switch {
        self.on.clone()
    }

    /// Records that were dropped because no buffer was free, since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The number behind [`Self::dropped`], for a metric.
    #[must_use]
    pub fn dropped_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }
}

impl Batch {
    /// Its records.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.bytes)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        // Fails where the worker is gone; then the memory is freed here.
        let _ = self.home.try_send(bytes);
    }
}

impl Recorder {
    /// Records a decision. Its result may follow, until the next record: [`Self::result`].
    pub fn record(&mut self, record: &Record<'_>) {
        self.last = None;
        if !self.is_on() {
            return;
        }
        let size = record.size();
        if size > BUFFER_BYTES {
            let cut = record.without_documents();
            self.append(&cut, cut.size());
        } else {
            self.append(record, size);
        }
    }

    fn append(&mut self, record: &Record<'_>, size: usize) {
        if !self.make_room(size) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.last = Some(self.bytes.len());
        record.write(size, &mut self.bytes);
    }

    /// Whether records are taken.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.is_on()
    }

    /// Whether results are kept.
    #[must_use]
    pub fn keeps_results(&self) -> bool {
        self.results && self.is_on()
    }

    /// Completes the last record with what was answered, as JSON text.
    pub fn result(&mut self, result: &[u8]) {
        let Some(start) = self.last.take().filter(|_| self.results) else {
            return;
        };
        let length = self.bytes.len() - start;
        if length + result.len() > BUFFER_BYTES {
            return;
        }
        if self.bytes.len() + result.len() > BUFFER_BYTES {
            let Some(mut next) = self.empty_buffer() else {
                return;
            };
            next.extend_from_slice(self.bytes.get(start..).unwrap_or_default());
            self.bytes.truncate(start);
            let filled = std::mem::replace(&mut self.bytes, next);
            self.send(filled);
            record::complete(&mut self.bytes, 0, result);
        } else {
            record::complete(&mut self.bytes, start, result);
        }
    }

    /// Hands over what there is. To be called now and then: records of a worker that has nothing to do wait for it.
    pub fn flush(&mut self) {
        self.last = None;
        if !self.bytes.is_empty() {
            let filled = std::mem::take(&mut self.bytes);
            self.send(filled);
        }
    }

    fn make_room(&mut self, size: usize) -> bool {
        if self.bytes.capacity() > 0 && self.bytes.len() + size <= BUFFER_BYTES {
            return true;
        }
        let Some(next) = self.empty_buffer() else {
            return false;
        };
        let filled = std::mem::replace(&mut self.bytes, next);
        if !filled.is_empty() {
            self.send(filled);
        }
        true
    }

    fn empty_buffer(&mut self) -> Option<Vec<u8>> {
        if let Ok(buffer) = self.empty.try_recv() {
            return Some(buffer);
        }
        self.unmade = self.unmade.checked_sub(1)?;
        Some(Vec::with_capacity(BUFFER_BYTES))
    }

    fn send(&mut self, bytes: Vec<u8>) {
        let home = self.home.clone();
        // Without a consumer the batch comes back as an error and goes home from there.
        drop(self.full.send(Batch { bytes, home }));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests;
