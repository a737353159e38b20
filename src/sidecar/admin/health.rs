//! `/health/*`: five questions, and a score with every part of it.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::resilience::State;
use crate::server::body::Body;
use crate::snapshot::Ended;

use super::{Admin, answer};

/// A part of the health score.
#[derive(Debug)]
struct Part {
    name: &'static str,
    weight: f64,
    /// From 0 (bad) to 1 (good).
    score: f64,
    detail: String,
}

impl Admin {
    /// Answers a path below `/health/`.
    pub(super) fn health(&self, path: &str) -> Response<Body> {
        match path {
            "/health/live" => verdict(true, "alive", "dead", &json!({})),
            "/health/startup" => verdict(
                self.readiness.has_started(),
                "started",
                "starting",
                &json!({}),
            ),
            "/health/ready" => {
                let reason = self.not_ready();
                let detail = json!({"reason": reason});
                verdict(reason.is_none(), "ready", "not_ready", &detail)
            }
            "/health/fresh" => {
                let age = self.status.bundle_age(self.clock.now());
                let detail = json!({"age_seconds": age, "max_age_seconds": self.max_bundle_age});
                verdict(self.is_fresh(age), "fresh", "stale", &detail)
            }
            _ => self.details(),
        }
    }

    /// Why no traffic is welcome.
    fn not_ready(&self) -> Option<&'static str> {
        let current = self.reader.load();
        match current.ended {
            Some(Ended::Expired) => Some("bundle_expired"),
            Some(Ended::Untrusted) => Some("bundle_untrusted"),
            None if current.snapshot.is_none() => Some("not_ready"),
            None if !self.readiness.has_started() => Some("starting"),
            None if !self.readiness.is_ready() => Some("shutting_down"),
            None => None,
        }
    }

    fn is_fresh(&self, age: Option<u64>) -> bool {
        match (age, self.max_bundle_age) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(age), Some(most)) => age <= most,
        }
    }

    fn details(&self) -> Response<Body> {
        let parts = self.parts();
        let weight: f64 = parts.iter().map(|part| part.weight).sum();
        let total: f64 = parts.iter().map(|part| part.weight * part.score).sum();
        let score = (total / weight * 1000.0).round() / 1000.0;
        let shown: Vec<Value> = parts
            .iter()
            .map(|part| {
                json!({
                    "name": part.name, "weight": part.weight, "score": part.score, "detail": part.detail,
                })
            })
            .collect();
        let revision = self
            .reader
            .load()
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.name.clone());
        answer(
            StatusCode::OK,
            &json!({"score": score, "parts": shown, "revision": revision}),
        )
    }

    fn parts(&self) -> Vec<Part> {
        let now = self.clock.now();
        let report = self.status.report(now);
        let reason = self.not_ready();
        let age = self.status.bundle_age(now);
        let failing: Vec<&str> = report
            .sources
            .iter()
            .filter(|source| source.last_error.is_some())
            .map(|source| source.name.as_str())
            .collect();
        let sources = report.sources.len().max(1);
        let mut parts = vec![
            Part {
                name: "bundle",
                weight: 0.5,
                score: score(reason.is_none()),
                detail: reason.unwrap_or("deciding").to_owned(),
            },
            Part {
                name: "freshness",
                weight: 0.2,
                score: score(self.is_fresh(age)),
                detail: age.map_or_else(
                    || "no bundle".to_owned(),
                    |age| format!("confirmed {age} s ago"),
                ),
            },
            Part {
                name: "sources",
                weight: 0.15,
                score: 1.0 - failing.len() as f64 / sources as f64,
                detail: if failing.is_empty() {
                    "no source fails".to_owned()
                } else {
                    format!("failing: {}", failing.join(", "))
                },
            },
        ];
        if let Some(forwarder) = &self.forwarder {
            let breaker = forwarder.breaker();
            parts.push(Part {
                name: "upstream",
                weight: 0.15,
                score: match breaker.state {
                    State::Closed => 1.0,
                    State::HalfOpen => 0.5,
                    State::Open => 0.0,
                },
                detail: format!("breaker {}", breaker.state.as_str()),
            });
        }
        parts
    }
}

const fn score(good: bool) -> f64 {
    if good { 1.0 } else { 0.0 }
}

fn verdict(good: bool, yes: &str, no: &str, detail: &Value) -> Response<Body> {
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut document = json!({"status": if good { yes } else { no }});
    if let (Value::Object(document), Value::Object(detail)) = (&mut document, detail) {
        document.extend(detail.clone());
    }
    answer(status, &document)
}
