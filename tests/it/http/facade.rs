//! The JSON calls of the policy engine's clients.

use lictor::policy::Format;
use serde_json::json;

use crate::support::bundle::{bundle_of, documents, signing_key};

use super::{deciding, pod, problem};

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
fn a_reported_violation_is_an_event_of_the_decision_log() {
    let pod = pod(&json!({}));
    let log = pod.path("decisions.jsonl");
    pod.configure(&json!({"decision_log": {"file": log, "content": "full"}}));
    let mut sidecar = pod.start();
    let report = json!({
        "consumer_id": "ann", "service_id": "llm", "policy_id": "p-1", "policy_name": "words",
        "severity": "HIGH", "message": "it said so", "timestamp": "2026-01-01T00:00:00.123456Z",
    });
    let mut event = |path: &str, count: usize| {
        let answer = sidecar.post(path, &report.to_string());
        assert_eq!(answer.status, 202, "{}", answer.text());
        let event = sidecar.process.wait_for("the event", |_| {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = lines.last().filter(|_| lines.len() == count)?;
            serde_json::from_str::<serde_json::Value>(last).ok()
        });
        assert_eq!(event["kind"], "report", "{event:#}");
        if count == 1 {
            let policies = documents(POLICIES, Format::Yaml);
            sidecar
                .pod
                .put(&bundle_of(1, policies, &[], &[&signing_key()]));
            sidecar.wait_ready();
        }
        event
    };
    // Nothing is loaded yet, and a report is taken all the same; what it says is kept back, as no policy can say yet what
    // may be shown.
    let early = event("/api/v1/violations/report", 1);
    assert_eq!(early["erased"], json!(["/input"]), "{early:#}");
    let late = event("/engine/api/v1/violations/report", 2);
    assert_eq!(late["input"], report, "{late:#}");
    let counted = "lictor_decisions_total{kind=\"report\",outcome=\"negative\"}";
    assert_eq!(sidecar.metric(counted), Some(2.0));
    let with = |name: &str, value: serde_json::Value| {
        let mut changed = report.clone();
        changed[name] = value;
        changed.to_string()
    };
    for body in [
        with("severity", json!("worst")),
        with("timestamp", json!("yesterday")),
        with("policy_name", json!("")),
        with("message", json!(7)),
        "{}".to_owned(),
    ] {
        let answer = sidecar.post("/api/v1/violations/report", &body);
        problem(&answer, 400, "invalid_request");
    }
}

#[test]
fn the_engines_list_and_health_are_below_a_base_of_their_own() {
    let sidecar = deciding(POLICIES, &json!({}));
    let list = sidecar.http().get("/engine/api/v1/policies");
    assert_eq!(list.status, 200, "{}", list.text());
    let policies = list.json()["policies"].clone();
    let policies = policies.as_array().unwrap();
    let names: Vec<_> = policies.iter().map(|policy| &policy["name"]).collect();
    assert_eq!(names, ["places", "secure", "staff", "words"]);
    for policy in policies {
        for member in ["id", "name", "description", "severity"] {
            assert!(policy[member].is_string(), "{member}: {policy:#}");
        }
        assert_eq!(policy["enabled"], true);
    }
    assert_eq!(
        policies[1]["rules"],
        json!({"security": {"require_https": true}})
    );
    assert_eq!(
        sidecar.http().get("/engine/api/v1/policies/").json(),
        list.json()
    );
    let body = json!({"consumer_id": "c", "service_id": "s", "data_location": "DE"});
    let residency = "/engine/api/v1/compliance/data-residency";
    let answer = sidecar.post(residency, &body.to_string());
    assert_eq!(answer.json(), json!({"compliant": true}));
    let health = sidecar.http().get("/engine/health");
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("healthy"))
    );
    let empty = pod(&json!({})).start();
    assert_eq!(empty.http().get("/engine/health").status, 503);
    problem(
        &empty.http().get("/engine/api/v1/policies"),
        503,
        "not_ready",
    );
    // The registry's list of that name is the control plane's.
    let plain = sidecar.http().get("/api/v1/policies");
    problem(&plain, 503, "upstream_unavailable");
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
