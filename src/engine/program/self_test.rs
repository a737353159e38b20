//! Decision tests: each document's own, run against that document alone.

use std::collections::BTreeMap;

use crate::engine::DuplicateMembers;
use crate::model::{Access, AccessReason, Timestamp, Validation, Violation};
use crate::policy::{DecisionTest, Document, Expectation, Question};

use super::run::Run;
use super::version::VersionId;
use super::{
    AccessRequest, Context, HttpAccess, Limits, Program, Scratch, TestCount, TestFailure,
    WrittenRequest,
};

/// The tests of all versions that can decide.
#[derive(Debug, Default)]
pub(super) struct Tests {
    tests: Vec<(VersionId, DecisionTest)>,
}

impl Tests {
    pub fn add(&mut self, document: &Document, version: VersionId) {
        let tests = document.tests.iter().cloned();
        self.tests.extend(tests.map(|test| (version, test)));
    }
}

impl Program {
    /// Runs the documents' own decision tests, each against its own document alone.
    ///
    /// # Errors
    ///
    /// Every test that fails.
    pub fn self_test(&self, now: Timestamp, limits: Limits) -> Result<TestCount, Vec<TestFailure>> {
        let mut failures = Vec::new();
        let mut count = TestCount::default();
        let mut scratch = Scratch::default();
        for (version, test) in &self.tests.tests {
            scratch.reset();
            match self.test((*version, test), (now, limits), &scratch) {
                Ok(()) => count.passed += 1,
                Err(message) => failures.push(TestFailure {
                    policy: self.version(*version).name.to_string(),
                    test: test.name.clone(),
                    message,
                }),
            }
        }
        if failures.is_empty() {
            Ok(count)
        } else {
            Err(failures)
        }
    }

    fn test(
        &self,
        (version, test): (VersionId, &DecisionTest),
        (now, limits): (Timestamp, Limits),
        scratch: &Scratch,
    ) -> Result<(), String> {
        let claims = match &test.question {
            Question::Http { jwt, .. } => jwt.as_deref().map(str::as_bytes),
            _ => None,
        };
        let context = Context {
            now,
            claims,
            principal: "",
            duplicates: DuplicateMembers::Refuse,
            explain: false,
            limits,
        };
        let start = |input: &[u8]| {
            let run = Run::new(self, input, &context, scratch).map_err(|e| e.to_string())?;
            run.only = Some(version);
            Ok::<_, String>(run)
        };
        let expect = &test.expect;
        match &test.question {
            Question::Validate { input } => {
                let run = start(input.as_bytes())?;
                let answer = self.validate_in(run, input.as_bytes());
                validation(expect, &answer.map_err(|error| error.to_string())?)
            }
            Question::Access { input } => {
                let run = start(input.as_bytes())?;
                let request = AccessRequest::Document(input.as_bytes());
                let answer = self.access_in(run, request);
                access(expect, &answer.map_err(|error| error.to_string())?)
            }
            Question::Http { http, .. } => {
                let request = WrittenRequest::parse(http)?;
                let (query, headers, labels) =
                    (request.query(), request.headers(), request.labels());
                let request = request.lend(&query, &headers, &labels);
                let answer = self.http_in(start(&[])?, &request);
                http_access(expect, &answer.map_err(|error| error.to_string())?)
            }
            Question::Variant { key, context } => {
                let experiment = self
                    .experiments
                    .named(&self.version(version).name)
                    .ok_or("this policy is no experiment")?;
                let context = context.as_deref().map(str::as_bytes);
                let answer = start(&[])?.test_variant(experiment, key, context);
                let variant = answer.map_err(|error| error.to_string())?.variant;
                match &expect.variant {
                    Some(expected) => equal(
                        "variant",
                        &expected.as_deref().unwrap_or("none"),
                        &variant.unwrap_or("none"),
                    ),
                    None => Ok(()),
                }
            }
        }
    }
}

