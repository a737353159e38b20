//! Policies.

use sqlx::SqliteConnection;

use super::StoreError;
use crate::control_plane::store::record::{PolicyRow, PolicyStatus, nanos};
use crate::model::{PolicyId, TenantId, Timestamp};

/// The columns of a [`PolicyRow`]; the shown version is the active one, else the newest.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.*, (SELECT v.version FROM versions v \
             WHERE v.tenant = p.tenant AND v.policy = p.id \
             ORDER BY v.status = 'active' DESC, v.created_at DESC LIMIT 1) AS shown_version \
             FROM policies p WHERE p.tenant = $1 ",
            $rest
        )
    };
}

/// A page of a tenant's policies, in the order they were made; `status` filters.
pub async fn list(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    status: Option<PolicyStatus>,
    limit: i64,
    offset: i64,
) -> Result<Vec<PolicyRow>, StoreError> {
    sqlx::query(select!(
        "AND ($2 IS NULL OR p.status = $2) ORDER BY p.created_at, p.id LIMIT $3 OFFSET $4"
    ))
    .bind(tenant.as_str())
    .bind(status.map(PolicyStatus::as_str))
    .bind(limit)
    .bind(offset)
    .fetch_all(connection)
    .await?
    .iter()
    .map(PolicyRow::read)
    .collect()
}

/// How many policies a tenant has.
pub async fn count(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    status: Option<PolicyStatus>,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM policies WHERE tenant = $1 AND ($2 IS NULL OR status = $2)",
    )
    .bind(tenant.as_str())
    .bind(status.map(PolicyStatus::as_str))
    .fetch_one(connection)
    .await?)
}

/// The policy with this id.
pub async fn by_id(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: PolicyId,
) -> Result<Option<PolicyRow>, StoreError> {
    sqlx::query(select!("AND p.id = $2"))
        .bind(tenant.as_str())
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(PolicyRow::read)
        .transpose()
}

/// The policy with this name; an archived one only where no other has it.
pub async fn by_name(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<PolicyRow>, StoreError> {
    sqlx::query(select!(
        "AND p.name = $2 ORDER BY p.status = 'archived', p.updated_at DESC LIMIT 1"
    ))
    .bind(tenant.as_str())
    .bind(name)
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(PolicyRow::read)
    .transpose()
}

/// Stores a new policy; its tenant must exist.
pub async fn insert(
    connection: &mut SqliteConnection,
    policy: &PolicyRow,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO policies (tenant, id, name, description, format, status, tags, \
         compliance_tags, created_by, created_at, updated_at, edition) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(policy.tenant.as_str())
    .bind(policy.id.to_string())
    .bind(&policy.name)
    .bind(&policy.description)
    .bind(policy.format.as_str())
    .bind(policy.status.as_str())
    .bind(serde_json::json!(policy.tags).to_string())
    .bind(serde_json::json!(policy.compliance_tags).to_string())
    .bind(&policy.created_by)
    .bind(nanos(policy.created_at))
    .bind(nanos(policy.updated_at))
    .bind(policy.edition)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a policy another name and description.
pub async fn rename(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: PolicyId,
    name: &str,
    description: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE policies SET name = $3, description = $4 WHERE tenant = $1 AND id = $2")
        .bind(tenant.as_str())
        .bind(id.to_string())
        .bind(name)
        .bind(description)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes that the policy or one of its versions changed.
pub async fn touch(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: PolicyId,
    status: PolicyStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE policies SET status = $3, updated_at = $4, edition = edition + 1 \
         WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.as_str())
    .bind(id.to_string())
    .bind(status.as_str())
    .bind(nanos(now))
    .execute(connection)
    .await?;
    Ok(())
}
