//! How long does a Rego role check take: on the register machine, on the interpreter, and with the reading of its
//! input and the writing of its answer?

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a bench fails by panicking"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lictor::engine::rego::{parse_rego_json, write_rego_json};
use lictor::engine::{
    Compiler, DataBuilder, Limits, Program, RegoInput, RegoMachine, RegoModule, RegoSegment,
    RegoSetting, RegoValue, RegoVersion,
};
use lictor::model::Timestamp;

const ROLES: &str = r"
package authz

default allow := false

allow if {
    some role in data.users[input.subject].roles
    some grant in data.roles[role].grants
    grant.action == input.action
    grant.type == input.type
}
";

const INPUT: &[u8] = br#"{"subject": "user500", "action": "read", "type": "document", "resource": {"id": "doc-17", "labels": ["internal"]}}"#;

const PATH: [RegoSegment<'static>; 2] = [RegoSegment::Name("authz"), RegoSegment::Name("allow")];

fn program() -> Program {
    let users: Vec<String> = (0..1000)
        .map(|user| format!("\"user{user}\": {{\"roles\": [\"role{}\"]}}", user % 50))
        .collect();
    let roles: Vec<String> = (0..50)
        .map(|role| {
            format!("\"role{role}\": {{\"grants\": [{{\"action\": \"write\", \"type\": \"document\"}}, {{\"action\": \"read\", \"type\": \"document\"}}]}}")
        })
        .collect();
    let data = format!(
        "{{\"users\": {{{}}}, \"roles\": {{{}}}}}",
        users.join(","),
        roles.join(",")
    );
    let mut builder = DataBuilder::default();
    builder.add(&[], &mut data.as_bytes()).unwrap();
    let mut compiler = Compiler::default();
    compiler.add_module(RegoModule {
        path: "authz.rego".into(),
        text: ROLES.into(),
        version: RegoVersion::V1,
    });
    compiler.compile(builder).unwrap()
}

fn input() -> RegoValue {
    parse_rego_json(INPUT, 64).unwrap()
}

fn ask(
    program: &Program,
    machine: &mut RegoMachine,
    limits: &Limits,
    value: RegoValue,
) -> RegoValue {
    let input = RegoInput {
        value: Some(value),
        strict: false,
    };
    let setting = RegoSetting {
        input: &input,
        data: program.data(),
        limits,
        now: Timestamp::from_unix_seconds(1_700_000_000),
    };
    let found = program.rego().document(&PATH, &setting, machine);
    found.unwrap().unwrap()
}

fn role_check(criterion: &mut Criterion) {
    let program = program();
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("rego");
    for (name, mut machine) in [
        ("machine", RegoMachine::default()),
        ("interpreter", RegoMachine::interpreting()),
    ] {
        let value = input();
        assert_eq!(
            ask(&program, &mut machine, &limits, value.clone()),
            RegoValue::from(true)
        );
        group.bench_function(format!("role check/{name}"), |bencher| {
            bencher.iter(|| ask(&program, &mut machine, &limits, black_box(&value).clone()));
        });
    }
    let mut machine = RegoMachine::default();
    let mut out = Vec::new();
    group.bench_function("role check/text to text", |bencher| {
        bencher.iter(|| {
            let value = ask(&program, &mut machine, &limits, black_box(input()));
            out.clear();
            assert!(write_rego_json(&value, 1024, &mut out));
        });
    });
    group.bench_function("input", |bencher| bencher.iter(|| black_box(input())));
    group.finish();
}

criterion_group!(benches, role_check);
criterion_main!(benches);
