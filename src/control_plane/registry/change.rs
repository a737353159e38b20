//! The changes themselves, inside the transaction that also takes the number.

mod revise;

use sqlx::SqliteConnection;

use crate::control_plane::clock;
use crate::control_plane::store::sqlite::{numbers, policies, versions};
use crate::control_plane::store::{PolicyRow, PolicyStatus, VersionRow};
use crate::model::{PolicyId, VersionStatus};

use super::command::{
    Caller, Done, Effect, IfMatch, NewPolicy, NewVersion, policy_tag, version_tag,
};
use super::content::Checked;
use super::{RegistryError, resolve};

/// A command with everything that could be found out before the transaction.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    CreatePolicy {
        policy: NewPolicy,
        content: Option<Signed>,
    },
    CreateVersion {
        policy: PolicyId,
        version: NewVersion,
        content: Signed,
    },
    SetTesting {
        policy: String,
        version: String,
    },
    Activate {
        policy: String,
        version: Option<String>,
    },
    Revise(Box<Revised>),
    Archive {
        policy: String,
    },
}

/// A revision worked out from what the policy was.
#[derive(Clone, Debug)]
pub(super) struct Revised {
    /// As it was seen.
    pub policy: PolicyRow,
    pub name: String,
    pub description: Option<String>,
    pub version: semver::Version,
    pub content: Signed,
}

/// Checked content with its signature.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub checked: Checked,
    pub signature: String,
    pub public_key: String,
}

/// Applies a command. `Done::number` is still the current one.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    caller: &Caller,
    prepared: &Prepared,
    if_match: Option<&IfMatch>,
) -> Result<Done, RegistryError> {
    let change = Change {
        connection,
        caller,
        if_match,
    };
    match prepared {
        Prepared::CreatePolicy { policy, content } => {
            change.create_policy(policy, content.as_ref()).await
        }
        Prepared::CreateVersion {
            policy,
            version,
            content,
        } => change.create_version(*policy, version, content).await,
        Prepared::SetTesting { policy, version } => change.set_testing(policy, version).await,
        Prepared::Activate { policy, version } => change.activate(policy, version.as_deref()).await,
        Prepared::Revise(revised) => change.revise(revised).await,
        Prepared::Archive { policy } => change.archive(policy).await,
    }
}

struct Change<'c> {
    connection: &'c mut SqliteConnection,
    caller: &'c Caller,
    if_match: Option<&'c IfMatch>,
}

