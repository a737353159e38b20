//! The exporter: batches from the queue to a collector, by OTLP over gRPC.

use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::metadata::MetadataMap;

use crate::wire;

use super::{Counters, Settings, Side, Span, Spans, StartError, Value, queue};

/// Whether this build sends spans.
pub const BUILT: bool = true;

/// Spans of one batch at most.
const BATCH: usize = 512;
/// How long a span waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// The exporter at work.
#[derive(Debug)]
pub struct Exporting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    limit: Duration,
}

impl Exporting {
    /// Sends what is left, for as long as one batch may take, and ends.
    pub async fn finish(self) {
        let _ = self.stop.send(());
        if tokio::time::timeout(self.limit, self.task).await.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }
}

/// Starts exporting on `handle`'s runtime. The collector need not be there yet.
///
/// # Errors
///
/// [`StartError`].
pub fn start(
    settings: &Settings,
    registry: &Registry,
    handle: &Handle,
) -> Result<(Spans, Exporting), StartError> {
    let unusable = |error: &dyn std::fmt::Display| StartError::Endpoint(error.to_string());
    let client = wire::Settings {
        ca_file: settings.ca_file.clone(),
        connect_timeout: settings.timeout.min(Duration::from_secs(5)),
        ..wire::Settings::default()
    };
    // Its connections are made, and its tasks spawned, where the exporter runs.
    let _entered = handle.enter();
    let channel = wire::channel(&client, settings.endpoint.clone(), handle)
        .map_err(|error| unusable(&error))?;
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel)
        .with_timeout(settings.timeout)
        .with_metadata(MetadataMap::from_headers(settings.headers.clone()))
        .build()
        .map_err(|error| unusable(&error))?;
    exporter.set_resource(
        &Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", settings.service_name.clone()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build(),
    );
    let (spans, receiver, counters) = queue(settings.ratio, registry)?;
    let (stop, stopped) = oneshot::channel();
    let work = Work {
        exporter,
        counters,
        timeout: settings.timeout,
        failing: false,
    };
    let exporting = Exporting {
        stop,
        task: handle.spawn(work.run(receiver, stopped)),
        limit: settings.timeout,
    };
    Ok((spans, exporting))
}

struct Work {
    exporter: SpanExporter,
    counters: Counters,
    timeout: Duration,
    failing: bool,
}

impl Work {
    async fn run(mut self, mut spans: mpsc::Receiver<Span>, mut stop: oneshot::Receiver<()>) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                read = spans.recv_many(&mut batch, BATCH) => if read == 0 { break },
                _ = &mut stop => break,
            }
            let gathered = async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if spans.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            };
            let stopping = tokio::select! {
                _ = tokio::time::timeout(GATHER, gathered) => false,
                _ = &mut stop => true,
            };
            self.export(batch).await;
            if stopping {
                break;
            }
        }
        spans.close();
        loop {
            let mut batch = Vec::new();
            if spans.recv_many(&mut batch, BATCH).await == 0 {
                break;
            }
            self.export(batch).await;
        }
    }

    async fn export(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let data = batch.into_iter().map(data).collect();
        let sent = tokio::time::timeout(self.timeout, self.exporter.export(data)).await;
        let error = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} ms", self.timeout.as_millis())),
        };
        let Some(error) = error else {
            self.counters.exported.inc_by(count);
            self.failing = false;
            return;
        };
        self.counters.failed.inc_by(count);
        // Once, not with every batch.
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(error, "the collector does not take spans");
        }
    }
}

fn data(span: Span) -> SpanData {
    let context = span.begun.context;
    let attributes = span
        .attributes
        .into_iter()
        .map(|(name, value)| match value {
            Value::Text(text) => KeyValue::new(name, text),
            Value::Integer(number) => KeyValue::new(name, number),
        });
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(context.trace),
            SpanId::from_bytes(context.span),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: span
            .begun
            .parent
            .map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: span.begun.parent.is_some(),
        span_kind: match span.side {
            Side::Server => SpanKind::Server,
            Side::Client => SpanKind::Client,
        },
        name: span.name.into(),
        start_time: span.started,
        end_time: span.ended,
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.failed {
            Status::error("")
        } else {
            Status::Unset
        },
        instrumentation_scope: InstrumentationScope::builder("lictor").build(),
    }
}
