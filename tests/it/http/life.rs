//! A sidecar's life: no decision before a bundle, a newer revision on demand, an orderly end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::Http;
use crate::support::sidecar::Sidecar;

use super::decisions::POLICIES;
use super::{deciding, empty, problem, publish};

const GOOD: &str = r#"{"environment":"test"}"#;
const CHECK: &str = r#"{"user_id":"user-1","service_id":"s","action":"invoke","context":{}}"#;
const EVALUATION: &str = r#"{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"record","id":"1"}}"#;

#[test]
fn without_a_bundle_nothing_is_allowed() {
    let mut sidecar = empty(&json!({}));
    for path in [
        "/v1/validate",
        "/v1/access/check",
        "/v1/consumption/validate",
        "/v1/variant",
    ] {
        let answer = sidecar.post(path, CHECK);
        problem(&answer, 503, "not_ready");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("x-lictor-bundle-age"), "");
    }
    let answer = sidecar.post("/access/v1/evaluation", EVALUATION);
    assert_eq!(answer.status, 503);
    assert!(answer.json().is_string());
    assert_eq!(sidecar.admin("/health/live").status, 200);
    for path in ["/health/startup", "/health/ready", "/health/fresh"] {
        assert_eq!(sidecar.admin(path).status, 503, "{path}");
    }
    assert_eq!(sidecar.admin("/health/details").json()["score"], 0.0);
    publish(&sidecar.pod, 1, POLICIES);
    sidecar.wait_ready();
    assert_eq!(sidecar.post("/v1/validate", GOOD).status, 200);
    assert_eq!(sidecar.admin("/health/startup").status, 200);
    assert_eq!(sidecar.admin("/health/fresh").status, 200);
}

#[test]
fn requests_are_logged_only_where_that_was_asked_for() {
    let lines = |sidecar: &Sidecar| {
        let log = sidecar.process.log();
        log.into_iter()
            .filter(|line| line["message"] == "answered")
            .collect::<Vec<_>>()
    };
    let ask = |sidecar: &Sidecar| {
        sidecar.post_with("/v1/validate?key=secret", &[("x-request-id", "r-1")], GOOD)
    };
    let mut sidecar = deciding(POLICIES, &json!({"log": {"level": "debug"}}));
    assert_eq!(ask(&sidecar).status, 200);
    let line = sidecar.process.wait_for("a line in the log", |lictor| {
        lictor
            .log()
            .into_iter()
            .find(|line| line["message"] == "answered")
    });
    assert_eq!(line["path"], "/v1/validate");
    assert_eq!(
        (&line["status"], &line["request_id"]),
        (&200.into(), &"r-1".into())
    );
    assert!(!line.to_string().contains("secret"));
    let mut quiet = deciding(POLICIES, &json!({}));
    assert_eq!(ask(&quiet).status, 200);
    // Drained: whatever was to be logged has been.
    quiet.process.signal("TERM");
    quiet.process.exit();
    assert!(lines(&quiet).is_empty());
}

#[test]
fn only_what_was_named_fails_open() {
    let sidecar = empty(&json!({"fail_open": ["access"]}));
    let answer = sidecar.post("/v1/access/check", CHECK);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-lictor-failed-open"), "not_ready");
    assert_eq!(answer.json()["allowed"], true);
    let answer = sidecar.post("/access/v1/evaluation", EVALUATION);
    assert_eq!(answer.header("x-lictor-failed-open"), "not_ready");
    assert_eq!(answer.json()["decision"], true);
    problem(&sidecar.post("/v1/validate", GOOD), 503, "not_ready");
    problem(
        &sidecar.post("/v1/consumption/validate", CHECK),
        503,
        "not_ready",
    );
    // A request that is at fault itself is refused all the same.
    problem(
        &sidecar.http().send("POST", "/v1/access/check", &[], CHECK),
        415,
        "unsupported_media_type",
    );
    assert_eq!(
        sidecar.metric("lictor_failed_open_total{reason=\"not_ready\"}"),
        Some(2.0)
    );
}

