//! What does a decision cost, from request bytes to response bytes?
//!
//! *Hot*: one after the other. *Cold*: with a round trip over loopback between two decisions, as a server sees
//! it; only the decision is timed.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/fixture.rs"]
mod fixture;

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lictor::api::decision::{self, Envelope, Timing};
use lictor::decide::{Origin, Question, Worker};
use lictor::engine::{AccessRequest, DuplicateMembers};
use lictor::model::Timestamp;

const ACCESS: &[u8] = br#"{"subject":{"type":"user","id":"user-7","properties":{"roles":["role-40"]}},"action":{"name":"action-0"},"resource":{"type":"type-1","id":"r1","properties":{"owner":"user-7"}}}"#;

const EXPERIMENT: &str = "
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: checkout-rules}
spec:
  hash: murmur3
  rollout: 50
  variants: [{name: A, weight: 900}, {name: B, weight: 100}]
";

fn question<'a>() -> Question<'a> {
    Question {
        now: Timestamp::from_unix_seconds(fixture::NOW),
        claims: None,
        duplicates: DuplicateMembers::Refuse,
        explain: false,
        origin: Origin::UNKNOWN,
    }
}

fn validate(worker: &mut Worker, body: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let question = question();
    let timing = Timing {
        validated_at: question.now,
        duration_ms: 0,
    };
    worker
        .validate(black_box(body), &question, |answered, answer| {
            let envelope = Envelope {
                decision_id: answered.decision_id,
                revision: &answered.snapshot.name,
            };
            decision::validation(out, &envelope, timing, answer);
        })
        .unwrap();
    black_box(out);
}

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

fn five_default_policies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("validate, five default policies");
    let mut worker = fixture::worker(&fixture::default_policies());
    let mut out = Vec::with_capacity(4096);
    group.bench_function("hot", |bencher| {
        bencher.iter(|| validate(&mut worker, fixture::SERVICE, &mut out));
    });
    group.bench_function("cold", |bencher| {
        bencher.iter_custom(|rounds| {
            cold(rounds, || validate(&mut worker, fixture::SERVICE, &mut out))
        });
    });
    group.finish();
}

fn many_policies(criterion: &mut Criterion) {
    let mut group =
        criterion.benchmark_group("validate, a request that concerns five of N policies");
    let mut out = Vec::with_capacity(4096);
    for count in [10, 1_000, 10_000] {
        let mut worker = fixture::worker(&fixture::many_policies(count));
        let body = br#"{"kind":"kind-1","endpoint":{"url":"https://api.example.com"}}"#;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| validate(&mut worker, body, &mut out));
        });
    }
    group.finish();
}

fn access(criterion: &mut Criterion) {
    let mut worker = fixture::worker(&fixture::access_rules(1_000));
    criterion.bench_function("access, 1,000 rules, 100 roles, one condition", |bencher| {
        bencher.iter(|| {
            let request = AccessRequest::Document(black_box(ACCESS));
            worker
                .access(request, &question(), |_, answer| assert!(answer.allowed))
                .unwrap();
        });
    });
}

fn variant(criterion: &mut Criterion) {
    let mut worker = fixture::worker(EXPERIMENT);
    let mut out = Vec::with_capacity(4096);
    criterion.bench_function("variant", |bencher| {
        bencher.iter(|| {
            out.clear();
            let body = black_box(br#"{"experiment":"checkout-rules","key":"client-4711"}"#);
            worker
                .variant(body, &question(), |answered, answer| {
                    let envelope = Envelope {
                        decision_id: answered.decision_id,
                        revision: &answered.snapshot.name,
                    };
                    decision::variant(&mut out, &envelope, answer);
                })
                .unwrap();
        });
    });
}

criterion_group!(
    benches,
    five_default_policies,
    many_policies,
    access,
    variant
);
criterion_main!(benches);
