mod builtins;
mod undefined;

use std::time::Duration;

use regorus::Value;

use super::compile::compile;
use super::*;
use crate::engine::{Data, DataBuilder, Limits};
use crate::model::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_nanos(1_700_000_000_000_000_000);

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
            rego: compile(modules, &data, false).unwrap(),
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
        let setting = RegoSetting {
            input: &input,
            data: &self.data,
            limits: &self.limits,
            now: NOW,
        };
        let value = self.rego.document(&segments, &setting, &mut self.machine)?;
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
        let setting = RegoSetting {
            input: &input,
            data: &bench.data,
            limits: &bench.limits,
            now: NOW,
        };
        bench
            .rego
            .query(text, &setting, &mut Vec::new())
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

#[test]
fn printing_is_off_unless_it_is_kept() {
    let text = "package a\nx if {\n  print(\"value\", input.absent)\n  true\n}\n";
    let data = data("{}");
    for keep in [false, true] {
        let rego = compile(vec![module(text)], &data, keep).unwrap();
        let on_machine = rego
            .rules()
            .all(|(_, engine)| *engine == RegoEngine::Machine);
        assert_eq!(on_machine, !keep);
        let mut bench = Bench {
            rego,
            data: DataBuilder::default().finish(),
            limits: Limits::default(),
            machine: RegoMachine::default(),
        };
        assert_eq!(bench.get("a/x", "").as_deref(), Some("true"));
        let prints = bench.machine.take_prints();
        if keep {
            assert_eq!(prints, ["test.rego:3: value <undefined>"]);
        } else {
            assert!(prints.is_empty());
        }
    }
}

