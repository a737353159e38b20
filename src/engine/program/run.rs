//! One decision under way: what it reads, what it has left to spend, what it reports beside its answer.

use std::cell::Cell;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::expression::{Failure, Frame};
use crate::engine::input::{Part, PartName, Root, Slots};
use crate::engine::value::write_text;
use crate::model::{Assignment, Consideration, EvaluationIssue};

use super::assign::Assignments;
use super::version::{Condition, Version, VersionId};
use super::{Context, EvaluateError, HttpPeer, Program, Scratch};

/// A decision under way.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub program: &'a Program,
    pub arena: &'a Bump,
    pub frame: Frame<'a>,
    pub context: Context<'a>,
    /// The one document that decides, in its own tests.
    pub only: Option<VersionId>,
    pub issues: BumpVec<'a, EvaluationIssue<'a>>,
    pub considered: BumpVec<'a, Consideration<'a>>,
    pub assignments: Assignments<'a>,
    /// Elements of the lists that service policies walk, once one has asked.
    pub service_elements: Cell<Option<usize>>,
}

/// What a decision reports beside its answer.
pub(super) struct Reports<'a> {
    pub errors: &'a [EvaluationIssue<'a>],
    pub considered: &'a [Consideration<'a>],
    pub variants: &'a [Assignment<'a>],
}

/// What an expression came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a, T> {
    Value(T),
    /// The message of an evaluation error.
    Failed(&'a str),
}

impl<'a> Run<'a> {
    /// Starts a decision: checks the size of `input` and puts verified claims into their slots.
    pub fn new(
        program: &'a Program,
        input: &[u8],
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<&'a mut Self, EvaluateError> {
        let run = Self::without_claims(program, input, context, scratch)?;
        if let Some(claims) = context.claims {
            run.fill(Root::Jwt, claims)?;
        }
        Ok(run)
    }

    /// As [`Run::new`], where nobody looks at the claims.
    pub fn without_claims(
        program: &'a Program,
        input: &[u8],
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<&'a mut Self, EvaluateError> {
        let limit = context.limits.input_bytes;
        if input.len() > limit {
            return Err(EvaluateError::TooLarge { limit });
        }
        let arena = &scratch.arena;
        let slots: &'a Slots<'a> =
            arena.alloc(Slots::of_worker(&program.layout, arena, &scratch.habit));
        // Made in its place: it is large, and handed on several times.
        let run = arena.alloc_with(|| Self {
            program,
            arena,
            frame: Frame::new(
                slots,
                &program.data,
                context.now,
                arena,
                context.limits.steps,
            ),
            context: *context,
            only: None,
            issues: BumpVec::new_in(arena),
            considered: BumpVec::new_in(arena),
            assignments: Assignments::new(arena),
            service_elements: Cell::new(None),
        });
        if !context.principal.is_empty() {
            run.set_peer(
                Root::Source,
                &HttpPeer {
                    principal: context.principal,
                    ..HttpPeer::default()
                },
            );
        }
        Ok(run)
    }

    pub fn slots(&self) -> &'a Slots<'a> {
        self.frame.slots
    }

