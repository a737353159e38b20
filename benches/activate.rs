//! Does the way from archive bytes to a snapshot grow with the bundle, and no faster?

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/fixture.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod fixture;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Sizes to measure, or in test mode, where cargo does not say `--bench`, one that is soon done.
fn sizes<const N: usize>(all: [usize; N]) -> Vec<usize> {
    if std::env::args().any(|argument| argument == "--bench") {
        all.to_vec()
    } else {
        vec![100]
    }
}

fn policies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("activate, N policies");
    group.sample_size(10);
    for count in sizes([100, 1_000, 10_000]) {
        let (archive, keyring) = fixture::archive(&fixture::many_policies(count), &[]);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| black_box(fixture::activate(&archive, &keyring)));
        });
    }
    group.finish();
}

/// Users with roles: records of one shape with repeated strings.
fn users(count: usize) -> Vec<u8> {
    let user = |index: usize| {
        format!(
            r#""user-{index}":{{"id":"user-{index}","email":"user-{index}@example.com","team":"team-{}","roles":["role-{}","role-{}"],"active":{},"country":"DE","level":{},"manager":"user-{}"}}"#,
            index % 500,
            index % 100,
            index % 7,
            index.is_multiple_of(3),
            index % 9,
            index / 10
        )
    };
    let users: Vec<String> = (0..count).map(user).collect();
    format!(r#"{{"users":{{{}}}}}"#, users.join(",")).into_bytes()
}

fn data(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("activate, data of N users");
    group.sample_size(10);
    // The largest is 100 MB.
    for count in sizes([10_000, 100_000, 569_600]) {
        let text = users(count);
        group.throughput(Throughput::Bytes(text.len() as u64));
        let (archive, keyring) =
            fixture::archive(&fixture::default_policies(), &[("data.json", text)]);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| black_box(fixture::activate(&archive, &keyring)));
        });
    }
    group.finish();
}

criterion_group!(benches, policies, data);
criterion_main!(benches);
