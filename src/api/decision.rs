//! The bodies of our own decision calls: `/v1/validate`, `/v1/access/check`, `/v1/consumption/validate`,
//! `/v1/variant`.

mod compliant;

use uuid::Uuid;

use crate::model::{
    Access, AccessReason, Assignment, Consideration, Consumption, EvaluationIssue, Timestamp,
    Validation, VariantAnswer, Violation,
};

use super::json;

pub use compliant::Compliant;

macro_rules! policy_version {
    () => {
        "1.0.0"
    };
}

/// The version of the validation contract, which the policy engine's clients read as `policy_version`.
pub const POLICY_VERSION: &str = policy_version!();

/// What every decision says beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    pub decision_id: Uuid,
    /// The generation's name.
    pub revision: &'a str,
}

/// When a validation was made and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    pub validated_at: Timestamp,
    /// Milliseconds, rounded down.
    pub duration_ms: u64,
}

/// An access answer after the configuration's word on what no policy and no decision mean.
#[derive(Clone, Debug)]
pub struct AccessAnswer<'a> {
    pub allowed: bool,
    pub reason: Reason<'a>,
    pub required_permissions: &'a [&'a str],
    pub missing_permissions: &'a [&'a str],
}

/// `{compliant, violations[], policy_version, validated_at, metadata{}, decision_id, revision, variants{}}`.
pub fn validation(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    timing: Timing,
    decision: &Validation<'_>,
) {
    // Grows at most once but for violations.
    out.reserve(384);
    if decision.compliant() {
        json::raw(out, "{\"compliant\":true,\"violations\":");
    } else {
        json::raw(out, "{\"compliant\":false,\"violations\":");
    }
    json::list(out, decision.violations, violation);
    json::raw(
        out,
        concat!(
            ",\"policy_version\":\"",
            policy_version!(),
            "\",\"validated_at\":"
        ),
    );
    json::timestamp(out, timing.validated_at);
    json::raw(out, ",\"metadata\":{\"policies_evaluated\":");
    json::integer(out, decision.evaluated);
    json::raw(out, ",\"policies_passed\":");
    json::integer(out, decision.evaluated.saturating_sub(decision.failed));
    json::raw(out, ",\"policies_failed\":");
    json::integer(out, decision.failed);
    json::raw(out, ",\"validation_duration_ms\":");
    json::integer(out, timing.duration_ms);
    json::raw(out, "}");
    tail(out, envelope);
    json::raw(out, ",\"variants\":");
    variants(out, decision.variants);
    issues(out, decision.errors);
    considered(out, decision.considered);
    json::raw(out, "}");
}

/// `{allowed, reason, required_permissions, missing_permissions, decision_id, revision}`.
pub fn access(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    answer: &AccessAnswer<'_>,
    decision: &Access<'_>,
) {
    access_core(out, answer);
    tail(out, envelope);
    if !decision.variants.is_empty() {
        json::raw(out, ",\"variants\":");
        variants(out, decision.variants);
    }
    issues(out, decision.errors);
    considered(out, decision.considered);
    json::raw(out, "}");
}

/// An access answer for which there was no decision (the operator chose to fail open).
pub fn access_failed_open(out: &mut Vec<u8>, decision_id: Uuid, reason: &str) {
    access_core(
        out,
        &AccessAnswer {
            allowed: true,
            reason: Reason::failed_open(reason),
            required_permissions: &[],
            missing_permissions: &[],
        },
    );
    json::raw(out, ",\"decision_id\":");
    json::uuid(out, decision_id);
    json::raw(out, ",\"revision\":\"\"}");
}

/// `{allowed, reason, violations, limits, decision_id, revision, variants}`.
pub fn consumption(out: &mut Vec<u8>, envelope: &Envelope<'_>, decision: &Consumption<'_>) {
    json::raw(out, "{\"allowed\":");
    json::boolean(out, decision.allowed);
    json::raw(out, ",\"reason\":");
    json::string(out, decision.reason);
    json::raw(out, ",\"violations\":");
    json::list(out, decision.violations, violation);
    json::raw(out, ",\"limits\":{\"max_tokens\":");
    json::integer(out, decision.limits.max_tokens);
    json::raw(out, ",\"max_requests_per_minute\":");
    json::integer(out, decision.limits.max_requests_per_minute);
    json::raw(out, ",\"max_requests_per_day\":");
    json::integer(out, decision.limits.max_requests_per_day);
    json::raw(out, ",\"max_cost_per_request\":");
    json::double(out, decision.limits.max_cost_per_request);
    json::raw(out, "}");
    tail(out, envelope);
    json::raw(out, ",\"variants\":");
    variants(out, decision.variants);
    issues(out, decision.errors);
    considered(out, decision.considered);
    json::raw(out, "}");
}

/// `{variant, version, reason, decision_id, revision}`; what is not there is null.
pub fn variant(out: &mut Vec<u8>, envelope: &Envelope<'_>, answer: &VariantAnswer<'_>) {
    json::raw(out, "{\"variant\":");
    optional(out, answer.variant);
    json::raw(out, ",\"version\":");
    optional(out, answer.version);
    json::raw(out, ",\"reason\":\"");
    json::raw(out, answer.reason.as_str());
    json::raw(out, "\"");
    tail(out, envelope);
    issues(out, answer.errors);
    json::raw(out, "}");
}

/// The words for why an access decision came out as it did: pieces of one text, in turn our own words, which need no
/// escapes, and what a policy or an operator wrote.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a>([&'a str; 5]);

