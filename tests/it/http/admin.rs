//! The admin listener.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::support::Http;
use crate::support::bundle::signing_key;

use super::decisions::POLICIES;
use super::{deciding, empty_under, problem, publish};

#[test]
fn it_shows_what_runs_and_fetches_on_demand() {
    let sidecar = deciding(POLICIES, &json!({"max_bundle_age": "1h"}));
    let status = sidecar.admin("/v1/status").json();
    assert_eq!(status["tenant"], "acme");
    assert_eq!(status["bundle"]["number"], 1);
    assert_eq!(status["keyring"]["keys"][0]["kid"], signing_key().kid);
    assert_eq!(status["sources"][0]["name"], "main");
    assert_eq!(status["ready"], true);

    let details = sidecar.admin("/health/details").json();
    assert_eq!(details["score"], 1.0, "{details}");
    assert_eq!(details["parts"].as_array().unwrap().len(), 3);
    assert_eq!(
        sidecar.admin("/health/fresh").json()["max_age_seconds"],
        3600
    );

    let config = sidecar.admin("/v1/config").json();
    assert_eq!(config["tenant"]["value"], "acme");
    assert!(
        config["tenant"]["origin"]
            .as_str()
            .unwrap()
            .ends_with("sidecar.yaml:1")
    );
    assert_eq!(
        config["limits.steps"],
        json!({"value": 1_000_000, "origin": "default"})
    );

    publish(&sidecar.pod, 2, POLICIES);
    let answer = Http::tcp(sidecar.admin).send("POST", "/v1/sync", &[], "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.json()["revision"]
            .as_str()
            .unwrap()
            .starts_with("2-"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.json()["sources"][0]["source"], "main");
}

#[test]
fn it_counts() {
    let sidecar = deciding(POLICIES, &json!({}));
    sidecar.post("/v1/validate", r#"{"environment":"test"}"#);
    sidecar.post(
        "/v1/validate",
        r#"{"environment":"production","endpoint":{"url":"http://a"}}"#,
    );
    sidecar.post("/v1/validate", "{");
    for (name, expected) in [
        ("policy_engine_validations_total{result=\"compliant\"}", 1.0),
        (
            "policy_engine_validations_total{result=\"non_compliant\"}",
            1.0,
        ),
        ("policy_engine_validations_total{result=\"error\"}", 1.0),
        (
            "lictor_decisions_total{kind=\"validate\",outcome=\"positive\"}",
            1.0,
        ),
        (
            "lictor_http_requests_total{route=\"validate\",status=\"2xx\"}",
            2.0,
        ),
        (
            "lictor_http_requests_total{route=\"validate\",status=\"4xx\"}",
            1.0,
        ),
        ("lictor_problems_total{code=\"invalid_json\"}", 1.0),
        ("policy_engine_active_policies", 2.0),
    ] {
        assert_eq!(sidecar.metric(name), Some(expected), "{name}");
    }
    assert!(sidecar.metric("process_resident_memory_bytes").unwrap() > 1e6);
}

#[test]
fn it_refuses_what_it_does_not_know() {
    let sidecar = deciding(POLICIES, &json!({}));
    problem(&sidecar.admin("/v1/validate"), 404, "not_found");
    problem(&sidecar.admin("/"), 404, "not_found");
    problem(&sidecar.admin("/v1/sync"), 405, "method_not_allowed");
    let mut http = Http::tcp(sidecar.admin);
    problem(
        &http.send("GET", "/v1/status", &[("host", "evil.example")], ""),
        403,
        "permission_denied",
    );
    problem(
        &http.send("GET", "/metrics", &[("origin", "https://a")], ""),
        403,
        "permission_denied",
    );
}

#[test]
fn beyond_this_machine_it_asks_for_the_token() {
    let token = crate::support::scratch();
    let file = token.path().join("token");
    std::fs::write(&file, "open sesame\n").unwrap();
    let anywhere = |token: Option<&str>| {
        let mut environment = vec![
            ("LICTOR_LISTENERS__ADMIN__ADDRESS", "0.0.0.0:0"),
            ("LICTOR_LISTENERS__ADMIN__INSECURE_PLAINTEXT", "true"),
        ];
        environment.extend(token.map(|file| ("LICTOR_LISTENERS__ADMIN__TOKEN_FILE", file)));
        let sidecar = empty_under(&environment);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, sidecar.admin.port()));
        (sidecar, address)
    };
    let ask = |address, path: &str, authorization: &str| {
        Http::tcp(address).send("GET", path, &[("authorization", authorization)], "")
    };
    let (_closed, address) = anywhere(None);
    assert_eq!(ask(address, "/health/live", "").status, 200);
    assert_eq!(ask(address, "/metrics", "").status, 200);
    problem(
        &ask(address, "/v1/status", "Bearer open sesame"),
        403,
        "permission_denied",
    );

    let (_guarded, address) = anywhere(file.to_str());
    assert_eq!(ask(address, "/v1/status", "Bearer open sesame").status, 200);
    for wrong in [
        "",
        "Bearer open",
        "Bearer open sesames",
        "Basic open sesame",
    ] {
        problem(&ask(address, "/v1/config", wrong), 401, "unauthenticated");
    }
}
