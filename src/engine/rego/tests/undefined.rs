//! What is undefined, negated and not, as a real OPA answers it.

use super::*;

const MODULE: &str = "
package a
import data.grants
one(x) if x == 1
same(x) := x
user := input.user
";

/// What a rule with that body says: on the register machine, unless that refuses it, and interpreted.
fn answers(body: &str, input: &str) -> [Option<String>; 2] {
    let text = format!("{MODULE}\nanswer if {{ {body} }}\n");
    let mut bench = Bench::new(&[&text], r#"{"grants": {"ann": {"read": 1}}}"#);
    let machine = bench.get("a/answer", input);
    bench.machine = RegoMachine::interpreting();
    [machine, bench.get("a/answer", input)]
}

#[test]
fn what_opa_computes_before_a_negation_ends_the_body_where_it_is_undefined() {
    for body in [
        "not grants[input.user]",
        "not grants[user]",
        "not grants[same(input.user)].read",
        "not one(input.x)",
        "not one(same(input.x))",
        "not one(input)",
        "not input.age < 18",
        "not (input.age < 18)",
        "not input.age != 18",
        "not same(input.x) == 1",
        "not [input.x] == [1]",
        "not {\"a\": input.x}",
        "not input.x + 1",
        "not input.x & {1}",
        "not \"a\" in input.roles",
        "not 0, \"a\" in input.roles",
        "not input.x in [1]",
        "not one(input.x, true)",
        "not object.get(input.x, \"a\", 1) == 1",
        "not [1, input.x][0] == 1",
        "not user with input as input.x",
        "not one(input.x) with input.y as 1",
        "not same(1) with input.x as input.x with input.y as 1",
        "every x in [1] { not one(input.x) }",
        "count([1 | not one(input.x)]) > 0",
        "some x in [1]; not one([x, input.x])",
        "not one(same(input.xs[_]))",
        "input.xs[i]; not one(same(input.xs[i]))",
    ] {
        assert_eq!(answers(body, ""), [None, None], "{body}");
    }
    // Nor does it end where there is a value.
    for body in [
        "not grants[input.x]",
        "not one(input.x)",
        "not input.x < 1",
        "not 1 in input.xs",
        "not one(input.x, true)",
        "not one(same(input.xs[_]))",
        "not one(input.x) with input.x as 3",
        "every x in input.xs { not one(x) }",
        "some i; input.xs[i]; not one(input.xs[i])",
    ] {
        let input = r#"{"x": 2, "xs": [2, 3]}"#;
        let held = Some("true".to_owned());
        assert_eq!(answers(body, input), [held.clone(), held], "{body}");
    }
}

#[test]
fn what_stays_inside_a_negation_holds_where_it_is_undefined() {
    for body in [
        "not input.x",
        "not input[\"x\"]",
        "not input.x == 1",
        "not input.x = 1",
        "not (1 == input.x)",
        "not grants.bob",
        "not user",
        "not [1 | input.x] == [1]",
        "x := \"bob\"; not grants[x]",
        "x := \"bob\"; not grants[x].read == 1",
    ] {
        let held = Some("true".to_owned());
        assert_eq!(answers(body, ""), [held.clone(), held], "{body}");
    }
}

#[test]
fn the_newer_negation_takes_nothing_out() {
    let text = "package a\nimport future.keywords\none(x) if x == 1\nanswer if not one(input.x)\n";
    let mut bench = Bench::new(&[text], "{}");
    assert_eq!(bench.get("a/answer", "{}").as_deref(), Some("true"));
    let text = "package a\nimport future.keywords\nanswer if not {input.x}\n";
    let errors = compile(vec![module(text)], &data("{}"), false).unwrap_err();
    assert_eq!(errors[0].kind, RegoErrorKind::Unsupported);
}

#[test]
fn a_negation_that_opa_refuses_is_refused_with_its_place() {
    for (body, column, message) in [
        ("not input.xs[_] == 1", 26, "var _ is unsafe"),
        ("not one(input.xs[i])", 30, "var i is unsafe"),
        ("some i; not input.xs[i]", 34, "var i is unsafe"),
        ("not x = input.y", 17, "var x is unsafe"),
        (
            "not x := 1",
            13,
            "cannot assign vars inside negated expression",
        ),
        (
            "xs := [1 | input.xs[i]]; not input.xs[i]",
            51,
            "var i is unsafe",
        ),
    ] {
        let text = format!("package a\none(x) if x == 1\nanswer if {{ {body} }}\n");
        let errors = compile(vec![module(&text)], &data("{}"), false).unwrap_err();
        let place = errors[0].place.as_ref().unwrap();
        assert_eq!(errors[0].message, message, "{body}");
        assert_eq!((place.row, place.column), (3, column), "{body}");
    }
    let text = "package a\nimport rego.v2\nanswer if not input.x\n";
    let errors = compile(vec![module(text)], &data("{}"), false).unwrap_err();
    assert_eq!(errors[0].kind, RegoErrorKind::Unsupported);
}

#[test]
fn a_query_is_taken_apart_like_a_module() {
    let bench = Bench::new(&[], r#"{"xs": [1, 2]}"#);
    let ask = |text: &str| {
        let input = RegoInput {
            value: Some(parse_rego_json(br#"{"x": false}"#, 8).unwrap()),
            strict: false,
        };
        let setting = RegoSetting {
            input: &input,
            data: &bench.data,
            limits: &bench.limits,
            now: NOW,
        };
        let found = bench.rego.query(text, &setting, &mut Vec::new());
        found.map(|found| found.iter().map(json).collect::<Vec<_>>())
    };
    assert!(ask("not count(input.absent) > 1").unwrap().is_empty());
    assert_eq!(ask("not count(data.xs) > 2").unwrap(), ["{}"]);
    assert_eq!(
        ask("y := data.xs[1]; not y < input.x").unwrap(),
        [r#"{"y":2}"#]
    );
    assert_eq!(ask("x := (3 in data.xs)").unwrap(), [r#"{"x":false}"#]);
    let error = ask("not data.xs[_] == 3").unwrap_err();
    assert_eq!(error.kind, RegoErrorKind::UnsafeVar);
}

#[test]
fn what_is_undefined_is_not_assigned_collected_nor_a_member() {
    for (expression, expected) in [
        ("[1 | x := input.absent]", "[]"),
        ("[1 | _ := input.absent]", "[]"),
        ("[input.absent | true]", "[]"),
        (
            "[x | some y in [1, 2]; y > 0; x := [y, input.absent]]",
            "[]",
        ),
        ("[1 | x := (input.absent in [1])]", "[]"),
        ("[1 | x := (1 in input.absent)]", "[]"),
        ("[x | x := (0, 1 in [2, 1])]", "[false]"),
        ("[1 | 1, 1 in [2, 1]]", "[1]"),
        ("[x | x := (1, 1 in {1})]", "[true]"),
        // A condition that fails in a comprehension fails there alone.
        (
            "[y | some y in [1, 2]; x := [1 | input.absent]; count(x) < y]",
            "[1,2]",
        ),
        (
            "[y | some y in [1, 2]; x := [1 | z := input.absent]; count(x) < y]",
            "[1,2]",
        ),
        ("[1 | x := [1 | input.absent]; count(x) > 0]", "[]"),
        ("[[1 | [2 | 1 > 2] == []] | some y in [1]; y > 0]", "[[1]]"),
        (
            "[y | some x in input.roles with input.roles as [1]; y := [x, input.roles]]",
            r#"[[1,["a"]]]"#,
        ),
    ] {
        let text = format!("package a\nanswer := {expression}\n");
        let mut bench = Bench::new(&[&text], "{}");
        let input = r#"{"roles": ["a"]}"#;
        assert_eq!(
            bench.get("a/answer", input).as_deref(),
            Some(expected),
            "{expression}"
        );
        bench.machine = RegoMachine::interpreting();
        assert_eq!(
            bench.get("a/answer", input).as_deref(),
            Some(expected),
            "{expression}"
        );
    }
}
