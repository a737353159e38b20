//! What of a write can be found out before its transaction: whether it has the right shape, what its content is, and
//! whether that holds.

use serde_json::Value;

use crate::control_plane::clock;
use crate::control_plane::store::sqlite::versions;
use crate::control_plane::store::{PolicyStatus, VersionRow};
use crate::model::{PolicyId, VersionStatus};

use super::change::{Prepared, Revised, Signed, next_patch};
use super::content::{self, Checked, Draft};
use super::{
    Caller, Command, ContentKey, NewPolicy, NewVersion, Registry, RegistryError, Revision, resolve,
};

const LONGEST_NAME: usize = 255;
const LONGEST_DESCRIPTION: usize = 1000;
const MOST_TAGS: usize = 50;
const LONGEST_TAG: usize = 100;
/// Also a path below `/policies`, so no policy may be called that.
const RESERVED: &str = "bundle";
/// The one kind of document that a revision changes.
pub(super) const TYPED: &str = "ServicePolicy";

impl Registry {
    /// Finds out what needs no transaction.
    pub(super) async fn prepare(
        &self,
        caller: &Caller,
        command: &Command,
    ) -> Result<Prepared, RegistryError> {
        match command.clone() {
            Command::SetTesting { policy, version } => Ok(Prepared::SetTesting { policy, version }),
            Command::Activate { policy, version } => Ok(Prepared::Activate { policy, version }),
            Command::Archive { policy } => {
                self.typed_policy(&caller.tenant, &policy).await?;
                Ok(Prepared::Archive { policy })
            }
            Command::CreatePolicy(policy) => self.new_policy(caller, policy).await,
            Command::CreateVersion { policy, version } => {
                self.new_version(caller, &policy, version).await
            }
            Command::Revise { policy, revision } => self.revision(caller, &policy, revision).await,
        }
    }

    async fn new_policy(
        &self,
        caller: &Caller,
        policy: NewPolicy,
    ) -> Result<Prepared, RegistryError> {
        check_name(&policy.name)?;
        check_description(policy.description.as_deref())?;
        check_tags("/tags", &policy.tags)?;
        check_tags("/complianceTags", &policy.compliance_tags)?;
        let content = match policy.content.clone() {
            None => None,
            Some(content) => {
                let draft = Draft {
                    tenant: caller.tenant.clone(),
                    name: policy.name.clone(),
                    id: policy.id,
                    version: policy.version.clone(),
                    group: None,
                    format: policy.format,
                    content,
                };
                Some(sign(&self.content_key, check(draft).await?))
            }
        };
        Ok(Prepared::CreatePolicy { policy, content })
    }

    async fn new_version(
        &self,
        caller: &Caller,
        policy: &str,
        version: NewVersion,
    ) -> Result<Prepared, RegistryError> {
        check_description(version.description.as_deref())?;
        let key = match &version.keys {
            None => self.content_key.clone(),
            Some(pair) => ContentKey::from_request(&pair.private, pair.public.as_deref())?,
        };
        let policy = self.policy(&caller.tenant, policy).await?;
        let draft = Draft {
            tenant: caller.tenant.clone(),
            name: policy.name,
            id: Some(policy.id),
            version: version.version.clone(),
            group: version.group,
            format: policy.format,
            content: version.content.clone(),
        };
        Ok(Prepared::CreateVersion {
            policy: policy.id,
            content: sign(&key, check(draft).await?),
            version,
        })
    }

    /// Works out the next version from the active one. The transaction looks whether that is still so.
    async fn revision(
        &self,
        caller: &Caller,
        reference: &str,
        revision: Revision,
    ) -> Result<Prepared, RegistryError> {
        let missing = || RegistryError::NotFound(format!("there is no policy `{reference}`"));
        let mut read = self.store.read().await?;
        let policy = resolve(&mut read, &caller.tenant, reference)
            .await?
            .filter(|policy| policy.status != PolicyStatus::Archived)
            .ok_or_else(missing)?;
        let known = versions::list(&mut read, &caller.tenant, policy.id).await?;
        drop(read);
        let active = known
            .iter()
            .find(|version| version.status == VersionStatus::Active)
            .ok_or_else(missing)?;
        expect_typed(reference, active)?;
        let name = revision.name.unwrap_or_else(|| policy.name.clone());
        check_name(&name)?;
        let description = match revision.description {
            None => policy.description.clone(),
            Some(text) => Some(text).filter(|text| !text.is_empty()),
        };
        check_description(description.as_deref())?;
        let chosen = revision
            .version
            .filter(|version| version.to_string() != active.version);
        let changed = chosen.is_some() || name != policy.name || description != policy.description;
        let content = revised(&active.content, &name, revision.spec)?;
        if !changed && content.is_none() {
            // What was asked for is there: activating what is active changes nothing.
            return Ok(Prepared::Activate {
                policy: policy.id.to_string(),
                version: Some(active.version.clone()),
            });
        }
        let version = chosen.unwrap_or_else(|| next_patch(&known));
        let draft = Draft {
            tenant: caller.tenant.clone(),
            name: name.clone(),
            id: Some(policy.id),
            version: Some(version.clone()),
            group: None,
            format: policy.format,
            content: content.unwrap_or_else(|| active.content.clone()),
        };
        Ok(Prepared::Revise(Box::new(Revised {
            content: sign(&self.content_key, check(draft).await?),
            policy,
            name,
            description,
            version,
        })))
    }
}

