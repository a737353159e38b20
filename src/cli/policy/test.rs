//! `lictor policy test`: the decision tests that stand beside the policies, and the tests of Rego modules.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::check::compile;
use super::coverage::{self, Coverage};
use super::{Sources, usage};
use crate::cli::folder::Folder;
use crate::cli::output::{Output, count, finding, finding_line};
use crate::engine::{Limits, RegoInput, RegoSetting, RegoTest, RegoTestOutcome, TestFailure};
use crate::model::Timestamp;
use crate::policy::PolicyError;

/// Arguments of `lictor policy test`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    sources: Sources,
    /// Say which conditions the tests have seen hold and not hold
    #[arg(long)]
    coverage: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// The moment the tests run at (RFC 3339); by default now
    #[arg(long, value_parser = super::moment, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// What came of the tests.
#[derive(Default)]
struct Outcome {
    passed: usize,
    failures: Vec<TestFailure>,
    /// The tests of Rego modules.
    rego: Vec<RegoTest>,
    /// What kept the tests from running.
    errors: Vec<PolicyError>,
    coverage: Option<Vec<Coverage>>,
}

impl Outcome {
    fn failed(&self) -> usize {
        let failed = |test: &&RegoTest| matches!(test.outcome, RegoTestOutcome::Failed(_));
        self.failures.len() + self.rego.iter().filter(failed).count()
    }

    fn skipped(&self) -> usize {
        let skipped = |test: &&RegoTest| test.outcome == RegoTestOutcome::Skipped;
        self.rego.iter().filter(skipped).count()
    }
}

/// Runs the tests, prints, and says by the exit code whether all passed.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = match args.sources.read() {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    if folder.errors.is_empty() && folder.documents.is_empty() && folder.modules.is_empty() {
        return Ok(usage(&anyhow::anyhow!("no policies were found there")));
    }
    let now = args.at.unwrap_or_else(super::now);
    let outcome = outcome(&folder, now, args.coverage);
    args.output
        .print(&report(&outcome), || text(&folder, &outcome))?;
    Ok(if outcome.errors.is_empty() && outcome.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn outcome(folder: &Folder, now: Timestamp, with_coverage: bool) -> Outcome {
    let (data, data_errors) = folder.data();
    let mut outcome = Outcome {
        errors: folder.errors.clone(),
        ..Outcome::default()
    };
    outcome.errors.extend(data_errors);
    match compile(&folder.documents, &folder.modules, data) {
        Err(errors) => outcome.errors.extend(errors),
        Ok(program) => {
            match program.self_test(now, Limits::default()) {
                Ok(count) => outcome.passed = count.passed,
                Err(failures) => {
                    let tests: usize = folder.documents.iter().map(|d| d.tests.len()).sum();
                    outcome.passed = tests.saturating_sub(failures.len());
                    outcome.failures = failures;
                }
            }
            let (input, limits) = (RegoInput::default(), Limits::default());
            outcome.rego = program.rego().self_test(&RegoSetting {
                input: &input,
                data: program.data(),
                limits: &limits,
                now,
            });
            let passed = |test: &&RegoTest| test.outcome == RegoTestOutcome::Passed;
            outcome.passed += outcome.rego.iter().filter(passed).count();
            if with_coverage && outcome.errors.is_empty() {
                outcome.coverage = Some(coverage::measure(folder, now));
            }
        }
    }
    outcome
}

/// Where a failed test stands: `file:line:column`.
fn place(folder: &Folder, failure: &TestFailure) -> String {
    let tests = folder
        .documents
        .iter()
        .filter(|document| *document.metadata.name == *failure.policy)
        .flat_map(|document| &document.tests);
    let found = tests.into_iter().find(|test| test.name == failure.test);
    found.map_or_else(String::new, |test| format!("{}: ", test.place))
}

/// Writing to a `String` cannot fail.
fn text(folder: &Folder, outcome: &Outcome) -> String {
    let mut text = String::new();
    for error in &outcome.errors {
        text.push_str(&finding_line("error", error));
    }
    for failure in &outcome.failures {
        let _ = writeln!(text, "{}FAILED {failure}", place(folder, failure));
    }
    for test in &outcome.rego {
        for line in &test.prints {
            let _ = writeln!(text, "{line}");
        }
        match &test.outcome {
            RegoTestOutcome::Passed => {}
            RegoTestOutcome::Skipped => {
                let _ = writeln!(text, "SKIPPED {}", test.name);
            }
            RegoTestOutcome::Failed(message) => {
                let _ = writeln!(text, "FAILED {}: {message}", test.name);
            }
        }
    }
    for coverage in outcome.coverage.iter().flatten() {
        text.push_str(&coverage.to_text());
    }
    let _ = write!(
        text,
        "{} passed, {} failed",
        count(outcome.passed, "test", "tests"),
        outcome.failed()
    );
    match outcome.skipped() {
        0 => text.push('\n'),
        skipped => {
            let _ = writeln!(text, ", {skipped} skipped");
        }
    }
    text
}

fn report(outcome: &Outcome) -> Value {
    let failures: Vec<Value> = outcome
        .failures
        .iter()
        .map(|failure| {
            json!({"policy": failure.policy, "test": failure.test, "message": failure.message})
        })
        .collect();
    let rego: Vec<Value> = outcome
        .rego
        .iter()
        .map(|test| {
            let (outcome, message) = match &test.outcome {
                RegoTestOutcome::Passed => ("passed", None),
                RegoTestOutcome::Skipped => ("skipped", None),
                RegoTestOutcome::Failed(message) => ("failed", Some(message)),
            };
            json!({
                "name": test.name,
                "outcome": outcome,
                "message": message,
                "prints": test.prints,
            })
        })
        .collect();
    let mut value = json!({
        "passed": outcome.passed,
        "rego": rego,
        "failures": failures,
        "errors": outcome.errors.iter().map(finding).collect::<Vec<_>>(),
    });
    if let (Some(coverage), Value::Object(members)) = (&outcome.coverage, &mut value) {
        let coverage = coverage.iter().map(Coverage::to_json).collect();
        members.insert("coverage".to_owned(), coverage);
    }
    value
}
