//! Contents as the registry delivers them: every version's text, and which one a client gets.

use std::sync::Arc;

use crate::engine::table::Table;
use crate::model::{Assignment, Group, PolicyId, Timestamp, VersionStatus};
use crate::policy::Document;

use super::Content;
use super::assign::Assigned;
use super::bucket;
use super::experiment::{Experiments, Which};

/// Every policy's versions.
#[derive(Debug, Default)]
pub(super) struct Contents {
    policies: Table<PolicyId, Vec<Stored>>,
}

/// A version's content.
#[derive(Debug)]
struct Stored {
    name: Arc<str>,
    version: String,
    status: VersionStatus,
    group: Option<Group>,
    changed_at: Timestamp,
    json: Arc<str>,
    content_hash: Arc<str>,
}

impl Contents {
    /// Keeps all versions, in the manifest's order.
    pub fn new(documents: Vec<(Document, Arc<str>)>) -> Self {
        let mut policies: Table<PolicyId, Vec<Stored>> = Table::default();
        for (document, content_hash) in documents {
            let metadata = document.metadata;
            policies.entry(metadata.id).or_default().push(Stored {
                name: metadata.name,
                version: metadata.version.to_string(),
                status: metadata.status,
                group: metadata.group,
                changed_at: metadata.changed_at,
                json: document.json,
                content_hash,
            });
        }
        Self { policies }
    }

    /// The active version of every policy, by name.
    pub fn active(&self) -> Vec<(PolicyId, Content<'_>)> {
        let mut all: Vec<_> = self
            .policies
            .iter()
            .filter_map(|(id, versions)| {
                let mut versions = versions.iter();
                let active = versions.find(|version| version.status == VersionStatus::Active)?;
                Some((*id, active.content(None)))
            })
            .collect();
        all.sort_unstable_by_key(|(id, content)| (content.name, *id));
        all
    }

    /// The content that a client gets of a policy.
    pub fn find<'a>(
        &'a self,
        experiments: &'a Experiments,
        policy: PolicyId,
        client: Option<&str>,
    ) -> Option<Content<'a>> {
        let versions = self.policies.get(&policy)?;
        let active = versions
            .iter()
            .find(|version| version.status == VersionStatus::Active)?;
        let client = client.filter(|client| !client.is_empty());
        let Some((choice, client)) = experiments.of_policy(policy).zip(client) else {
            return Some(active.content(None));
        };
        match choice.which {
            Which::Group => {
                let group = bucket::md5_group(client);
                let stored = Self::of_group(versions, active, group)?;
                let (experiment, variant) = (&*active.name, group.as_str());
                Some(stored.content(Some(Assignment {
                    experiment,
                    variant,
                })))
            }
            Which::Explicit(index) => {
                let experiment = experiments.explicit(index);
                let Assigned::In(variant, _) = experiment.bucket_of_key(Some(client)) else {
                    return Some(active.content(None));
                };
                let wanted = choice.version_text(Some(variant));
                let found =
                    wanted.and_then(|text| versions.iter().find(|version| version.version == text));
                let assignment = found.map(|_| Assignment {
                    experiment: &experiment.name,
                    variant: experiment.variant_name(variant),
                });
                Some(found.unwrap_or(active).content(assignment))
            }
        }
    }

    /// The group's active version, else the one that is being tested, else the one retired last.
    fn of_group<'a>(
        versions: &'a [Stored],
        active: &'a Stored,
        group: Group,
    ) -> Option<&'a Stored> {
        if active.group == Some(group) {
            return Some(active);
        }
        let testing = |version: &&Stored| {
            version.status == VersionStatus::Testing && version.group == Some(group)
        };
        let retired = versions
            .iter()
            .filter(|version| version.status == VersionStatus::Retired);
        let found = versions.iter().find(testing);
        // Of versions that were retired at one moment, the first in the manifest: the newest.
        found.or_else(|| retired.rev().max_by_key(|version| version.changed_at))
    }
}

impl Stored {
    fn content<'a>(&'a self, variant: Option<Assignment<'a>>) -> Content<'a> {
        Content {
            name: &self.name,
            version: &self.version,
            json: &self.json,
            content_hash: &self.content_hash,
            variant,
        }
    }
}
