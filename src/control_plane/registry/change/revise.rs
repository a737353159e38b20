//! The next version of a policy put in force at once, and a policy taken out.

use super::{
    Change, Done, Effect, PolicyStatus, RegistryError, Revised, VersionRow, VersionStatus, clock,
    policies, policy_tag, versions,
};

impl Change<'_> {
    pub(super) async fn revise(mut self, revised: &Revised) -> Result<Done, RegistryError> {
        let tenant = &self.caller.tenant;
        let policy = self.live(&revised.policy.id.to_string()).await?;
        self.expect_tag(Some(&policy_tag(&policy)))?;
        if policy.edition != revised.policy.edition {
            return Err(RegistryError::Moved);
        }
        if revised.name != policy.name {
            self.expect_free(&revised.name).await?;
        }
        let known = versions::list(self.connection, tenant, policy.id).await?;
        let number = revised.version.to_string();
        if known.iter().any(|known| known.version == number) {
            return Err(RegistryError::Exists(format!(
                "version {number} is there already; versions do not change, so choose a higher one"
            )));
        }
        let mut version = VersionRow {
            status: VersionStatus::Active,
            ..self.row(policy.id, number, &revised.content)
        };
        for active in &known {
            if active.status == VersionStatus::Active {
                version.predecessor = Some(active.version.clone());
                self.set_status(&policy, &active.version, VersionStatus::Retired)
                    .await?;
            }
        }
        versions::insert(self.connection, tenant, &version).await?;
        policies::rename(
            self.connection,
            tenant,
            policy.id,
            &revised.name,
            revised.description.as_deref(),
        )
        .await?;
        self.finish(&policy, &version.version, PolicyStatus::Active)
            .await
    }

    pub(super) async fn archive(mut self, policy: &str) -> Result<Done, RegistryError> {
        let tenant = &self.caller.tenant;
        let policy = self.policy(policy).await?;
        self.expect_tag(Some(&policy_tag(&policy)))?;
        if policy.status == PolicyStatus::Archived {
            let text = format!("policy `{}` is archived already", policy.name);
            return Err(RegistryError::NotFound(text));
        }
        let known = versions::list(self.connection, tenant, policy.id).await?;
        let mut effect = Effect::Registry;
        for version in &known {
            if matches!(
                version.status,
                VersionStatus::Active | VersionStatus::Testing
            ) {
                effect = Effect::Bundle;
                self.set_status(&policy, &version.version, VersionStatus::Retired)
                    .await?;
            }
        }
        let (archived, now) = (PolicyStatus::Archived, clock::now());
        policies::touch(self.connection, tenant, policy.id, archived, now).await?;
        self.done(policy.id, None, effect).await
    }
}
