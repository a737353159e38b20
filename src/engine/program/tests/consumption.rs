//! Consumption: limits, content, classification, callers.

use super::*;

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: callers}
spec:
  type: ACCESS_CONTROL
  severity: high
  enabled: true
  rule: {access_control: {blocked_user_ids: [mallory], allowed_ip_ranges: ["10.0.0.0/8", "::/0"]}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: wide}
spec:
  type: RATE_LIMITING
  severity: low
  enabled: true
  rule: {rate_limiting: {max_requests_per_minute: 5000, max_tokens_per_request: 20000}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: narrow}
spec:
  type: RATE_LIMITING
  severity: low
  enabled: true
  rule: {rate_limiting: {max_requests_per_minute: 2000}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: words}
spec:
  type: CONTENT_FILTERING
  severity: high
  enabled: true
  metadata: {deny_patterns: '["(?i)secret"]', max_payload_bytes: "30"}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: classes}
spec:
  type: DATA_CLASSIFICATION
  severity: high
  enabled: true
  metadata: {classification_max: internal}
"#;

fn consume(
    program: &Program,
    consumer: &str,
    payload: &str,
    context_json: &str,
) -> (String, Vec<String>) {
    let body = format!(
        r#"{{"consumer_id":"{consumer}","service_id":"s","request_payload":"{payload}","headers":{{}},"context":{context_json}}}"#
    );
    let scratch = Scratch::default();
    let answer = program
        .consumption(body.as_bytes(), &context(), &scratch)
        .unwrap();
    assert_eq!(answer.allowed, answer.violations.is_empty());
    assert_eq!(answer.allowed, answer.reason.is_empty());
    let fields = answer
        .violations
        .iter()
        .map(|v| v.field.to_owned())
        .collect();
    (answer.reason.to_owned(), fields)
}

const HERE: &str = r#"{"ip_address":"10.0.0.1"}"#;

#[test]
fn limits_are_the_smallest_of_those_set() {
    let program = program(POLICIES);
    let scratch = Scratch::default();
    let body = br#"{"consumer_id":"c","service_id":"s","context":{"ip_address":"::1"}}"#;
    let answer = program.consumption(body, &context(), &scratch).unwrap();
    assert!(answer.allowed, "{}", answer.reason);
    assert_eq!(answer.limits.max_requests_per_minute, 2000);
    assert_eq!(answer.limits.max_tokens, 20_000);
    assert_eq!(answer.limits.max_requests_per_day, 100_000);
    assert!((answer.limits.max_cost_per_request - 1.0).abs() < f64::EPSILON);
}

#[test]
fn payloads_and_callers() {
    let program = program(POLICIES);
    assert_eq!(
        consume(&program, "ann", "hello", HERE),
        (String::new(), vec![])
    );
    let (reason, fields) = consume(&program, "mallory", "hello", HERE);
    assert_eq!(
        (reason.as_str(), fields),
        (
            "consumer mallory is blocked by policy callers",
            vec!["consumer_id".to_owned()]
        )
    );
    let (_, fields) = consume(&program, "ann", "hello", "{}");
    assert_eq!(fields, ["context.ip_address"]);
    let (_, fields) = consume(
        &program,
        "ann",
        "a SECRET, and more than thirty bytes",
        HERE,
    );
    assert_eq!(fields, ["request_payload", "request_payload"]);
    let classified = |level: &str| {
        consume(
            &program,
            "ann",
            "",
            &format!(r#"{{"ip_address":"10.0.0.1","metadata":{{"classification":"{level}"}}}}"#),
        )
        .1
    };
    assert_eq!(classified("Internal"), [""; 0]);
    assert_eq!(classified("restricted"), ["context.classification"]);
    assert_eq!(classified("cosmic"), ["context.classification"]);
}

#[test]
fn without_policies_the_defaults_hold() {
    let program = program(
        "apiVersion: lictor.dev/v1\nkind: ValidationPolicy\nmetadata: {name: p}\nspec: {type: X, severity: low, validations: [{expression: 'true', field: f, message: m}]}\n",
    );
    let scratch = Scratch::default();
    let body = br#"{"consumer_id":"c","service_id":"s"}"#;
    let answer = program.consumption(body, &context(), &scratch).unwrap();
    assert!(answer.allowed);
    assert_eq!(answer.limits.max_tokens, 10_000);
    let error = program
        .consumption(b"{}", &context(), &scratch)
        .unwrap_err();
    assert_eq!(error.to_string(), "/consumer_id: is required");
}
