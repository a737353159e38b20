//! Experiments: who is in which variant, and which version of a policy that means.

use std::sync::Arc;

use crate::engine::table::Table;
use crate::model::{Group, PolicyId, VariantReason};
use crate::policy::ExperimentHash;

use super::assign::Assigned;
use super::bucket::{self, Salt};
use super::version::{Condition, VersionId};

/// The experiments of a program, and the policies that are in one.
#[derive(Debug, Default)]
pub(super) struct Experiments {
    explicit: Vec<Experiment>,
    by_name: Table<Arc<str>, u32>,
    choices: Vec<Choice>,
    by_policy: Table<PolicyId, u32>,
}

/// A compiled experiment.
#[derive(Debug)]
pub(super) struct Experiment {
    pub name: Arc<str>,
    pub version: VersionId,
    pub hash: ExperimentHash,
    pub salt: Salt,
    pub rollout: u32,
    /// Names and weights, in the order written.
    pub variants: Vec<String>,
    pub weights: Vec<u32>,
    pub overrides: Table<String, usize>,
    pub key: Option<Condition>,
    pub audience: Option<Condition>,
}

/// A policy in an experiment: which of its versions each variant runs.
#[derive(Debug)]
pub(super) struct Choice {
    pub policy: Arc<str>,
    pub which: Which,
    /// By variant: the local number of the version; None where it is not loaded.
    pub versions: Vec<Option<u16>>,
    /// By local number: the version's text.
    pub texts: Vec<String>,
}

/// What assigns the variant of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The policy's own A/B group: the MD5 of the key.
    Group,
    /// An Experiment document.
    Explicit(u32),
}

impl Experiments {
    pub fn add(&mut self, experiment: Experiment) -> u32 {
        let index = self.explicit.len() as u32;
        self.by_name.insert(experiment.name.clone(), index);
        self.explicit.push(experiment);
        index
    }

    pub fn add_choice(&mut self, policy: PolicyId, choice: Choice) -> u32 {
        let index = self.choices.len() as u32;
        self.by_policy.insert(policy, index);
        self.choices.push(choice);
        index
    }

    /// Number of Experiment documents.
    pub fn count(&self) -> usize {
        self.explicit.len()
    }

    /// Whether any policy is in an experiment.
    pub fn decide(&self) -> bool {
        !self.choices.is_empty()
    }

    /// The experiment at an index that [`Experiments::add`] gave.
    pub fn explicit(&self, index: u32) -> &Experiment {
        &self.explicit[index as usize]
    }

    /// The choice at an index that [`Experiments::add_choice`] gave.
    pub fn choice(&self, index: u32) -> &Choice {
        &self.choices[index as usize]
    }

    pub fn index(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub fn named(&self, name: &str) -> Option<&Experiment> {
        self.by_name.get(name).map(|index| self.explicit(*index))
    }

    /// The policy of this name, where its own A/B group makes it an experiment.
    pub fn group_named(&self, name: &str) -> Option<&Choice> {
        let of_name = |choice: &&Choice| choice.which == Which::Group && *choice.policy == *name;
        self.choices.iter().find(of_name)
    }

    pub fn of_policy(&self, policy: PolicyId) -> Option<&Choice> {
        self.by_policy.get(&policy).map(|index| self.choice(*index))
    }

    /// Names of the experiments that assign variants.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let groups = self
            .choices
            .iter()
            .filter(|choice| choice.which == Which::Group)
            .map(|choice| &*choice.policy);
        self.explicit
            .iter()
            .map(|experiment| &*experiment.name)
            .chain(groups)
    }
}

impl Choice {
    /// The local number of the version that a variant runs.
    pub fn version(&self, variant: Option<usize>) -> Option<u16> {
        self.versions.get(variant?).copied().flatten()
    }

    /// The text of the version that a variant runs.
    pub fn version_text(&self, variant: Option<usize>) -> Option<&str> {
        let local = self.version(variant)?;
        self.texts.get(usize::from(local)).map(String::as_str)
    }

    /// The text of the active version.
    pub fn active_text(&self) -> Option<&str> {
        self.texts.first().map(String::as_str)
    }
}

impl Experiment {
    pub fn variant_name(&self, variant: usize) -> &str {
        self.variants.get(variant).map_or("", String::as_str)
    }

    /// The variant that `overrides` gives a key.
    pub fn overridden(&self, key: &str) -> Option<usize> {
        self.overrides.get(key).copied()
    }

    /// The variant of a key that no override names and that the audience holds.
    pub fn bucket(&self, key: &str) -> Assigned {
        let variant = match self.hash {
            ExperimentHash::Md5 => {
                let group = if bucket::md5_group(key) == Group::A {
                    "A"
                } else {
                    "B"
                };
                self.variants.iter().position(|name| name == group)
            }
            ExperimentHash::Murmur3 if !bucket::in_rollout(key, &self.salt, self.rollout) => None,
            ExperimentHash::Murmur3 => bucket::variant(key, &self.salt, &self.weights),
        };
        variant.map_or(Assigned::Out(VariantReason::NotInRollout), |variant| {
            Assigned::In(variant, VariantReason::Split)
        })
    }

    /// The variant of a key without a request to hold an audience against: who is not let in by an override is out.
    pub fn bucket_of_key(&self, key: Option<&str>) -> Assigned {
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Assigned::Out(VariantReason::NoKey);
        };
        match self.overridden(key) {
            Some(variant) => Assigned::In(variant, VariantReason::Override),
            None if self.audience.is_some() => Assigned::Out(VariantReason::NotInAudience),
            None => self.bucket(key),
        }
    }
}
