//! What the control plane counts.

mod db;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use crate::server::telemetry;

pub use db::DbConnections;

/// The counters of one control plane. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    publications: IntCounterVec,
    pending: IntGauge,
    failing: IntGauge,
    waiting: IntGauge,
}

/// Counts somebody who waits for a bundle until dropped.
#[derive(Debug)]
pub struct Waiting(IntGauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    ///
    /// Never with the names used here; the library's signature says so.
    pub fn new() -> prometheus::Result<Self> {
        let registry = telemetry::registry()?;
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "lictor_control_plane_requests_total",
                    "Requests by route and status",
                ),
                &["route", "status"],
            )?,
            latency: HistogramVec::new(
                HistogramOpts::new(
                    "lictor_control_plane_request_duration_seconds",
                    "Time to an answer; waits for a bundle are left out",
                ),
                &["route"],
            )?,
            publications: IntCounterVec::new(
                Opts::new(
                    "lictor_publications_total",
                    "Attempts to publish a bundle by outcome",
                ),
                &["outcome"],
            )?,
            pending: IntGauge::new("lictor_publications_pending", "Jobs in the outbox")?,
            failing: IntGauge::new(
                "lictor_publications_failing",
                "Jobs in the outbox that have failed before",
            )?,
            waiting: IntGauge::new(
                "lictor_control_plane_waiting_sidecars",
                "Requests that wait for the next bundle",
            )?,
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.latency.clone()))?;
        registry.register(Box::new(metrics.publications.clone()))?;
        registry.register(Box::new(metrics.pending.clone()))?;
        registry.register(Box::new(metrics.failing.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        Ok(metrics)
    }

    /// Counts an answer; `seconds` is None where the request waited for something to happen.
    pub fn answered(&self, route: &str, status: u16, seconds: Option<f64>) {
        self.requests
            .with_label_values(&[route, &status.to_string()])
            .inc();
        if let Some(seconds) = seconds {
            self.latency.with_label_values(&[route]).observe(seconds);
        }
    }

    /// Counts an attempt to publish.
    pub fn published(&self, succeeded: bool) {
        let outcome = if succeeded { "ok" } else { "failed" };
        self.publications.with_label_values(&[outcome]).inc();
    }

    /// Sets what is in the outbox.
    pub fn backlog(&self, pending: i64, failing: i64) {
        self.pending.set(pending);
        self.failing.set(failing);
    }

    /// Counts a waiting request.
    pub fn waiting(&self) -> Waiting {
        self.waiting.inc();
        Waiting(self.waiting.clone())
    }

    /// Where further metrics are registered.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The page that is scraped.
    pub fn page(&self) -> Vec<u8> {
        telemetry::render(&self.registry)
    }
}