impl Change<'_> {
    async fn create_policy(
        mut self,
        new: &NewPolicy,
        content: Option<&Signed>,
    ) -> Result<Done, RegistryError> {
        self.expect_tag(None)?;
        let tenant = &self.caller.tenant;
        numbers::ensure_tenant(self.connection, tenant).await?;
        self.expect_free(&new.name).await?;
        let id = content.map_or_else(
            || PolicyId(uuid::Uuid::new_v4()),
            |content| content.checked.id,
        );
        if let Some(known) = policies::by_id(self.connection, tenant, id).await? {
            return Err(RegistryError::Exists(format!(
                "the id {id} belongs to the policy `{}`",
                known.name
            )));
        }
        let now = clock::now();
        let (policy_status, status, effect) = if new.activate && content.is_some() {
            (PolicyStatus::Active, VersionStatus::Active, Effect::Bundle)
        } else {
            (PolicyStatus::Draft, VersionStatus::Draft, Effect::Registry)
        };
        let policy = PolicyRow {
            id,
            tenant: tenant.clone(),
            name: new.name.clone(),
            description: new.description.clone(),
            format: new.format,
            status: policy_status,
            tags: new.tags.clone(),
            compliance_tags: new.compliance_tags.clone(),
            created_by: self.caller.subject.clone(),
            created_at: now,
            updated_at: now,
            edition: 1,
            version: None,
        };
        policies::insert(self.connection, &policy).await?;
        let version = match content {
            None => None,
            Some(content) => {
                let number = content
                    .checked
                    .version
                    .clone()
                    .unwrap_or(semver::Version::new(1, 0, 0));
                let version = VersionRow {
                    status,
                    ..self.row(id, number.to_string(), content)
                };
                versions::insert(self.connection, tenant, &version).await?;
                Some(version)
            }
        };
        self.done(id, version, effect).await
    }

    async fn create_version(
        mut self,
        policy: PolicyId,
        new: &NewVersion,
        content: &Signed,
    ) -> Result<Done, RegistryError> {
        let tenant = &self.caller.tenant;
        let policy = self.live(&policy.to_string()).await?;
        self.expect_tag(Some(&policy_tag(&policy)))?;
        let known = versions::list(self.connection, tenant, policy.id).await?;
        let number = content
            .checked
            .version
            .clone()
            .unwrap_or_else(|| next_patch(&known))
            .to_string();
        if let Some(same) = known.iter().find(|known| known.version == number) {
            if same.content_hash != content.checked.content_hash || same.group != new.group {
                return Err(RegistryError::Exists(format!(
                    "version {number} is there with other content or another group; versions do not change, so choose a higher one"
                )));
            }
            return self
                .done(policy.id, Some(same.clone()), Effect::Nothing)
                .await;
        }
        let mut version = self.row(policy.id, number, content);
        version.group = new.group;
        version.description.clone_from(&new.description);
        version.predecessor = known
            .iter()
            .find(|known| known.status == VersionStatus::Active)
            .map(|active| active.version.clone());
        versions::insert(self.connection, tenant, &version).await?;
        policies::touch(
            self.connection,
            tenant,
            policy.id,
            policy.status,
            version.created_at,
        )
        .await?;
        self.done(policy.id, Some(version), Effect::Registry).await
    }

    async fn set_testing(mut self, policy: &str, version: &str) -> Result<Done, RegistryError> {
        let policy = self.live(policy).await?;
        let version = self.version(&policy, version).await?;
        self.expect_tag(Some(&version_tag(&version)))?;
        match version.status {
            VersionStatus::Testing => {
                return self.done(policy.id, Some(version), Effect::Nothing).await;
            }
            VersionStatus::Active => {
                return Err(RegistryError::Conflict(format!(
                    "version {} is active: activate another one first, so that the policy goes on deciding",
                    version.version
                )));
            }
            VersionStatus::Draft | VersionStatus::Retired => {}
        }
        self.set_status(&policy, &version.version, VersionStatus::Testing)
            .await?;
        self.finish(&policy, &version.version, policy.status).await
    }

    async fn activate(
        mut self,
        policy: &str,
        version: Option<&str>,
    ) -> Result<Done, RegistryError> {
        let tenant = &self.caller.tenant;
        let policy = self.live(policy).await?;
        self.expect_tag(Some(&policy_tag(&policy)))?;
        let known = versions::list(self.connection, tenant, policy.id).await?;
        let target = match version {
            Some(version) => known.iter().find(|known| known.version == version),
            None => known.iter().rev().find(|known| {
                matches!(known.status, VersionStatus::Draft | VersionStatus::Testing)
            }),
        };
        let Some(target) = target else {
            return Err(match version {
                Some(version) => no_version(&policy, version),
                None => RegistryError::Conflict(format!(
                    "policy `{}` has no draft or testing version: say which one to activate",
                    policy.name
                )),
            });
        };
        if target.status == VersionStatus::Active {
            return self
                .done(policy.id, Some(target.clone()), Effect::Nothing)
                .await;
        }
        for active in &known {
            if active.status == VersionStatus::Active {
                self.set_status(&policy, &active.version, VersionStatus::Retired)
                    .await?;
            }
        }
        self.set_status(&policy, &target.version, VersionStatus::Active)
            .await?;
        self.finish(&policy, &target.version, PolicyStatus::Active)
            .await
    }

    /// The answer after a status change.
    async fn finish(
        mut self,
        policy: &PolicyRow,
        version: &str,
        status: PolicyStatus,
    ) -> Result<Done, RegistryError> {
        let tenant = &self.caller.tenant;
        policies::touch(self.connection, tenant, policy.id, status, clock::now()).await?;
        let version = self.version(policy, version).await?;
        self.done(policy.id, Some(version), Effect::Bundle).await
    }

    async fn done(
        mut self,
        policy: PolicyId,
        version: Option<VersionRow>,
        effect: Effect,
    ) -> Result<Done, RegistryError> {
        Ok(Done {
            policy: self.policy(&policy.to_string()).await?,
            version,
            effect,
            number: numbers::current(self.connection, &self.caller.tenant).await?,
        })
    }

    async fn policy(&mut self, reference: &str) -> Result<PolicyRow, RegistryError> {
        resolve(self.connection, &self.caller.tenant, reference)
            .await?
            .ok_or_else(|| RegistryError::NotFound(format!("there is no policy `{reference}`")))
    }

    /// A policy whose versions may change.
    async fn live(&mut self, reference: &str) -> Result<PolicyRow, RegistryError> {
        let policy = self.policy(reference).await?;
        if policy.status == PolicyStatus::Archived {
            return Err(RegistryError::Conflict(format!(
                "policy `{}` is archived: none of its versions decides again; create one anew",
                policy.name
            )));
        }
        Ok(policy)
    }

    /// Refuses a name that a policy has which is not archived.
    async fn expect_free(&mut self, name: &str) -> Result<(), RegistryError> {
        match policies::by_name(self.connection, &self.caller.tenant, name).await? {
            Some(known) if known.status != PolicyStatus::Archived => {
                Err(RegistryError::Exists(format!(
                    "a policy named `{name}` is there already, with id {}",
                    known.id
                )))
            }
            _ => Ok(()),
        }
    }

    async fn version(
        &mut self,
        policy: &PolicyRow,
        version: &str,
    ) -> Result<VersionRow, RegistryError> {
        versions::get(self.connection, &self.caller.tenant, policy.id, version)
            .await?
            .ok_or_else(|| no_version(policy, version))
    }

    async fn set_status(
        &mut self,
        policy: &PolicyRow,
        version: &str,
        status: VersionStatus,
    ) -> Result<(), RegistryError> {
        let tenant = &self.caller.tenant;
        let now = clock::now();
        versions::set_status(self.connection, tenant, policy.id, version, status, now).await?;
        Ok(())
    }

    fn expect_tag(&self, present: Option<&str>) -> Result<(), RegistryError> {
        match self.if_match {
            Some(condition) if !condition.holds(present) => {
                Err(RegistryError::Precondition(match present {
                    Some(present) => format!("`if-match` does not name the present tag {present}"),
                    None => "`if-match` names something that is not there yet".into(),
                }))
            }
            _ => Ok(()),
        }
    }

    /// A new version, a draft.
    fn row(&self, policy: PolicyId, version: String, content: &Signed) -> VersionRow {
        let now = clock::now();
        VersionRow {
            policy,
            version,
            content: content.checked.content.clone(),
            content_hash: content.checked.content_hash.clone(),
            signature: content.signature.clone(),
            public_key: content.public_key.clone(),
            kind: content.checked.kind.into(),
            decides: content.checked.decides.into(),
            pins: content.checked.pins.clone(),
            group: None,
            status: VersionStatus::Draft,
            predecessor: None,
            description: None,
            created_by: self.caller.subject.clone(),
            created_at: now,
            changed_at: now,
            edition: 1,
        }
    }
}

fn no_version(policy: &PolicyRow, version: &str) -> RegistryError {
    RegistryError::NotFound(format!(
        "policy `{}` has no version `{version}`",
        policy.name
    ))
}

/// One patch above the highest; 1.0.0 for the first.
pub(super) fn next_patch(known: &[VersionRow]) -> semver::Version {
    known
        .iter()
        .filter_map(|known| known.version.parse::<semver::Version>().ok())
        .max()
        .map_or(semver::Version::new(1, 0, 0), |highest| {
            semver::Version::new(
                highest.major,
                highest.minor,
                highest.patch.saturating_add(1),
            )
        })
}
