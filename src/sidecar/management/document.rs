//! The status in OPA's form: what `GET /v1/status` answers and what status services are sent.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::model::Timestamp;
use crate::sidecar::status::{Failure, SourceReport, UploadReport};

use super::Management;
use super::families::families;

/// How Go writes a moment that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// The step at which modules are compiled.
const COMPILE: u8 = 14;

impl Management {
    /// The document as of now, but for the metrics: those are never the same twice.
    #[must_use]
    pub fn document(&self, now: Timestamp) -> Value {
        let report = self.status.report(now);
        let plugins: Map<String, Value> = self
            .plugins(&report)
            .into_iter()
            .map(|(name, state)| (name.to_owned(), json!({"state": state.as_str()})))
            .collect();
        let mut out = json!({"labels": self.live().active.get("labels"), "plugins": plugins});
        if !report.sources.is_empty() {
            let bundles = report.sources.iter();
            let bundles = bundles.map(|source| (source.name.clone(), bundle(source)));
            out["bundles"] = Value::Object(bundles.collect());
        }
        if let Some(discovery) = &report.discovery {
            out["discovery"] = bundle(discovery);
            if let (Some(note), Value::Null) = (&discovery.note, &out["discovery"]["message"]) {
                out["discovery"]["message"] = json!(note);
            }
        }
        if let Some(upload) = &report.decision_log {
            out["decision_logs"] = upload_status(upload);
        }
        out
    }

    /// What the document has as `metrics`.
    #[must_use]
    pub fn metrics(&self) -> Value {
        json!({"prometheus": families(&self.registry.gather())})
    }
}

fn bundle(source: &SourceReport) -> Value {
    let or_never = |moment: &Option<String>| moment.clone().unwrap_or_else(|| NEVER.to_owned());
    let mut out = json!({
        "name": source.name,
        "last_request": or_never(&source.last_result),
        "last_successful_request": or_never(&source.last_success),
        "last_successful_download": or_never(&source.last_download),
        "last_successful_activation": source
            .active
            .as_ref()
            .map_or(NEVER, |active| active.activated_at.as_str()),
    });
    if source.last_result.is_some() {
        let mut timers = json!({"timer_bundle_request_ns": source.fetch_ns});
        if source.last_download == source.last_result {
            timers["timer_rego_load_bundles_ns"] = json!(source.load_ns);
        }
        out["metrics"] = timers;
    }
    if let Some(active) = &source.active {
        if !active.revision.is_empty() {
            out["active_revision"] = json!(active.revision);
        }
        out["type"] = json!(if active.is_delta { "delta" } else { "snapshot" });
        out["size"] = json!(active.bytes);
    }
    if let Some(error) = &source.last_error {
        set_error(&mut out, error);
    }
    out
}

fn set_error(out: &mut Value, error: &Failure) {
    out["code"] = json!("bundle_error");
    out["message"] = json!(error.detail);
    if let Some(status) = error.http_status {
        out["http_code"] = json!(status);
        out["message"] = json!(format!("server replied with {}", reason(status)));
    }
    if error.step == COMPILE {
        out["message"] = json!("error(s) occurred while compiling module(s)");
        let errors = error.detail.lines();
        out["errors"] = errors
            .map(|line| json!({"code": "rego_compile_error", "message": line}))
            .collect();
    }
}

fn upload_status(upload: &UploadReport) -> Value {
    let Some(message) = &upload.error else {
        return json!({});
    };
    let mut out = json!({"code": "decision_log_error", "message": message});
    if let Some(status) = upload.http_status {
        out["http_code"] = json!(status);
    }
    out
}

/// A status in words, as Go has it.
pub(super) fn reason(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok();
    let words = known.and_then(|status| status.canonical_reason());
    words.map_or_else(|| status.to_string(), str::to_owned)
}
