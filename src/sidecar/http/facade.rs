//! The JSON calls that clients of the policy engine make beside its gRPC API, each asked as the question of ours that it
//! stands for: `POST /api/v1/validate/consumption`, `GET /api/v1/access/check`, `POST /api/v1/compliance/data-residency`,
//! `POST /api/v1/violations/report`. A client whose base URL ends in [`BASE`] also has `GET /api/v1/policies` and `GET
//! /health` of the engine.

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::ErrorCode;
use crate::api::decision;
use crate::engine::Content;
use crate::model::{PolicyId, Timestamp};

use super::Call;
use super::access::{self, envelope};
use super::error::Failure;
use super::reply::{Rare, Reply};

/// What the base URL of the engine's clients ends in.
pub(super) const BASE: &str = "/engine";

/// The list of a revision's policies, as it was last written.
#[derive(Debug, Default)]
pub(super) struct Listed {
    revision: String,
    body: Vec<u8>,
}

/// Where residency rules report.
const RESIDENCY: &str = "compliance.dataResidency";

/// The body of a consumption; what else is in it is not looked at.
#[derive(Debug, Deserialize)]
struct Consumption<'b> {
    consumer_id: String,
    service_id: String,
    #[serde(default)]
    service_category: String,
    /// Handed to the policies as it is written.
    #[serde(borrow, default)]
    request_data: Option<&'b RawValue>,
    #[serde(default)]
    metadata: Client,
}

/// Who sent it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Client {
    ip_address: Option<String>,
    user_agent: Option<String>,
}

/// The body of a look at one location.
#[derive(Debug, Deserialize)]
struct Residency {
    service_id: String,
    data_location: String,
}

/// A violation that a client found by our answer and acted on.
#[derive(Debug, Deserialize)]
struct Report {
    consumer_id: String,
    service_id: String,
    policy_id: String,
    policy_name: String,
    severity: String,
    #[serde(rename = "message")]
    _message: String,
    timestamp: String,
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::InvalidJson
        };
        Failure::new(code, error.to_string())
    })
}

/// Whether a consumer may use a service.
pub(super) fn consumption(call: &Call<'_>) -> Result<Reply, Failure> {
    let asked: Consumption<'_> = read(&call.body)?;
    let input = json!({
        "consumer_id": asked.consumer_id,
        "service_id": asked.service_id,
        "request_payload": asked.request_data.map_or("", RawValue::get),
        "headers": {},
        "context": {
            "ip_address": asked.metadata.ip_address.unwrap_or_default(),
            "user_agent": asked.metadata.user_agent.unwrap_or_default(),
            "metadata": {"service_category": asked.service_category},
        },
    });
    let input = input.to_string();
    let mut worker = call.handler.worker.borrow_mut();
    let body = worker.consumption(input.as_bytes(), &call.question(), |answered, answer| {
        let mut out = Vec::new();
        decision::consumption(&mut out, &envelope(answered), answer);
        // Clients want this member to be there.
        let mut value: Value = serde_json::from_slice(&out).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            let metadata = json!({"revision": answered.snapshot.name});
            members.insert("metadata".to_owned(), metadata);
        }
        value.to_string().into_bytes()
    })?;
    worker.record_result(&body);
    Ok(Reply::decision(body))
}

/// Whether a consumer has access to a service.
pub(super) fn access(call: &Call<'_>, query: Option<&str>) -> Result<Reply, Failure> {
    let consumer = parameter(query, "consumer_id")?;
    let service = parameter(query, "service_id")?;
    let input = json!({
        "user_id": consumer,
        "service_id": service,
        "action": "consume",
        "context": {},
    });
    access::check(&Call {
        body: input.to_string().into(),
        ..call.clone()
    })
}

/// Whether data may lie at one location. A rule that wants more than one location is not met by one.
pub(super) fn residency(call: &Call<'_>) -> Result<Reply, Failure> {
    let asked: Residency = read(&call.body)?;
    let input = json!({
        "service_id": asked.service_id,
        "compliance": {"data_residency": [asked.data_location]},
    });
    let input = input.to_string();
    let mut worker = call.handler.worker.borrow_mut();
    let (compliant, id, revision) =
        worker.validate(input.as_bytes(), &call.question(), |answered, answer| {
            let mut violations = answer.violations.iter();
            (
                !violations.any(|violation| violation.field == RESIDENCY),
                answered.decision_id,
                answered.snapshot.name.clone(),
            )
        })?;
    let body = json!({"compliant": compliant}).to_string().into_bytes();
    worker.record_result(&body);
    Ok(Reply::decision(body).with(Rare {
        decision_id: Some(id),
        revision: Some(revision),
        ..Rare::default()
    }))
}

