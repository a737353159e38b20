//! `lictor sidecar --opa-config FILE`.

use crate::support::lictor;
use crate::support::pod::Pod;

use super::{DATA, MODULE, rego_bundle, send, start};

const FILE: &str = r#"
services:
  - name: acme
    url: https://example.com
    credentials: {bearer: {token: "${SECRET_TOKEN}"}}
labels: {app: "${APP}"}
decision_logs: {console: true}
status: {console: true}
caching: {inter_query_builtin_cache: {max_size_bytes: 1}}
default_decision: /shop/echo
default_authorization_decision: /shop/open
server:
  encoding: {gzip: {min_length: 10, compression_level: 1}}
  decoding: {max_length: 100, gzip: {max_length: 200}}
  metrics: {prom: {http_request_duration_seconds: {buckets: [0.5]}}}
"#;

fn pod() -> Pod {
    let pod = Pod::new();
    pod.put(&rego_bundle(1, &[("shop/shop.rego", MODULE)], DATA));
    pod.put_at("opa.yaml", FILE.as_bytes());
    pod
}

#[test]
fn what_opa_was_told_holds_here() {
    let pod = pod();
    let mut command = pod.command();
    command
        .arg("--opa-config")
        .arg(pod.path("opa.yaml"))
        .env("APP", "shop")
        .env("SECRET_TOKEN", "s3cret");
    let mut sidecar = pod.spawn(&mut command);
    sidecar.wait_ready();
    // The default decision, and its input.
    let answer = send(&sidecar, "POST", "/", "[1]");
    assert_eq!((answer.status, answer.text().as_str()), (200, "[1]\n"));
    // Decisions are logged, so answers carry their id.
    let answer = send(&sidecar, "POST", "/v1/data/shop/allow", "{}");
    let id = answer.json()["decision_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-lictor-decision-id"), id);
    // Limits and compression.
    let answer = send(&sidecar, "POST", "/v1/data/shop/allow", &" ".repeat(101));
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("exceeds limit of 100 bytes"),
        "{}",
        answer.text()
    );
    let answer = sidecar
        .http()
        .send("GET", "/v1/data/roles", &[("accept-encoding", "gzip")], "");
    assert_eq!(answer.header("content-encoding"), "gzip");
    // What it was told, without secrets.
    let config = sidecar.http().get("/v1/config");
    let result = &config.json()["result"];
    assert_eq!(result["labels"]["app"], "shop");
    assert_eq!(result["default_decision"], "/shop/echo");
    assert!(!config.text().contains("s3cret"), "{}", config.text());
    assert!(result["services"][0].get("credentials").is_none());
    // The status document.
    let status = sidecar.http().get("/v1/status").json();
    let result = &status["result"];
    assert_eq!(result["labels"]["app"], "shop");
    assert_eq!(result["plugins"]["bundle"]["state"], "OK");
    let revision = result["bundles"]["main"]["active_revision"]
        .as_str()
        .unwrap();
    assert!(revision.starts_with("1-"), "{status:#}");
    // Metrics have the buckets that were asked for.
    let page = sidecar.http().get("/metrics").text();
    let bucket = r#"http_request_duration_seconds_bucket{code="200",handler="v1/data",method="post",le="0.5"} 1"#;
    assert!(page.contains(bucket), "{page}");
    // What is not served is named in the log.
    let named = |text: &str| {
        sidecar.process.log().iter().any(|line| {
            line["message"]
                .as_str()
                .is_some_and(|line| line.contains(text))
        })
    };
    assert!(named("`caching`"), "{:#?}", sidecar.process.log());
}

#[test]
fn our_own_file_and_flags_count_more() {
    let pod = pod();
    pod.configure(&serde_json::json!({"opa": {"default_decision": "/shop/numbers"}}));
    let file = pod.path("opa.yaml");
    let sidecar = start(&pod, &["--opa-config", file.to_str().unwrap()]);
    assert_eq!(send(&sidecar, "POST", "/", "").text(), "[1,2,3]\n");
    let printed = sidecar.admin("/v1/config").json();
    let origin = printed["opa.body_bytes"]["origin"].as_str().unwrap();
    assert!(
        origin.ends_with("opa.yaml: server.decoding.max_length"),
        "{origin}"
    );
}

#[test]
fn what_would_be_lost_stops_the_start() {
    let pod = pod();
    for (text, expected) in [
        (
            "plugins: {mine: {}}",
            "`plugins.mine`: plugins cannot be loaded",
        ),
        ("bundels: {}", "did you mean `bundle"),
        (
            "discovery: {resource: /x}",
            "`discovery.service` is missing",
        ),
        (
            "services: {a: {url: http://a}}\ndiscovery: {service: a, resource: /x}",
            "cannot be combined",
        ),
        ("a: [", "opa.yaml"),
    ] {
        pod.put_at("opa.yaml", text.as_bytes());
        let output = lictor()
            .args(["sidecar", "config", "check", "--config"])
            .arg(pod.path("sidecar.yaml"))
            .arg("--opa-config")
            .arg(pod.path("opa.yaml"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(expected),
            "{text}: {said}"
        );
    }
}
