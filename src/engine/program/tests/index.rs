//! The index answers as a full scan does, over random policies and inputs.

use proptest::prelude::*;

use super::*;

/// One item of `match` over three fields that inputs may lack.
fn item() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec!["input.a", "input.b", "input.c.d"]);
    let value = prop::sample::select(vec![
        "1", "2", "1.0", "2.5", "1u", "true", "null", "\"x\"", "\"y\"",
    ]);
    (field, value.clone(), value, 0..8).prop_map(|(field, one, two, form)| match form {
        0 => format!("{field} == {one}"),
        1 => format!("has({field}) && {field} == {one}"),
        2 => format!("{field} in [{one}, {two}]"),
        3 => format!("{field} != {one}"),
        4 => format!("{field} == {one} || {field} == {two}"),
        5 => format!("{one} == {field}"),
        6 => format!("has({field}) && {field} in [{one}, {two}]"),
        _ => format!("{field} == {one} && input.a == {two}"),
    })
}

fn policies() -> impl Strategy<Value = Vec<Vec<String>>> {
    prop::collection::vec(prop::collection::vec(item(), 0..3), 1..12)
}

fn input() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "1",
        "2",
        "1.0",
        "2.5",
        "true",
        "null",
        "\"x\"",
        "\"y\"",
        "[1]",
        "{}",
        "{\"d\":1}",
        "{\"d\":\"x\"}",
    ]);
    let member = |name: &'static str| {
        let value = value.clone();
        prop::option::weighted(
            0.7,
            value.prop_map(move |value| format!("\"{name}\":{value}")),
        )
    };
    (member("a"), member("b"), member("c")).prop_map(|(a, b, c)| {
        let members: Vec<String> = [a, b, c].into_iter().flatten().collect();
        format!("{{{}}}", members.join(","))
    })
}

fn yaml(policies: &[Vec<String>]) -> String {
    let documents = policies.iter().enumerate().map(|(index, items)| {
        let items: Vec<String> = items.iter().map(|item| format!("    - '{item}'\n")).collect();
        let items = items.concat();
        let matches = if items.is_empty() { String::new() } else { format!("  match:\n{items}") };
        format!(
            "apiVersion: lictor.dev/v1\nkind: ValidationPolicy\nmetadata: {{name: p{index}}}\nspec:\n  type: X\n  \
             severity: low\n{matches}  validations:\n    - {{expression: 'false', field: f{index}, message: m}}\n"
        )
    });
    documents.collect::<Vec<_>>().join("---\n")
}

fn answer(program: &Program, input: &str) -> (Vec<String>, u32, u32, usize) {
    let scratch = Scratch::default();
    let answer = program
        .validate(input.as_bytes(), &context(), &scratch)
        .unwrap();
    let violations = answer.violations.iter();
    (
        violations
            .map(|v| format!("{} {}", v.policy_name, v.field))
            .collect(),
        answer.evaluated,
        answer.failed,
        answer.errors.len(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn index_and_full_scan_agree(policies in policies(), inputs in prop::collection::vec(input(), 1..12)) {
        let yaml = yaml(&policies);
        let indexed = program(&yaml);
        let scanning = compile_with(&yaml, "{}", Compiler::without_index()).unwrap();
        for input in &inputs {
            prop_assert_eq!(answer(&indexed, input), answer(&scanning, input), "{}\n{}", input, yaml);
        }
    }
}

#[test]
fn the_index_skips_policies() {
    let items: Vec<Vec<String>> = (0..100)
        .map(|index| vec![format!("has(input.kind) && input.kind == \"k{index}\"")])
        .collect();
    let program = program(&yaml(&items));
    let scratch = Scratch::default();
    let mut context = context();
    // Enough steps for one policy, not for a hundred.
    context.limits.steps = 40;
    let answer = program
        .validate(br#"{"kind":"k7"}"#, &context, &scratch)
        .unwrap();
    assert_eq!((answer.failed, answer.evaluated), (1, 100));
    assert_eq!(answer.violations[0].policy_name, "p7");
}
