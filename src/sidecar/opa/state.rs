//! What this sidecar is told and what it runs: `/v1/config`, `/v1/status`, `/metrics`.

use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use super::error::Failure;
use super::reply::{Content, Reply};
use crate::engine::rego::{parse_rego_json, write_rego_json};
use crate::server::telemetry;

/// Documents of ours nest no deeper.
const DEPTH: usize = 64;

/// `GET /v1/config`.
pub(super) fn config(call: &Call<'_>) -> Reply {
    result(call, &call.live.active)
}

/// `GET /v1/status`.
pub(super) fn status(call: &Call<'_>) -> Result<Reply, Failure> {
    let file = call.live.file.as_deref();
    if file.is_none_or(|file| file.status.is_none()) {
        return Err(Failure::internal("status plugin not enabled"));
    }
    let management = &call.handler.api.management;
    let mut document = management.document(call.now);
    document["metrics"] = management.metrics();
    Ok(result(call, &document))
}

/// `GET /metrics`.
pub(super) fn metrics(call: &Call<'_>) -> Reply {
    Reply::other(
        Content::Metrics,
        telemetry::render(call.handler.api.management.registry()),
    )
}

/// `GET /metrics/alloc_bytes`: memory that is resident, since there is no heap of Go's.
pub(super) fn alloc_bytes(call: &Call<'_>) -> Reply {
    let families = call.handler.api.management.registry().gather();
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
    Reply::other(Content::Text, text.into_bytes())
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
