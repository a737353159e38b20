//! Validation programs: ValidationPolicies and ServicePolicies alike, in the manifest's order.

use bumpalo::collections::Vec as BumpVec;

use crate::engine::expression::{Absent, Guard};
use crate::engine::input::Root;
use crate::model::{Severity, Validation, Violation};

use super::index::Index;
use super::run::{Outcome, Reports, Run};
use super::service::{Findings, Service, ServiceSlots};
use super::version::{Condition, Gate, Version, VersionId};
use super::{EvaluateError, Program};

/// Roots that expressions of a ValidationPolicy may name.
pub(super) const ROOTS: &[Root] = &[Root::Input, Root::Jwt, Root::Source];

/// The message of the one violation of a policy whose `match` cannot be evaluated.
const UNDECIDED: &str = "the policy could not be evaluated: an expression of its match failed";

/// All validating policies.
#[derive(Debug, Default)]
pub(super) struct Validations {
    programs: Vec<ValidationProgram>,
    index: Index,
    /// Enabled policies, each once however many of its versions can decide.
    pub policies: u32,
    /// Whether an expression of theirs, or of an experiment that routes them, looks at `jwt`.
    pub read_claims: bool,
    service_slots: Option<ServiceSlots>,
}

/// One validating policy version.
#[derive(Debug)]
pub(super) struct ValidationProgram {
    pub version: VersionId,
    pub severity: Severity,
    pub matches: Vec<Condition>,
    pub checks: Checks,
    /// It is the only version of its policy that can decide, and it concerns every request.
    always: bool,
}

impl ValidationProgram {
    pub fn new(
        (version, gate): (VersionId, Gate),
        severity: Severity,
        matches: Vec<Condition>,
        checks: Checks,
    ) -> Self {
        Self {
            version,
            severity,
            always: gate == Gate::Always && matches.is_empty(),
            matches,
            checks,
        }
    }
}

/// What a policy checks.
#[derive(Debug)]
pub(super) enum Checks {
    Rules(Vec<Rule>),
    Service(Box<Service>),
}

/// One validation of a ValidationPolicy.
#[derive(Debug)]
pub(super) struct Rule {
    pub condition: Condition,
    pub field: String,
    pub message: String,
    pub remediation: String,
    pub expected: Option<String>,
    pub actual: Option<Condition>,
}

/// What a check found, before it carries the policy's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding<'a> {
    pub field: &'a str,
    pub message: &'a str,
    pub remediation: &'a str,
    pub actual: Option<&'a str>,
    pub expected: Option<&'a str>,
}

/// Violations as they are found.
pub(super) type Violations<'a> = BumpVec<'a, Violation<'a>>;

impl Validations {
    /// Adds the next program.
    pub fn add(&mut self, program: ValidationProgram) {
        let guards = program.matches.iter().filter_map(guard);
        self.index.add(self.programs.len() as u32, guards);
        self.programs.push(program);
    }

    /// The slots that service policies read, registered by the first of them.
    pub fn service_slots(&mut self, make: impl FnOnce() -> ServiceSlots) {
        self.service_slots.get_or_insert_with(make);
    }
}

fn guard(condition: &Condition) -> Option<Guard> {
    condition.expression.guard()
}

impl Program {
    /// Runs every program that can apply. The input is in its slots.
    pub(super) fn run_validation<'a>(
        &'a self,
        run: &mut Run<'a>,
    ) -> Result<Validation<'a>, EvaluateError> {
        let mut violations = BumpVec::new_in(run.arena);
        let mut failed = 0;
        let validations = &self.validations;
        if run.context.explain || !self.indexed {
            // An explanation names the policies that the index would have skipped.
            for program in &validations.programs {
                failed += u32::from(run.program(program, &mut violations)?);
            }
        } else {
            for position in validations.index.candidates(run.slots(), run.arena) {
                if let Some(program) = validations.programs.get(*position as usize) {
                    failed += u32::from(run.program(program, &mut violations)?);
                }
            }
        }
        let Reports {
            errors,
            considered,
            variants,
        } = run.take_reports();
        Ok(Validation {
            violations: violations.into_bump_slice(),
            evaluated: if run.only.is_some() {
                1
            } else {
                validations.policies
            },
            failed,
            errors,
            considered,
            variants,
        })
    }
}

