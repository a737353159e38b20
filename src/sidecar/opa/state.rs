//! What this sidecar is told and what it runs: `/v1/config`, `/v1/status`, `/metrics`.

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::engine::rego::{parse_rego_json, write_rego_json};
use crate::server::telemetry;
use crate::sidecar::config::OpaApiConfig;
use crate::sidecar::config::opa::OpaConfig;
use crate::sidecar::status::{Report, SourceReport};

use super::error::Failure;
use super::reply::Reply;
use super::{Api, Call, Handler};

/// How Go writes a moment that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Documents of ours nest no deeper.
const DEPTH: usize = 64;

/// What `/v1/config` shows: the OPA configuration file, or what it would say of our own settings.
pub(super) fn active_config(file: Option<&OpaConfig>, settings: &OpaApiConfig) -> Value {
    let mut active = file.map_or_else(
        || json!({"labels": {"version": env!("CARGO_PKG_VERSION"), "id": uuid::Uuid::new_v4().to_string()}}),
        |file| file.active.clone(),
    );
    if let Value::Object(members) = &mut active {
        for (name, path) in [
            ("default_decision", &settings.default_decision),
            (
                "default_authorization_decision",
                &settings.default_authorization_decision,
            ),
        ] {
            members.insert(name.to_owned(), json!(path));
        }
    }
    active
}

/// `GET /v1/config`.
pub(super) fn config(call: &Call<'_>) -> Reply {
    result(call, &call.handler.api.active_config)
}

/// `GET /v1/status`.
pub(super) fn status(call: &Call<'_>) -> Result<Reply, Failure> {
    let file = call.handler.api.file.as_deref();
    if file.is_none_or(|file| file.status.is_none()) {
        return Err(Failure::internal("status plugin not enabled"));
    }
    let report = call.handler.shared.status.report(call.now);
    Ok(result(call, &document(call.handler, &report)))
}

/// The status in OPA's form.
fn document(handler: &Handler, report: &Report) -> Value {
    let mut bundles = Map::new();
    for source in &report.sources {
        bundles.insert(source.name.clone(), bundle(source, report));
    }
    let plugins: Map<String, Value> = handler
        .plugins()
        .into_iter()
        .map(|(name, state)| (name.to_owned(), json!({"state": state.as_str()})))
        .collect();
    json!({
        "labels": handler.api.active_config.get("labels"),
        "bundles": bundles,
        "plugins": plugins,
    })
}

fn bundle(source: &SourceReport, report: &Report) -> Value {
    let active = report
        .bundle
        .as_ref()
        .filter(|active| active.source == source.name || report.sources.len() == 1);
    let or_never = |moment: &Option<String>| moment.clone().unwrap_or_else(|| NEVER.to_owned());
    let mut out = json!({
        "name": source.name,
        "last_request": or_never(&source.last_attempt),
        "last_successful_request": or_never(&source.last_success),
        "last_successful_download": or_never(&source.last_success),
        "last_successful_activation":
            active.map_or_else(|| NEVER.to_owned(), |active| active.activated_at.clone()),
    });
    if let Some(active) = active {
        out["active_revision"] = json!(active.revision);
        out["type"] = json!("snapshot");
    }
    if let Some(error) = &source.last_error {
        out["code"] = json!("bundle_error");
        out["message"] = json!(error.detail);
    }
    out
}

/// `GET /metrics`.
pub(super) fn metrics(api: &Api) -> Reply {
    Reply::other(
        HeaderValue::from_static(telemetry::METRICS_TEXT),
        telemetry::render(&api.registry),
    )
}

/// `GET /metrics/alloc_bytes`: memory that is resident, since there is no heap of Go's.
pub(super) fn alloc_bytes(call: &Call<'_>) -> Reply {
    let families = call.handler.api.registry.gather();
    let bytes = families
        .iter()
        .find(|family| family.name() == "process_resident_memory_bytes")
        .and_then(|family| family.get_metric().first())
        .map_or(0.0, |metric| metric.get_gauge().get_value());
    let text = if call.parameters.pretty {
        format!("{:.0} KiB", bytes / 1024.0)
    } else {
        format!("{bytes:.0}")
    };
    Reply::other(
        HeaderValue::from_static("text/plain; charset=utf-8"),
        text.into_bytes(),
    )
}

/// `{"result": ...}` with names sorted and escaped as OPA does.
fn result(call: &Call<'_>, value: &Value) -> Reply {
    let text = json!({"result": value}).to_string();
    let mut out = Vec::with_capacity(text.len());
    let written = parse_rego_json(text.as_bytes(), DEPTH)
        .is_ok_and(|value| write_rego_json(&value, usize::MAX, &mut out));
    if !written {
        out = text.into_bytes();
    }
    Reply::json(StatusCode::OK, out, call.parameters.pretty)
}
