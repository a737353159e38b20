//! The methods that are answered here, through the same door as every other question.

use std::collections::HashMap;
use std::time::Instant;

use http::{HeaderName, HeaderValue};
use tonic::Status;
use uuid::Uuid;

use crate::api::ErrorCode;
use crate::api::decision::{self, AccessAnswer, Envelope, Reason, Timing};
use crate::api::policy_engine::v1::health_check_response::ServingStatus;
use crate::api::policy_engine::v1::{
    CheckAccessRequest, CheckAccessResponse, ConsumptionLimits, HealthCheckResponse,
    PolicyViolation, ValidateConsumptionRequest, ValidateConsumptionResponse,
    ValidateServiceRequest, ValidateServiceResponse, ValidationMetadata,
};
use crate::decide::{Answered, DecideError};
use crate::engine::AccessRequest;
use crate::model::{Access, AccessReason, Violation};
use crate::server::grpc::{Reply, decode};
use crate::sidecar::config::WhenNoPolicy;

use super::status::{undecided, word};
use super::{Asked, Handler, MAX_MESSAGE_BYTES, input, timestamp};

const DECISION_ID: HeaderName = HeaderName::from_static("x-lictor-decision-id");
const REVISION: HeaderName = HeaderName::from_static("x-lictor-revision");
const BUNDLE_AGE: HeaderName = HeaderName::from_static("x-lictor-bundle-age");
const FAILED_OPEN: HeaderName = HeaderName::from_static("x-lictor-failed-open");

/// A decision's message, and what goes into the answer's metadata.
struct Decided<M> {
    message: M,
    id: Uuid,
    revision: String,
    /// As our own doors say it, for the decision log.
    result: Vec<u8>,
}

