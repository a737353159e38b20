//! How long can a request or a policy made to be slow hold a serving thread?
//!
//! Each case ends in the budget of a decision or in a refusal; the time until then is what an attacker gets.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/ask.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod ask;
#[path = "support/fixture.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use lictor::decide::DecideError;
use lictor::engine::EvaluateError;

fn policy(expression: &str) -> String {
    format!(
        "apiVersion: lictor.dev/v1\nkind: ValidationPolicy\nmetadata: {{name: p}}\nspec:\n  type: X\n  severity: low\n  validations:\n    - {{field: f, message: m, expression: '{expression}'}}\n"
    )
}

fn numbers(count: usize) -> String {
    format!("{{\"l\":[{}0]}}", "0,".repeat(count))
}

fn budget(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("until the budget is used up");
    group.sample_size(10);
    let mut out = Vec::with_capacity(4096);
    let nested = "input.l.all(a, input.l.all(b, input.l.all(c, a + b + c >= 0)))";
    let copies = "input.l.map(a, input.l.map(b, input.l)).size() > 0";
    let pattern = "input.l.all(a, !input.t.matches(input.p + string(a)))";
    let pairs = "input.l.all(a, input.l.exists(b, [a, input.l] == [b, input.l]))";
    let patterns = format!(
        "{{\"p\":\"(a|b|c|d|e|f){{20}}x\",\"t\":\"{}\",\"l\":[{}0]}}",
        "a".repeat(100),
        "0,".repeat(5_000)
    );
    for (name, expression, input) in [
        ("nested comprehensions", nested, numbers(3_000)),
        ("copies of a list", copies, numbers(3_000)),
        ("patterns from the request", pattern, patterns),
        ("comparing large lists", pairs, numbers(3_000)),
    ] {
        let mut worker = fixture::worker(&policy(expression));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let answer = ask::validate(&mut worker, input.as_bytes(), &mut out);
                let exceeded = matches!(
                    answer,
                    Err(DecideError::Evaluate(EvaluateError::BudgetExceeded { .. }))
                );
                assert!(exceeded, "{answer:?}");
            });
        });
    }
    group.finish();
}

fn bounded(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("within the budget");
    group.sample_size(10);
    let mut out = Vec::with_capacity(4 * 1024 * 1024);
    let backtracking = policy("input.t.matches(\"^(a+)+$\")");
    let text = format!("{{\"t\":\"{}b\"}}", "a".repeat(50_000));
    let deep = format!("{{\"l\":{}{}}}", "[".repeat(63), "]".repeat(63));
    let many = fixture::many_policies(10_000).replace(
        "has(input.kind) && input.kind",
        "has(input.kind) || input.kind",
    );
    let many_input = r#"{"kind":"x","endpoint":{"url":"http://a"}}"#.to_owned();
    for (name, policies, input) in [
        ("a pattern that makes others backtrack", backtracking, text),
        (
            "nesting as deep as is read",
            policy("size(input.l) > 0"),
            deep,
        ),
        (
            "a list of 100,000",
            policy("input.l.all(a, a == 0)"),
            numbers(100_000),
        ),
        ("10,000 policies that all apply", many, many_input),
    ] {
        let mut worker = fixture::worker(&policies);
        group.bench_function(name, |bencher| {
            bencher.iter(|| ask::validate(&mut worker, input.as_bytes(), &mut out).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, budget, bounded);
criterion_main!(benches);
