//! The JSON calls of the policy engine's clients.

use serde_json::json;

use super::{deciding, problem};

const POLICIES: &str = "
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: places}
spec:
  type: DATA_RESIDENCY
  severity: critical
  rule: {data_residency: {require_specification: true, blocked_countries: [KP]}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: secure}
spec: {type: SECURITY, severity: high, rule: {security: {require_https: true}}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: staff}
spec: {type: ACCESS_CONTROL, severity: high, rule: {access_control: {blocked_user_ids: [mallory]}}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: words}
spec:
  type: CONTENT_FILTERING
  severity: high
  metadata: {deny_patterns: secret}
";

#[test]
fn clients_of_the_engines_http_api_are_answered() {
    let sidecar = deciding(POLICIES, &json!({}));
    let consume = |consumer: &str, prompt: &str| {
        let body = json!({
            "consumer_id": consumer,
            "service_id": "llm",
            "service_category": "text",
            "request_data": {"prompt": prompt, "max_tokens": 10},
            "metadata": {"ip_address": "10.0.0.1", "timestamp": "2026-01-01T00:00:00Z"},
        });
        let answer = sidecar.post("/api/v1/validate/consumption", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.header("x-lictor-bundle-age").is_empty());
        answer.json()
    };
    let good = consume("ann", "hello");
    assert_eq!(good["allowed"], true, "{good:#}");
    assert!(good["metadata"]["revision"].is_string() && good["decision_id"].is_string());
    let blocked = consume("mallory", "hello");
    assert_eq!(blocked["allowed"], false, "{blocked:#}");
    let refused = consume("ann", "the secret word");
    assert_eq!(refused["allowed"], false, "{refused:#}");
    let violation = &refused["violations"][0];
    for member in ["policy_id", "policy_name", "severity", "message"] {
        assert!(violation[member].is_string(), "{member}: {refused:#}");
    }

    let access = |query: &str| sidecar.http().get(&format!("/api/v1/access/check?{query}"));
    let ask = |consumer: &str| {
        access(&format!("consumer_id={consumer}&service_id=llm")).json()["allowed"].clone()
    };
    assert_eq!((ask("ann"), ask("mallory")), (true.into(), false.into()));
    problem(&access("consumer_id=ann"), 400, "invalid_request");

    let residency = |location: &str| {
        let body = json!({"consumer_id": "c", "service_id": "s", "data_location": location});
        let answer = sidecar.post("/api/v1/compliance/data-residency", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("x-lictor-revision").starts_with("1-"));
        answer.json()
    };
    assert_eq!(residency("DE"), json!({"compliant": true}));
    assert_eq!(residency("kp"), json!({"compliant": false}));
}

#[test]
fn what_is_none_of_these_questions_is_said() {
    let sidecar = deciding(POLICIES, &json!({}));
    for path in [
        "/api/v1/validate/consumption",
        "/api/v1/compliance/data-residency",
    ] {
        for (body, code) in [
            ("{", "invalid_json"),
            ("[]", "invalid_request"),
            ("{}", "invalid_request"),
            (
                r#"{"consumer_id": 1, "service_id": "s"}"#,
                "invalid_request",
            ),
        ] {
            problem(&sidecar.post(path, body), 400, code);
        }
        let get = sidecar.http().get(path);
        problem(&get, 405, "method_not_allowed");
        assert_eq!(get.header("allow"), "POST");
    }
    let post = sidecar.post("/api/v1/access/check", "{}");
    problem(&post, 405, "method_not_allowed");
}
