//! A sidecar's life: no decision before a bundle, a newer revision on demand, an orderly end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::Http;

use super::decisions::POLICIES;
use super::pod::{Pod, eventually};
use super::problem;

const GOOD: &str = r#"{"environment":"test"}"#;
const CHECK: &str = r#"{"user_id":"user-1","service_id":"s","action":"invoke","context":{}}"#;
const EVALUATION: &str = r#"{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"record","id":"1"}}"#;

#[test]
fn without_a_bundle_nothing_is_allowed() {
    let mut pod = Pod::empty("");
    for path in [
        "/v1/validate",
        "/v1/access/check",
        "/v1/consumption/validate",
        "/v1/variant",
    ] {
        let answer = pod.post(path, CHECK);
        problem(&answer, 503, "not_ready");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("x-lictor-bundle-age"), "");
    }
    let answer = pod.post("/access/v1/evaluation", EVALUATION);
    assert_eq!(answer.status, 503);
    assert!(answer.json().is_string());
    assert_eq!(pod.admin("/health/live").status, 200);
    for path in ["/health/startup", "/health/ready", "/health/fresh"] {
        assert_eq!(pod.admin(path).status, 503, "{path}");
    }
    assert_eq!(pod.admin("/health/details").json()["score"], 0.0);
    pod.publish(1, POLICIES);
    pod.wait_ready();
    assert_eq!(pod.post("/v1/validate", GOOD).status, 200);
    assert_eq!(pod.admin("/health/startup").status, 200);
    assert_eq!(pod.admin("/health/fresh").status, 200);
}

#[test]
fn requests_are_logged_only_where_that_was_asked_for() {
    let lines = |pod: &Pod| {
        let log = pod.lictor.log();
        log.into_iter()
            .filter(|line| line["message"] == "answered")
            .collect::<Vec<_>>()
    };
    let ask =
        |pod: &Pod| pod.post_with("/v1/validate?key=secret", &[("x-request-id", "r-1")], GOOD);
    let mut pod = Pod::deciding(POLICIES, "log: {level: debug}\n");
    assert_eq!(ask(&pod).status, 200);
    let line = pod.lictor.wait_for("a line in the log", |lictor| {
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
    let mut quiet = Pod::deciding(POLICIES, "");
    assert_eq!(ask(&quiet).status, 200);
    // Drained: whatever was to be logged has been.
    quiet.lictor.signal("TERM");
    quiet.lictor.exit();
    assert!(lines(&quiet).is_empty());
}

#[test]
fn only_what_was_named_fails_open() {
    let pod = Pod::empty("fail_open: [access]\n");
    let answer = pod.post("/v1/access/check", CHECK);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-lictor-failed-open"), "not_ready");
    assert_eq!(answer.json()["allowed"], true);
    let answer = pod.post("/access/v1/evaluation", EVALUATION);
    assert_eq!(answer.header("x-lictor-failed-open"), "not_ready");
    assert_eq!(answer.json()["decision"], true);
    problem(&pod.post("/v1/validate", GOOD), 503, "not_ready");
    problem(
        &pod.post("/v1/consumption/validate", CHECK),
        503,
        "not_ready",
    );
    // A request that is at fault itself is refused all the same.
    problem(
        &pod.http().send("POST", "/v1/access/check", &[], CHECK),
        415,
        "unsupported_media_type",
    );
    assert_eq!(
        pod.metric("lictor_failed_open_total{reason=\"not_ready\"}"),
        Some(2.0)
    );
}

#[test]
fn no_policy_allows_only_where_the_configuration_says_so() {
    let only_validation = POLICIES.split("---").next().unwrap();
    let pod = Pod::deciding(only_validation, "");
    let body = pod.post("/v1/access/check", CHECK).json();
    assert_eq!(body["allowed"], false);
    assert_eq!(body["reason"], "no access policy is loaded");
    let pod = Pod::deciding(only_validation, "access: {when_no_policy: allow}\n");
    let body = pod.post("/v1/access/check", CHECK).json();
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
    let pod = Pod::deciding(POLICIES, "");
    let ask = |revision: &str, prefer: &str| {
        let headers = [("x-lictor-min-revision", revision), ("prefer", prefer)];
        pod.post_with("/v1/validate", &headers, GOOD)
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
        pod.publish(2, POLICIES);
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
    let mut pod = Pod::deciding(POLICIES, "");
    let mut running = TcpStream::connect(pod.http).unwrap();
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
    let mut idle = pod.http();
    assert_eq!(idle.get("/nope").status, 404);

    pod.lictor.signal("TERM");
    pod.lictor.wait_for("the drain", |lictor| {
        lictor
            .log()
            .iter()
            .any(|line| line["message"] == "draining")
            .then_some(())
    });
    let ready = Http::tcp(pod.admin).get("/health/ready");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reason"], "shutting_down");
    eventually("refusal of new connections", || {
        TcpStream::connect(pod.http).is_err().then_some(())
    });
    running.write_all(GOOD.as_bytes()).unwrap();
    let mut answer = String::new();
    running.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("x-request-id: last"));
    assert!(pod.lictor.exit().success());
    let log = pod.lictor.log();
    assert!(
        log.iter()
            .any(|line| line["message"] == "stopped" && line["aborted"] == 0),
        "{log:?}"
    );
}

#[test]
fn a_drain_has_a_deadline() {
    let mut pod = Pod::deciding(POLICIES, "limits: {drain: 300ms, body_timeout: 60s}\n");
    let mut running = TcpStream::connect(pod.http).unwrap();
    running
        .write_all(b"POST /v1/validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n")
        .unwrap();
    let mut asked = [0; 25];
    running.read_exact(&mut asked).unwrap();
    pod.lictor.signal("INT");
    assert!(pod.lictor.exit().success());
    let log = pod.lictor.log();
    assert!(
        log.iter()
            .any(|line| line["message"] == "stopped" && line["aborted"] == 1),
        "{log:?}"
    );
}
