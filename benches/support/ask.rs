//! One decision of each kind, from request bytes to response bytes.

use std::hint::black_box;

use lictor::api::decision::{self, AccessAnswer, Envelope, Reason, Timing};
use lictor::decide::{Answered, DecideError, Origin, Question, Worker};
use lictor::engine::{AccessRequest, DuplicateMembers, HttpRequest};
use lictor::model::{Access, Timestamp};

use crate::fixture;

/// An AuthZEN evaluation that one of a thousand rules allows.
pub const ACCESS: &[u8] = br#"{"subject":{"type":"user","id":"user-7","properties":{"roles":["role-40"]}},"action":{"name":"action-0"},"resource":{"type":"type-1","id":"r1","properties":{"owner":"user-7"}}}"#;

pub const CONSUMPTION: &[u8] = br#"{"consumer_id":"c-1","service_id":"svc-1","request_payload":{"max_tokens":100,"text":"hello"},"headers":{"x-a":"b"},"context":{"roles":["user"],"ip_address":"10.0.0.1"}}"#;

pub const VARIANT: &[u8] =
    br#"{"experiment":"checkout-rules","key":"client-4711","context":{"country":"DE"}}"#;

const CLAIMS: &[u8] = br#"{"sub":"4711","roles":["viewer"]}"#;

fn question(claims: Option<&[u8]>) -> Question<'_> {
    Question {
        now: Timestamp::from_unix_seconds(fixture::NOW),
        claims,
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: false,
        origin: Origin::UNKNOWN,
    }
}

fn envelope<'a>(answered: &Answered<'a>) -> Envelope<'a> {
    Envelope {
        decision_id: answered.decision_id,
        revision: &answered.snapshot.name,
    }
}

/// Validates.
pub fn validate(worker: &mut Worker, body: &[u8], out: &mut Vec<u8>) -> Result<(), DecideError> {
    out.clear();
    let question = question(None);
    let timing = Timing {
        validated_at: question.now,
        duration_ms: 0,
    };
    worker.validate(black_box(body), &question, |answered, answer| {
        decision::validation(out, &envelope(answered), timing, answer);
    })
}

/// Decides access, and answers as `/v1/access/check` does.
pub fn access(worker: &mut Worker, body: &[u8], out: &mut Vec<u8>) -> Result<(), DecideError> {
    out.clear();
    let request = AccessRequest::Document(black_box(body));
    worker.access(request, &question(None), |answered, access| {
        write(out, answered, access);
    })
}

/// Decides about an HTTP request with a token.
pub fn http(worker: &mut Worker, out: &mut Vec<u8>) -> Result<(), DecideError> {
    out.clear();
    let request = HttpRequest {
        method: "GET",
        path: "/accounts/4711",
        query: &[],
        headers: &[
            ("accept", "*/*"),
            ("host", "a.example"),
            ("user-agent", "curl/8"),
            ("x-a", "7"),
        ],
        host: "a.example",
        scheme: "https",
        body: None,
        source: None,
        destination: None,
        sni: None,
        extensions: &[],
        metadata: None,
        key: None,
    };
    let question = question(Some(CLAIMS));
    worker.http(black_box(&request), &question, |answered, answer| {
        write(out, answered, &answer.access);
    })
}

fn write(out: &mut Vec<u8>, answered: &Answered<'_>, access: &Access<'_>) {
    let answer = AccessAnswer {
        allowed: access.allowed,
        reason: Reason::of(&access.reason),
        required_permissions: access.required_permissions,
        missing_permissions: access.missing_permissions,
    };
    decision::access(out, &envelope(answered), &answer, access);
}

/// Validates a consumption.
pub fn consumption(worker: &mut Worker, out: &mut Vec<u8>) -> Result<(), DecideError> {
    out.clear();
    let body = black_box(CONSUMPTION);
    worker.consumption(body, &question(None), |answered, answer| {
        decision::consumption(out, &envelope(answered), answer);
    })
}

/// Assigns a variant.
pub fn variant(worker: &mut Worker, out: &mut Vec<u8>) -> Result<(), DecideError> {
    out.clear();
    worker.variant(black_box(VARIANT), &question(None), |answered, answer| {
        decision::variant(out, &envelope(answered), answer);
    })
}
