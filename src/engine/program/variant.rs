//! `variant`: which variant of an experiment, or which version of a policy, a key gets.

use crate::engine::Value;
use crate::engine::input::{Layout, Root, Slot};
use crate::model::{Group, PolicyId, VariantAnswer, VariantReason};

use super::access_request::invalid;
use super::assign::Assigned;
use super::experiment::{Choice, Experiment, Which};
use super::members::{is_object, members};
use super::run::Run;
use super::{Context, EvaluateError, Program, Scratch};

/// The fields of a variant request.
#[derive(Debug)]
pub(super) struct VariantSlots {
    experiment: Slot,
    policy: Slot,
    key: Slot,
    /// Only whether there is one.
    context: Slot,
}

impl VariantSlots {
    pub fn new(layout: &mut Layout) -> Self {
        let mut slot = |name| layout.slot(Root::Input, &[name]);
        Self {
            experiment: slot("experiment"),
            policy: slot("policy_id"),
            key: slot("key"),
            context: layout.presence(Root::Input, &["context"]),
        }
    }
}

/// What a flag is for a key.
#[derive(Clone, Debug)]
pub struct Flag<'a> {
    pub answer: VariantAnswer<'a>,
    /// Whether every variant is called `true` or `false`.
    pub boolean: bool,
}

impl Program {
    /// Assigns the variant of the experiment of this name to a key. `details` is the JSON text of an object, and
    /// what `context` is in [`Program::variant`].
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn flag<'a>(
        &'a self,
        name: &str,
        key: Option<&'a str>,
        details: Option<&'a [u8]>,
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<Flag<'a>, EvaluateError> {
        let run = Run::new(self, details.unwrap_or_default(), context, scratch)?;
        run.fill_key(key, details)?;
        if let Some(experiment) = self.experiments.named(name) {
            let word = |variant: &String| matches!(variant.as_str(), "true" | "false");
            return Ok(Flag {
                boolean: experiment.variants.iter().all(word),
                answer: run.experiment_answer(experiment, None)?,
            });
        }
        let choice = self.experiments.group_named(name);
        let choice = choice.ok_or_else(|| EvaluateError::NotFound(name.to_owned()))?;
        Ok(Flag {
            boolean: false,
            answer: run.group_answer(choice),
        })
    }

    pub(super) fn run_variant<'a>(
        &'a self,
        run: &mut Run<'a>,
        body: &'a [u8],
    ) -> Result<VariantAnswer<'a>, EvaluateError> {
        let slots = &self.variant_slots;
        let [context] = if run.slots().contains(slots.context) {
            members(body, ["context"], run.context.duplicates)?.unwrap_or_default()
        } else {
            [None]
        };
        let key = run.optional_text(slots.key, "/key")?;
        let experiment = run.optional_text(slots.experiment, "/experiment")?;
        let policy = run.optional_text(slots.policy, "/policy_id")?;
        run.fill_key(key, context)?;
        match (experiment, policy) {
            (Some(name), None) => {
                let experiment = self
                    .experiments
                    .named(name)
                    .ok_or_else(|| EvaluateError::NotFound(name.to_owned()));
                match experiment {
                    Ok(experiment) => run.experiment_answer(experiment, None),
                    // A policy with an A/B group is an experiment of its own name.
                    Err(not_found) => match self.experiments.group_named(name) {
                        Some(choice) => Ok(run.group_answer(choice)),
                        None => Err(not_found),
                    },
                }
            }
            (None, Some(id)) => {
                let id: PolicyId = id
                    .parse()
                    .map_err(|_| invalid("/policy_id", "must be a UUID"))?;
                let choice = self
                    .experiments
                    .of_policy(id)
                    .ok_or_else(|| EvaluateError::NotFound(id.to_string()))?;
                match choice.which {
                    Which::Group => Ok(run.group_answer(choice)),
                    Which::Explicit(index) => {
                        run.experiment_answer(self.experiments.explicit(index), Some(choice))
                    }
                }
            }
            _ => Err(invalid("", "needs either `experiment` or `policy_id`")),
        }
    }
}

impl<'a> Run<'a> {
    fn optional_text(&self, slot: Slot, pointer: &str) -> Result<Option<&'a str>, EvaluateError> {
        match self.slots().get(slot) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(pointer, "must be a string")),
        }
    }

    /// Puts a key and its context where audiences look: `context`, and a subject with that id and those properties.
    pub fn fill_key(
        &mut self,
        key: Option<&'a str>,
        context: Option<&'a [u8]>,
    ) -> Result<(), EvaluateError> {
        if let Some(context) = context.filter(|text| *text != b"null") {
            if !is_object(context) {
                return Err(invalid("/context", "must be an object"));
            }
            self.fill(Root::Context, context)?;
            self.fill(Root::Subject, self.subject_with(context))?;
        }
        if let Some(key) = key {
            let layout = &self.program.layout;
            let value = Value::String(key);
            self.slots().set(layout, Root::Subject, &["id"], value);
        }
        self.assignments.key = key;
        self.assignments.explicit_key = true;
        Ok(())
    }

    fn subject_with(&self, properties: &[u8]) -> &'a [u8] {
        let parts: [&[u8]; 3] = [b"{\"type\":\"user\",\"properties\":", properties, b"}"];
        let bytes = parts.into_iter().flatten().copied();
        bumpalo::collections::Vec::from_iter_in(bytes, self.arena).into_bump_slice()
    }

    fn experiment_answer(
        &mut self,
        experiment: &'a Experiment,
        choice: Option<&'a Choice>,
    ) -> Result<VariantAnswer<'a>, EvaluateError> {
        let assigned = self.assign(experiment)?;
        let (variant, reason) = match assigned {
            Assigned::In(variant, reason) => (Some(variant), reason),
            Assigned::Out(reason) => (None, reason),
        };
        Ok(VariantAnswer {
            experiment: &experiment.name,
            variant: variant.map(|variant| experiment.variant_name(variant)),
            version: choice.and_then(|choice| {
                choice
                    .version_text(variant)
                    .or_else(|| choice.active_text())
            }),
            reason,
            errors: self.take_reports().errors,
        })
    }

    fn group_answer(&mut self, choice: &'a Choice) -> VariantAnswer<'a> {
        let group = self.group();
        let variant = group.map(|group| usize::from(group == Group::B));
        VariantAnswer {
            experiment: &choice.policy,
            variant: group.map(Group::as_str),
            version: choice
                .version_text(variant)
                .or_else(|| choice.active_text()),
            reason: if group.is_some() {
                VariantReason::Split
            } else {
                VariantReason::NoKey
            },
            errors: self.take_reports().errors,
        }
    }

    /// A document's own test: which variant its experiment gives a key.
    pub fn test_variant(
        &mut self,
        experiment: &'a Experiment,
        key: &'a str,
        context: Option<&'a [u8]>,
    ) -> Result<VariantAnswer<'a>, EvaluateError> {
        self.fill_key(Some(key), context)?;
        self.experiment_answer(experiment, None)
    }
}