/// Refuses a version that is no typed policy.
pub(super) fn expect_typed(reference: &str, version: &VersionRow) -> Result<(), RegistryError> {
    if version.kind == TYPED {
        return Ok(());
    }
    Err(RegistryError::Conflict(format!(
        "policy `{reference}` is of kind {}, which this API cannot say: use the registry's",
        version.kind
    )))
}

/// The content with its name and the members of its `spec` set; None where that changes nothing. Its tests speak of
/// the rule that they were written for: with another rule they go.
fn revised(
    content: &str,
    name: &str,
    spec: serde_json::Map<String, Value>,
) -> Result<Option<String>, RegistryError> {
    let broken = || RegistryError::shape("/content", "the active version is no document any more");
    let before: Value = serde_json::from_str(content).map_err(|_| broken())?;
    let mut document = before.clone();
    let members = document.as_object_mut().ok_or_else(broken)?;
    let metadata = members
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .ok_or_else(broken)?;
    metadata.insert("name".into(), name.into());
    let present = members
        .get_mut("spec")
        .and_then(Value::as_object_mut)
        .ok_or_else(broken)?;
    let rule_before = rule(present);
    for (member, value) in spec {
        if value.is_null() {
            present.remove(&member);
        } else {
            present.insert(member, value);
        }
    }
    let same_rule = rule(present) == rule_before;
    if !same_rule {
        members.remove("tests");
    }
    if document == before {
        return Ok(None);
    }
    // The number is the registry's alone from here on.
    if let Some(metadata) = document["metadata"].as_object_mut() {
        for member in ["version", "status", "abTestGroup"] {
            metadata.remove(member);
        }
    }
    Ok(Some(document.to_string()))
}

/// What a policy's tests are about: all of its `spec` but whether it is enabled.
fn rule(spec: &serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    let mut rule = spec.clone();
    rule.remove("enabled");
    rule
}

async fn check(draft: Draft) -> Result<Checked, RegistryError> {
    tokio::task::spawn_blocking(move || content::check(&draft, clock::now())).await?
}

fn sign(key: &ContentKey, checked: Checked) -> Signed {
    Signed {
        signature: key.sign(&checked.canonical),
        public_key: key.public(),
        checked,
    }
}

fn check_name(name: &str) -> Result<(), RegistryError> {
    let length = name.chars().count();
    if !(1..=LONGEST_NAME).contains(&length) || name.chars().any(char::is_control) {
        return Err(RegistryError::shape(
            "/name",
            format!("must have 1 to {LONGEST_NAME} characters, none of them a control character"),
        ));
    }
    if name == RESERVED || name.parse::<PolicyId>().is_ok() {
        return Err(RegistryError::shape(
            "/name",
            "is reserved: no policy may be called `bundle` or like an id",
        ));
    }
    Ok(())
}

fn check_description(description: Option<&str>) -> Result<(), RegistryError> {
    match description {
        Some(text) if text.chars().count() > LONGEST_DESCRIPTION => Err(RegistryError::shape(
            "/description",
            format!("is longer than {LONGEST_DESCRIPTION} characters"),
        )),
        _ => Ok(()),
    }
}

fn check_tags(pointer: &str, tags: &[String]) -> Result<(), RegistryError> {
    if tags.len() > MOST_TAGS || tags.iter().any(|tag| tag.chars().count() > LONGEST_TAG) {
        return Err(RegistryError::shape(
            pointer,
            format!("at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters"),
        ));
    }
    Ok(())
}
