//! A policy decides about each request, the same one at both.

use crate::support::outside;
use crate::support::pod::Pod;

use super::pair::{Ask, Opa, Pair};
use super::{DATA, MODULE, rego_bundle, start};

const AUTHZ: &str = r#"package system.authz

default allow := false

allow if input.identity == "open"

allow := {"allowed": false, "reason": "not <you>"} if input.identity == "reason"

allow := {"reason": "nothing"} if input.identity == "nothing"

allow if {
	input.identity == "shape"
	input.path == ["v1", "data", "shop", "a b"]
	input.method == "POST"
	input.params == {"x": ["1", "2 3"], "pretty": [""]}
	input.headers["X-Some-Thing"] == ["a", "b"]
	not input.headers.Host
	input.body == {"input": null}
}

allow if {
	input.identity == "root"
	input.path == [""]
	not input.body
}
"#;

const ARGUMENTS: [&str; 2] = ["--authentication=token", "--authorization=basic"];

fn pair(modules: &[(&str, &str)]) -> Option<Pair> {
    let opa = outside("opa")?;
    let pod = Pod::new();
    pod.put(&rego_bundle(1, modules, DATA));
    Some(Pair {
        opa: Opa::start_with(&opa, modules, DATA, &ARGUMENTS),
        sidecar: start(&pod, &ARGUMENTS),
    })
}

#[test]
fn the_policy_decides_about_each_request() {
    let Some(pair) = pair(&[("shop/shop.rego", MODULE), ("authz.rego", AUTHZ)]) else {
        return;
    };
    let input = r#"{"input": {"user": "alice"}}"#;
    let mut wrong = Vec::new();
    for (token, method, path, body) in [
        ("open", "POST", "/v1/data/shop/allow", input),
        ("open", "POST", "/v1/data/shop/echo", r#"{"input": null}"#),
        ("open", "POST", "/v1/data/shop/echo", r#"{"INPUT": 1}"#),
        ("open", "POST", "/v1/data/shop/echo", "[1]"),
        ("open", "POST", "/v1/data/shop/echo", ""),
        ("open", "POST", "/v1/data/shop/echo", "{} x"),
        ("open", "POST", "/v1/data/shop/echo", "{"),
        ("open", "POST", "/v0/data/shop/echo", "null"),
        (
            "open",
            "POST",
            "/v1/query",
            r#"{"query": "x = input", "input": 1}"#,
        ),
        ("open", "GET", "/v1/data/count", ""),
        ("open", "GET", "/health", ""),
        ("closed", "GET", "/health", ""),
        ("closed", "GET", "/metrics", ""),
        ("closed", "POST", "/v1/data/shop/allow", input),
        ("closed", "PUT", "/v1/data/shop/allow", "x"),
        ("closed", "DELETE", "/v1/data", ""),
        ("reason", "POST", "/v1/data/shop/allow", input),
        ("nothing", "POST", "/v1/data/shop/allow", input),
        (
            "shape",
            "POST",
            "/v1/data/shop/a%20b?x=1&x=2+3&pretty",
            r#"{"input": null}"#,
        ),
        (
            "shape",
            "POST",
            "/v1/data/shop/a%20b?x=1&x=2+3",
            r#"{"input": null}"#,
        ),
        ("root", "GET", "/v1/data", ""),
    ] {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("x-some-thing", "a"),
            ("x-some-thing", "b"),
        ];
        let ask = Ask {
            method,
            path,
            headers: &headers,
            body: body.as_bytes(),
        };
        if let Some(difference) = pair.difference(&ask) {
            wrong.push(format!("{token} {method} {path} {body}\n{difference}"));
        }
    }
    for value in [
        "Bearer",
        "bearer open",
        "Bearer  open",
        "Bearer open x",
        "Basic open",
        "",
    ] {
        let ask = Ask {
            method: "GET",
            path: "/v1/data/count",
            headers: &[("authorization", value)],
            body: b"",
        };
        if let Some(difference) = pair.difference(&ask) {
            wrong.push(format!("{value}\n{difference}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn without_a_policy_every_request_is_an_error() {
    let Some(pair) = pair(&[("shop/shop.rego", MODULE)]) else {
        return;
    };
    for path in ["/health", "/v1/data/count"] {
        let ask = Ask {
            method: "GET",
            path,
            headers: &[],
            body: b"",
        };
        assert_eq!(pair.difference(&ask), None);
        let answer = crate::support::Http::tcp(pair.sidecar.http).get(path);
        assert_eq!(answer.status, 500);
    }
}

#[test]
fn what_is_asked_about_the_api_itself_is_no_logged_decision() {
    let pod = Pod::new();
    let health = "package system.health\n\nlive := true\n";
    let open = "package system.authz\n\nallow := true\n";
    pod.put(&rego_bundle(
        1,
        &[
            ("shop/shop.rego", MODULE),
            ("authz.rego", open),
            ("health.rego", health),
        ],
        DATA,
    ));
    let log = pod.path("decisions.jsonl");
    pod.configure(&serde_json::json!({"decision_log": {"file": log}}));
    let mut sidecar = start(&pod, &ARGUMENTS);
    let asked = sidecar.http().get("/health/live");
    assert_eq!(asked.status, 200, "{}", asked.text());
    let decided = sidecar.post("/v1/data/shop/allow", "{}");
    assert_eq!(decided.status, 200, "{}", decided.text());
    // Stopped, it has written all that it has.
    sidecar.process.signal("TERM");
    sidecar.process.exit();
    let text = std::fs::read_to_string(&log).unwrap();
    let paths: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["shop/allow"], "{text}");
}
