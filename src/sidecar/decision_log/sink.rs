//! The thread of the decision log: a batch of records in, lines out.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::api::json;
use crate::decision_log::{Batch, Consumer, Record};
use crate::snapshot::{Current, Reader, Snapshot};

use super::counters::Counters;
use super::event;
use super::line::LineWriter;
use super::mask::{Masker, Verdict};
use super::upload::Queue;

/// What takes the place of the sink before the next batch.
pub(super) type Next = Arc<Mutex<Option<Sink>>>;

/// Where records end.
pub(super) struct Sink {
    pub file: Option<Box<dyn Write + Send>>,
    /// Whether what is written there is a log of OPA's, one entry an event.
    pub is_console: bool,
    pub queue: Option<Queue>,
    pub counters: Counters,
    pub writer: LineWriter,
    pub masker: Masker,
    pub reader: Reader,
    pub known: Option<Known>,
    pub budget: Option<Budget>,
}

/// What is known of the generation that decides now. Holds nothing of it, so that it can retire while the thread waits.
#[derive(Debug)]
pub(super) struct Known {
    number: u64,
    revision: String,
    /// Its bundles, as an event has them: JSON text.
    bundles: Vec<u8>,
    /// Whether its policies are to be asked what may be shown.
    asks: bool,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sink").finish_non_exhaustive()
    }
}

/// Puts an end to every batch, at the sink that was set last. Ends with the consumer.
pub(super) fn run(mut consumer: Consumer, next: &Next) {
    let mut lines = Vec::new();
    let mut sink: Option<Sink> = None;
    while let Some(batch) = consumer.blocking_next() {
        let set = next.lock().unwrap_or_else(PoisonError::into_inner).take();
        sink = set.or(sink);
        // One that leads nowhere is there until it is told more.
        let used = |sink: &&mut Sink| sink.file.is_some() || sink.queue.is_some();
        if let Some(sink) = sink.as_mut().filter(used) {
            sink.take(batch, &mut lines);
        }
    }
}

impl Sink {
    /// Turns a batch into lines, which are written and queued.
    fn take(&mut self, batch: Batch, lines: &mut Vec<u8>) {
        lines.clear();
        let current = self.reader.load();
        self.learn(&current);
        let mut events = 0;
        for record in batch.records() {
            let start = lines.len();
            if !self.append(lines, &record, &current) {
                continue;
            }
            if let Some(queue) = &self.queue {
                queue.push(lines.get(start..).unwrap_or_default());
            }
            if self.is_console {
                enter(lines, &record);
            }
            lines.push(b'\n');
            events += 1;
        }
        drop(current);
        drop(batch);
        self.write(lines, events);
        if let Some(queue) = &self.queue {
            self.counters.not_delivered("spool_full", queue.take_lost());
            let waiting = i64::try_from(queue.bytes()).unwrap_or(i64::MAX);
            self.counters.waiting.set(waiting);
        }
    }

    /// Looks at the generation where it is another one than before.
    fn learn(&mut self, current: &Current) {
        let Some(snapshot) = &current.snapshot else {
            self.known = None;
            return;
        };
        let known = self.known.as_ref();
        if known.is_some_and(|it| it.number == snapshot.number && it.revision == snapshot.name) {
            return;
        }
        self.known = Some(Known {
            number: snapshot.number,
            revision: snapshot.name.clone(),
            bundles: bundles(snapshot).to_string().into_bytes(),
            asks: self.masker.is_asked(&snapshot.program),
        });
    }

    /// Appends the record's event as it may be shown; false where it is not to be logged.
    fn append(&mut self, lines: &mut Vec<u8>, record: &Record<'_>, current: &Current) -> bool {
        if self.budget.as_mut().is_some_and(|budget| !budget.take()) {
            self.counters.not_delivered("rate", 1);
            return false;
        }
        let known = self.known.as_ref();
        let decided = known.filter(|it| it.revision.as_bytes() == record.revision);
        if known.is_some_and(|it| !it.asks) {
            let start = lines.len();
            let bundles = decided.map(|it| it.bundles.as_slice());
            let written = self.writer.write(lines, record, bundles);
            if written.is_ok() {
                return true;
            }
            lines.truncate(start);
        }
        let mut event = event::of(record, &self.writer.shape);
        if decided.is_some()
            && let Some(snapshot) = &current.snapshot
        {
            event.insert("bundles".to_owned(), bundles(snapshot));
        }
        match self.masker.apply(&mut event, current, record.at) {
            Verdict::Keep => {
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(lines, &event);
                true
            }
            Verdict::Drop => false,
            Verdict::Failed => {
                self.counters.not_delivered("mask", 1);
                false
            }
        }
    }

    fn write(&mut self, lines: &[u8], events: u64) {
        let Some(out) = &mut self.file else {
            return;
        };
        match out.write_all(lines).and_then(|()| out.flush()) {
            Ok(()) => self.counters.written.inc_by(events),
            Err(error) => {
                if self.counters.lost.with_label_values(&["write"]).get() == 0 {
                    tracing::error!(%error, "decision events cannot be written");
                }
                self.counters.not_delivered("write", events);
            }
        }
    }
}

/// Makes the event that was written last an entry of OPA's log.
fn enter(lines: &mut Vec<u8>, record: &Record<'_>) {
    // The end of the object.
    lines.pop();
    json::raw(
        lines,
        ",\"level\":\"info\",\"msg\":\"Decision Log\",\"time\":",
    );
    json::timestamp(lines, record.at);
    json::raw(lines, ",\"type\":\"openpolicyagent.org/decision_logs\"}");
}

/// The bundles of a generation, as an event has them.
fn bundles(snapshot: &Snapshot) -> Value {
    let bundles = snapshot.bundles.iter().map(|bundle| {
        let revision = serde_json::json!({ "revision": bundle.revision });
        (bundle.source.clone(), revision)
    });
    Value::Object(bundles.collect())
}

/// So many events a second, as many at once.
#[derive(Debug)]
pub(super) struct Budget {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            per_second,
            left: per_second.max(1.0),
            at: Instant::now(),
        }
    }

    fn take(&mut self) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + earned).min(self.per_second.max(1.0));
        self.at = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}