#[test]
fn no_policy_allows_only_where_the_configuration_says_so() {
    let only_validation = POLICIES.split("---").next().unwrap();
    let sidecar = deciding(only_validation, &json!({}));
    let body = sidecar.post("/v1/access/check", CHECK).json();
    assert_eq!(body["allowed"], false);
    assert_eq!(body["reason"], "no access policy is loaded");
    let sidecar = deciding(
        only_validation,
        &json!({"access": {"when_no_policy": "allow"}}),
    );
    let body = sidecar.post("/v1/access/check", CHECK).json();
    assert_eq!(body["allowed"], true);
    assert!(
        body["reason"]
            .as_str()
            .unwrap()
            .starts_with("no access policy is loaded")
    );
}

#[test]
fn a_request_can_demand_a_revision() {
    let sidecar = deciding(POLICIES, &json!({}));
    let ask = |revision: &str, prefer: &str| {
        let headers = [("x-lictor-min-revision", revision), ("prefer", prefer)];
        sidecar.post_with("/v1/validate", &headers, GOOD)
    };
    assert_eq!(ask("1", "").status, 200);
    assert_eq!(ask("1-0123456789ab", "").status, 200);
    let answer = ask("2", "");
    let document = problem(&answer, 409, "revision_not_reached");
    assert!(
        answer.header("x-lictor-revision").starts_with("1-"),
        "{document}"
    );
    problem(&ask("two", ""), 400, "invalid_request");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask("2", "wait=30"));
        publish(&sidecar.pod, 2, POLICIES);
        let answer = waiting.join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.json()["revision"]
                .as_str()
                .unwrap()
                .starts_with("2-")
        );
    });
    problem(&ask("3", "wait=1"), 409, "revision_not_reached");
}

#[test]
fn an_end_lets_requests_finish() {
    let mut sidecar = deciding(POLICIES, &json!({}));
    let mut running = TcpStream::connect(sidecar.http).unwrap();
    running
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let head = format!(
        "POST /v1/validate HTTP/1.1\r\nhost: localhost\r\nx-request-id: last\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        GOOD.len()
    );
    running.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: from here on the request runs.
    let mut asked = [0; 25];
    running.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut idle = sidecar.http();
    assert_eq!(idle.get("/nope").status, 404);

    sidecar.process.signal("TERM");
    sidecar.process.wait_for("the drain", |lictor| {
        lictor
            .log()
            .iter()
            .any(|line| line["message"] == "draining")
            .then_some(())
    });
    let ready = Http::tcp(sidecar.admin).get("/health/ready");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reason"], "shutting_down");
    let http = sidecar.http;
    sidecar.process.wait_for("refusal of new connections", |_| {
        TcpStream::connect(http).is_err().then_some(())
    });
    running.write_all(GOOD.as_bytes()).unwrap();
    let mut answer = String::new();
    running.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("x-request-id: last"));
    assert!(sidecar.process.exit().success());
    let log = sidecar.process.log();
    assert!(
        log.iter()
            .any(|line| line["message"] == "stopped" && line["aborted"] == 0),
        "{log:?}"
    );
}

#[test]
fn a_drain_has_a_deadline() {
    let mut sidecar = deciding(
        POLICIES,
        &json!({"limits": {"drain": "300ms", "body_timeout": "60s"}}),
    );
    let mut running = TcpStream::connect(sidecar.http).unwrap();
    running
        .write_all(b"POST /v1/validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n")
        .unwrap();
    let mut asked = [0; 25];
    running.read_exact(&mut asked).unwrap();
    sidecar.process.signal("INT");
    assert!(sidecar.process.exit().success());
    let log = sidecar.process.log();
    assert!(
        log.iter()
            .any(|line| line["message"] == "stopped" && line["aborted"] == 1),
        "{log:?}"
    );
}
