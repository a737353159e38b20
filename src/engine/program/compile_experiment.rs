//! Compiling experiments: what they are, which policies they route, and who may route a policy.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::engine::expression::Variables;
use crate::engine::input::Root;
use crate::engine::table::Table;
use crate::model::{Group, PolicyId, VersionStatus};
use crate::policy::{self, Document};

use super::bucket::Salt;
use super::compile::Build;
use super::experiment::{Choice, Experiment, Which};
use super::version::Gate;

/// Documents with their content hashes.
type Documents = [(Document, Arc<str>)];

/// Roots that `key` and `audience` may name.
const ROOTS: &[Root] = &[
    Root::Input,
    Root::Subject,
    Root::Action,
    Root::Resource,
    Root::Context,
    Root::Http,
    Root::Jwt,
    Root::Source,
    Root::Destination,
    Root::Tls,
    Root::Extensions,
    Root::Metadata,
];

/// The version that each variant of an experiment runs.
#[derive(Debug)]
pub(super) struct Claim {
    experiment: u32,
    versions: Vec<Option<semver::Version>>,
}

impl Build {
    /// Compiles an Experiment document.
    pub fn experiment(&mut self, document: &Document, source: &policy::Experiment) {
        let name = document.metadata.name.clone();
        if self.program.experiments.named(&name).is_some() {
            self.error(
                &document.place,
                format!("a second experiment is called `{name}`"),
            );
            return;
        }
        let none = Variables::default();
        let key = source
            .key
            .as_ref()
            .and_then(|key| self.condition(key, ROOTS, &none));
        let audience = match &source.audience {
            None => None,
            // An audience that does not compile is reported; the program is then not used.
            Some(audience) => self.condition(audience, ROOTS, &none),
        };
        let variants: Vec<String> = source.variants.iter().map(|v| v.name.clone()).collect();
        let mut overrides = Table::default();
        for (key, variant) in &source.overrides {
            match variants.iter().position(|name| name == variant) {
                Some(index) => {
                    overrides.insert(key.clone(), index);
                }
                None => self.error(
                    &document.place,
                    format!(
                        "`overrides` gives `{key}` the variant `{variant}`, which does not exist"
                    ),
                ),
            }
        }
        let version = self.version(document, Gate::Always, Variables::default());
        self.program.experiments.add(Experiment {
            name,
            version,
            hash: source.hash,
            salt: Salt::new(&source.salt),
            rollout: source.rollout,
            weights: source
                .variants
                .iter()
                .map(|variant| variant.weight)
                .collect(),
            variants,
            overrides,
            key,
            audience,
        });
        self.tests(document, version);
    }

    /// Which experiment claims which policy.
    pub fn claims(
        &mut self,
        documents: &Documents,
        policies: &HashMap<PolicyId, Vec<usize>>,
    ) -> HashMap<PolicyId, Claim> {
        let mut claims = HashMap::new();
        let by_name: HashMap<&str, PolicyId> = documents
            .iter()
            .filter(|(document, _)| !matches!(document.body, policy::Body::Experiment(_)))
            .map(|(document, _)| (&*document.metadata.name, document.metadata.id))
            .collect();
        for (position, (document, _)) in documents.iter().enumerate() {
            let policy::Body::Experiment(source) = &document.body else {
                continue;
            };
            let Some(experiment) = self.experiment_index(document) else {
                continue;
            };
            self.current_document(position);
            for (name, by_variant) in &source.policies {
                let Some(id) = by_name.get(name.as_str()) else {
                    self.warn(
                        &document.place,
                        format!("`policies` names `{name}`, which is not loaded"),
                    );
                    continue;
                };
                let claim = Claim {
                    experiment,
                    versions: source
                        .variants
                        .iter()
                        .map(|variant| by_variant.get(&variant.name).cloned())
                        .collect(),
                };
                self.missing_versions(document, name, &claim, (documents, policies.get(id)));
                match claims.entry(*id) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(claim);
                    }
                    Entry::Occupied(_) => self.error(
                        &document.place,
                        format!("`policies` names `{name}`, which another experiment names too"),
                    ),
                }
            }
        }
        claims
    }

    fn experiment_index(&self, document: &Document) -> Option<u32> {
        (document.metadata.status == VersionStatus::Active)
            .then(|| self.program.experiments.index(&document.metadata.name))
            .flatten()
    }

    fn missing_versions(
        &mut self,
        document: &Document,
        name: &str,
        claim: &Claim,
        (documents, of_policy): (&Documents, Option<&Vec<usize>>),
    ) {
        for version in claim.versions.iter().flatten() {
            if find(documents, of_policy.map_or(&[], Vec::as_slice), version).is_none() {
                self.warn(
                    &document.place,
                    format!("`policies` gives `{name}` version {version}, which is not loaded: the active version decides"),
                );
            }
        }
    }

    /// How the versions of an active policy are chosen, where they are; adds those that can decide beside it.
    pub fn choice(
        &mut self,
        documents: &Documents,
        active: usize,
        of_policy: &[usize],
        claim: Option<&Claim>,
        versions: &mut Vec<usize>,
    ) -> Option<u32> {
        let (document, _) = documents.get(active)?;
        let group = document
            .metadata
            .group
            .filter(|_| !matches!(document.body, policy::Body::Experiment(_)));
        self.current_document(active);
        if group.is_some() && claim.is_some() {
            self.error(
                &document.place,
                "the active version carries an A/B group, which makes the policy an experiment by itself, and an \
                 Experiment names it too",
            );
        }
        let mut local = |position: usize| {
            let known = versions.iter().position(|version| *version == position);
            known.unwrap_or_else(|| {
                versions.push(position);
                versions.len() - 1
            }) as u16
        };
        let (which, by_variant) = match (claim, group) {
            (Some(claim), _) => {
                let wanted = claim
                    .versions
                    .iter()
                    .map(|version| find(documents, of_policy, version.as_ref()?).map(&mut local));
                (Which::Explicit(claim.experiment), wanted.collect())
            }
            (None, Some(group)) => {
                let versions = [Group::A, Group::B].map(|wanted| {
                    if wanted == group {
                        Some(0)
                    } else {
                        testing(documents, of_policy, wanted).map(&mut local)
                    }
                });
                (Which::Group, versions.to_vec())
            }
            (None, None) => return None,
        };
        let choice = Choice {
            policy: document.metadata.name.clone(),
            which,
            versions: by_variant,
            texts: versions
                .iter()
                .filter_map(|position| documents.get(*position))
                .map(|(document, _)| document.metadata.version.to_string())
                .collect(),
        };
        Some(
            self.program
                .experiments
                .add_choice(document.metadata.id, choice),
        )
    }
}

fn find(documents: &Documents, of_policy: &[usize], version: &semver::Version) -> Option<usize> {
    of_policy.iter().copied().find(|position| {
        documents
            .get(*position)
            .is_some_and(|(document, _)| document.metadata.version == *version)
    })
}

/// The newest version of a group that is being tested.
fn testing(documents: &Documents, of_policy: &[usize], group: Group) -> Option<usize> {
    of_policy.iter().copied().find(|position| {
        documents.get(*position).is_some_and(|(document, _)| {
            document.metadata.status == VersionStatus::Testing
                && document.metadata.group == Some(group)
        })
    })
}
