//! Whose tokens are believed, on every call of the main listener.

use serde_json::{Value, json};

use crate::support::Answer;
use crate::support::idp::{self, Idp, SigningKey, claims, key_set};
use crate::support::sidecar::Sidecar;

use super::decisions::POLICIES;
use super::{deciding, problem};

fn trusting(jwks: &str) -> Value {
    json!({"identity": {"issuers": [
        {"name": idp::ISSUER, "audience": ["lictor"], "algorithm": "ES256", "jwks": jwks},
    ]}})
}

fn ask(sidecar: &Sidecar, token: &str) -> Answer {
    sidecar.post_with(
        "/v1/validate",
        &[("authorization", &format!("Bearer {token}"))],
        "{}",
    )
}

#[test]
fn a_key_set_is_fetched_and_its_next_key_is_found_by_itself() {
    let [old, new] = ["old", "new"].map(SigningKey::new);
    let idp = Idp::start(key_set(&[&old]));
    let sidecar = deciding(POLICIES, &trusting(&idp.url));
    let first = old.token(&claims("ann", "acme"));
    assert_eq!(ask(&sidecar, &first).status, 200);
    idp.publish(key_set(&[&new]));
    let next = new.token(&claims("ann", "acme"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    // Unknown keys are looked for every ten seconds and no more often.
    while ask(&sidecar, &next).status != 200 {
        assert!(std::time::Instant::now() < end);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    problem(&ask(&sidecar, &first), 401, "unauthenticated");
}

#[test]
fn a_token_that_is_there_and_wrong_is_anonymous_on_no_call() {
    let [known, forger] = ["known", "known"].map(SigningKey::new);
    let idp = Idp::start(key_set(&[&known]));
    let sidecar = deciding(POLICIES, &trusting(&idp.url));
    let good = claims("ann", "acme");
    let mut expired = good.clone();
    expired["exp"] = json!(idp::now() - 3600);
    let mut elsewhere = good.clone();
    elsewhere["aud"] = json!("another");
    let forged = [
        forger.token(&good),
        known.token(&expired),
        known.token(&elsewhere),
        known.token_under(&json!({"alg": "none", "typ": "JWT"}), &good),
        known.token_under(&json!({"alg": "HS256", "typ": "JWT"}), &good),
        known.token_under(&json!({"alg": "ES256", "typ": "lictor-bundle+jws"}), &good),
        "x".repeat(17 * 1024),
        "a.b.c".to_owned(),
    ];
    let calls = [
        ("POST", "/v1/validate"),
        ("POST", "/v1/access/check"),
        ("POST", "/v1/consumption/validate"),
        ("POST", "/v1/variant"),
        ("POST", "/ofrep/v1/evaluate/flags"),
        ("POST", "/ofrep/v1/evaluate/flags/colour"),
        ("POST", "/access/v1/evaluation"),
        ("POST", "/access/v1/evaluations"),
        ("GET", "/.well-known/authzen-configuration"),
        (
            "GET",
            "/api/v1/policies/7f3b1c1e-4a5b-4c6d-8e7f-0123456789ab/content",
        ),
    ];
    for (method, path) in calls {
        let send = |authorization: &str| {
            let headers = [
                ("authorization", authorization),
                ("content-type", "application/json"),
            ];
            sidecar.http().send(method, path, &headers, "{}")
        };
        for token in &forged {
            let answer = send(&format!("Bearer {token}"));
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        for other in ["Basic YTpi", "Bearer", ""] {
            assert_eq!(send(other).status, 401, "{method} {path} {other}");
        }
        let other_tenant = known.token(&claims("ann", "other"));
        assert_eq!(
            send(&format!("Bearer {other_tenant}")).status,
            403,
            "{path}"
        );
        let right = send(&format!("Bearer {}", known.token(&good)));
        assert!(![401, 403].contains(&right.status), "{path}");
    }
}

#[test]
fn before_the_first_key_set_nobody_is_believed_and_nobody_called_a_liar() {
    let known = SigningKey::new("known");
    let idp = Idp::start("not yet".to_owned());
    let sidecar = deciding(POLICIES, &trusting(&idp.url));
    let token = known.token(&claims("ann", "acme"));
    problem(&ask(&sidecar, &token), 503, "not_ready");
    assert_eq!(sidecar.post("/v1/validate", "{}").status, 200);
    idp.publish(key_set(&[&known]));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while ask(&sidecar, &token).status != 200 {
        assert!(std::time::Instant::now() < end);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn an_issuer_that_cannot_be_used_keeps_the_sidecar_from_starting() {
    let issuer = |member: &str, value: &str| {
        let mut issuer = json!({"name": "i", "audience": ["a"]});
        issuer[member] = json!(value);
        issuer
    };
    for (issuer, said) in [
        (json!({"name": "i", "audience": ["a"]}), "public_key_file"),
        (issuer("jwks", "http://idp.example/keys"), "plain text"),
        (issuer("jwks", "ftp://idp.example/keys"), "ftp://"),
        (issuer("jwks", "/nowhere/keys"), "/nowhere/keys"),
        (issuer("public_key_file", "/nowhere/key"), "/nowhere/key"),
        (issuer("algorithm", "HS256"), "HS256"),
        (issuer("algorithm", "none"), "none"),
        (issuer("use", "bundle"), "bundle"),
    ] {
        let pod = super::pod(&json!({"identity": {"issuers": [issuer]}}));
        let output = pod.command().output().unwrap();
        assert!(!output.status.success(), "{said}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(said), "{said}: {error}");
    }
}
