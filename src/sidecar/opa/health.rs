//! `/health`: whether this process answers, whether bundles are active, and what a policy says of it.

use http::StatusCode;

use crate::api::opa::string;
use crate::engine::rego::parse_rego_json;
use crate::engine::{RegoInput, RegoSegment, RegoValue};
use crate::sidecar::management::State;

use super::Call;
use super::data::Members;
use super::error::Failure;
use super::path::DocumentPath;
use super::reply::Reply;

/// `GET /health`.
pub(super) fn health(call: &Call<'_>) -> Reply {
    let report = call.handler.shared.status.report(call.now);
    let plugins = call.handler.api.management.plugins(&report);
    let bad = |(_, state): &(&str, State)| *state != State::Ok;
    if call.parameters.bundles
        && plugins
            .iter()
            .any(|plugin| matches!(plugin.0, "bundle" | "discovery") && bad(plugin))
    {
        let mut names: Vec<&str> = report.sources.iter().map(|source| &*source.name).collect();
        names.sort_unstable();
        let names = names.join(", ");
        return unwell(&format!("one or more bundles are not activated: {names}"));
    }
    let excluded: &[_] = match call.parameters.exclude_plugin.as_slice() {
        [one] if one.is_empty() => &[],
        names => names,
    };
    if call.parameters.plugins
        && plugins
            .iter()
            .filter(|(name, _)| !excluded.iter().any(|excluded| excluded == name))
            .any(bad)
    {
        return unwell("one or more plugins are not up");
    }
    Reply::json(StatusCode::OK, b"{}".to_vec(), false)
}

/// `GET /health/{rule}`: what `data.system.health.<rule>` says.
pub(super) fn rule(call: &Call<'_>, rule: &str) -> Result<Reply, Failure> {
    let below = format!("system/health/{rule}");
    let path = DocumentPath::read(&below)
        .map_err(|step| Failure::invalid(format!("invalid path: invalid ref term '{}'", step.0)))?;
    let input = RegoInput {
        value: Some(input(call)),
        strict: false,
    };
    let segments: Vec<RegoSegment<'_>> = path.segments();
    let question = call.question(&below, b"");
    let mut worker = call.handler.worker.borrow_mut();
    let result = worker.rego_aside(&segments, &input, &question, |_, answer| {
        answer.value.clone()
    });
    let reference = path.reference();
    Ok(match result {
        Ok(Some(RegoValue::Bool(true))) => Reply::json(StatusCode::OK, b"{}".to_vec(), false),
        Ok(Some(_)) => unwell(&format!(
            "health check ({reference}) returned unexpected value"
        )),
        Ok(None) => unwell(&format!("health check ({reference}) was undefined")),
        Err(error) => unwell(&error.to_string()),
    })
}

/// What the rule is told.
fn input(call: &Call<'_>) -> RegoValue {
    let management = &call.handler.api.management;
    let plugins = management.plugins(&call.handler.shared.status.report(call.now));
    let ready = management.were_ready(&plugins);
    let mut text = Vec::new();
    let mut object = Members::new(&mut text);
    let mut states = Members::new(object.member("plugin_state"));
    for (name, state) in plugins {
        string(states.member(name), state.as_str());
    }
    states.end();
    crate::api::json::boolean(object.member("plugins_ready"), ready);
    object.end();
    parse_rego_json(&text, 8).unwrap_or(RegoValue::Null)
}

fn unwell(text: &str) -> Reply {
    let mut out = Vec::with_capacity(64);
    let mut object = Members::new(&mut out);
    string(object.member("error"), text);
    object.end();
    Reply::json(StatusCode::INTERNAL_SERVER_ERROR, out, false)
}