    /// What it reports beside its answer, once.
    pub fn take_reports(&mut self) -> Reports<'a> {
        let none = BumpVec::new_in(self.arena);
        let errors = std::mem::replace(&mut self.issues, none);
        let none = BumpVec::new_in(self.arena);
        let considered = std::mem::replace(&mut self.considered, none);
        Reports {
            errors: errors.into_bump_slice(),
            considered: considered.into_bump_slice(),
            variants: self.assignments.take_named(self.arena),
        }
    }

    /// Puts JSON text at a root.
    pub fn fill(&self, root: Root, text: &'a [u8]) -> Result<(), EvaluateError> {
        let (depth, duplicates) = (self.context.limits.input_depth, self.context.duplicates);
        let layout = &self.program.layout;
        self.slots()
            .fill(layout, root, text, self.arena, depth, duplicates)?;
        Ok(())
    }

    /// Puts JSON text at a root, and members of its object at roots of their own.
    pub fn fill_parts<const N: usize>(
        &self,
        root: Root,
        parts: [PartName; N],
        text: &'a [u8],
    ) -> Result<Option<[Part; N]>, EvaluateError> {
        let (depth, duplicates) = (self.context.limits.input_depth, self.context.duplicates);
        let layout = &self.program.layout;
        Ok(self
            .slots()
            .fill_parts(layout, root, parts, text, self.arena, depth, duplicates)?)
    }

    pub fn version(&self, id: VersionId) -> &'a Version {
        self.program.version(id)
    }

    /// Makes the variables of a document those that expressions see.
    pub fn enter(&mut self, id: VersionId) -> &'a Version {
        let version = self.version(id);
        self.frame.enter(&version.variables);
        version
    }

    /// Evaluates without reporting an error.
    pub fn quietly<T>(
        &self,
        result: Result<T, Failure<'a>>,
    ) -> Result<Outcome<'a, T>, EvaluateError> {
        match result {
            Ok(value) => Ok(Outcome::Value(value)),
            Err(Failure::Error(message)) => Ok(Outcome::Failed(message)),
            Err(Failure::Budget) => Err(self.exhausted()),
        }
    }

    #[cold]
    fn exhausted(&self) -> EvaluateError {
        EvaluateError::BudgetExceeded {
            steps: self.context.limits.steps,
        }
    }

    /// Spends `steps` on work that is no expression.
    #[inline]
    pub fn spend(&self, steps: usize) -> Result<(), EvaluateError> {
        let left = self.frame.steps.get().checked_sub(steps as u64);
        self.frame.steps.set(left.unwrap_or(0));
        match left {
            Some(_) => Ok(()),
            None => Err(self.exhausted()),
        }
    }

    /// Whether a condition holds; an error is reported.
    pub fn holds(
        &mut self,
        policy: &'a Version,
        condition: &'a Condition,
    ) -> Result<Outcome<'a, bool>, EvaluateError> {
        let outcome = self.quietly(condition.expression.holds(&self.frame))?;
        self.report(policy, &condition.place, &outcome);
        Ok(outcome)
    }

    /// The value of an expression; an error is reported.
    pub fn evaluate(
        &mut self,
        policy: &'a Version,
        condition: &'a Condition,
    ) -> Result<Outcome<'a, Value<'a>>, EvaluateError> {
        let outcome = self.quietly(condition.expression.evaluate(&self.frame))?;
        self.report(policy, &condition.place, &outcome);
        Ok(outcome)
    }

    /// Reports the error of an outcome, where it is one.
    pub fn report<T>(&mut self, policy: &'a Version, place: &'a str, outcome: &Outcome<'a, T>) {
        if let Outcome::Failed(message) = outcome {
            self.issues.push(EvaluationIssue {
                policy: &policy.name,
                place,
                message,
            });
        }
    }

    /// Notes what was looked at, where an explanation was asked for.
    #[inline]
    pub fn consider(
        &mut self,
        policy: &'a Version,
        place: &'a str,
        matched: bool,
        because: Option<(&'a Condition, Outcome<'a, bool>)>,
    ) {
        if self.context.explain {
            self.explain(policy, place, matched, because);
        }
    }

    #[cold]
    fn explain(
        &mut self,
        policy: &'a Version,
        place: &'a str,
        matched: bool,
        because: Option<(&'a Condition, Outcome<'a, bool>)>,
    ) {
        let (condition, value) = match because {
            None => ("", ""),
            Some((condition, Outcome::Value(true))) => (condition.expression.source(), "true"),
            Some((condition, Outcome::Value(false))) => (condition.expression.source(), "false"),
            Some((condition, Outcome::Failed(message))) => (
                condition.expression.source(),
                written(self.arena, format_args!("error: {message}")),
            ),
        };
        self.consider_text(policy, place, matched, (condition, value));
    }

    /// As [`Run::consider`], with condition and value already text.
    pub fn consider_text(
        &mut self,
        policy: &'a Version,
        place: &'a str,
        matched: bool,
        (condition, value): (&'a str, &'a str),
    ) {
        if self.context.explain {
            self.considered.push(Consideration {
                policy_id: &policy.id,
                policy_name: &policy.name,
                version: &policy.number,
                place,
                matched,
                condition,
                value,
            });
        }
    }

    /// A value as people read it.
    pub fn text(&self, value: &Value<'a>) -> &'a str {
        if let Value::String(text) = value {
            return text;
        }
        let mut out = bumpalo::collections::String::new_in(self.arena);
        // Writing to memory does not fail.
        let _ = write_text(&mut out, value);
        out.into_bump_str()
    }
}

/// Formatted text in the arena.
pub(super) fn written<'a>(arena: &'a Bump, text: std::fmt::Arguments<'_>) -> &'a str {
    let mut out = bumpalo::collections::String::new_in(arena);
    // Writing to memory does not fail.
    let _ = std::fmt::Write::write_fmt(&mut out, text);
    out.into_bump_str()
}
