//! What can be read: policies, versions, and the content that a client gets.

use std::collections::HashMap;

use md5::{Digest as _, Md5};

use crate::control_plane::clock;
use crate::control_plane::store::sqlite::{policies, versions};
use crate::control_plane::store::{PolicyRow, PolicyStatus, Selected, VersionRow};
use crate::engine::Program;
use crate::model::{Group, TenantId, VersionStatus};
use crate::policy::canonical;

use super::{Registry, RegistryError, content, prepare, resolve, signature};

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub limit: u32,
    pub offset: u32,
}

/// An active ServicePolicy.
#[derive(Clone, Debug)]
pub struct TypedPolicy {
    pub policy: PolicyRow,
    pub version: VersionRow,
}

impl Registry {
    /// Every active ServicePolicy of the tenant.
    pub async fn typed_policies(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<TypedPolicy>, RegistryError> {
        let mut read = self.store.read().await?;
        let active = Some(PolicyStatus::Active);
        let policies = policies::list(&mut read, tenant, active, i64::from(u32::MAX), 0).await?;
        let versions = versions::active_of_kind(&mut read, tenant, prepare::TYPED).await?;
        let mut versions: HashMap<_, _> = versions
            .into_iter()
            .map(|version| (version.policy, version))
            .collect();
        Ok(policies
            .into_iter()
            .filter_map(|policy| {
                let version = versions.remove(&policy.id)?;
                Some(TypedPolicy { policy, version })
            })
            .collect())
    }

    /// An active ServicePolicy by id or name.
    pub async fn typed_policy(
        &self,
        tenant: &TenantId,
        reference: &str,
    ) -> Result<TypedPolicy, RegistryError> {
        let missing = || RegistryError::NotFound(format!("there is no policy `{reference}`"));
        let mut read = self.store.read().await?;
        let policy = resolve(&mut read, tenant, reference)
            .await?
            .ok_or_else(missing)?;
        let version = versions::active(&mut read, tenant, policy.id)
            .await?
            .ok_or_else(missing)?;
        prepare::expect_typed(reference, &version)?;
        Ok(TypedPolicy { policy, version })
    }

    /// A page of the tenant's policies, and how many there are.
    pub async fn policies(
        &self,
        tenant: &TenantId,
        status: Option<PolicyStatus>,
        page: Page,
    ) -> Result<(Vec<PolicyRow>, i64), RegistryError> {
        let mut read = self.store.read().await?;
        let total = policies::count(&mut read, tenant, status).await?;
        let (limit, offset) = (i64::from(page.limit), i64::from(page.offset));
        let rows = policies::list(&mut read, tenant, status, limit, offset).await?;
        Ok((rows, total))
    }

    /// A policy by id or name.
    pub async fn policy(
        &self,
        tenant: &TenantId,
        reference: &str,
    ) -> Result<PolicyRow, RegistryError> {
        let mut read = self.store.read().await?;
        resolve(&mut read, tenant, reference)
            .await?
            .ok_or_else(|| RegistryError::NotFound(format!("there is no policy `{reference}`")))
    }

    /// All versions of a policy, with the policy; None for an unknown one.
    pub async fn versions(
        &self,
        tenant: &TenantId,
        reference: &str,
    ) -> Result<Option<(PolicyRow, Vec<VersionRow>)>, RegistryError> {
        let mut read = self.store.read().await?;
        let Some(policy) = resolve(&mut read, tenant, reference).await? else {
            return Ok(None);
        };
        let rows = versions::list(&mut read, tenant, policy.id).await?;
        Ok(Some((policy, rows)))
    }

    /// One version.
    pub async fn version(
        &self,
        tenant: &TenantId,
        reference: &str,
        version: &str,
    ) -> Result<VersionRow, RegistryError> {
        let mut read = self.store.read().await?;
        let known = match resolve(&mut read, tenant, reference).await? {
            None => None,
            Some(policy) => versions::get(&mut read, tenant, policy.id, version).await?,
        };
        known.ok_or_else(|| {
            RegistryError::NotFound(format!("policy `{reference}` has no version `{version}`"))
        })
    }

    /// Whether the version's signature holds over its content; false for what is not there.
    pub async fn signature_holds(
        &self,
        tenant: &TenantId,
        reference: &str,
        version: &str,
    ) -> Result<bool, RegistryError> {
        match self.version(tenant, reference, version).await {
            Ok(version) => Ok(
                canonical::canonical(version.content.as_bytes()).is_ok_and(|text| {
                    signature::holds(&version.public_key, &version.signature, &text)
                }),
            ),
            Err(RegistryError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The active version, compiled alone.
    pub async fn active_program(
        &self,
        tenant: &TenantId,
        reference: &str,
    ) -> Result<(VersionRow, Program), RegistryError> {
        let mut read = self.store.read().await?;
        let policy = resolve(&mut read, tenant, reference)
            .await?
            .ok_or_else(|| RegistryError::NotFound(format!("there is no policy `{reference}`")))?;
        let version = versions::active(&mut read, tenant, policy.id)
            .await?
            .ok_or_else(|| {
                RegistryError::NotFound(format!("policy `{reference}` has no active version"))
            })?;
        drop(read);
        let tenant = tenant.clone();
        tokio::task::spawn_blocking(move || {
            let one = Selected {
                name: policy.name,
                format: policy.format,
                version,
            };
            let program = content::compile_alone(&tenant, &one, clock::now())?;
            Ok((one.version, program))
        })
        .await?
    }

    /// The version whose content a client gets: without a client or a group the active one; else the
    /// active or testing one of the client's group; else the one retired last.
    pub async fn version_for(
        &self,
        tenant: &TenantId,
        reference: &str,
        client: Option<&str>,
    ) -> Result<VersionRow, RegistryError> {
        let nothing = || {
            RegistryError::NotFound(format!(
                "policy `{reference}` has no content for this client"
            ))
        };
        let mut read = self.store.read().await?;
        let policy = resolve(&mut read, tenant, reference)
            .await?
            .ok_or_else(nothing)?;
        let active = versions::active(&mut read, tenant, policy.id)
            .await?
            .ok_or_else(nothing)?;
        let client = client.filter(|client| !client.is_empty());
        let (Some(ours), Some(client)) = (active.group, client) else {
            return Ok(active);
        };
        let group = group_of(client);
        if group == ours {
            return Ok(active);
        }
        let (testing, retired) = (VersionStatus::Testing, VersionStatus::Retired);
        let id = policy.id;
        let testing =
            versions::newest_with_status(&mut read, tenant, id, testing, Some(group)).await?;
        if let Some(testing) = testing {
            return Ok(testing);
        }
        versions::newest_with_status(&mut read, tenant, id, retired, None)
            .await?
            .ok_or_else(nothing)
    }
}

/// The registry's rule: the MD5 of the client's id as a number, even = A, odd = B.
fn group_of(client: &str) -> Group {
    let digest: [u8; 16] = Md5::digest(client.as_bytes()).into();
    let [.., last] = digest;
    if last % 2 == 0 { Group::A } else { Group::B }
}

#[cfg(test)]
mod tests {
    use super::{Group, group_of};

    #[test]
    fn groups_are_the_originals() {
        for (client, group) in [
            ("client-1", Group::A),
            ("test-client-123", Group::A),
            ("user123", Group::B),
            ("a", Group::B),
            ("日本", Group::B),
            ("", Group::A),
        ] {
            assert_eq!(group_of(client), group, "{client}");
        }
    }
}
