//! What OPA's dashboards know of requests: `http_request_duration_seconds` by `code`, `handler` and `method`.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use super::route::Label;

/// OPA's bounds.
const BUCKETS: [f64; 10] = [1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 0.01, 0.1, 1.0];
/// Statuses that this door answers with; any other counts with the last one.
const STATUSES: [u16; 12] = [200, 400, 401, 403, 404, 405, 408, 414, 501, 503, 307, 500];
/// Methods; any other counts with the last one.
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "other"];
const ROW: usize = STATUSES.len() * METHODS.len();

/// The histograms, each looked up once.
#[derive(Debug)]
pub(super) struct Metrics {
    durations: HistogramVec,
    resolved: Vec<OnceLock<Histogram>>,
}

impl Metrics {
    /// Registers them; without `buckets` they are OPA's.
    pub(super) fn register(registry: &Registry, buckets: &[f64]) -> prometheus::Result<Self> {
        let buckets = if buckets.is_empty() {
            &BUCKETS[..]
        } else {
            buckets
        };
        let options = HistogramOpts::new(
            "http_request_duration_seconds",
            "A histogram of duration for requests.",
        );
        let durations = HistogramVec::new(
            options.buckets(buckets.to_vec()),
            &["code", "handler", "method"],
        )?;
        registry.register(Box::new(durations.clone()))?;
        let resolved = std::iter::repeat_with(OnceLock::new).take(Label::ALL.len() * ROW);
        Ok(Self {
            durations,
            resolved: resolved.collect(),
        })
    }

    /// A request was answered.
    pub(super) fn answered(
        &self,
        label: Label,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let code = STATUSES
            .iter()
            .position(|known| *known == status.as_u16())
            .unwrap_or(STATUSES.len() - 1);
        let method = match *method {
            Method::GET => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::PATCH => 3,
            Method::DELETE => 4,
            Method::HEAD => 5,
            _ => 6,
        };
        let at = label as usize * ROW + code * METHODS.len() + method;
        if let Some(place) = self.resolved.get(at) {
            place
                .get_or_init(|| self.histogram(label, code, method))
                .observe(took.as_secs_f64());
        }
    }

    fn histogram(&self, label: Label, code: usize, method: usize) -> Histogram {
        let code = STATUSES.get(code).copied().unwrap_or(500).to_string();
        let method = METHODS.get(method).copied().unwrap_or("other");
        self.durations
            .with_label_values(&[code.as_str(), label.as_str(), method])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::telemetry;

    #[test]
    fn requests_are_counted_under_opas_names() {
        let registry = telemetry::registry().unwrap();
        let metrics = Metrics::register(&registry, &[]).unwrap();
        let took = Duration::from_micros(7);
        metrics.answered(Label::V1Data, &Method::POST, StatusCode::OK, took);
        metrics.answered(Label::Authz, &Method::TRACE, StatusCode::CONFLICT, took);
        let page = String::from_utf8(telemetry::render(&registry)).unwrap();
        for line in [
            r#"http_request_duration_seconds_bucket{code="200",handler="v1/data",method="post",le="0.000005"} 0"#,
            r#"http_request_duration_seconds_bucket{code="200",handler="v1/data",method="post",le="0.00001"} 1"#,
            r#"http_request_duration_seconds_count{code="500",handler="authz",method="other"} 1"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
