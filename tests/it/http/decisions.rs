//! Each decision call, with the body it promises.

use serde_json::{Value, json};

use crate::support::sidecar::Sidecar;

use super::{deciding, problem};

pub const POLICIES: &str = include_str!("policies.yaml");

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn each_call_answers_with_its_own_body() {
    let sidecar = deciding(POLICIES, &json!({}));
    validation(&sidecar);
    access(&sidecar);
    consumption(&sidecar);
    variant(&sidecar);
    explanation(&sidecar);
    content(&sidecar);
}

fn validation(sidecar: &Sidecar) {
    let answer = sidecar.post_with(
        "/v1/validate",
        &[("x-request-id", "request-1")],
        r#"{"environment":"production","endpoint":{"url":"http://a"}}"#,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-request-id"), "request-1");
    let age: u64 = answer.header("x-lictor-bundle-age").parse().unwrap();
    assert!(age < 3600);
    let body = answer.json();
    assert_eq!(
        names(&body),
        [
            "compliant",
            "decision_id",
            "metadata",
            "policy_version",
            "revision",
            "validated_at",
            "variants",
            "violations"
        ]
    );
    assert_eq!(body["compliant"], false);
    let violation = &body["violations"][0];
    assert_eq!(violation["policy_name"], "https-only");
    assert_eq!(violation["severity"], "critical");
    assert_eq!(violation["field"], "endpoint.url");
    assert_eq!(violation["actual_value"], "http://a");
    assert_eq!(violation["expected_value"], "https://...");
    assert_eq!(violation["remediation"], "Update endpoint URL to use HTTPS");
    assert!(violation["policy_id"].is_string());
    assert_eq!(body["metadata"]["policies_failed"], 1);
    assert!(body["revision"].as_str().unwrap().starts_with("1-"));
    assert!(body["validated_at"].as_str().unwrap().ends_with('Z'));
    uuid::Uuid::parse_str(body["decision_id"].as_str().unwrap()).unwrap();

    let body = sidecar
        .post("/v1/validate", r#"{"environment":"test"}"#)
        .json();
    assert_eq!(
        (&body["compliant"], &body["violations"]),
        (&json!(true), &json!([]))
    );
    let metadata = &body["metadata"];
    assert_eq!(metadata["policies_passed"], metadata["policies_evaluated"]);
}

fn access(sidecar: &Sidecar) {
    let ask = |user: &str, action: &str| {
        let body = json!({"user_id": user, "service_id": "s-1", "action": action, "context": {}});
        sidecar.post("/v1/access/check", &body.to_string()).json()
    };
    let body = ask("user-1", "invoke");
    assert_eq!(body["allowed"], true, "{body}");
    assert_eq!(
        names(&body),
        [
            "allowed",
            "decision_id",
            "missing_permissions",
            "reason",
            "required_permissions",
            "revision"
        ]
    );
    assert_eq!(ask("robot", "invoke")["allowed"], false);
    let body = ask("user-1", "delete");
    assert_eq!(
        (&body["allowed"], &body["reason"]),
        (&json!(false), &json!("Services are not deleted here"))
    );
}

fn consumption(sidecar: &Sidecar) {
    let body = json!({
        "consumer_id": "c-1", "service_id": "s-1", "request_payload": "{}", "headers": {},
        "context": {"ip_address": "10.0.0.1"}
    });
    let body = sidecar
        .post("/v1/consumption/validate", &body.to_string())
        .json();
    assert_eq!(body["limits"]["max_requests_per_minute"], 30, "{body}");
    for name in [
        "allowed",
        "reason",
        "violations",
        "limits",
        "decision_id",
        "revision",
        "variants",
    ] {
        assert!(body.get(name).is_some(), "{name}: {body}");
    }
}

fn variant(sidecar: &Sidecar) {
    let ask = |key: &str| {
        let body = json!({"experiment": "checkout", "key": key, "context": {}});
        sidecar.post("/v1/variant", &body.to_string()).json()
    };
    let body = ask("client-7");
    assert_eq!(
        (&body["variant"], &body["reason"]),
        (&json!("B"), &json!("override")),
        "{body}"
    );
    assert_eq!(
        names(&body),
        ["decision_id", "reason", "revision", "variant", "version"]
    );
    let first = ask("somebody");
    assert_eq!(first["reason"], "split");
    assert_eq!(
        first["variant"],
        ask("somebody")["variant"],
        "stable per key"
    );
    let unknown = sidecar.post("/v1/variant", r#"{"experiment":"nothing","key":"x"}"#);
    problem(&unknown, 404, "not_found");
}

fn explanation(sidecar: &Sidecar) {
    let body = r#"{"environment":"production","endpoint":{"url":"http://a"}}"#;
    let explained = sidecar.post("/v1/validate?explain=full", body).json();
    let considered = explained["considered"].as_array().unwrap();
    assert!(
        considered
            .iter()
            .any(|item| item["policy_name"] == "https-only" && item["matched"] == true),
        "{explained}"
    );
    assert_eq!(
        sidecar.post("/v1/validate", body).json().get("considered"),
        None
    );
    let body = r#"{"user_id":"robot","service_id":"s","action":"invoke","context":{}}"#;
    let explained = sidecar.post("/v1/access/check?explain=full", body).json();
    assert!(
        explained["considered"]
            .as_array()
            .unwrap()
            .iter()
            .any(|item| {
                item["matched"] == false
                    && item["condition"].as_str().unwrap().contains("startsWith")
            }),
        "{explained}"
    );
}

fn content(sidecar: &Sidecar) {
    let status = sidecar.admin("/v1/status").json();
    let revision = status["bundle"]["revision"].as_str().unwrap().to_owned();
    let id = lictor::model::PolicyId::derived("acme", "AccessPolicy", "services");
    let answer = sidecar
        .http()
        .get(&format!("/api/v1/policies/{id}/content?client_id=c%201"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["metadata"]["name"], "services");
    assert_eq!(answer.header("x-lictor-revision"), revision);
    uuid::Uuid::parse_str(answer.header("x-lictor-decision-id")).unwrap();
    let other = "00000000-0000-4000-8000-000000000000";
    let answer = sidecar
        .http()
        .get(&format!("/api/v1/policies/{other}/content"));
    problem(&answer, 404, "not_found");
}

#[test]
fn a_token_is_verified_and_its_claims_decide() {
    use base64::Engine as _;
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use lictor::identity::{Grant, Issuer};
    use lictor::model::Timestamp;

    let folder = crate::support::scratch();
    let signing = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let pem = signing.to_pkcs8_pem(LineEnding::LF).unwrap();
    let issuer = Issuer::from_pem("tests", None, &pem).unwrap();
    let public = folder.path().join("public");
    let encoded = base64::engine::general_purpose::STANDARD.encode(issuer.public_key());
    std::fs::write(&public, encoded).unwrap();
    let issuer_of_tests =
        json!({"name": "tests", "audience": ["lictor"], "public_key_file": public});
    let sidecar = deciding(
        POLICIES,
        &json!({"identity": {"issuers": [issuer_of_tests]}}),
    );
    let body = r#"{"user_id":"ann","service_id":"s","action":"administer","context":{}}"#;
    let ask = |authorization: Option<&str>| {
        let headers: Vec<_> = authorization
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        sidecar.post_with("/v1/access/check", &headers, body)
    };
    assert_eq!(ask(None).json()["allowed"], false);
    for invalid in ["Bearer abc", "Basic abc", "", "Bearer "] {
        let answer = ask(Some(invalid));
        problem(&answer, 401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let grant = Grant {
        subject: "ann".into(),
        tenant: "acme".parse().unwrap(),
        roles: Vec::new(),
        audience: vec!["lictor".into()],
        issued_at: Timestamp::from_unix_seconds(now.as_secs() as i64),
        lifetime_seconds: 600,
        extra: serde_json::Map::new(),
    };
    let token = issuer.mint(&grant).unwrap();
    let answer = ask(Some(&format!("Bearer {token}")));
    assert_eq!(answer.json()["allowed"], true, "{}", answer.text());
    let elsewhere = Grant {
        tenant: "other".parse().unwrap(),
        ..grant
    };
    let token = issuer.mint(&elsewhere).unwrap();
    problem(
        &ask(Some(&format!("Bearer {token}"))),
        403,
        "permission_denied",
    );
}
