//! How many instructions does a decision take, from request bytes to response bytes? The figure that a busy machine
//! does not move, counted by valgrind.
//!
//! `cargo bench --bench instructions` compares with `benches/instructions.json` and fails where a count has left its band of
//! 3 %, either way; `-- --record` writes the counts down. Every kind runs twice, with few decisions and with many: start
//! and end cancel out.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench fails by panicking"
)]

#[path = "support/ask.rs"]
mod ask;
#[path = "support/fixture.rs"]
#[expect(dead_code, reason = "shared with the other benches")]
mod fixture;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use lictor::decide::Worker;

/// A worker, and what it is asked.
type Kind = (&'static str, fn() -> Worker, fn(&mut Worker, &mut Vec<u8>));

const KINDS: [Kind; 5] = [
    (
        "validate",
        || fixture::worker(&fixture::default_policies()),
        |worker, out| ask::validate(worker, fixture::SERVICE, out).unwrap(),
    ),
    (
        "consumption",
        || fixture::worker(&fixture::default_policies()),
        |worker, out| ask::consumption(worker, out).unwrap(),
    ),
    (
        "access",
        || fixture::worker(&fixture::access_rules(1_000)),
        |worker, out| ask::access(worker, ask::ACCESS, out).unwrap(),
    ),
    (
        "http",
        || fixture::worker(fixture::HTTP_RULES),
        |worker, out| ask::http(worker, out).unwrap(),
    ),
    (
        "variant",
        || fixture::worker(fixture::EXPERIMENT),
        |worker, out| ask::variant(worker, out).unwrap(),
    ),
];

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json");
const FEW: u64 = 100;
const MANY: u64 = 1_100;
/// How far from its recorded value a count may be.
const TOLERANCE: f64 = 0.03;

fn decide(kind: &Kind, count: u64) {
    let (_, worker, ask) = kind;
    let (mut worker, mut out) = (worker(), Vec::with_capacity(4096));
    for _ in 0..count {
        ask(&mut worker, &mut out);
    }
    assert!(!out.is_empty());
}

/// All instructions of a process that decides so often.
fn counted(kind: &str, count: u64, folder: &Path) -> u64 {
    let file = folder.join("counts");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--decide", kind, &count.to_string()])
        .output()
        .expect("valgrind is needed (Debian package `valgrind`)");
    assert!(output.status.success(), "{output:?}");
    let counts = std::fs::read_to_string(file).unwrap();
    let sum = |line: &str| {
        let rest = line.strip_prefix("totals: ");
        rest.or_else(|| line.strip_prefix("summary: "))?
            .parse()
            .ok()
    };
    counts.lines().find_map(sum).unwrap()
}

fn compare() -> ExitCode {
    let recorded: BTreeMap<String, u64> = std::fs::read(RECORDED)
        .map(|text| serde_json::from_slice(&text).unwrap())
        .unwrap_or_default();
    let folder = tempfile::tempdir().unwrap();
    let (mut counts, mut moved) = (BTreeMap::new(), false);
    for (name, ..) in &KINDS {
        let few = counted(name, FEW, folder.path());
        let each = (counted(name, MANY, folder.path()) - few) / (MANY - FEW);
        let before = recorded.get(*name).copied().unwrap_or_default();
        let change = each as f64 / before as f64 - 1.0;
        let leaves = change.is_nan() || change.abs() > TOLERANCE;
        println!(
            "{name:<12} {each:>7} instructions, recorded {before:>7}{}",
            if leaves { "  MOVED" } else { "" }
        );
        moved |= leaves;
        counts.insert(*name, each);
    }
    if std::env::args().any(|argument| argument == "--record") {
        let text = serde_json::to_string_pretty(&counts).unwrap() + "\n";
        std::fs::write(RECORDED, text).unwrap();
        return ExitCode::SUCCESS;
    }
    if moved {
        eprintln!("where that is meant, record it with `-- --record` and say why in the commit");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, kind, count] = arguments.as_slice()
        && flag == "--decide"
    {
        let found = KINDS.iter().find(|(name, ..)| name == kind).unwrap();
        decide(found, count.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--bench") {
        return compare();
    }
    // As a test: does every kind still decide?
    for kind in &KINDS {
        decide(kind, 1);
    }
    ExitCode::SUCCESS
}
