//! A record as an event that masks can change: OPA's decision log event, with members of our own beside.
//!
//! [`super::line`] writes the same event as text where nobody changes it.

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::decide::{Kind, Outcome};
use crate::decision_log::Record;
use crate::sidecar::config::RecordContent;

/// What events show.
#[derive(Debug)]
pub(super) struct Shape {
    labels: Map<String, Value>,
    /// The labels as JSON text.
    pub labels_text: Vec<u8>,
    pub content: RecordContent,
}

impl Shape {
    pub(super) fn new(labels: Map<String, Value>, content: RecordContent) -> Self {
        let labels_text = serde_json::to_vec(&labels).unwrap_or_else(|_| b"{}".to_vec());
        Self {
            labels,
            labels_text,
            content,
        }
    }
}

#[derive(serde::Serialize)]
struct Event<'a> {
    labels: &'a Map<String, Value>,
    decision_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    revision: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by: Option<std::net::SocketAddr>,
    timestamp: String,
    metrics: Metrics,
    kind: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    door: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

#[derive(serde::Serialize)]
struct Error<'a> {
    code: &'a str,
}

#[derive(serde::Serialize)]
struct Metrics {
    timer_server_handler_ns: u64,
}

/// The record's event.
pub(super) fn of(record: &Record<'_>, shape: &Shape) -> Map<String, Value> {
    let full = shape.content == RecordContent::Full;
    let trace = trace(record.traceparent);
    let event = Event {
        labels: &shape.labels,
        decision_id: record.decision_id.to_string(),
        trace_id: trace.map(|(trace, _)| trace),
        span_id: trace.map(|(_, span)| span),
        revision: text(record.revision),
        path: path(record),
        query: query(record),
        input: full.then(|| json(record.input)).flatten(),
        input_sha256: (!full && !record.input.is_empty())
            .then(|| hex::encode(digest(&SHA256, record.input))),
        result: full.then(|| json(record.result)).flatten(),
        error: (!record.error.is_empty()).then(|| Error {
            code: text(record.error),
        }),
        requested_by: record.peer,
        timestamp: record.at.to_string(),
        metrics: Metrics {
            timer_server_handler_ns: record.nanos,
        },
        kind: kind(record),
        outcome: outcome(record),
        door: text(record.door),
        request_id: text(record.request_id),
        subject: text(record.subject),
        cut: record.cut,
    };
    match serde_json::to_value(&event) {
        Ok(Value::Object(event)) => event,
        // An event is an object, and everything in it can be written.
        _ => Map::new(),
    }
}

pub(super) fn kind(record: &Record<'_>) -> &'static str {
    let kind = Kind::ALL.get(usize::from(record.kind));
    kind.map_or("", |kind| kind.as_str())
}

pub(super) fn outcome(record: &Record<'_>) -> &'static str {
    let outcome = Outcome::ALL.get(usize::from(record.outcome));
    outcome.map_or("", |outcome| outcome.as_str())
}

/// What was asked for, as OPA has it: without a slash at its start.
pub(super) fn path<'a>(record: &Record<'a>) -> &'a str {
    if is_query(record) {
        return "";
    }
    text(record.path).trim_start_matches('/')
}

/// The text of an ad-hoc query, which has no path.
pub(super) fn query<'a>(record: &Record<'a>) -> &'a str {
    if is_query(record) {
        text(record.path)
    } else {
        ""
    }
}

fn is_query(record: &Record<'_>) -> bool {
    record.kind == Kind::Query as u8
}

/// Text from outside; what is no UTF-8 is left out.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// None where it is no JSON, as the body of a request that was refused for that.
fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// Trace and span of a W3C `traceparent`.
pub(super) fn trace(bytes: &[u8]) -> Option<(&str, &str)> {
    if bytes.is_empty() {
        return None;
    }
    let mut parts = std::str::from_utf8(bytes).ok()?.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = |id: &str, length: usize| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        id.len() == length && id.bytes().all(hex) && id.bytes().any(|byte| byte != b'0')
    };
    let valid = version.len() == 2 && version != "ff" && is_id(trace, 32) && is_id(span, 16);
    valid.then_some((trace, span))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::model::Timestamp;

    fn written(record: &Record<'_>, content: RecordContent) -> Value {
        let labels = json!({"tenant": "acme"});
        let shape = Shape::new(labels.as_object().unwrap().clone(), content);
        Value::Object(of(record, &shape))
    }

    const RECORD: Record<'_> = Record {
        decision_id: uuid::Uuid::from_u128(7),
        at: Timestamp::from_unix_seconds(1_700_000_000),
        nanos: 900,
        peer: None,
        kind: Kind::Validate as u8,
        outcome: Outcome::Negative as u8,
        cut: false,
        sound: false,
        revision: b"7-0123456789ab",
        door: b"http",
        path: b"/v1/validate",
        request_id: b"r-1",
        traceparent: b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        subject: b"user-7",
        error: b"",
        input: b"{\n\"a\": 1}",
        result: b"{\"compliant\":false}",
    };

    #[test]
    fn an_event_is_opas_with_members_of_our_own() {
        let mut expected = json!({
            "labels": {"tenant": "acme"},
            "decision_id": "00000000-0000-0000-0000-000000000007",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "revision": "7-0123456789ab",
            "path": "v1/validate",
            "input": {"a": 1},
            "result": {"compliant": false},
            "timestamp": "2023-11-14T22:13:20Z",
            "metrics": {"timer_server_handler_ns": 900},
            "kind": "validate",
            "outcome": "negative",
            "door": "http",
            "request_id": "r-1",
            "subject": "user-7",
        });
        assert_eq!(written(&RECORD, RecordContent::Full), expected);
        let members = expected.as_object_mut().unwrap();
        members.remove("input");
        members.remove("result");
        members.insert(
            "input_sha256".into(),
            hex::encode(Sha256::digest(RECORD.input)).into(),
        );
        assert_eq!(written(&RECORD, RecordContent::Digest), expected);
    }

    #[test]
    fn what_came_in_broken_does_not_break_the_event() {
        let record = Record {
            traceparent: b"00-zz-zz-01",
            request_id: b"\xff",
            error: b"invalid_json",
            input: b"{\"a\": tru",
            result: b"",
            kind: 200,
            ..RECORD
        };
        let line = written(&record, RecordContent::Full);
        assert_eq!(line["error"], json!({"code": "invalid_json"}));
        for absent in ["trace_id", "span_id", "input", "result", "request_id"] {
            assert!(line.get(absent).is_none(), "{absent}");
        }
    }
}