#[test]
fn json_is_read_exactly_and_written_as_opa_does() {
    for (text, expected) in [
        (
            r#"{"b": 1, "a": [true, null, "x\u00e9\ud83d\ude00\n"]}"#,
            "{\"a\":[true,null,\"xé😀\\n\"],\"b\":1}",
        ),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551616", "18446744073709551616"),
        ("-0", "0"),
        ("2.5", "2.5"),
        (r#""<&>""#, r#""\u003c\u0026\u003e""#),
        (r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#),
        (r#""\ud800""#, "\"\u{fffd}\""),
    ] {
        let value = parse_rego_json(text.as_bytes(), 8).unwrap();
        assert_eq!(json(&value), expected, "{text}");
    }
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\" 1}",
        "01",
        "1.",
        "tru",
        "\"\u{1}\"",
        "1 2",
        "[[[[[[[[[1]]]]]]]]]",
        "\"\\x\"",
        "-",
    ] {
        assert!(parse_rego_json(text.as_bytes(), 8).is_err(), "{text}");
    }
    assert!(parse_rego_json(&[b'"', 0xff, b'"'], 8).is_err());
    let long = parse_rego_json(br#"["aaaaaaaaaa", 1]"#, 8).unwrap();
    assert!(!write_rego_json(&long, 8, &mut Vec::new()));
}

#[test]
fn a_builtin_error_ends_a_strict_evaluation_alone() {
    let text = "package a\nx := crypto.md5(1)\ny := to_number(\"x\")\nz := v if { v := crypto.md5(1) with input as 1 }\n";
    let bench = Bench::new(&[text], "{}");
    for path in ["x", "y", "z"] {
        for strict in [false, true] {
            let input = RegoInput {
                value: None,
                strict,
            };
            let setting = RegoSetting {
                input: &input,
                data: &bench.data,
                limits: &bench.limits,
                now: NOW,
            };
            let path = [RegoSegment::Name("a"), RegoSegment::Name(path)];
            let mut machine = RegoMachine::default();
            let found = bench.rego.document(&path, &setting, &mut machine);
            match found {
                Ok(None) => assert!(!strict, "{path:?}"),
                Err(error) => {
                    assert!(
                        strict && error.kind == RegoErrorKind::Builtin,
                        "{path:?} {error:?}"
                    );
                }
                Ok(Some(value)) => panic!("{path:?}: {value}"),
            }
        }
    }
}

#[test]
fn two_values_of_one_rule_are_a_conflict() {
    let text = "package a\nx := 1 if input.a\nx := 2 if input.b\n";
    let mut bench = Bench::new(&[text], "{}");
    let error = bench.ask("a/x", r#"{"a": true, "b": true}"#).unwrap_err();
    assert_eq!(error.kind, RegoErrorKind::Conflict, "{error}");
    assert_eq!(bench.get("a/x", r#"{"b": true}"#).as_deref(), Some("2"));
}

#[test]
fn a_local_may_have_the_name_of_something_else() {
    let text = r#"package a
import data.roles as known
allow if {
    some role in input.roles
    role == "admin"
}
role := "rule"
seen := [[role, x] | some x in input.roles; role := "own"]
outer := [inner | some x in input.roles; inner := [x | some x in [1, 2]]]
imported := [known | some known in input.roles]
"#;
    let mut bench = Bench::new(&[text], r#"{"roles": {}}"#);
    let input = r#"{"roles": ["admin"]}"#;
    for (path, expected) in [
        ("a/allow", "true"),
        ("a/role", r#""rule""#),
        ("a/seen", r#"[["own","admin"]]"#),
        ("a/outer", "[[1,2]]"),
        ("a/imported", r#"["admin"]"#),
    ] {
        assert_eq!(bench.get(path, input).as_deref(), Some(expected), "{path}");
    }
}

/// What the register machine gets wrong as it comes. Both engines answer.
#[test]
fn both_engines_notice_what_has_no_value_or_two() {
    let text = r#"package a
several := x if some x in input.list
object[key] := x if { some x in input.list; key := x % 2 }
comprehension := {x % 2: x | some x in input.list}
f(x) := 1 if x > 0
f(x) := 2 if x > 1
twice := f(2)
constant(_) := 1
undefined := constant(input.absent)
negated if not constant(input.absent)
chain := "first" if { some x in input.list; x > 9 } else := "second"
later := [count([1 | some x in []; x > input.n]), input.n]
"#;
    let input = r#"{"list": [1, 2, 3], "n": 7}"#;
    for interpreting in [false, true] {
        let mut bench = Bench::new(&[text], "{}");
        if interpreting {
            bench.machine = RegoMachine::interpreting();
        } else {
            let rules: Vec<_> = bench.rego.rules().collect();
            let all = rules
                .iter()
                .all(|(_, engine)| **engine == RegoEngine::Machine);
            assert!(all, "{rules:?}");
        }
        for path in ["several", "object", "comprehension", "twice"] {
            let error = bench.ask(&format!("a/{path}"), input).unwrap_err();
            assert_eq!(error.kind, RegoErrorKind::Conflict, "{path}: {error}");
        }
        for (path, expected) in [
            ("undefined", None),
            ("negated", None),
            ("chain", Some(r#""second""#)),
            ("later", Some("[0,7]")),
        ] {
            let found = bench.get(&format!("a/{path}"), input);
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }
}

#[test]
fn more_rules_than_a_program_takes_are_several_programs() {
    let rules: Vec<String> = (0..400).map(|rule| format!("r{rule} := {rule}")).collect();
    let mut bench = Bench::new(&[&format!("package a\n{}\n", rules.join("\n"))], "{}");
    let on_machine = bench.rego.rules();
    assert!(
        on_machine
            .into_iter()
            .all(|(_, engine)| *engine == RegoEngine::Machine)
    );
    assert_eq!(bench.get("a/r399", "").as_deref(), Some("399"));
    assert_eq!(bench.get("a/r0", "").as_deref(), Some("0"));
}

#[test]
fn more_modules_than_a_program_takes_are_interpreted_and_say_why() {
    let modules: Vec<String> = (0..257)
        .map(|module| format!("package p{module}\nr := {module}\n"))
        .collect();
    let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
    let mut bench = Bench::new(&modules, "{}");
    assert!(bench.rego.rules().all(|(_, engine)| matches!(
        engine,
        RegoEngine::Interpreter(reason) if reason.contains("256 modules")
    )));
    assert_eq!(bench.get("p256/r", "").as_deref(), Some("256"));
}

#[test]
fn a_result_is_bounded_wherever_it_is_asked_for() {
    let text = "package a\nlong := [input.part | some _ in numbers.range(1, 100)]\n";
    let mut bench = Bench::new(&[text], r#"{"base": [1, 2, 3]}"#);
    bench.limits.rego_result_bytes = 250;
    let part = |length: usize| format!(r#"{{"part": "{}"}}"#, "a".repeat(length));
    for path in ["a/long", "a", ""] {
        let error = bench.ask(path, &part(1)).unwrap_err();
        assert_eq!(error.kind, RegoErrorKind::Cancelled, "{path}");
    }
    bench.limits.rego_result_bytes = 1000;
    assert!(bench.ask("a/long", &part(1)).is_ok());
    let error = bench.ask("a/long", &part(9)).unwrap_err();
    assert_eq!(error.to_string(), "the result is larger than 1000 bytes");
    bench.limits.rego_result_bytes = 4;
    assert!(bench.ask("base", "").is_err());
    assert!(bench.ask("base/0", "").is_ok());
    let input = RegoInput::default();
    let setting = RegoSetting {
        input: &input,
        data: &bench.data,
        limits: &bench.limits,
        now: NOW,
    };
    let found = bench
        .rego
        .query("x := data.base", &setting, &mut Vec::new());
    assert_eq!(found.unwrap_err().kind, RegoErrorKind::Cancelled);
}

#[test]
fn what_a_query_prints_is_kept_with_its_place() {
    let bench = Bench::new(&[], "{}");
    let input = RegoInput::default();
    let setting = RegoSetting {
        input: &input,
        data: &bench.data,
        limits: &bench.limits,
        now: NOW,
    };
    let mut prints = Vec::new();
    let found = bench
        .rego
        .query("x := 1; print(\"x is\", x)", &setting, &mut prints);
    assert_eq!(found.unwrap().len(), 1);
    assert_eq!(prints.len(), 1);
    assert!(
        prints[0].contains("x is 1") && prints[0].contains(":1"),
        "{prints:?}"
    );
}
