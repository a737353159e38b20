//! Versions of policies. Their content never changes, their status does.

use sqlx::SqliteConnection;

use super::StoreError;
use crate::control_plane::store::record::{Selected, VersionRow, nanos};
use crate::model::{Group, PolicyId, TenantId, Timestamp, VersionStatus};

/// All versions of a policy, in the order they were made.
pub async fn list(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    policy: PolicyId,
) -> Result<Vec<VersionRow>, StoreError> {
    sqlx::query("SELECT * FROM versions WHERE tenant = $1 AND policy = $2 ORDER BY created_at")
        .bind(tenant.as_str())
        .bind(policy.to_string())
        .fetch_all(connection)
        .await?
        .iter()
        .map(VersionRow::read)
        .collect()
}

/// One version.
pub async fn get(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    policy: PolicyId,
    version: &str,
) -> Result<Option<VersionRow>, StoreError> {
    sqlx::query("SELECT * FROM versions WHERE tenant = $1 AND policy = $2 AND version = $3")
        .bind(tenant.as_str())
        .bind(policy.to_string())
        .bind(version)
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(VersionRow::read)
        .transpose()
}

/// The active version.
pub async fn active(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    policy: PolicyId,
) -> Result<Option<VersionRow>, StoreError> {
    newest_with_status(connection, tenant, policy, VersionStatus::Active, None).await
}

/// The active versions of one kind, of all policies of a tenant.
pub async fn active_of_kind(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    kind: &str,
) -> Result<Vec<VersionRow>, StoreError> {
    sqlx::query("SELECT * FROM versions WHERE tenant = $1 AND status = 'active' AND kind = $2")
        .bind(tenant.as_str())
        .bind(kind)
        .fetch_all(connection)
        .await?
        .iter()
        .map(VersionRow::read)
        .collect()
}

/// Of the versions with this status (and group, where given) the one whose status changed last.
pub async fn newest_with_status(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    policy: PolicyId,
    status: VersionStatus,
    group: Option<Group>,
) -> Result<Option<VersionRow>, StoreError> {
    sqlx::query(
        "SELECT * FROM versions WHERE tenant = $1 AND policy = $2 AND status = $3 \
         AND ($4 IS NULL OR ab_group = $4) ORDER BY changed_at DESC LIMIT 1",
    )
    .bind(tenant.as_str())
    .bind(policy.to_string())
    .bind(status.as_str())
    .bind(group.map(Group::as_str))
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(VersionRow::read)
    .transpose()
}

/// Stores a new version.
pub async fn insert(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    version: &VersionRow,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO versions (tenant, policy, version, content, content_hash, signature, \
         public_key, kind, decides, pins, ab_group, status, predecessor, description, created_by, \
         created_at, changed_at, edition) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(tenant.as_str())
    .bind(version.policy.to_string())
    .bind(&version.version)
    .bind(&version.content)
    .bind(&version.content_hash)
    .bind(&version.signature)
    .bind(&version.public_key)
    .bind(&version.kind)
    .bind(&version.decides)
    .bind(serde_json::json!(version.pins).to_string())
    .bind(version.group.map(Group::as_str))
    .bind(version.status.as_str())
    .bind(&version.predecessor)
    .bind(&version.description)
    .bind(&version.created_by)
    .bind(nanos(version.created_at))
    .bind(nanos(version.changed_at))
    .bind(version.edition)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves one version to another status.
pub async fn set_status(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    policy: PolicyId,
    version: &str,
    status: VersionStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE versions SET status = $4, changed_at = $5, edition = edition + 1 \
         WHERE tenant = $1 AND policy = $2 AND version = $3",
    )
    .bind(tenant.as_str())
    .bind(policy.to_string())
    .bind(version)
    .bind(status.as_str())
    .bind(nanos(now))
    .execute(connection)
    .await?;
    Ok(())
}

/// What belongs into the tenant's bundle: every active and testing version; of a policy whose active
/// version has an A/B group the version retired last, which the other group's clients may still read;
/// and what active experiments name. Newest first.
pub async fn selected(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<Vec<Selected>, StoreError> {
    sqlx::query(
        "SELECT v.*, p.name AS policy_name, p.format AS policy_format \
         FROM versions v JOIN policies p ON p.tenant = v.tenant AND p.id = v.policy \
         WHERE v.tenant = $1 AND p.status <> 'archived' AND (v.status IN ('active', 'testing') \
           OR (v.status = 'retired' \
             AND v.changed_at = (SELECT max(r.changed_at) FROM versions r \
               WHERE r.tenant = v.tenant AND r.policy = v.policy AND r.status = 'retired') \
             AND EXISTS (SELECT 1 FROM versions a WHERE a.tenant = v.tenant \
               AND a.policy = v.policy AND a.status = 'active' AND a.ab_group IS NOT NULL)) \
           OR (v.status = 'retired' \
             AND EXISTS (SELECT 1 FROM versions e, json_each(e.pins) pin WHERE e.tenant = v.tenant \
               AND e.status = 'active' AND json_extract(pin.value, '$[0]') = p.name \
               AND json_extract(pin.value, '$[1]') = v.version))) \
         ORDER BY v.created_at DESC, p.name, v.version",
    )
    .bind(tenant.as_str())
    .fetch_all(connection)
    .await?
    .iter()
    .map(Selected::read)
    .collect()
}
