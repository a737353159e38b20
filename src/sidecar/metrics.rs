//! What the sidecar counts of decisions and requests. Every counter is resolved ahead: on the way of a decision there
//! is no label look-up, only a few atomic additions.

mod checks;
mod decisions;
mod route;

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::api::ErrorCode;
use crate::decide::{Kind, Observer, Outcome};

pub use checks::{Check, Checks, Mode};
pub use route::Route;

use decisions::Decisions;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The sidecar's counters.
#[derive(Debug)]
pub struct Metrics {
    decisions: Decisions,
    panics: [IntCounter; Kind::ALL.len()],
    /// By route, then by class.
    requests: Vec<[IntCounter; 5]>,
    problems: Vec<IntCounter>,
    failed_open: IntCounterVec,
    pub checks: Checks,
    connections: IntGauge,
    /// Panics whose message was logged lately: a policy that panics on every request must not fill the log.
    logged_panics: AtomicU64,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    ///
    /// When a name is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let panics = counters(
            registry,
            "lictor_panics_total",
            "Evaluations that panicked.",
            &["kind"],
        )?;
        let requests = counters(
            registry,
            "lictor_http_requests_total",
            "HTTP requests by route and status class.",
            &["route", "status"],
        )?;
        let problems = counters(
            registry,
            "lictor_problems_total",
            "Error answers by code.",
            &["code"],
        )?;
        let failed_open = counters(
            registry,
            "lictor_failed_open_total",
            "Answers that were yes without a decision, by reason.",
            &["reason"],
        )?;
        let build = IntGaugeVec::new(
            Opts::new("lictor_build_info", "The running version."),
            &["version"],
        )?;
        add(registry, &build)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let kinds = Kind::ALL.map(Kind::as_str);
        Ok(Self {
            decisions: Decisions::register(registry)?,
            panics: kinds.map(|kind| panics.with_label_values(&[kind])),
            requests: Route::ALL
                .iter()
                .map(|route| {
                    CLASSES.map(|class| requests.with_label_values(&[route.as_str(), class]))
                })
                .collect(),
            problems: ErrorCode::ALL
                .iter()
                .map(|code| problems.with_label_values(&[code.as_str()]))
                .collect(),
            failed_open,
            checks: Checks::register(registry)?,
            connections: gauge(
                registry,
                "lictor_connections",
                "Open connections of the data plane.",
            )?,
            logged_panics: AtomicU64::new(0),
        })
    }

    /// A request was answered.
    pub fn answered(&self, route: Route, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self
            .requests
            .get(route as usize)
            .and_then(|classes| classes.get(class))
        {
            counter.inc();
        }
    }

    /// An error was answered.
    pub fn problem(&self, code: ErrorCode) {
        if let Some(counter) = self.problems.get(code as usize) {
            counter.inc();
        }
    }

    /// A yes was answered without a decision.
    pub fn failed_open(&self, reason: &str) {
        self.failed_open.with_label_values(&[reason]).inc();
    }

    /// Sets how many connections are open; called when the page is asked for.
    pub fn set_connections(&self, open: usize) {
        self.connections.set(open as i64);
    }
}

impl Observer for Metrics {
    fn decided(&self, kind: Kind, outcome: Outcome, nanos: u64) {
        self.decisions.add(kind, outcome, nanos);
    }

    fn printed(&self, line: &str) {
        tracing::info!(target: "rego", line, "printed");
    }

    fn panicked(&self, kind: Kind, message: &str) {
        if let Some(counter) = self.panics.get(kind as usize) {
            counter.inc();
        }
        let count = self.logged_panics.fetch_add(1, Ordering::Relaxed);
        if count < 10 || count.is_multiple_of(1000) {
            tracing::error!(
                kind = kind.as_str(),
                message,
                count = count + 1,
                "an evaluation panicked"
            );
        }
    }
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: &C,
) -> prometheus::Result<()> {
    registry.register(Box::new(collector.clone()))
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
    add(registry, &counters)?;
    Ok(counters)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::new(name, help)?;
    add(registry, &gauge)?;
    Ok(gauge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::telemetry;

    #[test]
    fn what_happened_is_on_the_page() {
        let registry = telemetry::registry().unwrap();
        let metrics = Metrics::register(&registry).unwrap();
        metrics.decided(Kind::Validate, Outcome::Negative, 1_500);
        metrics.decided(Kind::Access, Outcome::Error, 1);
        metrics.panicked(Kind::Http, "boom");
        metrics.answered(Route::Validate, http::StatusCode::OK);
        metrics.problem(ErrorCode::NotReady);
        metrics.failed_open("not_ready");
        metrics.set_connections(2);
        let page = String::from_utf8(telemetry::render(&registry)).unwrap();
        for line in [
            "lictor_decisions_total{kind=\"validate\",outcome=\"negative\"} 1",
            "lictor_decisions_total{kind=\"access\",outcome=\"error\"} 1",
            "policy_engine_validations_total{result=\"non_compliant\"} 1",
            "policy_engine_validation_duration_seconds_count{result=\"non_compliant\"} 1",
            "lictor_decision_duration_seconds_bucket{kind=\"validate\",le=\"0.000002\"} 1",
            "lictor_decision_duration_seconds_bucket{kind=\"validate\",le=\"0.000001\"} 0",
            "lictor_panics_total{kind=\"http\"} 1",
            "lictor_http_requests_total{route=\"validate\",status=\"2xx\"} 1",
            "lictor_problems_total{code=\"not_ready\"} 1",
            "lictor_failed_open_total{reason=\"not_ready\"} 1",
            "lictor_connections 2",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line}\nin\n{page}"
            );
        }
    }
}