impl<'a> Run<'a> {
    /// Runs one program; true where it failed.
    #[inline]
    fn program(
        &mut self,
        program: &'a ValidationProgram,
        violations: &mut Violations<'a>,
    ) -> Result<bool, EvaluateError> {
        if let Checks::Service(service) = &program.checks
            && program.always
            && !self.context.explain
            && self.only.is_none()
        {
            // Nothing to ask beforehand.
            return self.service(program, service, violations);
        }
        if !self.decides(program.version)? {
            return Ok(false);
        }
        let policy = self.enter(program.version);
        let found = violations.len();
        if self.applies(policy, program, violations)? {
            self.name_variant(program.version)?;
            match &program.checks {
                Checks::Rules(rules) => {
                    for rule in rules {
                        self.rule(policy, program.severity, rule, violations)?;
                    }
                }
                Checks::Service(service) => {
                    self.service(program, service, violations)?;
                }
            }
        }
        Ok(violations.len() > found)
    }

    /// Whether all of `match` holds. Any false item wins over errors elsewhere; else an error is a violation.
    fn applies(
        &mut self,
        policy: &'a Version,
        program: &'a ValidationProgram,
        violations: &mut Violations<'a>,
    ) -> Result<bool, EvaluateError> {
        let mut failed: Option<(&'a Condition, Outcome<'a, bool>)> = None;
        for condition in &program.matches {
            let outcome = self.quietly(condition.expression.holds(&self.frame))?;
            match outcome {
                Outcome::Value(true) => {}
                Outcome::Value(false) => {
                    self.consider(policy, &condition.place, false, Some((condition, outcome)));
                    return Ok(false);
                }
                Outcome::Failed(_) => failed = failed.or(Some((condition, outcome))),
            }
        }
        let Some((condition, outcome)) = failed else {
            self.consider(policy, "", true, None);
            return Ok(true);
        };
        self.report(policy, &condition.place, &outcome);
        self.consider(policy, &condition.place, true, Some((condition, outcome)));
        let finding = Finding {
            field: "",
            message: UNDECIDED,
            remediation: "",
            actual: None,
            expected: None,
        };
        violations.push(violation(policy, program.severity, finding));
        self.name_variant(program.version)?;
        Ok(false)
    }

    fn rule(
        &mut self,
        policy: &'a Version,
        severity: Severity,
        rule: &'a Rule,
        violations: &mut Violations<'a>,
    ) -> Result<(), EvaluateError> {
        let outcome = self.holds(policy, &rule.condition)?;
        let fails = outcome != Outcome::Value(true);
        let because = Some((&rule.condition, outcome));
        self.consider(policy, &rule.condition.place, fails, because);
        if !fails {
            return Ok(());
        }
        let actual = match &rule.actual {
            None => None,
            Some(actual) => match self.evaluate(policy, actual)? {
                Outcome::Value(value) => Some(self.text(&value)),
                Outcome::Failed(_) => None,
            },
        };
        let finding = Finding {
            field: &rule.field,
            message: &rule.message,
            remediation: &rule.remediation,
            actual,
            expected: rule.expected.as_deref(),
        };
        violations.push(violation(policy, severity, finding));
        Ok(())
    }

    /// True where something was found.
    #[inline]
    fn service(
        &mut self,
        program: &'a ValidationProgram,
        service: &'a Service,
        violations: &mut Violations<'a>,
    ) -> Result<bool, EvaluateError> {
        let Some(slots) = &self.program.validations.service_slots else {
            return Ok(false);
        };
        // Most services comply, and that is told without making anything.
        if service.complies(self, slots)? {
            return Ok(false);
        }
        self.findings(program, service.findings(self, slots), violations);
        Ok(true)
    }

    fn findings(
        &mut self,
        program: &ValidationProgram,
        findings: Findings<'a>,
        violations: &mut Violations<'a>,
    ) {
        let policy = self.version(program.version);
        for finding in findings {
            self.consider_text(policy, finding.field, true, (finding.message, "false"));
            violations.push(violation(policy, program.severity, finding));
        }
    }
}

/// A finding under its policy's name.
pub(super) fn violation<'a>(
    policy: &'a Version,
    severity: Severity,
    finding: Finding<'a>,
) -> Violation<'a> {
    Violation {
        policy_id: &policy.id,
        policy_name: &policy.name,
        severity,
        message: finding.message,
        remediation: finding.remediation,
        field: finding.field,
        actual: finding.actual,
        expected: finding.expected,
    }
}

/// Whether a condition fails where its field is missing, so that the policy fails on every such request.
pub(super) fn unguarded(condition: &Condition) -> bool {
    guard(condition).is_some_and(|guard| guard.absent == Absent::Error)
}
