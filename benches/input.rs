//! What does the way from JSON text to the values that policies read cost, beside the fastest reader of whole documents?

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/fixture.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod fixture;

use std::hint::black_box;

use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lictor::engine::DuplicateMembers;
use lictor::engine::input::{Layout, Root, Slots};

fn fill(layout: &Layout, arena: &mut Bump, text: &[u8]) {
    arena.reset();
    let slots = Slots::new(layout, arena);
    let refuse = DuplicateMembers::Refuse;
    slots
        .fill(layout, Root::Input, black_box(text), arena, 64, refuse)
        .unwrap();
    black_box(&slots);
}

fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("input");
    let mut arena = Bump::with_capacity(64 * 1024);
    let mut some = Layout::default();
    for path in [
        &["compliance", "level"][..],
        &["compliance", "certifications"],
        &["compliance", "data_residency"],
        &["endpoint", "url"],
        &["endpoint", "authentication"],
        &["sla", "availability"],
        &["sla", "support_level"],
    ] {
        some.slot(Root::Input, path);
    }
    let mut whole = Layout::default();
    whole.slot(Root::Input, &[]);
    let none = Layout::default();
    group.throughput(Throughput::Bytes(fixture::SERVICE.len() as u64));
    for (name, layout) in [
        ("seven paths", &some),
        ("all of it", &whole),
        ("nothing", &none),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| fill(layout, &mut arena, fixture::SERVICE));
        });
    }
    let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::default());
    group.bench_function("all of it, as simd-json's tape", |bencher| {
        bencher.iter(|| {
            // It writes into what it reads.
            copy.clear();
            copy.extend_from_slice(black_box(fixture::SERVICE));
            black_box(simd_json::to_tape_with_buffers(&mut copy, &mut buffers).unwrap());
        });
    });
    let prose = format!(r#"{{"description":"{}"}}"#, "plain words, ".repeat(5_000));
    group.throughput(Throughput::Bytes(prose.len() as u64));
    group.bench_function("one long string", |bencher| {
        bencher.iter(|| fill(&some, &mut arena, prose.as_bytes()));
    });
    group.finish();
}

criterion_group!(benches, bodies);
criterion_main!(benches);
