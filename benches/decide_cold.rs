//! What does a decision cost between two round trips over loopback, as a server sees it?
//!
//! Only the decision is timed: what the kernel's work in between does to the caches is the question.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/ask.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod ask;
#[path = "support/fixture.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod fixture;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

/// Times `decide` alone, with a round trip over loopback before each call.
fn cold(rounds: u64, mut decide: impl FnMut()) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let mut buffer = [0; 512];
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        client.write_all(fixture::SERVICE).unwrap();
        server
            .read_exact(&mut buffer[..fixture::SERVICE.len()])
            .unwrap();
        let start = Instant::now();
        decide();
        spent += start.elapsed();
        server.write_all(&buffer[..300]).unwrap();
        client.read_exact(&mut buffer[..300]).unwrap();
    }
    spent
}

fn decisions(criterion: &mut Criterion) {
    let mut out = Vec::with_capacity(4096);
    let mut worker = fixture::worker(&fixture::default_policies());
    criterion.bench_function("cold: validate, five default policies", |bencher| {
        bencher.iter_custom(|rounds| {
            cold(rounds, || {
                ask::validate(&mut worker, fixture::SERVICE, &mut out).unwrap();
            })
        });
    });
    let mut worker = fixture::worker(&fixture::access_rules(1_000));
    criterion.bench_function("cold: access, 1,000 rules, 100 roles", |bencher| {
        bencher.iter_custom(|rounds| {
            cold(rounds, || {
                ask::access(&mut worker, ask::ACCESS, &mut out).unwrap();
            })
        });
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
