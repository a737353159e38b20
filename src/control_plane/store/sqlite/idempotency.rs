//! Idempotency keys: who works on a request, and what was answered. Per caller and tenant.

use sqlx::{Row, SqliteConnection};

use super::StoreError;
use crate::control_plane::store::record::{self, nanos};
use crate::model::{TenantId, Timestamp};

/// Seconds that one request may be worked on before another may take its key over.
pub const CLAIM_SECONDS: i64 = 60;
/// Seconds that an answer is kept.
pub const KEPT_SECONDS: i64 = 24 * 3600;

/// A key as one caller sent it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub tenant: TenantId,
    pub subject: String,
    pub key: String,
    /// Hex SHA-256 of method, target and body.
    pub fingerprint: String,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours now; the text proves it.
    Ours(String),
    /// It was answered before, with this.
    Answered(String),
    /// Another request with this key runs.
    InProgress,
    /// The key came with another request.
    Reused,
}

/// Claims a key.
pub async fn claim(
    connection: &mut SqliteConnection,
    sent: &Sent,
    now: Timestamp,
) -> Result<Claim, StoreError> {
    sqlx::query("DELETE FROM idempotency WHERE expires_at <= $1")
        .bind(nanos(now))
        .execute(&mut *connection)
        .await?;
    let known = sqlx::query(
        "SELECT fingerprint, claimed_until, reply FROM idempotency \
         WHERE tenant = $1 AND subject = $2 AND key = $3",
    )
    .bind(sent.tenant.as_str())
    .bind(&sent.subject)
    .bind(&sent.key)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = known {
        if row.try_get::<String, _>("fingerprint")? != sent.fingerprint {
            return Ok(Claim::Reused);
        }
        if let Some(reply) = row.try_get("reply")? {
            return Ok(Claim::Answered(reply));
        }
        if record::moment(&row, "claimed_until")? > now {
            return Ok(Claim::InProgress);
        }
    }
    let claim = uuid::Uuid::new_v4().to_string();
    sqlx::query(
        "INSERT INTO idempotency \
         (tenant, subject, key, fingerprint, claim, claimed_until, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, subject, key) \
         DO UPDATE SET claim = excluded.claim, claimed_until = excluded.claimed_until",
    )
    .bind(sent.tenant.as_str())
    .bind(&sent.subject)
    .bind(&sent.key)
    .bind(&sent.fingerprint)
    .bind(&claim)
    .bind(nanos(now.plus_seconds(CLAIM_SECONDS)))
    .bind(nanos(now.plus_seconds(KEPT_SECONDS)))
    .execute(connection)
    .await?;
    Ok(Claim::Ours(claim))
}

/// Keeps the answer. False where the claim was taken over meanwhile: then nothing may be committed.
pub async fn answer(
    connection: &mut SqliteConnection,
    claim: &str,
    reply: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE idempotency SET reply = $2 WHERE claim = $1 AND reply IS NULL")
        .bind(claim)
        .bind(reply)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a key back: its request was not answered for good.
pub async fn release(connection: &mut SqliteConnection, claim: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM idempotency WHERE claim = $1 AND reply IS NULL")
        .bind(claim)
        .execute(connection)
        .await?;
    Ok(())
}
