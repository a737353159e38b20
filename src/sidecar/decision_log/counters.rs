//! How many events went where: the metrics of the decision log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub written: IntCounter,
    pub delivered: IntCounter,
    pub upload_failed: IntCounter,
    pub waiting: IntGauge,
    pub lost: IntCounterVec,
}

impl Counters {
    pub(super) fn register(
        registry: &Registry,
        dropped: Arc<AtomicU64>,
    ) -> prometheus::Result<Self> {
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

    pub(super) fn not_delivered(&self, reason: &str, events: u64) {
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
