//! What becomes of decision records: events in the shape that OPA's decision logs have, masked, written into a file or
//! to standard output, and sent to a log service. On a thread of its own; sending on the given runtime.

mod line;
mod mask;
mod spool;
mod upload;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::decide::{Observer, Worker};
use crate::decision_log::{Consumer, Log, Record, channel};
use crate::engine::Limits;
use crate::model::TenantId;
use crate::snapshot::{Current, Reader};
use crate::wire::WireError;

use super::config::RecordContent;

pub use upload::Settings as UploadSettings;

use mask::{Masker, Verdict};
use spool::Spool;
use upload::{Queue, Uploader};

/// Why records cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open `decision_log.file`: `{path}`: {source}")]
    File { path: String, source: io::Error },
    #[error("cannot use `decision_log.upload.disk_dir`: `{}`: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot prepare the client of `decision_log.upload`")]
    Client(#[from] WireError),
    #[error("cannot start the thread of the decision log: {0}")]
    Thread(io::Error),
    #[error("cannot register the metrics of the decision log: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What is logged, and where it goes.
#[derive(Debug)]
pub struct Settings {
    /// A path, `-` for standard output.
    pub file: Option<String>,
    pub upload: Option<UploadSettings>,
    /// Bytes of events that wait in memory to be sent.
    pub memory_bytes: usize,
    /// Where they wait beyond that, and how many bytes of them.
    pub disk: Option<(PathBuf, u64)>,
    pub content: RecordContent,
    /// Records that wait to become events, per serving thread.
    pub buffer_bytes: usize,
    /// More events a second are not logged.
    pub per_second: Option<f64>,
    pub tenant: TenantId,
    pub labels: Map<String, Value>,
    /// Paths below `data` of the policies that mask and drop.
    pub mask: String,
    pub drop: String,
}

/// Runs until the log and all recorders are gone.
#[derive(Debug)]
pub(super) struct Writer {
    thread: JoinHandle<()>,
    uploader: Option<Uploader>,
}

/// What the lines show.
#[derive(Debug)]
pub(super) struct Shape {
    pub labels: Map<String, Value>,
    pub content: RecordContent,
}

impl Writer {
    /// Opens what events go to and starts the thread; None where nothing is to be logged.
    pub(super) fn start(
        settings: Settings,
        reader: &Reader,
        limits: Limits,
        registry: &Registry,
        handle: &Handle,
    ) -> Result<Option<(Log, Self)>, OpenError> {
        if settings.file.is_none() && settings.upload.is_none() {
            return Ok(None);
        }
        let file = settings.file.as_deref().map(open).transpose()?;
        let (log, consumer) = channel(settings.buffer_bytes);
        let counters = Counters::register(registry, consumer.dropped_counter())?;
        let mut queue = None;
        let mut uploader = None;
        if let Some(upload) = settings.upload {
            let disk = settings.disk.as_ref();
            let disk = disk.map(|(path, limit)| (path.as_path(), *limit));
            let spool = Spool::open(settings.memory_bytes, disk).map_err(|source| {
                let path = disk.map_or_else(PathBuf::new, |(path, _)| path.to_owned());
                OpenError::Folder { path, source }
            })?;
            let waiting = Queue::new(spool, upload.upload_bytes);
            let started = Uploader::start(upload, waiting.clone(), counters.clone(), handle)?;
            queue = Some(waiting);
            uploader = Some(started);
        }
        let mut labels = settings.labels;
        labels.insert("tenant".to_owned(), settings.tenant.as_str().into());
        let worker = Worker::new(reader, limits, Arc::new(Unobserved));
        let sink = Sink {
            file,
            queue,
            counters,
            shape: Shape {
                labels,
                content: settings.content,
            },
            masker: Masker::new(worker, &settings.mask, &settings.drop),
            reader: reader.clone(),
            budget: settings.per_second.map(Budget::new),
        };
        let thread = thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || sink.run(consumer))
            .map_err(OpenError::Thread)?;
        Ok(Some((log, Self { thread, uploader })))
    }

    /// Waits until everything is written and sent, or kept; to be called when all recorders are gone.
    pub(super) async fn finish(self) {
        let Self { thread, uploader } = self;
        let joined = tokio::task::spawn_blocking(|| thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the writer of decision records panicked");
        }
        if let Some(uploader) = uploader {
            uploader.finish().await;
        }
    }
}