impl<M: prost::Message> Decided<M> {
    fn new(
        answered: &Answered<'_>,
        message: M,
        recorded: bool,
        result: impl FnOnce(&mut Vec<u8>, &Envelope<'_>),
    ) -> Self {
        let envelope = Envelope {
            decision_id: answered.decision_id,
            revision: &answered.snapshot.name,
        };
        let mut text = Vec::new();
        if recorded {
            result(&mut text, &envelope);
        }
        Self {
            message,
            id: answered.decision_id,
            revision: answered.snapshot.name.clone(),
            result: text,
        }
    }

    fn reply(self, asked: &Asked<'_>) -> Result<Reply, Status> {
        let mut reply = Reply::new(&self.message, MAX_MESSAGE_BYTES)?;
        let headers = &mut reply.headers;
        if let Ok(id) = HeaderValue::from_str(&self.id.to_string()) {
            headers.insert(DECISION_ID, id);
        }
        if let Ok(revision) = HeaderValue::from_str(&self.revision) {
            headers.insert(REVISION, revision);
        }
        if let Some(age) = asked.handler.shared.status.bundle_age(asked.now) {
            headers.insert(BUNDLE_AGE, age.into());
        }
        Ok(reply)
    }
}

/// `ValidateService`.
pub(super) fn validate(asked: &Asked<'_>) -> Result<Reply, Status> {
    let started = Instant::now();
    let request: ValidateServiceRequest = decode(asked.message.clone())?;
    let input = input::service(&request)?;
    let mut worker = asked.handler.worker.borrow_mut();
    let recorded = worker.keeps_results();
    let decided = worker.validate(&input, &asked.question(), |answered, answer| {
        let duration = started.elapsed().as_millis();
        let timing = Timing {
            validated_at: asked.now,
            duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
        };
        let message = ValidateServiceResponse {
            compliant: answer.compliant(),
            violations: answer.violations.iter().map(violation).collect(),
            policy_version: decision::POLICY_VERSION.to_owned(),
            validated_at: Some(timestamp(asked.now)),
            metadata: Some(ValidationMetadata {
                policies_evaluated: count(answer.evaluated),
                policies_passed: count(answer.evaluated.saturating_sub(answer.failed)),
                policies_failed: count(answer.failed),
                validation_duration_ms: i64::try_from(duration).unwrap_or(i64::MAX),
            }),
        };
        Decided::new(answered, message, recorded, |out, envelope| {
            decision::validation(out, envelope, timing, answer);
        })
    });
    let decided = decided.map_err(|error| undecided(&error))?;
    worker.record_result(&decided.result);
    decided.reply(asked)
}

/// `CheckAccess`.
pub(super) fn access(asked: &Asked<'_>) -> Result<Reply, Status> {
    let request: CheckAccessRequest = decode(asked.message.clone())?;
    let input = input::access(&request);
    let mut worker = asked.handler.worker.borrow_mut();
    let recorded = worker.keeps_results();
    let request = AccessRequest::Check(&input);
    let decided = worker.access(request, &asked.question(), |answered, access| {
        let (allowed, reason) = verdict(asked.handler, access);
        let message = CheckAccessResponse {
            allowed,
            reason: reason.to_string(),
            required_permissions: texts(access.required_permissions),
            missing_permissions: texts(access.missing_permissions),
        };
        Decided::new(answered, message, recorded, |out, envelope| {
            let answer = AccessAnswer {
                allowed,
                reason,
                required_permissions: access.required_permissions,
                missing_permissions: access.missing_permissions,
            };
            decision::access(out, envelope, &answer, access);
        })
    });
    match decided {
        Ok(decided) => {
            worker.record_result(&decided.result);
            decided.reply(asked)
        }
        Err(error) => failed_open(asked.handler, &error).unwrap_or_else(|| Err(undecided(&error))),
    }
}

/// `ValidateConsumption`.
pub(super) fn consumption(asked: &Asked<'_>) -> Result<Reply, Status> {
    let request: ValidateConsumptionRequest = decode(asked.message.clone())?;
    let input = input::consumption(&request);
    let mut worker = asked.handler.worker.borrow_mut();
    let recorded = worker.keeps_results();
    let decided = worker.consumption(&input, &asked.question(), |answered, answer| {
        let message = ValidateConsumptionResponse {
            allowed: answer.allowed,
            reason: answer.reason.to_owned(),
            violations: answer.violations.iter().map(violation).collect(),
            limits: Some(ConsumptionLimits {
                max_tokens: answer.limits.max_tokens,
                max_requests_per_minute: answer.limits.max_requests_per_minute,
                max_requests_per_day: answer.limits.max_requests_per_day,
                max_cost_per_request: answer.limits.max_cost_per_request,
            }),
        };
        Decided::new(answered, message, recorded, |out, envelope| {
            decision::consumption(out, envelope, answer);
        })
    });
    let decided = decided.map_err(|error| undecided(&error))?;
    worker.record_result(&decided.result);
    decided.reply(asked)
}

/// `HealthCheck`: whether decisions are made. Never an error. Old clients look for their database among the details:
/// what the bundle is here.
pub(super) fn health(handler: &Handler) -> Result<Reply, Status> {
    let current = handler.shared.reader.load();
    let (status, state) = match (&current.snapshot, current.ended) {
        (Some(_), None) => (ServingStatus::Serving, "healthy"),
        (None, _) => (
            ServingStatus::NotServing,
            "unhealthy: no policy bundle is active yet",
        ),
        (Some(_), Some(_)) => (
            ServingStatus::NotServing,
            "unhealthy: the policy bundle must not decide any more",
        ),
    };
    let mut details = HashMap::from([
        ("database".to_owned(), state.to_owned()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    if let Some(snapshot) = &current.snapshot {
        details.insert("revision".to_owned(), snapshot.name.clone());
    }
    let response = HealthCheckResponse {
        status: status.into(),
        details,
        timestamp: Some(timestamp(handler.shared.clock.now())),
    };
    Reply::new(&response, MAX_MESSAGE_BYTES)
}

/// The answer and its reason after the configuration's word on what no policy means.
fn verdict<'a>(handler: &Handler, access: &Access<'a>) -> (bool, Reason<'a>) {
    if access.reason == AccessReason::NoPolicy
        && handler.shared.when_no_policy == WhenNoPolicy::Allow
    {
        (true, Reason::ALLOWED_WITHOUT_POLICY)
    } else {
        (access.allowed, Reason::of(&access.reason))
    }
}

/// Where the operator chose so and the request is not at fault, a yes without a decision, which says so.
fn failed_open(handler: &Handler, error: &DecideError) -> Option<Result<Reply, Status>> {
    let code = word(error);
    let opens = matches!(
        code,
        ErrorCode::NotReady
            | ErrorCode::BundleExpired
            | ErrorCode::BundleUntrusted
            | ErrorCode::EvaluationBudgetExceeded
            | ErrorCode::Internal
    );
    if !opens || !handler.shared.fail_open_access {
        return None;
    }
    let reason = code.as_str();
    handler.shared.metrics.failed_open(reason);
    let message = CheckAccessResponse {
        allowed: true,
        reason: Reason::failed_open(reason).to_string(),
        ..CheckAccessResponse::default()
    };
    Some(Reply::new(&message, MAX_MESSAGE_BYTES).map(|mut reply| {
        let value = HeaderValue::from_static(reason);
        reply.headers.insert(FAILED_OPEN, value);
        reply
    }))
}

fn violation(violation: &Violation<'_>) -> PolicyViolation {
    PolicyViolation {
        policy_id: violation.policy_id.to_owned(),
        policy_name: violation.policy_name.to_owned(),
        severity: violation.severity.as_str().to_owned(),
        message: violation.message.to_owned(),
        remediation: violation.remediation.to_owned(),
        field: violation.field.to_owned(),
        actual_value: violation.actual.unwrap_or_default().to_owned(),
        expected_value: violation.expected.unwrap_or_default().to_owned(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
