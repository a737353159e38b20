//! What a question may cost, and what `print` does, as a client of the REST API sees it.

use serde_json::{Value, json};

use crate::support::sidecar::Sidecar;

use super::rest::sidecar;

const MODULE: &str = r#"package limited

import rego.v1

steps := count([1 | some x in numbers.range(1, 100); some y in numbers.range(1, 100); x < y])

# `with` keeps it off the register machine.
time := value if {
	value := count([1 | some x in numbers.range(1, 2000); some y in numbers.range(1, 2000); x == y]) with input.x as 1
}

long := concat("", [input.part | some _ in numbers.range(1, 1000)])

echo := input.part

said if {
	print("the part is", input.part, input.absent)
	input.part == "x"
}
"#;

fn start(limits: &Value) -> Sidecar {
    let more = json!({ "limits": limits });
    sidecar(&[("limited/limited.rego", MODULE)], &more)
}

/// Status and OPA's code of the first error of an answer.
fn refusal(sidecar: &Sidecar, path: &str, body: &str) -> (u16, String) {
    let answer = sidecar.post(path, body);
    let found: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
    let code = found["errors"][0]["code"].as_str();
    let code = code.or(found["code"].as_str()).unwrap_or_default();
    (answer.status, code.to_owned())
}

/// Nothing else is disturbed by what was refused.
fn assert_well(sidecar: &Sidecar) {
    let answer = sidecar.post("/v1/data/limited/echo", r#"{"input": {"part": "x"}}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["result"], "x");
}

#[test]
fn instructions_are_limited() {
    let sidecar = start(&json!({"steps": 2000}));
    let (status, code) = refusal(&sidecar, "/v1/data/limited/steps", "{}");
    assert_eq!((status, code.as_str()), (500, "eval_cancel_error"));
    assert_well(&sidecar);
}

#[test]
fn time_is_limited() {
    let sidecar = start(&json!({"rego_time": "20ms"}));
    let (status, code) = refusal(&sidecar, "/v1/data/limited/time", "{}");
    assert_eq!((status, code.as_str()), (500, "eval_cancel_error"));
    assert_well(&sidecar);
}

#[test]
fn the_result_is_limited() {
    let sidecar = start(&json!({"rego_result_bytes": "2KiB"}));
    let part = |length: usize| format!(r#"{{"input": {{"part": "{}"}}}}"#, "a".repeat(length));
    assert_eq!(sidecar.post("/v1/data/limited/long", &part(1)).status, 200);
    for (path, length) in [("long", 3), ("echo", 4000)] {
        let path = format!("/v1/data/limited/{path}");
        let (status, code) = refusal(&sidecar, &path, &part(length));
        assert_eq!(
            (status, code.as_str()),
            (500, "eval_cancel_error"),
            "{path}"
        );
    }
    assert_well(&sidecar);
}

#[test]
fn the_input_is_limited_and_garbage_is_refused() {
    let sidecar = start(&json!({"input_depth": 16}));
    let large = format!(r#"{{"input": {{"part": "{}"}}}}"#, "a".repeat(1 << 21));
    let deep = format!(r#"{{"input": {}1{}}}"#, "[".repeat(100), "]".repeat(100));
    for body in [
        large.as_str(),
        &deep,
        "{",
        r#"{"input": }"#,
        r#"{"input": "\x"}"#,
        "[]",
        "\u{0}\u{1}",
    ] {
        let shown: String = body.chars().take(40).collect();
        let (status, code) = refusal(&sidecar, "/v1/data/limited/echo", body);
        assert_eq!(
            (status, code.as_str()),
            (400, "invalid_parameter"),
            "{shown}"
        );
        assert_well(&sidecar);
    }
}

#[test]
fn what_rego_prints_goes_to_the_log_where_that_is_asked_for() {
    for asked in [false, true] {
        let mut sidecar = start(&json!({ "rego_prints": asked }));
        let body = r#"{"input": {"part": "x"}}"#;
        let answer = sidecar.post("/v1/data/limited/said", body);
        assert_eq!(answer.json()["result"], true);
        let query = json!({"query": "print(\"asked\", 1 + 1)"}).to_string();
        assert_eq!(sidecar.post("/v1/query", query.as_str()).status, 200);
        let interpreted = sidecar.metric("lictor_rego_interpreted_rules");
        assert_eq!(interpreted, Some(if asked { 2.0 } else { 1.0 }));
        let said = |lines: &[Value], what: &str| {
            let mut printed = lines.iter().filter_map(|line| {
                let fields = line.get("fields").unwrap_or(line);
                fields["line"].as_str().map(str::to_owned)
            });
            printed.find(|line| line.contains(what))
        };
        let in_module = "the part is x <undefined>";
        if asked {
            let line = sidecar.process.wait_for("the printed line", |process| {
                said(&process.log(), in_module)
            });
            assert!(line.contains("limited.rego:17"), "{line}");
            sidecar
                .process
                .wait_for("the line of the query", |process| {
                    said(&process.log(), "asked 2")
                });
        } else {
            // What is answered after it is logged after it.
            assert_well(&sidecar);
            assert_eq!(said(&sidecar.process.log(), in_module), None);
            assert_eq!(said(&sidecar.process.log(), "asked 2"), None);
        }
    }
}
