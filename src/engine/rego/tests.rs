use std::time::Duration;

use regorus::Value;

use super::compile::compile;
use super::*;
use crate::engine::{Data, DataBuilder, Limits};

fn data(json: &str) -> Data {
    let mut builder = DataBuilder::default();
    builder.add(&[], &mut json.as_bytes()).unwrap();
    builder.finish()
}

fn module(text: &str) -> RegoModule {
    RegoModule {
        path: "test.rego".into(),
        text: text.into(),
        version: RegoVersion::V1,
    }
}

struct Bench {
    rego: Rego,
    data: Data,
    limits: Limits,
    machine: RegoMachine,
}

impl Bench {
    fn new(modules: &[&str], json: &str) -> Self {
        let data = data(json);
        let modules = modules
            .iter()
            .enumerate()
            .map(|(index, text)| RegoModule {
                path: format!("{index}.rego").into(),
                ..module(text)
            })
            .collect();
        Self {
            rego: compile(modules, &data).unwrap(),
            data,
            limits: Limits::default(),
            machine: RegoMachine::default(),
        }
    }

    fn ask(&mut self, path: &str, input: &str) -> Result<Option<String>, RegoError> {
        let segments: Vec<RegoSegment<'_>> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse()
                    .map_or(RegoSegment::Name(part), RegoSegment::Index)
            })
            .collect();
        let input = RegoInput {
            value: Some(input)
                .filter(|text| !text.is_empty())
                .map(|text| parse_rego_json(text.as_bytes(), 64).unwrap()),
            strict: false,
        };
        let value = self.rego.document(
            &segments,
            &input,
            &self.data,
            &self.limits,
            &mut self.machine,
        )?;
        Ok(value.map(|value| json(&value)))
    }

    fn get(&mut self, path: &str, input: &str) -> Option<String> {
        self.ask(path, input).unwrap()
    }
}

fn json(value: &Value) -> String {
    let mut out = Vec::new();
    assert!(write_rego_json(value, usize::MAX, &mut out));
    String::from_utf8(out).unwrap()
}

const AUTHZ: &str = r#"
package authz
import data.roles
default allow := false
allow if {
    some role in roles[input.user]
    role == "admin"
}
reasons contains reason if {
    not allow
    reason := sprintf("%s is no admin", [input.user])
}
f(x) := x + 1
two := f(1)
"#;

#[test]
fn a_path_is_a_rule_a_package_base_data_or_a_mix() {
    let mut bench = Bench::new(
        &[AUTHZ, "package authz.deep\nx := 1\n"],
        r#"{"roles": {"ann": ["admin"]}, "authz": {"limit": [1, {"a": 2}]}, "big": 18446744073709551615}"#,
    );
    let ann = r#"{"user": "ann"}"#;
    for (path, input, expected) in [
        ("authz/allow", ann, Some("true")),
        ("authz/allow", r#"{"user": "bob"}"#, Some("false")),
        ("authz/allow", "", Some("false")),
        (
            "authz/reasons",
            r#"{"user": "bob"}"#,
            Some(r#"["bob is no admin"]"#),
        ),
        ("authz/two", "", Some("2")),
        ("authz/f", "", None),
        ("authz/absent", "", None),
        ("authz/limit", "", Some(r#"[1,{"a":2}]"#)),
        ("authz/limit/1/a", "", Some("2")),
        ("authz/limit/7", "", None),
        ("authz/deep", "", Some(r#"{"x":1}"#)),
        (
            "authz",
            ann,
            Some(r#"{"allow":true,"deep":{"x":1},"limit":[1,{"a":2}],"reasons":[],"two":2}"#),
        ),
        ("big", "", Some("18446744073709551615")),
        (
            "",
            ann,
            Some(
                r#"{"authz":{"allow":true,"deep":{"x":1},"limit":[1,{"a":2}],"reasons":[],"two":2},"big":18446744073709551615,"roles":{"ann":["admin"]}}"#,
            ),
        ),
    ] {
        assert_eq!(
            bench.get(path, input).as_deref(),
            expected,
            "{path} {input}"
        );
    }
}

#[test]
fn base_data_needs_no_module() {
    let mut bench = Bench::new(&[], r#"{"a": {"b": [true, null]}}"#);
    assert_eq!(bench.get("a/b/0", "").as_deref(), Some("true"));
    assert_eq!(bench.get("a/b/1", "").as_deref(), Some("null"));
    assert_eq!(bench.get("a/c", ""), None);
    assert_eq!(
        bench.get("", "").as_deref(),
        Some(r#"{"a":{"b":[true,null]}}"#)
    );
}

#[test]
fn a_rule_that_the_machine_refuses_is_interpreted() {
    let text = "package a\nx := 1\ny if x == 1 with input as 2\n";
    let mut bench = Bench::new(&[text], "{}");
    let engines: Vec<_> = bench.rego.rules().collect();
    assert_eq!(engines[0], ("data.a.x", &RegoEngine::Machine));
    assert!(matches!(engines[1].1, RegoEngine::Interpreter(reason) if reason.contains("with")));
    assert_eq!(bench.get("a", "").as_deref(), Some(r#"{"x":1,"y":true}"#));
}

#[test]
fn queries_are_answered_by_their_variables() {
    let bench = Bench::new(
        &[AUTHZ],
        r#"{"roles": {"ann": ["admin"]}, "extra": [1, 2]}"#,
    );
    let ask = |text: &str| {
        let input = RegoInput::default();
        bench
            .rego
            .query(text, &input, &bench.data, &bench.limits)
            .map(|found| found.iter().map(json).collect::<Vec<_>>())
    };
    assert_eq!(
        ask("x := data.extra[i]; x > 1").unwrap(),
        [r#"{"i":1,"x":2}"#]
    );
    assert_eq!(ask("data.authz.allow == false").unwrap(), ["{}"]);
    assert!(ask("data.authz.allow").unwrap().is_empty());
    assert!(ask("data.roles.bob").unwrap().is_empty());
    assert_eq!(ask("x :=").unwrap_err().kind, RegoErrorKind::Parse);
    assert_eq!(ask("x > 1").unwrap_err().kind, RegoErrorKind::UnsafeVar);
}

#[test]
fn an_endless_evaluation_is_cut_off() {
    let text = "package a\nn := count([1 | some i in numbers.range(1, 2000); some j in numbers.range(1, 2000); i == j])\nm := x if x := n with input as 1\n";
    let mut bench = Bench::new(&[text], "{}");
    bench.limits.rego_time = Duration::from_millis(20);
    for path in ["a/n", "a/m"] {
        let error = bench.ask(path, "").unwrap_err();
        assert_eq!(error.kind, RegoErrorKind::Cancelled, "{error}");
    }
}
