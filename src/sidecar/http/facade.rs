//! The JSON calls that clients of the policy engine make beside its gRPC API: `POST /api/v1/validate/consumption`,
//! `GET /api/v1/access/check` and `POST /api/v1/compliance/data-residency`, each asked as the question of ours that it
//! stands for.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::ErrorCode;
use crate::api::decision;

use super::Call;
use super::access::{self, envelope};
use super::error::Failure;
use super::reply::{Rare, Reply};

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