fn equal<T: PartialEq + std::fmt::Display>(
    what: &str,
    expected: &T,
    got: &T,
) -> Result<(), String> {
    if expected == got {
        Ok(())
    } else {
        Err(format!("expected {what} {expected}, got {got}"))
    }
}

fn validation(expect: &Expectation, answer: &Validation<'_>) -> Result<(), String> {
    if let Some(compliant) = expect.compliant {
        equal("compliant", &compliant, &answer.compliant()).map_err(|message| {
            let found: Vec<&str> = answer.violations.iter().map(|v| v.message).collect();
            format!("{message}: {found:?}")
        })?;
    }
    match &expect.violations {
        Some(expected) => violations(expected, answer.violations),
        None => Ok(()),
    }
}

/// Each expectation takes one violation; with specific ones beside general ones that is a matching, found by search.
fn violations(
    expected: &[BTreeMap<String, String>],
    found: &[Violation<'_>],
) -> Result<(), String> {
    equal("violations", &expected.len(), &found.len()).map_err(|message| {
        let found: Vec<String> = found
            .iter()
            .map(|v| format!("{}: {}", v.field, v.message))
            .collect();
        format!("{message}: {found:?}")
    })?;
    // Augmenting paths: `taken` holds for each violation the expectation it meets.
    let mut taken: Vec<Option<usize>> = vec![None; found.len()];
    for (index, wanted) in expected.iter().enumerate() {
        let mut seen = vec![false; found.len()];
        if !assign(index, (expected, found), &mut seen, &mut taken) {
            return Err(format!("no violation left over meets {wanted:?}"));
        }
    }
    Ok(())
}

fn assign(
    index: usize,
    sides: (&[BTreeMap<String, String>], &[Violation<'_>]),
    seen: &mut [bool],
    taken: &mut [Option<usize>],
) -> bool {
    let (expected, found) = sides;
    let Some(wanted) = expected.get(index) else {
        return false;
    };
    for (position, violation) in found.iter().enumerate() {
        if !meets(wanted, violation) || std::mem::replace(&mut seen[position], true) {
            continue;
        }
        let free = taken[position].is_none_or(|other| assign(other, sides, seen, taken));
        if free {
            taken[position] = Some(index);
            return true;
        }
    }
    false
}

fn meets(wanted: &BTreeMap<String, String>, violation: &Violation<'_>) -> bool {
    wanted.iter().all(|(name, value)| {
        let found = match name.as_str() {
            "field" => Some(violation.field),
            "message" => Some(violation.message),
            "remediation" => Some(violation.remediation),
            "severity" => Some(violation.severity.as_str()),
            "actual" => violation.actual,
            "expected" => violation.expected,
            _ => None,
        };
        found == Some(value.as_str())
    })
}

fn access(expect: &Expectation, answer: &Access<'_>) -> Result<(), String> {
    if let Some(allowed) = expect.allowed {
        equal("allowed", &allowed, &answer.allowed)
            .map_err(|message| format!("{message}: {:?}", answer.reason))?;
    }
    if let Some(rule) = &expect.rule {
        let decided = match &answer.reason {
            AccessReason::Allowed { rule, .. } | AccessReason::Denied { rule, .. } => *rule,
            _ => "none",
        };
        equal("rule", &rule.as_str(), &decided)?;
    }
    Ok(())
}

fn http_access(expect: &Expectation, answer: &HttpAccess<'_>) -> Result<(), String> {
    access(expect, &answer.access)?;
    if let Some(status) = expect.status {
        equal("status", &status, &answer.status)?;
    }
    for (name, value) in &expect.headers {
        let found = answer
            .set_headers
            .iter()
            .chain(answer.append_headers)
            .find(|header| header.name.eq_ignore_ascii_case(name));
        let found = found.map_or("none", |header| header.value);
        equal(&format!("header `{name}`"), &value.as_str(), &found)?;
    }
    Ok(())
}