/// Takes down a violation: an event of the decision log, as decisions are. Nothing is decided, so it is taken whatever is
/// loaded.
pub(super) fn report(call: &Call<'_>) -> Result<Reply, Failure> {
    let report: Report = read(&call.body)?;
    let wrong = |detail: String| Err(Failure::new(ErrorCode::InvalidRequest, detail));
    for (name, text) in [
        ("consumer_id", &report.consumer_id),
        ("service_id", &report.service_id),
        ("policy_id", &report.policy_id),
        ("policy_name", &report.policy_name),
    ] {
        if text.is_empty() {
            return wrong(format!("/{name}: must not be empty"));
        }
    }
    if !SEVERITIES.contains(&report.severity.to_ascii_lowercase().as_str()) {
        return wrong(format!("/severity: one of {}", SEVERITIES.join(", ")));
    }
    if Timestamp::parse(&report.timestamp).is_none() {
        return wrong("/timestamp: must be a time as in RFC 3339".to_owned());
    }
    let mut worker = call.handler.worker.borrow_mut();
    worker.report(&call.body, &call.question());
    Ok(Reply::json(StatusCode::ACCEPTED, b"{}".to_vec()))
}

const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];

/// The policies of the engine's kind that are loaded. Written once for each revision.
pub(super) fn policies(call: &Call<'_>) -> Result<Reply, Failure> {
    let mut worker = call.handler.worker.borrow_mut();
    let body = worker.policies(&call.question(), |answered, policies| {
        let mut listed = call.handler.listed.borrow_mut();
        let revision = &answered.snapshot.name;
        if listed.revision != *revision {
            let policies: Vec<_> = policies
                .iter()
                .filter_map(|(id, content)| policy(*id, content))
                .collect();
            listed.body = json!({"policies": policies}).to_string().into_bytes();
            listed.revision.clone_from(revision);
        }
        listed.body.clone()
    })?;
    Ok(Reply::decision(body))
}

/// A policy as the engine's clients read it; None where the engine has no such kind.
fn policy(id: PolicyId, content: &Content<'_>) -> Option<Value> {
    let document: Value = serde_json::from_str(content.json).ok()?;
    let spec = document.get("spec")?;
    let rules = match document.get("kind")?.as_str()? {
        "ServicePolicy" => spec.get("rule"),
        "ValidationPolicy" => spec.get("validations"),
        _ => return None,
    };
    Some(json!({
        "id": id.to_string(),
        "name": content.name,
        "description": "",
        "enabled": spec.get("enabled").and_then(Value::as_bool).unwrap_or(true),
        "severity": spec.get("severity"),
        "rules": rules,
    }))
}

/// Whether decisions are made.
pub(super) fn health(call: &Call<'_>) -> Reply {
    let current = call.handler.shared.reader.load();
    let (status, word) = if current.snapshot.is_some() && current.ended.is_none() {
        (StatusCode::OK, "healthy")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
    };
    let body = json!({"status": word, "service": "policy-engine"});
    Reply::json(status, body.to_string().into_bytes())
}

/// A parameter of the query, decoded; one that is not there or empty is an error.
fn parameter(query: Option<&str>, name: &str) -> Result<String, Failure> {
    let pairs = query.unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| {
            let spaced = value.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        })
        .filter(|value| !value.is_empty())
        .ok_or_else(|| {
            let detail = format!("the parameter `{name}` is missing");
            Failure::new(ErrorCode::InvalidRequest, detail)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_must_be_there() {
        let query = Some("service_id=a%2Fb+c&consumer_id=&x");
        assert_eq!(parameter(query, "service_id").unwrap(), "a/b c");
        for name in ["consumer_id", "x", "y"] {
            assert!(parameter(query, name).is_err(), "{name}");
        }
    }
}
