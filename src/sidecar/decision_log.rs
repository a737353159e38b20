//! What becomes of decision records: events in the shape that OPA's decision logs have, masked, written into a file or
//! to standard output, and sent to a log service. On a thread of its own; sending on the given runtime.

mod counters;
mod document;
mod event;
mod line;
mod mask;
mod sink;
mod spool;
mod upload;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use prometheus::Registry;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::decide::{Observer, Worker};
use crate::decision_log::{Log, Switch, channel};
use crate::engine::Limits;
use crate::model::TenantId;
use crate::snapshot::Reader;
use crate::wire::WireError;

use super::config::RecordContent;
use super::status::Status;

pub use upload::Settings as UploadSettings;

use counters::Counters;
use event::Shape;
use line::LineWriter;
use mask::Masker;
use sink::{Budget, Next, Sink};
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
    /// Whether what is written there is a log of OPA's: each event with a level, a message, a time and a type.
    pub is_console: bool,
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
    /// Of the first that sent: what waits outlives a change of the settings.
    queue: Option<Queue>,
    /// What the thread takes up before its next batch.
    next: Next,
    /// Off while nothing is to be logged.
    switch: Switch,
    counters: Counters,
    with: With,
}

/// What a writer works with, whatever its settings.
#[derive(Clone, Debug)]
pub(super) struct With {
    pub reader: Reader,
    pub limits: Limits,
    pub status: Arc<Status>,
    pub handle: Handle,
}

/// Whether there is a log where nothing is to be logged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// None.
    Absent,
    /// It may be told later.
    Waits,
}

impl Writer {
    /// Opens what events go to and starts the thread; None where nothing is to be logged.
    pub(super) fn start(
        settings: Settings,
        idle: Idle,
        registry: &Registry,
        with: With,
    ) -> Result<Option<(Log, Self)>, OpenError> {
        if idle == Idle::Absent && !settings.goes_somewhere() {
            return Ok(None);
        }
        let keeps_results = settings.content == RecordContent::Full || idle == Idle::Waits;
        let (log, consumer) = channel(settings.buffer_bytes, keeps_results);
        let counters = Counters::register(registry, consumer.dropped_counter())?;
        let switch = consumer.switch();
        let next: Next = Arc::default();
        let taken = Arc::clone(&next);
        let thread = thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || sink::run(consumer, &taken))
            .map_err(OpenError::Thread)?;
        let mut writer = Self {
            thread,
            uploader: None,
            queue: None,
            next,
            switch,
            counters,
            with,
        };
        writer.reconfigure(settings)?;
        Ok(Some((log, writer)))
    }

    /// Other settings from now on; what waits to be sent is sent by them.
    ///
    /// # Errors
    ///
    /// What cannot be opened; then nothing has changed.
    pub(super) fn reconfigure(&mut self, settings: Settings) -> Result<(), OpenError> {
        let is_used = settings.goes_somewhere();
        let file = settings.file.as_deref().map(open).transpose()?;
        let mut queue = None;
        if let Some(upload) = settings.upload {
            let waiting = if let Some(waiting) = self.queue.clone() {
                waiting
            } else {
                let disk = settings.disk.as_ref();
                let disk = disk.map(|(path, limit)| (path.as_path(), *limit));
                let spool = Spool::open(settings.memory_bytes, disk).map_err(|source| {
                    let path = disk.map_or_else(PathBuf::new, |(path, _)| path.to_owned());
                    OpenError::Folder { path, source }
                })?;
                Queue::new(spool, upload.upload_bytes)
            };
            let started = Uploader::start(
                upload,
                waiting.clone(),
                self.counters.clone(),
                Arc::clone(&self.with.status),
                &self.with.handle,
            )?;
            if let Some(before) = self.uploader.replace(started) {
                before.abandon();
            }
            self.queue = Some(waiting.clone());
            queue = Some(waiting);
        }
        let mut labels = settings.labels;
        labels.insert("tenant".to_owned(), settings.tenant.as_str().into());
        let worker = Worker::new(&self.with.reader, self.with.limits, Arc::new(Unobserved));
        let sink = Sink {
            file,
            is_console: settings.is_console,
            queue,
            counters: self.counters.clone(),
            writer: LineWriter::new(Shape::new(labels, settings.content)),
            masker: Masker::new(worker, &settings.mask, &settings.drop),
            reader: self.with.reader.clone(),
            known: None,
            budget: settings.per_second.map(Budget::new),
        };
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
        self.switch.set(is_used);
        Ok(())
    }

    /// Waits until everything is written and sent, or kept; to be called when all recorders are gone.
    pub(super) async fn finish(self) {
        let Self {
            thread, uploader, ..
        } = self;
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

impl Settings {
    const fn goes_somewhere(&self) -> bool {
        self.file.is_some() || self.upload.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::decision_log::Record;
    use crate::server::telemetry;
    use crate::sidecar::status::Report;
    use crate::snapshot;

    fn settings(path: &Path) -> Settings {
        Settings {
            file: Some(path.display().to_string()),
            is_console: false,
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

    #[test]
    fn a_log_that_waits_to_be_told_where_to_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let registry = telemetry::registry().unwrap();
        let (_publisher, reader) = snapshot::channel();
        let with = With {
            reader,
            limits: crate::sidecar::config::LimitsConfig::default().decision(),
            status: Arc::new(Status::new(Report::default())),
            handle: runtime.handle().clone(),
        };
        let nowhere = || Settings {
            file: None,
            ..settings(folder.path())
        };
        let started = Writer::start(nowhere(), Idle::Waits, &registry, with).unwrap();
        let (log, mut writer) = started.unwrap();
        assert!(!log.is_on());
        let path = folder.path().join("log");
        writer.reconfigure(settings(&path)).unwrap();
        assert!(log.is_on());
        writer.reconfigure(nowhere()).unwrap();
        assert!(!log.is_on());
        drop(log);
        runtime.block_on(writer.finish());
    }

    /// Logs this many records and returns the page of metrics.
    fn logged(settings: Settings, records: usize) -> Result<String, OpenError> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let registry = telemetry::registry().unwrap();
        let (publisher, reader) = snapshot::channel();
        let limits = crate::sidecar::config::LimitsConfig::default().decision();
        publisher.publish(snapshot::test_snapshot(1)).unwrap();
        let with = With {
            reader,
            limits,
            status: Arc::new(Status::new(Report::default())),
            handle: runtime.handle().clone(),
        };
        let started = Writer::start(settings, Idle::Absent, &registry, with)?;
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
    fn on_a_console_an_event_is_an_entry_of_opas_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let settings = Settings {
            is_console: true,
            ..settings(&path)
        };
        logged(settings, 2).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            assert_eq!(entry["msg"], "Decision Log");
            assert_eq!(entry["level"], "info");
            assert_eq!(entry["type"], "openpolicyagent.org/decision_logs");
            assert_eq!(entry["time"], entry["timestamp"]);
        }
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