impl<'a> Reason<'a> {
    /// The words of a decision.
    #[must_use]
    pub fn of(reason: &AccessReason<'a>) -> Self {
        Self(match *reason {
            AccessReason::Allowed { policy, rule } => {
                ["allowed by rule `", rule, "` of policy `", policy, "`"]
            }
            AccessReason::Denied {
                reason: Some(reason),
                ..
            } => ["", reason, "", "", ""],
            AccessReason::Denied { policy, rule, .. } => {
                ["denied by rule `", rule, "` of policy `", policy, "`"]
            }
            AccessReason::NoMatch => ["no rule allows this", "", "", "", ""],
            AccessReason::NoPolicy => ["no access policy is loaded", "", "", "", ""],
            AccessReason::Blocked { policy } => ["blocked by policy `", policy, "`", "", ""],
            AccessReason::Requirement { policy, text } => {
                ["required by policy `", policy, "`: ", text, ""]
            }
        })
    }

    /// No policy is loaded, and the operator lets pass what no policy decides.
    pub const ALLOWED_WITHOUT_POLICY: Self = Self([
        "no access policy is loaded, and this sidecar allows what no policy decides",
        "",
        "",
        "",
        "",
    ]);

    /// There is no decision, and the operator lets that pass.
    #[must_use]
    pub const fn failed_open(reason: &'a str) -> Self {
        Self(["failed open: ", reason, "", "", ""])
    }

    /// Appends the words as a JSON string.
    pub fn write(&self, out: &mut Vec<u8>) {
        json::raw(out, "\"");
        let [first, second, third, fourth, fifth] = self.0;
        json::raw(out, first);
        json::escaped(out, second);
        json::raw(out, third);
        json::escaped(out, fourth);
        json::raw(out, fifth);
        json::raw(out, "\"");
    }
}

impl std::fmt::Display for Reason<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .try_for_each(|piece| formatter.write_str(piece))
    }
}

/// `{"experiment":"variant"}`.
pub(super) fn variants(out: &mut Vec<u8>, assignments: &[Assignment<'_>]) {
    json::raw(out, "{");
    for (index, assignment) in assignments.iter().enumerate() {
        if index > 0 {
            json::raw(out, ",");
        }
        json::string(out, assignment.experiment);
        json::raw(out, ":");
        json::string(out, assignment.variant);
    }
    json::raw(out, "}");
}

/// `,"errors":[]`, where there are any.
pub(super) fn issues(out: &mut Vec<u8>, issues: &[EvaluationIssue<'_>]) {
    if issues.is_empty() {
        return;
    }
    json::raw(out, ",\"errors\":");
    json::list(out, issues, |out, issue| {
        json::raw(out, "{\"policy\":");
        json::string(out, issue.policy);
        json::raw(out, ",\"place\":");
        json::string(out, issue.place);
        json::raw(out, ",\"message\":");
        json::string(out, issue.message);
        json::raw(out, "}");
    });
}

/// `,"considered":[]`, where explanation was asked for.
pub(super) fn considered(out: &mut Vec<u8>, considered: &[Consideration<'_>]) {
    if considered.is_empty() {
        return;
    }
    json::raw(out, ",\"considered\":");
    json::list(out, considered, |out, item| {
        json::raw(out, "{\"policy_id\":");
        json::string(out, item.policy_id);
        json::raw(out, ",\"policy_name\":");
        json::string(out, item.policy_name);
        json::raw(out, ",\"version\":");
        json::string(out, item.version);
        json::raw(out, ",\"place\":");
        json::string(out, item.place);
        json::raw(out, ",\"matched\":");
        json::boolean(out, item.matched);
        json::raw(out, ",\"condition\":");
        json::string(out, item.condition);
        json::raw(out, ",\"value\":");
        json::string(out, item.value);
        json::raw(out, "}");
    });
}

/// `,"decision_id":..,"revision":..`.
pub(super) fn tail(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    json::raw(out, ",\"decision_id\":");
    json::uuid(out, envelope.decision_id);
    json::raw(out, ",\"revision\":");
    json::string(out, envelope.revision);
}

fn access_core(out: &mut Vec<u8>, answer: &AccessAnswer<'_>) {
    json::raw(out, "{\"allowed\":");
    json::boolean(out, answer.allowed);
    json::raw(out, ",\"reason\":");
    answer.reason.write(out);
    json::raw(out, ",\"required_permissions\":");
    json::list(out, answer.required_permissions, |out, text| {
        json::string(out, text);
    });
    json::raw(out, ",\"missing_permissions\":");
    json::list(out, answer.missing_permissions, |out, text| {
        json::string(out, text);
    });
}

fn violation(out: &mut Vec<u8>, violation: &Violation<'_>) {
    json::raw(out, "{\"policy_id\":");
    json::string(out, violation.policy_id);
    json::raw(out, ",\"policy_name\":");
    json::string(out, violation.policy_name);
    json::raw(out, ",\"severity\":\"");
    json::raw(out, violation.severity.as_str());
    json::raw(out, "\",\"message\":");
    json::string(out, violation.message);
    json::raw(out, ",\"remediation\":");
    json::string(out, violation.remediation);
    json::raw(out, ",\"field\":");
    json::string(out, violation.field);
    if let Some(actual) = violation.actual {
        json::raw(out, ",\"actual_value\":");
        json::string(out, actual);
    }
    if let Some(expected) = violation.expected {
        json::raw(out, ",\"expected_value\":");
        json::string(out, expected);
    }
    json::raw(out, "}");
}

fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => json::string(out, text),
        None => json::raw(out, "null"),
    }
}

#[cfg(test)]
mod tests;
