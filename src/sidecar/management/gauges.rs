//! The metrics of `status.prometheus`, under OPA's names: written at every change of the status.

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::model::Timestamp;
use crate::sidecar::status::{Report, SourceReport};

use super::State;

/// See the module. Registered while it lives.
#[derive(Debug)]
pub(super) struct Gauges {
    registry: Registry,
    info: GaugeVec,
    plugins: GaugeVec,
    loaded: IntCounterVec,
    failed: IntCounterVec,
    last_request: GaugeVec,
    activation: GaugeVec,
    download: GaugeVec,
    success: GaugeVec,
    durations: HistogramVec,
    uploads: GaugeVec,
}

impl Gauges {
    /// Registers them.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        let counter =
            |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let buckets = prometheus::exponential_buckets(1000.0, 2.0, 20)?;
        let durations = HistogramOpts::new(
            "bundle_loading_duration_ns",
            "Histogram for the bundle loading duration by stage.",
        );
        let gauges = Self {
            registry: registry.clone(),
            info: gauge(
                "opa_info",
                "Information about the OPA environment.",
                &["version"],
            )?,
            plugins: gauge(
                "plugin_status_gauge",
                "Gauge for the plugin by status.",
                &["name", "status"],
            )?,
            loaded: counter(
                "bundle_loaded_counter",
                "Counter for the bundle loaded.",
                &["name"],
            )?,
            failed: counter(
                "bundle_failed_load_counter",
                "Counter for the failed bundle load.",
                &["name", "code", "message"],
            )?,
            last_request: gauge(
                "last_bundle_request",
                "Gauge for the last bundle request.",
                &["name"],
            )?,
            activation: gauge(
                "last_success_bundle_activation",
                "Gauge for the last success bundle activation.",
                &["name", "active_revision"],
            )?,
            download: gauge(
                "last_success_bundle_download",
                "Gauge for the last success bundle download.",
                &["name"],
            )?,
            success: gauge(
                "last_success_bundle_request",
                "Gauge for the last success bundle request.",
                &["name"],
            )?,
            durations: HistogramVec::new(durations.buckets(buckets), &["name", "stage"])?,
            uploads: gauge(
                "decision_logs_status_gauge",
                "Gauge for the last decision log upload by status.",
                &["code", "http_code"],
            )?,
        };
        for collector in gauges.all() {
            registry.register(collector)?;
        }
        gauges
            .info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        Ok(gauges)
    }

    fn all(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.info.clone()),
            Box::new(self.plugins.clone()),
            Box::new(self.loaded.clone()),
            Box::new(self.failed.clone()),
            Box::new(self.last_request.clone()),
            Box::new(self.activation.clone()),
            Box::new(self.download.clone()),
            Box::new(self.success.clone()),
            Box::new(self.durations.clone()),
            Box::new(self.uploads.clone()),
        ]
    }

    /// Shows a status.
    pub(super) fn show(&self, report: &Report, plugins: &[(&'static str, State)]) {
        self.plugins.reset();
        for (name, state) in plugins {
            let labels = [*name, state.as_str()];
            self.plugins.with_label_values(&labels).set(1.0);
        }
        self.uploads.reset();
        if let Some(upload) = &report.decision_log {
            let code = upload.error.as_ref().map_or("", |_| "decision_log_error");
            let status = upload.http_status;
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            let labels = [code, status.as_str()];
            self.uploads.with_label_values(&labels).set(1.0);
        }
        self.activation.reset();
        for source in &report.sources {
            self.show_bundle(source);
        }
    }

    fn show_bundle(&self, source: &SourceReport) {
        let name = source.name.as_str();
        match (&source.last_error, &source.active) {
            (None, Some(_)) => self.loaded.with_label_values(&[name]).inc(),
            (error, _) => {
                // The words may differ at every failure; the code is one of few.
                let code = error.as_ref().map_or("", |_| "bundle_error");
                let message = error.as_ref().map_or("", |error| error.code);
                let labels = [name, code, message];
                self.failed.with_label_values(&labels).inc();
            }
        }
        if let Some(active) = &source.active {
            let labels = [name, active.revision.as_str()];
            let at = nanos(Some(&active.activated_at));
            self.activation.with_label_values(&labels).set(at);
        }
        let set = |gauge: &GaugeVec, moment: &Option<String>| {
            gauge.with_label_values(&[name]).set(nanos(moment.as_ref()));
        };
        set(&self.download, &source.last_download);
        set(&self.success, &source.last_success);
        set(&self.last_request, &source.last_result);
        if source.last_result.is_some() {
            let observe = |stage, took: u64| {
                let labels = [name, stage];
                self.durations
                    .with_label_values(&labels)
                    .observe(took as f64);
            };
            observe("timer_bundle_request_ns", source.fetch_ns);
            if source.last_download == source.last_result {
                observe("timer_rego_load_bundles_ns", source.load_ns);
            }
        }
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        for collector in self.all() {
            // Fails only where it was never registered.
            drop(self.registry.unregister(collector));
        }
    }
}

/// Unix nanoseconds; 0 for never.
fn nanos(moment: Option<&String>) -> f64 {
    let parsed = moment.and_then(|moment| Timestamp::parse(moment));
    parsed.map_or(0.0, |moment| moment.unix_nanos() as f64)
}
