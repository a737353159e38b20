//! Does a decision that concerns five policies cost the same whatever else is loaded?

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/ask.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod ask;
#[path = "support/fixture.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod fixture;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn policies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("five of N policies apply");
    let mut out = Vec::with_capacity(4096);
    for count in [10, 1_000, 10_000] {
        let mut worker = fixture::worker(&fixture::many_policies(count));
        let body = br#"{"kind":"kind-1","endpoint":{"url":"https://api.example.com"}}"#;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| ask::validate(&mut worker, body, &mut out).unwrap());
        });
    }
    group.finish();
}

fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("five of N access rules apply");
    let mut out = Vec::with_capacity(4096);
    for count in [1_000, 10_000] {
        let mut worker = fixture::worker(&fixture::access_rules(count));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| ask::access(&mut worker, ask::ACCESS, &mut out).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, policies, rules);
criterion_main!(benches);
