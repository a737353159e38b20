use serde_json::{Value, json};

use crate::model::{ConsumptionLimits, Severity, VariantReason};

use super::*;

const ENVELOPE: Envelope<'static> = Envelope {
    decision_id: Uuid::from_u128(7),
    revision: "3-0123456789ab",
};

fn read(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    serde_json::from_slice(&out).expect("an encoder writes JSON")
}

fn a_violation() -> Violation<'static> {
    Violation {
        policy_id: "p-1",
        policy_name: "tls-everywhere",
        severity: Severity::Critical,
        message: "use \"https\"",
        remediation: "change it",
        field: "endpoint.url",
        actual: Some("http://a"),
        expected: None,
    }
}

#[test]
fn a_validation_has_the_fields_of_the_contract_and_no_others() {
    let decision = Validation {
        violations: &[a_violation()],
        evaluated: 5,
        failed: 1,
        errors: &[],
        variants: &[Assignment {
            experiment: "e",
            variant: "B",
        }],
        considered: &[],
    };
    let timing = Timing {
        validated_at: Timestamp::from_unix_seconds(0),
        duration_ms: 2,
    };
    assert_eq!(
        read(|out| validation(out, &ENVELOPE, timing, &decision)),
        json!({
            "compliant": false,
            "violations": [{
                "policy_id": "p-1", "policy_name": "tls-everywhere", "severity": "critical",
                "message": "use \"https\"", "remediation": "change it", "field": "endpoint.url",
                "actual_value": "http://a"
            }],
            "policy_version": "1.0.0",
            "validated_at": "1970-01-01T00:00:00Z",
            "metadata": {
                "policies_evaluated": 5, "policies_passed": 4, "policies_failed": 1,
                "validation_duration_ms": 2
            },
            "decision_id": "00000000-0000-0000-0000-000000000007",
            "revision": "3-0123456789ab",
            "variants": {"e": "B"}
        })
    );
}

#[test]
fn errors_and_considerations_join_where_there_are_any() {
    let decision = Access {
        allowed: false,
        reason: AccessReason::NoMatch,
        required_permissions: &["admin"],
        missing_permissions: &["admin"],
        errors: &[EvaluationIssue {
            policy: "p",
            place: "spec.rules[0].condition",
            message: "no such field",
        }],
        variants: &[],
        considered: &[Consideration {
            policy_id: "id",
            policy_name: "p",
            version: "1.0.0",
            place: "rules[0]",
            matched: false,
            condition: "a.b",
            value: "error: no such field",
        }],
    };
    let answer = AccessAnswer {
        allowed: decision.allowed,
        reason: Reason::of(&decision.reason),
        required_permissions: decision.required_permissions,
        missing_permissions: decision.missing_permissions,
    };
    let body = read(|out| access(out, &ENVELOPE, &answer, &decision));
    assert_eq!(body["allowed"], false);
    assert_eq!(body["reason"], "no rule allows this");
    assert_eq!(body["missing_permissions"], json!(["admin"]));
    assert_eq!(body["errors"][0]["message"], "no such field");
    assert_eq!(body["considered"][0]["matched"], false);
    assert_eq!(body.get("variants"), None);
}

#[test]
fn a_consumption_carries_its_limits() {
    let decision = Consumption {
        allowed: true,
        reason: "",
        violations: &[],
        limits: ConsumptionLimits {
            max_tokens: 10_000,
            max_requests_per_minute: 1_000,
            max_requests_per_day: 100_000,
            max_cost_per_request: 1.0,
        },
        errors: &[],
        variants: &[],
        considered: &[],
    };
    let body = read(|out| consumption(out, &ENVELOPE, &decision));
    assert_eq!(
        body["limits"],
        json!({
            "max_tokens": 10000, "max_requests_per_minute": 1000, "max_requests_per_day": 100_000,
            "max_cost_per_request": 1.0
        })
    );
    assert_eq!(body["violations"], json!([]));
}

#[test]
fn a_key_outside_the_experiment_has_a_null_variant() {
    let answer = VariantAnswer {
        experiment: "e",
        variant: None,
        version: None,
        reason: VariantReason::NotInRollout,
        errors: &[],
    };
    let body = read(|out| variant(out, &ENVELOPE, &answer));
    assert_eq!(body["variant"], Value::Null);
    assert_eq!(body["reason"], "not_in_rollout");
}

#[test]
fn a_failed_open_answer_says_so() {
    let body = read(|out| access_failed_open(out, Uuid::from_u128(1), "not_ready"));
    assert_eq!(body["allowed"], true);
    assert_eq!(body["reason"], "failed open: not_ready");
    assert_eq!(body["revision"], "");
}
