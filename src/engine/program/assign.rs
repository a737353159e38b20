//! Which variants a request is in, worked out at most once per decision and only where a policy asks.

use std::cell::Cell;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::model::{Assignment, Group, VariantReason};

use super::EvaluateError;
use super::bucket;
use super::experiment::{Choice, Experiment, Which};
use super::run::{Outcome, Run};
use super::version::{Gate, VersionId};

/// Where a key stands in one experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assigned {
    /// Index of the variant.
    In(usize, VariantReason),
    Out(VariantReason),
}

/// The variants of one decision.
#[derive(Debug)]
pub(super) struct Assignments<'a> {
    /// The unit of assignment at this door; empty counts as none.
    pub key: Option<&'a str>,
    /// The caller named the key itself: an experiment's own `key` is not asked.
    pub explicit_key: bool,
    group: Option<Group>,
    experiments: &'a [Cell<Option<Assigned>>],
    named: BumpVec<'a, Assignment<'a>>,
}

impl<'a> Assignments<'a> {
    pub fn new(arena: &'a Bump) -> Self {
        Self {
            key: None,
            explicit_key: false,
            group: None,
            experiments: &[],
            named: BumpVec::new_in(arena),
        }
    }

    /// The variants that decided, once.
    pub fn take_named(&mut self, arena: &'a Bump) -> &'a [Assignment<'a>] {
        std::mem::replace(&mut self.named, BumpVec::new_in(arena)).into_bump_slice()
    }
}

impl<'a> Run<'a> {
    /// Whether this version of its policy is the one that decides this request.
    #[inline]
    pub fn decides(&mut self, id: VersionId) -> Result<bool, EvaluateError> {
        if let Some(only) = self.only {
            return Ok(only == id);
        }
        match self.version(id).gate {
            Gate::Always => Ok(true),
            Gate::Choice { choice, local } => self.chooses(choice, local),
        }
    }

    fn chooses(&mut self, choice: u32, local: u16) -> Result<bool, EvaluateError> {
        let choice = self.program.experiments.choice(choice);
        let variant = self.variant_of(choice)?;
        Ok(choice.version(variant).unwrap_or(0) == local)
    }

    /// Names the variant under which a version decided, unless it decided only because its variant has no version.
    #[inline]
    pub fn name_variant(&mut self, id: VersionId) -> Result<(), EvaluateError> {
        match self.version(id).gate {
            Gate::Always => Ok(()),
            Gate::Choice { choice, .. } => self.name_chosen(choice),
        }
    }

    fn name_chosen(&mut self, choice: u32) -> Result<(), EvaluateError> {
        let choice = self.program.experiments.choice(choice);
        let Some(variant) = self.variant_of(choice)?.filter(|_| self.only.is_none()) else {
            return Ok(());
        };
        if choice.version(Some(variant)).is_none() {
            return Ok(());
        }
        let (experiment, variant) = match choice.which {
            Which::Group => (&*choice.policy, if variant == 0 { "A" } else { "B" }),
            Which::Explicit(index) => {
                let experiment = self.program.experiments.explicit(index);
                (&*experiment.name, experiment.variant_name(variant))
            }
        };
        let named = &mut self.assignments.named;
        if !named.iter().any(|known| known.experiment == experiment) {
            named.push(Assignment {
                experiment,
                variant,
            });
        }
        Ok(())
    }

    /// Names the variant of every Experiment that this request is in: what is routed by them need not be decided by them.
    pub fn name_experiments(&mut self) -> Result<(), EvaluateError> {
        for index in 0..self.program.experiments.count() as u32 {
            let Assigned::In(variant, _) = self.assigned(index)? else {
                continue;
            };
            let experiment = self.program.experiments.explicit(index);
            let named = &mut self.assignments.named;
            if !named
                .iter()
                .any(|known| known.experiment == &*experiment.name)
            {
                named.push(Assignment {
                    experiment: &experiment.name,
                    variant: experiment.variant_name(variant),
                });
            }
        }
        Ok(())
    }

    /// The variant of the experiment that a policy is in; None = not in it.
    fn variant_of(&mut self, choice: &'a Choice) -> Result<Option<usize>, EvaluateError> {
        match choice.which {
            Which::Group => Ok(self.group().map(|group| usize::from(group == Group::B))),
            Which::Explicit(index) => match self.assigned(index)? {
                Assigned::In(variant, _) => Ok(Some(variant)),
                Assigned::Out(_) => Ok(None),
            },
        }
    }

    /// The registry's group of this request's key.
    pub fn group(&mut self) -> Option<Group> {
        let key = self.assignments.key.filter(|key| !key.is_empty())?;
        Some(
            *self
                .assignments
                .group
                .get_or_insert_with(|| bucket::md5_group(key)),
        )
    }

    fn assigned(&mut self, index: u32) -> Result<Assigned, EvaluateError> {
        let count = self.program.experiments.count();
        if self.assignments.experiments.len() != count {
            self.assignments.experiments =
                self.arena.alloc_slice_fill_with(count, |_| Cell::new(None));
        }
        let experiments = self.assignments.experiments;
        let known = experiments.get(index as usize);
        if let Some(assigned) = known.and_then(Cell::get) {
            return Ok(assigned);
        }
        let assigned = self.assign(self.program.experiments.explicit(index))?;
        if let Some(cell) = known {
            cell.set(Some(assigned));
        }
        Ok(assigned)
    }

    /// Assigns this request's key.
    pub fn assign(&mut self, experiment: &'a Experiment) -> Result<Assigned, EvaluateError> {
        let key = self.experiment_key(experiment)?;
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Ok(Assigned::Out(VariantReason::NoKey));
        };
        if let Some(variant) = experiment.overridden(key) {
            return Ok(Assigned::In(variant, VariantReason::Override));
        }
        if let Some(audience) = &experiment.audience {
            let policy = self.version(experiment.version);
            if self.holds(policy, audience)? != Outcome::Value(true) {
                return Ok(Assigned::Out(VariantReason::NotInAudience));
            }
        }
        Ok(experiment.bucket(key))
    }

    /// The value of the experiment's own `key`, else the door's key. A `key` that this request lacks is no key at all:
    /// another unit in its place would not stay in its variant.
    fn experiment_key(
        &mut self,
        experiment: &'a Experiment,
    ) -> Result<Option<&'a str>, EvaluateError> {
        let Some(key) = &experiment.key else {
            return Ok(self.assignments.key);
        };
        if self.assignments.explicit_key {
            return Ok(self.assignments.key);
        }
        let outcome = self.quietly(key.expression.evaluate(&self.frame))?;
        Ok(match outcome {
            Outcome::Value(Value::String(text)) => Some(text),
            Outcome::Value(value @ (Value::Int(_) | Value::Uint(_))) => Some(self.text(&value)),
            _ => None,
        })
    }
}
