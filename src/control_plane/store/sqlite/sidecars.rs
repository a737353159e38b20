//! What sidecars report of themselves: the fleet view.

use sqlx::{Row, SqliteConnection};

use super::StoreError;
use crate::control_plane::store::record::{self, nanos};
use crate::model::{TenantId, Timestamp};

/// A report older than this is of a pod that is gone.
const KEPT_SECONDS: i64 = 7 * 24 * 3600;
/// Most reports that are listed at once.
const LISTED: i64 = 1000;

/// A sidecar's last report.
#[derive(Clone, Debug)]
pub struct Report {
    pub id: String,
    /// JSON object as sent.
    pub status: String,
    pub reported_at: Timestamp,
}

/// Keeps a report in place of the one before, and forgets pods that are gone.
pub async fn report(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    report: &Report,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sidecars (tenant, id, status, reported_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant, id) \
         DO UPDATE SET status = excluded.status, reported_at = excluded.reported_at",
    )
    .bind(tenant.as_str())
    .bind(&report.id)
    .bind(&report.status)
    .bind(nanos(report.reported_at))
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM sidecars WHERE tenant = $1 AND reported_at < $2")
        .bind(tenant.as_str())
        .bind(nanos(report.reported_at.plus_seconds(-KEPT_SECONDS)))
        .execute(connection)
        .await?;
    Ok(())
}

/// The last reports, newest first.
pub async fn list(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<Vec<Report>, StoreError> {
    sqlx::query("SELECT * FROM sidecars WHERE tenant = $1 ORDER BY reported_at DESC LIMIT $2")
        .bind(tenant.as_str())
        .bind(LISTED)
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| {
            Ok(Report {
                id: row.try_get("id")?,
                status: row.try_get("status")?,
                reported_at: record::moment(row, "reported_at")?,
            })
        })
        .collect()
}