fn open(path: &str) -> Result<Box<dyn Write + Send>, OpenError> {
    if path == "-" {
        return Ok(Box::new(io::stdout()));
    }
    let file: Result<File, _> = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(Path::new(path));
    let file = file.map_err(|source| OpenError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(Box::new(file))
}

/// Asking a mask is no decision.
#[derive(Debug)]
struct Unobserved;

impl Observer for Unobserved {
    fn decided(&self, _: crate::decide::Kind, _: crate::decide::Outcome, _: u64) {}

    fn panicked(&self, _: crate::decide::Kind, message: &str) {
        tracing::error!(message, "a policy that masks decision events panicked");
    }
}

/// Where records end.
struct Sink {
    file: Option<Box<dyn Write + Send>>,
    queue: Option<Queue>,
    counters: Counters,
    shape: Shape,
    masker: Masker,
    reader: Reader,
    budget: Option<Budget>,
}

impl Sink {
    fn run(mut self, mut consumer: Consumer) {
        let mut lines = Vec::new();
        while let Some(batch) = consumer.blocking_next() {
            lines.clear();
            let mut events = 0;
            for record in batch.records() {
                if let Some(event) = self.event(&record) {
                    let start = lines.len();
                    lines.extend_from_slice(event.to_string().as_bytes());
                    if let Some(queue) = &self.queue {
                        queue.push(lines.get(start..).unwrap_or_default());
                    }
                    lines.push(b'\n');
                    events += 1;
                }
            }
            drop(batch);
            self.write(&lines, events);
            if let Some(queue) = &self.queue {
                self.counters.not_delivered("spool_full", queue.take_lost());
                let waiting = i64::try_from(queue.bytes()).unwrap_or(i64::MAX);
                self.counters.waiting.set(waiting);
            }
        }
    }

    /// The record's event as it may be shown; None where it is not to be logged.
    fn event(&mut self, record: &Record<'_>) -> Option<Value> {
        if self.budget.as_mut().is_some_and(|budget| !budget.take()) {
            self.counters.not_delivered("rate", 1);
            return None;
        }
        let mut event = line::event(record, &self.shape);
        let current = self.reader.load();
        if let Some(bundles) = bundles(&current, record.revision) {
            event.insert("bundles".to_owned(), bundles);
        }
        match self.masker.apply(&mut event, &current, record.at) {
            Verdict::Keep => Some(Value::Object(event)),
            Verdict::Drop => None,
            Verdict::Failed => {
                self.counters.not_delivered("mask", 1);
                None
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

/// The bundles of the generation that decided, while that is the one that decides now.
fn bundles(current: &Current, revision: &[u8]) -> Option<Value> {
    let snapshot = current.snapshot.as_ref()?;
    if snapshot.name.as_bytes() != revision {
        return None;
    }
    let bundles = snapshot.bundles.iter().map(|bundle| {
        let revision = serde_json::json!({ "revision": bundle.revision });
        (bundle.source.clone(), revision)
    });
    Some(Value::Object(bundles.collect()))
}

/// So many events a second, as many at once.
struct Budget {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    fn new(per_second: f64) -> Self {
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

#[derive(Clone, Debug)]
struct Counters {
    written: IntCounter,
    delivered: IntCounter,
    upload_failed: IntCounter,
    waiting: IntGauge,
    lost: IntCounterVec,
}

impl Counters {
    fn register(registry: &Registry, dropped: Arc<AtomicU64>) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let lost = IntCounterVec::new(
            Opts::new(
                "lictor_decision_log_not_delivered_total",
                "Decision events that nobody will see, by reason: how blind the log is.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(Lost {
            counters: lost.clone(),
            dropped,
        }))?;
        let waiting = IntGauge::new(
            "lictor_decision_log_waiting_bytes",
            "Bytes of decision events that wait to be sent, in memory and on disk.",
        )?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            written: counter(
                "lictor_decision_log_written_total",
                "Decision events that were written to the file.",
            )?,
            delivered: counter(
                "lictor_decision_log_delivered_total",
                "Decision events that the log service took.",
            )?,
            upload_failed: counter(
                "lictor_decision_log_upload_failures_total",
                "Uploads that the log service did not take; they are sent again.",
            )?,
            waiting,
            lost,
        })
    }

    fn not_delivered(&self, reason: &str, events: u64) {
        if events > 0 {
            self.lost.with_label_values(&[reason]).inc_by(events);
        }
    }
}

/// The counters, with what the workers themselves had to drop.
struct Lost {
    counters: IntCounterVec,
    dropped: Arc<AtomicU64>,
}

impl Collector for Lost {
    fn desc(&self) -> Vec<&Desc> {
        self.counters.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let buffer = self.counters.with_label_values(&["buffer"]);
        buffer.inc_by(self.dropped.load(Ordering::Relaxed) - buffer.get());
        self.counters.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::server::telemetry;
    use crate::snapshot;

    fn settings(path: &Path) -> Settings {
        Settings {
            file: Some(path.display().to_string()),
            upload: None,
            memory_bytes: 0,
            disk: None,
            content: RecordContent::Digest,
            buffer_bytes: 0,
            per_second: None,
            tenant: "acme".parse().unwrap(),
            labels: Map::new(),
            mask: String::new(),
            drop: String::new(),
        }
    }

    /// Logs this many records and returns the page of metrics.
    fn logged(settings: Settings, records: usize) -> Result<String, OpenError> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let registry = telemetry::registry().unwrap();
        let (publisher, reader) = snapshot::channel();
        let limits = crate::sidecar::config::LimitsConfig::default().decision();
        publisher.publish(snapshot::test_snapshot(1)).unwrap();
        let started = Writer::start(settings, &reader, limits, &registry, runtime.handle())?;
        let (log, writer) = started.unwrap();
        let mut recorder = log.recorder();
        for _ in 0..records {
            recorder.record(&Record::default());
        }
        drop((log, recorder));
        runtime.block_on(writer.finish());
        Ok(String::from_utf8(telemetry::render(&registry)).unwrap())
    }

    #[test]
    fn records_are_appended_to_a_private_file_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        for _ in 0..2 {
            let page = logged(settings(&path), 2).unwrap();
            assert!(
                page.contains("lictor_decision_log_written_total 2"),
                "{page}"
            );
            let lost = "lictor_decision_log_not_delivered_total{reason=\"buffer\"} 0";
            assert!(page.contains(lost), "{page}");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4);
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let page = logged(settings(Path::new("/dev/full")), 1).unwrap();
        let lost = "lictor_decision_log_not_delivered_total{reason=\"write\"} 1";
        assert!(page.contains(lost), "{page}");
    }

    #[test]
    fn more_than_the_budget_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            per_second: Some(0.001),
            ..settings(&folder.path().join("log"))
        };
        let page = logged(settings, 3).unwrap();
        assert!(
            page.contains("lictor_decision_log_written_total 1"),
            "{page}"
        );
        let lost = "lictor_decision_log_not_delivered_total{reason=\"rate\"} 2";
        assert!(page.contains(lost), "{page}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = logged(settings(Path::new("/nowhere/decisions.jsonl")), 0).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/nowhere/decisions.jsonl"), "{text}");
    }
}
