//! Signed archives, and the pointer to the one that is served.

use sqlx::{Row, SqliteConnection};

use super::StoreError;
use crate::control_plane::store::record::{BundleRow, nanos};
use crate::model::TenantId;

/// Older archives than this many numbers below the pointer are dropped: nobody can ask for them.
const KEPT: i64 = 32;

/// Stores an archive. False where the number has one already: that one stays.
pub async fn insert(
    connection: &mut SqliteConnection,
    bundle: &BundleRow,
    archive: &[u8],
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO bundles (tenant, number, revision, sha256, issued_at, expires_at, kid, \
         policies, archive) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(bundle.tenant.as_str())
    .bind(bundle.number as i64)
    .bind(&bundle.revision)
    .bind(&bundle.sha256)
    .bind(nanos(bundle.issued_at))
    .bind(nanos(bundle.expires_at))
    .bind(&bundle.kid)
    .bind(bundle.policies)
    .bind(archive)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The archive stored for a number.
pub async fn archive(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    number: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query("SELECT archive FROM bundles WHERE tenant = $1 AND number = $2")
        .bind(tenant.as_str())
        .bind(number as i64)
        .fetch_optional(connection)
        .await?
        .map(|row| row.try_get("archive").map_err(StoreError::from))
        .transpose()
}

/// Every tenant's served bundle.
pub async fn served(connection: &mut SqliteConnection) -> Result<Vec<BundleRow>, StoreError> {
    sqlx::query(
        "SELECT b.tenant, b.number, b.revision, b.sha256, b.issued_at, b.expires_at, b.kid, \
         b.policies, length(b.archive) AS size FROM bundles b \
         JOIN tenants t ON t.tenant = b.tenant AND t.active_number = b.number",
    )
    .fetch_all(connection)
    .await?
    .iter()
    .map(BundleRow::read)
    .collect()
}

/// Moves the pointer forward; false where it is there or further already.
pub async fn point(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    number: u64,
) -> Result<bool, StoreError> {
    let moved = sqlx::query(
        "UPDATE tenants SET active_number = $2 \
         WHERE tenant = $1 AND (active_number IS NULL OR active_number < $2)",
    )
    .bind(tenant.as_str())
    .bind(number as i64)
    .execute(connection)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Drops archives and finished jobs far behind the pointer.
pub async fn prune(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    number: u64,
) -> Result<(), StoreError> {
    let below = (number as i64).saturating_sub(KEPT);
    sqlx::query("DELETE FROM bundles WHERE tenant = $1 AND number < $2")
        .bind(tenant.as_str())
        .bind(below)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM jobs WHERE tenant = $1 AND number < $2 AND state <> 'pending'")
        .bind(tenant.as_str())
        .bind(below)
        .execute(connection)
        .await?;
    Ok(())
}
