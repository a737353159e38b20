//! What does a decision cost, from request bytes to response bytes, one after the other?

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/ask.rs"]
mod ask;
#[path = "support/fixture.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};

fn decisions(criterion: &mut Criterion) {
    let mut out = Vec::with_capacity(4096);
    let mut worker = fixture::worker(&fixture::default_policies());
    criterion.bench_function("validate, five default policies", |bencher| {
        bencher.iter(|| ask::validate(&mut worker, fixture::SERVICE, &mut out).unwrap());
    });
    criterion.bench_function("consumption", |bencher| {
        bencher.iter(|| ask::consumption(&mut worker, &mut out).unwrap());
    });
    let mut worker = fixture::worker(&fixture::access_rules(1_000));
    criterion.bench_function("access, 1,000 rules, 100 roles, one condition", |bencher| {
        bencher.iter(|| ask::access(&mut worker, ask::ACCESS, &mut out).unwrap());
    });
    let mut worker = fixture::worker(fixture::HTTP_RULES);
    criterion.bench_function("http, three rules, a token", |bencher| {
        bencher.iter(|| ask::http(&mut worker, &mut out).unwrap());
    });
    let mut worker = fixture::worker(fixture::EXPERIMENT);
    criterion.bench_function("variant", |bencher| {
        bencher.iter(|| ask::variant(&mut worker, &mut out).unwrap());
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
