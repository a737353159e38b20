//! Tenants, their numbers, and the publication job that every number taken leaves behind.

use sqlx::{Row, SqliteConnection};

use super::StoreError;
use crate::control_plane::store::record::{self, JobRow, nanos};
use crate::model::{TenantId, Timestamp};

/// What a publication job is stamped with when its number is taken.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// The key that will sign.
    pub kid: String,
}

/// Makes sure that the tenant exists.
pub async fn ensure_tenant(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO tenants (tenant) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(tenant.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// All tenants.
pub async fn tenants(connection: &mut SqliteConnection) -> Result<Vec<TenantId>, StoreError> {
    sqlx::query("SELECT tenant FROM tenants ORDER BY tenant")
        .fetch_all(connection)
        .await?
        .iter()
        .map(record::tenant)
        .collect()
}

/// The last number taken; 0 before the first.
pub async fn current(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<u64, StoreError> {
    sqlx::query("SELECT number FROM tenants WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_optional(connection)
        .await?
        .map_or(Ok(0), |row| record::number(&row, "number"))
}

/// Takes the next number and leaves its job in the outbox.
pub async fn take(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    stamp: &Stamp,
) -> Result<u64, StoreError> {
    let row =
        sqlx::query("UPDATE tenants SET number = number + 1 WHERE tenant = $1 RETURNING number")
            .bind(tenant.as_str())
            .fetch_one(&mut *connection)
            .await?;
    let number = record::number(&row, "number")?;
    insert_job(connection, tenant, number, stamp).await?;
    Ok(number)
}

/// Raises the tenant's number to `to`, if that is higher, and has the present content published under
/// it, unless nothing ever was: an empty bundle would decide where none does. Answers the number before.
pub async fn advance(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    to: u64,
    stamp: &Stamp,
) -> Result<u64, StoreError> {
    let before = current(connection, tenant).await?;
    if to > before {
        let wanted =
            i64::try_from(to).map_err(|_| StoreError::unreadable("number", to.to_string()))?;
        sqlx::query("UPDATE tenants SET number = $2 WHERE tenant = $1")
            .bind(tenant.as_str())
            .bind(wanted)
            .execute(&mut *connection)
            .await?;
        if before > 0 {
            insert_job(connection, tenant, to, stamp).await?;
        }
    }
    Ok(before)
}

async fn insert_job(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    number: u64,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO jobs (tenant, number, issued_at, expires_at, kid, state, next_attempt_at) \
         VALUES ($1, $2, $3, $4, $5, 'pending', $3)",
    )
    .bind(tenant.as_str())
    .bind(number as i64)
    .bind(nanos(stamp.issued_at))
    .bind(nanos(stamp.expires_at))
    .bind(&stamp.kid)
    .execute(connection)
    .await?;
    Ok(())
}

/// Of every tenant with pending jobs the newest one, where its next attempt is due. Older pending
/// ones are covered by it.
pub async fn due(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<JobRow>, StoreError> {
    sqlx::query(
        "SELECT j.* FROM jobs j WHERE j.state = 'pending' AND j.next_attempt_at <= $1 \
         AND j.number = (SELECT max(n.number) FROM jobs n \
           WHERE n.tenant = j.tenant AND n.state = 'pending') ORDER BY j.issued_at",
    )
    .bind(nanos(now))
    .fetch_all(connection)
    .await?
    .iter()
    .map(JobRow::read)
    .collect()
}

/// When the next pending job is due.
pub async fn next_due(connection: &mut SqliteConnection) -> Result<Option<Timestamp>, StoreError> {
    let due: Option<i64> =
        sqlx::query_scalar("SELECT min(next_attempt_at) FROM jobs WHERE state = 'pending'")
            .fetch_one(connection)
            .await?;
    Ok(due.map(|nanos| Timestamp::from_unix_nanos(i128::from(nanos))))
}

/// The newest job of a tenant.
pub async fn newest_job(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<Option<JobRow>, StoreError> {
    sqlx::query("SELECT * FROM jobs WHERE tenant = $1 ORDER BY number DESC LIMIT 1")
        .bind(tenant.as_str())
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(JobRow::read)
        .transpose()
}

/// How many jobs are pending, and how many of these have failed before.
pub async fn backlog(connection: &mut SqliteConnection) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query(
        "SELECT count(*) AS pending, count(error) AS failing FROM jobs WHERE state = 'pending'",
    )
    .fetch_one(connection)
    .await?;
    Ok((row.try_get("pending")?, row.try_get("failing")?))
}

/// Notes that an attempt failed, and when the next may come.
pub async fn failed(
    connection: &mut SqliteConnection,
    job: &JobRow,
    error: &str,
    next: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE jobs SET attempts = attempts + 1, error = $3, next_attempt_at = $4 \
         WHERE tenant = $1 AND number = $2 AND state = 'pending'",
    )
    .bind(job.tenant.as_str())
    .bind(job.number as i64)
    .bind(error)
    .bind(nanos(next))
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a job; every older pending one of the tenant is covered by it.
pub async fn finish(connection: &mut SqliteConnection, job: &JobRow) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE jobs SET state = CASE WHEN number = $2 THEN 'done' ELSE 'superseded' END, \
         attempts = attempts + (number = $2), error = NULL \
         WHERE tenant = $1 AND number <= $2 AND state = 'pending'",
    )
    .bind(job.tenant.as_str())
    .bind(job.number as i64)
    .execute(connection)
    .await?;
    Ok(())
}
