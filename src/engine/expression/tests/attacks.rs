//! Expressions and inputs made to cost much: each ends in the budget or is refused.

use super::support::{World, answer, value};

const BIG: &str = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]";

#[track_caller]
fn stopped(expression: &str) {
    let got = value(expression);
    assert!(
        got == "budget" || got.starts_with("refused: "),
        "{expression} gave {got:.200}"
    );
}

#[test]
fn nested_loops_end() {
    let range = format!("{BIG}.map(a, {BIG}.map(b, {BIG}))");
    stopped(&format!(
        "{range}.all(a, a.all(b, b.all(c, {range}.all(d, d.all(e, e.all(f, f > 0 && c > 0))))))"
    ));
    stopped(&format!(
        "{BIG}.all(a, {BIG}.all(b, {BIG}.all(c, {BIG}.all(d, {BIG}.all(e, {BIG}.all(f, true))))))"
    ));
}

#[test]
fn doubling_ends() {
    let mut text = String::from("x");
    for name in 0..60 {
        text = format!("cel.bind(x, x + x, {text})");
        let _ = name;
    }
    stopped(&format!("cel.bind(x, 'aaaaaaaaaaaaaaaa', {text})"));
    stopped(&format!("cel.bind(x, [1], {text})"));
    stopped(&format!("cel.bind(x, b'aaaaaaaaaaaaaaaa', {text})"));
    let mut replaced = String::from("x");
    for _ in 0..40 {
        replaced = format!("cel.bind(x, x.replace('a', 'aaaaaaaa'), {replaced})");
    }
    stopped(&format!("cel.bind(x, 'a', {replaced})"));
    let mut formatted = String::from("x");
    for _ in 0..40 {
        formatted = format!("cel.bind(x, '%s%s%s%s'.format([x, x, x, x]), {formatted})");
    }
    stopped(&format!("cel.bind(x, 'aaaa', {formatted})"));
    let mut joined = String::from("x");
    for _ in 0..40 {
        joined = format!("cel.bind(x, [x, x, x].join(x), {joined})");
    }
    stopped(&format!("cel.bind(x, 'aaaa', {joined})"));
}

#[test]
fn a_budget_is_never_absorbed() {
    let loops = format!(
        "{BIG}.all(a, {BIG}.all(b, {BIG}.all(c, {BIG}.all(d, {BIG}.all(e, {BIG}.all(f, true))))))"
    );
    for expression in [
        format!("{loops} || true"),
        format!("true && ({loops} || true) || true"),
        format!("[1].exists(x, {loops}) || true"),
        format!("optional.none().orValue({loops}) || true"),
    ] {
        assert_eq!(value(&expression), "budget", "{expression}");
    }
}

#[test]
fn patterns_are_bounded() {
    stopped("'a'.matches('((a{100}){100}){100}')");
    let world = |input| World {
        input,
        ..World::default()
    };
    assert_eq!(
        answer(
            "'a'.matches(input.p)",
            &world(r#"{"p": "((a{100}){100}){100}"}"#)
        ),
        "error: invalid or too large pattern"
    );
    let many = format!("{BIG}.all(a, {BIG}.all(b, {BIG}.all(c, !'b'.matches(input.p))))");
    assert_eq!(
        answer(&many, &world(r#"{"p": "(a|b|c|d|e|f){20}x"}"#)),
        "budget"
    );
    // Exponential for a backtracking engine.
    assert_eq!(
        answer(
            "input.t.matches('^(a+)+$')",
            &world(r#"{"t": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}"#)
        ),
        "false"
    );
}

#[test]
fn deep_expressions_are_refused() {
    for text in [
        "(".repeat(5_000) + "1" + &")".repeat(5_000),
        "[".repeat(5_000) + &"]".repeat(5_000),
        "!".repeat(20_000) + "true",
        "input".to_owned() + &".a".repeat(20_000),
        "input".to_owned() + &"[0]".repeat(10_000),
        "1".to_owned() + &" + 1".repeat(10_000),
        "true ? ".repeat(5_000) + "1" + &" : 2".repeat(5_000),
        "[1].map(x, ".repeat(500) + "1" + &")".repeat(500),
        "x".repeat(70_000),
    ] {
        let got = value(&text);
        assert!(got.starts_with("refused: "), "{text:.80} gave {got:.80}");
    }
}

#[test]
fn variables_cannot_nest_without_end() {
    let names: Vec<&'static str> = (0..200).map(|index| &*format!("v{index}").leak()).collect();
    let mut variables = vec![("v0", "input")];
    for pair in names.windows(2) {
        let text: &'static str = format!("[[[[vars.{}]]]]", pair[0]).leak();
        variables.push((pair[1], text));
    }
    let world = World {
        variables,
        ..World::default()
    };
    let got = answer("vars.v199", &world);
    assert!(got.contains("nested more than"), "{got:.100}");
    // What is allowed has room on a thread's stack.
    let world = World {
        variables: world.variables.into_iter().take(39).collect(),
        ..World::default()
    };
    assert_eq!(answer("size(vars.v38)", &world), "1");
}

#[test]
fn large_inputs_end() {
    let list: &'static str = format!("{{\"l\": [{}0]}}", "0,".repeat(3_000)).leak();
    let world = World {
        input: list,
        ..World::default()
    };
    assert_eq!(
        answer("input.l.all(a, input.l.all(b, a == b))", &world),
        "budget"
    );
    assert_eq!(answer("input.l.all(a, !(1 in input.l))", &world), "budget");
    assert_eq!(
        answer("input.l.all(a, input.l == input.l)", &world),
        "budget"
    );
    assert_eq!(answer("input.l.all(a, a == 0)", &world), "true");
}
