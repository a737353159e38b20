//! Spans of requests for an OpenTelemetry collector.
//!
//! Nothing here is on the way of a request whose trace nobody records: whether one does is read from its
//! `traceparent`, or drawn. A span that is recorded goes into a bounded queue and from there, in batches, to the
//! collector; what does not fit or does not arrive is counted, and nobody waits for it. A span names what was
//! decided and how it came out, never what was asked.

mod config;
mod context;
#[cfg(feature = "otlp")]
#[path = "spans/otlp.rs"]
mod export;
#[cfg(not(feature = "otlp"))]
#[path = "spans/absent.rs"]
mod export;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::mpsc;

pub use config::{ConfigError, Settings, TracingConfig};
pub use context::TraceContext;
pub use export::{BUILT, Exporting, start};

/// Spans that may wait for the next batch.
const QUEUE: usize = 2048;

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("`tracing.endpoint`: {0}")]
    Endpoint(String),
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

/// Where spans go. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Spans(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    /// Of traces that begin here, those are recorded whose number is below this.
    threshold: u64,
    sender: mpsc::Sender<Span>,
    counters: Counters,
}

/// What becomes of spans.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "for the exporter, which this build lacks")
)]
struct Counters {
    exported: IntCounter,
    /// The queue was full.
    overflowed: IntCounter,
    /// The collector did not take them.
    failed: IntCounter,
}

/// A span under way.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    pub context: TraceContext,
    /// None where a trace begins with it.
    pub parent: Option<[u8; 8]>,
}

/// Which side of a call a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Server,
    Client,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Cow<'static, str>),
    Integer(i64),
}

/// A span that ended.
#[derive(Clone, Debug)]
pub struct Span {
    pub begun: Begun,
    pub side: Side,
    pub name: &'static str,
    pub started: SystemTime,
    pub ended: SystemTime,
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether what it is about failed.
    pub failed: bool,
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl Spans {
    /// A span below this `traceparent`; None where nobody records it. Without one a trace begins here, and whether it
    /// is recorded is drawn.
    #[must_use]
    pub fn begin(&self, traceparent: &[u8]) -> Option<Begun> {
        match TraceContext::parse(traceparent) {
            Some(caller) if caller.sampled => Some(Begun {
                context: caller.child(),
                parent: Some(caller.span),
            }),
            Some(_) => None,
            None => self.draws().then(|| Begun {
                context: TraceContext::root(true),
                parent: None,
            }),
        }
    }

    fn draws(&self) -> bool {
        match self.0.threshold {
            0 => false,
            u64::MAX => true,
            threshold => rand::random::<u64>() < threshold,
        }
    }

    /// Hands a span over. Never waits.
    pub fn end(&self, span: Span) {
        if self.0.sender.try_send(span).is_err() {
            self.0.counters.overflowed.inc();
        }
    }
}

impl Counters {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let exported = IntCounter::new(
            "lictor_spans_exported_total",
            "Spans that the collector took.",
        )?;
        let dropped = IntCounterVec::new(
            Opts::new(
                "lictor_spans_dropped_total",
                "Spans that were lost, by reason.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(exported.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Self {
            exported,
            overflowed: dropped.with_label_values(&["queue_full"]),
            failed: dropped.with_label_values(&["export_failed"]),
        })
    }
}

#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "for the exporter, which this build lacks")
)]
fn queue(
    ratio: f64,
    registry: &Registry,
) -> prometheus::Result<(Spans, mpsc::Receiver<Span>, Counters)> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let counters = Counters::register(registry)?;
    let spans = Spans(Arc::new(Queue {
        // Saturates, so that 1 is all.
        threshold: (ratio * u64::MAX as f64) as u64,
        sender,
        counters: counters.clone(),
    }));
    Ok((spans, receiver, counters))
}

#[cfg(test)]
mod tests;
