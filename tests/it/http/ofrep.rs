//! OFREP: one flag, all flags, and tags that know the context.

use serde_json::{Value, json};

use crate::support::Answer;
use crate::support::sidecar::Sidecar;

use super::{deciding, empty, publish};

const FLAGS: &str = "/ofrep/v1/evaluate/flags";

/// Three flags: of two variants, of true and false, for a few.
const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: colour}
spec:
  variants: [{name: red, weight: 1}, {name: blue, weight: 1}]
  overrides: {boss: blue}
---
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: dark-mode}
spec:
  variants: [{name: "true", weight: 1}, {name: "false", weight: 0}]
---
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: beta}
spec:
  audience: context.plan == "gold"
  variants: [{name: "on", weight: 1}]
---
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: nobody}
spec:
  rollout: 0
  variants: [{name: "on", weight: 1}]
"#;

fn send(sidecar: &Sidecar, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let path = format!("{FLAGS}{path}");
    sidecar.http().send("POST", &path, headers, body.to_vec())
}

fn ask(sidecar: &Sidecar, key: &str, context: &Value) -> Answer {
    let body = json!({ "context": context }).to_string();
    send(sidecar, &format!("/{key}"), &[], body.as_bytes())
}

#[test]
fn a_flag_is_an_experiment() {
    let sidecar = deciding(POLICIES, &json!({}));
    let answer = ask(&sidecar, "colour", &json!({"targetingKey": "boss"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    uuid::Uuid::parse_str(answer.header("x-lictor-decision-id")).unwrap();
    assert!(answer.header("x-lictor-revision").starts_with("1-"));
    assert_eq!(
        answer.json(),
        json!({"key": "colour", "reason": "TARGETING_MATCH", "value": "blue", "variant": "blue",
            "metadata": {"assignment": "override"}})
    );
    // The same key is in the same variant on the call of our own.
    for key in ["ann", "bob", "\u{e9}\"", "4711"] {
        let flag = ask(&sidecar, "colour", &json!({"targetingKey": key})).json();
        let own = json!({"experiment": "colour", "key": key}).to_string();
        let own = sidecar.post("/v1/variant", &own).json();
        assert_eq!(flag["variant"], own["variant"], "{key}");
        assert_eq!(flag["reason"], "SPLIT");
    }
    let boolean = ask(&sidecar, "dark-mode", &json!({"targetingKey": "ann"})).json();
    assert_eq!(boolean["value"], true);
    assert_eq!(boolean["variant"], "true");
    let gold = json!({"targetingKey": "ann", "plan": "gold"});
    assert_eq!(ask(&sidecar, "beta", &gold).json()["value"], "on");
    // No value is the client's own default; a null would be one.
    for (flag, context, reason) in [
        ("beta", json!({"targetingKey": "ann"}), "DISABLED"),
        ("nobody", json!({"targetingKey": "ann"}), "SPLIT"),
        ("colour", json!({}), "UNKNOWN"),
        ("colour", json!({"targetingKey": ""}), "UNKNOWN"),
    ] {
        let answer = ask(&sidecar, flag, &context);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["reason"], reason, "{body}");
        assert!(body.get("value").is_none() && body.get("variant").is_none());
    }
}

#[test]
fn what_cannot_be_evaluated_has_the_protocols_own_error() {
    let sidecar = deciding(POLICIES, &json!({"limits": {"body_bytes": 4096}}));
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let deep = format!(r#"{{"context":{{"targetingKey":"a","x":{deep}}}}}"#);
    for (path, body, status, code) in [
        ("/no%2Fflag", &b"{}"[..], 404, "FLAG_NOT_FOUND"),
        ("/colour", b"{", 400, "PARSE_ERROR"),
        ("/colour", b"\xff", 400, "PARSE_ERROR"),
        ("/colour", b"{} {}", 400, "PARSE_ERROR"),
        ("/colour", deep.as_bytes(), 400, "PARSE_ERROR"),
        ("/colour", b"[]", 400, "INVALID_CONTEXT"),
        ("/colour", br#"{"context":"a"}"#, 400, "INVALID_CONTEXT"),
        (
            "/colour",
            br#"{"context":{"targetingKey":7}}"#,
            400,
            "INVALID_CONTEXT",
        ),
    ] {
        let answer = send(&sidecar, path, &[], body);
        assert_eq!(answer.status, status, "{}", answer.text());
        let document = answer.json();
        assert_eq!(document["errorCode"], code, "{document}");
        assert!(document["errorDetails"].is_string());
        let key = if path == "/colour" {
            "colour"
        } else {
            "no/flag"
        };
        assert_eq!(document["key"], key);
    }
    for body in [&b"{"[..], b"[]"] {
        let answer = send(&sidecar, "", &[], body);
        assert_eq!(answer.status, 400);
        assert!(answer.json()["errorCode"].is_string());
        assert!(answer.json().get("key").is_none());
    }
    let answer = send(&sidecar, "", &[], &vec![b' '; 5000]);
    assert_eq!(answer.status, 413);
    assert!(answer.json()["errorDetails"].is_string());
    assert_eq!(sidecar.http().get(&format!("{FLAGS}/colour")).status, 405);
    // The last of two members of one name counts, as with the protocol's own servers.
    let twice = br#"{"context":{"targetingKey":"ann","targetingKey":"boss"}}"#;
    let answer = send(&sidecar, "/colour", &[], twice);
    assert_eq!(answer.json()["reason"], "TARGETING_MATCH");
    let sidecar = empty(&json!({}));
    let answer = send(&sidecar, "/colour", &[], b"{}");
    assert_eq!(answer.status, 503);
    assert!(!answer.header("retry-after").is_empty());
    assert!(answer.json()["errorDetails"].is_string());
}

#[test]
fn the_tag_of_all_flags_is_that_of_flags_and_context() {
    let pod = super::pod(&json!({}));
    publish(&pod, 1, POLICIES);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let ann = br#"{"context":{"targetingKey":"ann","plan":"gold"}}"#;
    let first = send(&sidecar, "", &[], ann);
    assert_eq!(first.status, 200);
    let flags = first.json();
    let flags = flags["flags"].as_array().unwrap();
    let mut names: Vec<_> = flags
        .iter()
        .map(|flag| flag["key"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["beta", "colour", "dark-mode", "nobody"]);
    for flag in flags {
        let key = flag["key"].as_str().unwrap();
        let single = send(&sidecar, &format!("/{key}"), &[], ann).json();
        assert_eq!(*flag, single);
    }
    let etag = first.header("etag").to_owned();
    let again = |body: &[u8], tag: &str| send(&sidecar, "/", &[("if-none-match", tag)], body);
    let unchanged = again(ann, &etag);
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.body.len(), 0);
    assert_eq!(unchanged.header("etag"), etag);
    assert_eq!(again(ann, &format!("\"x\", W/{etag}")).status, 304);
    assert_eq!(again(ann, "*").status, 304);
    let reordered = br#"{"context": {"plan":"gold","targetingKey":"ann"}}"#;
    assert_eq!(again(reordered, &etag).status, 304);
    for other in [
        &br#"{"context":{"targetingKey":"ann","plan":"gold","new":1}}"#[..],
        br#"{"context":{"targetingKey":"bob","plan":"gold"}}"#,
        b"{}",
        b"",
    ] {
        let answer = again(other, &etag);
        assert_eq!(answer.status, 200);
        assert_ne!(answer.header("etag"), etag);
    }
    publish(&pod, 2, &POLICIES.replace("rollout: 0", "rollout: 100"));
    sidecar.sync();
    sidecar.wait_for_number(2);
    assert_eq!(again(ann, &etag).status, 200);
}
