//! Writes decision records into a file or to standard output, one JSON object a line, in the shape that OPA's decision
//! logs have, on a thread of its own.

mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};

use crate::decision_log::{Consumer, Log, channel};
use crate::model::TenantId;

use super::config::{DecisionLogConfig, RecordContent};

/// Why records cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot open `decision_log.file`: `{path}`: {source}")]
pub struct OpenError {
    path: String,
    source: io::Error,
}

/// Writes until the log and all recorders are gone.
#[derive(Debug)]
pub(super) struct Writer(JoinHandle<()>);

/// What the lines show.
#[derive(Debug)]
pub(super) struct Shape {
    pub tenant: TenantId,
    pub content: RecordContent,
}

impl Writer {
    /// Opens the file and starts the thread; None where nothing is to be recorded.
    pub(super) fn start(
        config: &DecisionLogConfig,
        tenant: TenantId,
        registry: &Registry,
    ) -> Result<Option<(Log, Self)>, super::BuildError> {
        let Some(path) = &config.file else {
            return Ok(None);
        };
        let out: Box<dyn Write + Send> = if path == "-" {
            Box::new(io::stdout())
        } else {
            Box::new(open(Path::new(path)).map_err(|source| OpenError {
                path: path.clone(),
                source,
            })?)
        };
        let (log, consumer) = channel(config.buffer_bytes);
        let counters = Counters::register(registry, consumer.dropped_counter())?;
        let shape = Shape {
            tenant,
            content: config.content,
        };
        let thread = thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || write(consumer, out, &shape, &counters))
            .map_err(|source| OpenError {
                path: path.clone(),
                source,
            })?;
        Ok(Some((log, Self(thread))))
    }

    /// Waits until everything is written; to be called when all recorders are gone.
    pub(super) fn finish(self) {
        if self.0.join().is_err() {
            tracing::error!("the writer of decision records panicked");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn write(mut consumer: Consumer, mut out: impl Write, shape: &Shape, counters: &Counters) {
    let mut lines = Vec::new();
    while let Some(batch) = consumer.blocking_next() {
        lines.clear();
        let mut records = 0;
        for record in batch.records() {
            line::write(&mut lines, &record, shape);
            records += 1;
        }
        drop(batch);
        match out.write_all(&lines).and_then(|()| out.flush()) {
            Ok(()) => counters.written.inc_by(records),
            Err(error) => {
                if counters.failed.get() == 0 {
                    tracing::error!(%error, "decision records cannot be written");
                }
                counters.failed.inc_by(records);
            }
        }
    }
}

#[derive(Debug)]
struct Counters {
    written: IntCounter,
    failed: IntCounter,
}

impl Counters {
    fn register(registry: &Registry, dropped: Arc<AtomicU64>) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let mirror = IntCounter::new(
            "lictor_decision_log_dropped_total",
            "Decision records that were dropped because too many waited to be written.",
        )?;
        registry.register(Box::new(Dropped {
            counter: mirror,
            count: dropped,
        }))?;
        Ok(Self {
            written: counter(
                "lictor_decision_log_written_total",
                "Decision records that were written.",
            )?,
            failed: counter(
                "lictor_decision_log_failed_total",
                "Decision records that were lost because writing failed.",
            )?,
        })
    }
}

/// Shows the log's own count.
struct Dropped {
    counter: IntCounter,
    count: Arc<AtomicU64>,
}

impl Collector for Dropped {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let missing = self.count.load(Ordering::Relaxed) - self.counter.get();
        self.counter.inc_by(missing);
        self.counter.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::Value;

    use super::*;
    use crate::decision_log::Record;
    use crate::server::telemetry;

    fn start(path: &Path) -> (Log, Writer, Registry) {
        let config = DecisionLogConfig {
            file: Some(path.display().to_string()),
            ..DecisionLogConfig::default()
        };
        let registry = telemetry::registry().unwrap();
        let tenant = "acme".parse().unwrap();
        let (log, writer) = Writer::start(&config, tenant, &registry).unwrap().unwrap();
        (log, writer, registry)
    }

    fn page(registry: &Registry) -> String {
        String::from_utf8(telemetry::render(registry)).unwrap()
    }

    #[test]
    fn records_are_appended_to_a_private_file_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        for _ in 0..2 {
            let (log, writer, registry) = start(&path);
            let mut recorder = log.recorder();
            recorder.record(&Record::default());
            recorder.record(&Record::default());
            drop((log, recorder));
            writer.finish();
            let page = page(&registry);
            assert!(
                page.contains("lictor_decision_log_written_total 2"),
                "{page}"
            );
            assert!(
                page.contains("lictor_decision_log_dropped_total 0"),
                "{page}"
            );
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
        let (log, writer, registry) = start(Path::new("/dev/full"));
        let mut recorder = log.recorder();
        recorder.record(&Record::default());
        drop((log, recorder));
        writer.finish();
        let page = page(&registry);
        assert!(
            page.contains("lictor_decision_log_failed_total 1"),
            "{page}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let config = DecisionLogConfig {
            file: Some("/nowhere/decisions.jsonl".to_owned()),
            ..DecisionLogConfig::default()
        };
        let registry = telemetry::registry().unwrap();
        let error = Writer::start(&config, "acme".parse().unwrap(), &registry).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/decisions.jsonl"),
            "{error}"
        );
    }
}
