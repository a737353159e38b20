//! The tests that stand in modules: rules whose names begin with `test_`, as `opa test` runs them.

use regorus::Value;

use super::{Rego, RegoMachine, RegoSetting};

/// A test and how it came out.
#[derive(Clone, Debug)]
pub struct RegoTest {
    /// For example `data.authz_test.test_admin`.
    pub name: String,
    pub outcome: RegoTestOutcome,
    /// What it printed, each line with its place.
    pub prints: Vec<String>,
}

/// How a test came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegoTestOutcome {
    Passed,
    /// Its name begins with `todo_test_`.
    Skipped,
    Failed(String),
}

impl Rego {
    /// Runs every test, on both engines where the register machine takes it.
    #[must_use]
    pub fn self_test(&self, setting: &RegoSetting<'_>) -> Vec<RegoTest> {
        let mut machine = RegoMachine::default();
        let mut interpreter = RegoMachine::interpreting();
        let Some(shared) = &self.shared else {
            return Vec::new();
        };
        let mut tests = Vec::new();
        for (index, rule) in shared.rules.iter().enumerate() {
            let is_todo = rule.last.starts_with("todo_test_");
            if !is_todo && !rule.last.starts_with("test_") {
                continue;
            }
            let outcome = if is_todo {
                RegoTestOutcome::Skipped
            } else {
                let ran = machine.load(shared).rule(index, setting);
                let interpreted = interpreter.load(shared).rule(index, setting);
                match (ran, interpreted) {
                    (Err(error), _) | (_, Err(error)) => RegoTestOutcome::Failed(error.to_string()),
                    (Ok(ran), Ok(interpreted)) if ran != interpreted => {
                        RegoTestOutcome::Failed(format!(
                            "the engines disagree: {ran} on the register machine, {interpreted} interpreted"
                        ))
                    }
                    (Ok(Value::Undefined), _) => RegoTestOutcome::Failed("it is undefined".into()),
                    (Ok(Value::Bool(false)), _) => RegoTestOutcome::Failed("it is false".into()),
                    _ => RegoTestOutcome::Passed,
                }
            };
            machine.take_prints();
            tests.push(RegoTest {
                name: rule.name.clone(),
                outcome,
                prints: interpreter.take_prints(),
            });
        }
        tests
    }
}
