//! The registry: policies, their immutable versions, and which of them decide.
//!
//! A write is one transaction: the change, its idempotency answer, and, where it changes what a bundle
//! contains, the next number with its publication job. What a bundle would contain is compiled and tested
//! before that, so that no number is taken that cannot be published.

mod change;
mod command;
mod content;
mod error;
mod prepare;
mod read;
mod signature;

use std::sync::Arc;

use sqlx::SqliteConnection;
use tokio::sync::Notify;

use crate::control_plane::clock;
use crate::control_plane::store::sqlite::{Writing, idempotency, numbers, policies, versions};
use crate::control_plane::store::{PolicyRow, Store};
use crate::model::TenantId;

pub use command::{
    Caller, Command, Done, Effect, IdempotencyKey, IfMatch, KeyPair, NewPolicy, NewVersion, Order,
    Revision, policy_tag, version_tag,
};
pub use error::{Fault, RegistryError};
pub use read::{Page, TypedPolicy};
pub use signature::ContentKey;

/// How often a bundle's content is checked outside the write lock before it is checked inside: each try
/// fails only where another change went first.
const TRIES: u32 = 8;

/// The registry over its store.
#[derive(Clone, Debug)]
pub struct Registry {
    pub store: Store,
    content_key: ContentKey,
    stamping: Stamping,
    /// Rung when a job was left in the outbox.
    outbox: Arc<Notify>,
}

/// What new publication jobs are stamped with.
#[derive(Clone, Debug)]
pub struct Stamping {
    /// The key that signs bundles now.
    pub kid: String,
    /// Seconds that a bundle lives.
    pub life: i64,
}

impl Stamping {
    /// A stamp of this moment.
    pub fn now(&self) -> numbers::Stamp {
        let issued_at = clock::now();
        numbers::Stamp {
            issued_at,
            expires_at: issued_at.plus_seconds(self.life),
            kid: self.kid.clone(),
        }
    }
}

/// Turns what came of a write into the text that is answered, and kept for a repeated request.
pub type Encode = dyn Fn(&Result<Done, RegistryError>) -> String + Send + Sync;

/// The answer to a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// As [`Encode`] wrote it.
    Fresh(String),
    /// As it was written the first time.
    Replayed(String),
}

impl Registry {
    /// A registry that signs content with `content_key` and rings `outbox` after a number was taken.
    pub const fn new(
        store: Store,
        content_key: ContentKey,
        stamping: Stamping,
        outbox: Arc<Notify>,
    ) -> Self {
        Self {
            store,
            content_key,
            stamping,
            outbox,
        }
    }

    /// Carries out a write. An idempotency key is claimed first; its answer is kept by the transaction
    /// that makes the change.
    ///
    /// # Errors
    ///
    /// What could not be answered for good: the store failed, or the key is taken. A refusal is an answer.
    pub async fn execute(&self, order: &Order, encode: &Encode) -> Result<Answer, RegistryError> {
        let claim = match &order.idempotency {
            None => None,
            Some(key) => match self.claim(&order.caller, key).await? {
                idempotency::Claim::Ours(claim) => Some(claim),
                idempotency::Claim::Answered(reply) => return Ok(Answer::Replayed(reply)),
                idempotency::Claim::InProgress => return Err(RegistryError::InProgress),
                idempotency::Claim::Reused => return Err(RegistryError::KeyReused),
            },
        };
        match self.attempt(order, claim.as_deref(), encode).await {
            Ok(text) => Ok(Answer::Fresh(text)),
            Err(error) if error.is_final() => self.refuse(error, claim, encode).await,
            Err(error) => {
                if let Some(claim) = claim {
                    let mut tx = self.store.write().await?;
                    idempotency::release(&mut tx, &claim).await?;
                    tx.commit().await?;
                }
                Err(error)
            }
        }
    }

    async fn claim(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
    ) -> Result<idempotency::Claim, RegistryError> {
        let sent = idempotency::Sent {
            tenant: caller.tenant.clone(),
            subject: caller.subject.clone(),
            key: key.key.clone(),
            fingerprint: key.fingerprint.clone(),
        };
        let mut tx = self.store.write().await?;
        let claim = idempotency::claim(&mut tx, &sent, clock::now()).await?;
        tx.commit().await?;
        Ok(claim)
    }

    /// Answers a refusal, and keeps it for a repeated request.
    async fn refuse(
        &self,
        error: RegistryError,
        claim: Option<String>,
        encode: &Encode,
    ) -> Result<Answer, RegistryError> {
        let text = encode(&Err(error));
        if let Some(claim) = claim {
            let mut tx = self.store.write().await?;
            if !idempotency::answer(&mut tx, &claim, &text).await? {
                return Err(RegistryError::InProgress);
            }
            tx.commit().await?;
        }
        Ok(Answer::Fresh(text))
    }

    async fn attempt(
        &self,
        order: &Order,
        claim: Option<&str>,
        encode: &Encode,
    ) -> Result<String, RegistryError> {
        for _ in 0..TRIES {
            match self.attempt_once(order, claim, encode).await {
                Err(RegistryError::Moved) => {}
                result => return result,
            }
        }
        Err(RegistryError::Moved)
    }

    async fn attempt_once(
        &self,
        order: &Order,
        claim: Option<&str>,
        encode: &Encode,
    ) -> Result<String, RegistryError> {
        let prepared = self.prepare(&order.caller, &order.command).await?;
        let caller = &order.caller;
        // The number at which the bundle's content was found good with this change in it.
        let mut good_at = None;
        for attempt in 1.. {
            let mut tx = self.store.write().await?;
            let mut done =
                change::apply(&mut tx, caller, &prepared, order.if_match.as_ref()).await?;
            if done.effect == Effect::Bundle && good_at != Some(done.number) {
                let selected = versions::selected(&mut tx, &caller.tenant).await?;
                if attempt <= TRIES {
                    tx.rollback().await?;
                    self.check_together(&caller.tenant, selected).await?;
                    good_at = Some(done.number);
                    continue;
                }
                self.check_together(&caller.tenant, selected).await?;
            }
            return self.commit(tx, caller, &mut done, claim, encode).await;
        }
        Err(RegistryError::InProgress)
    }

    async fn check_together(
        &self,
        tenant: &TenantId,
        selected: Vec<crate::control_plane::store::Selected>,
    ) -> Result<(), RegistryError> {
        let tenant = tenant.clone();
        tokio::task::spawn_blocking(move || {
            content::check_together(&tenant, &selected, clock::now())
        })
        .await?
    }

    async fn commit(
        &self,
        mut tx: Writing,
        caller: &Caller,
        done: &mut Done,
        claim: Option<&str>,
        encode: &Encode,
    ) -> Result<String, RegistryError> {
        if done.effect == Effect::Bundle {
            done.number = numbers::take(&mut tx, &caller.tenant, &self.stamping.now()).await?;
        }
        let text = encode(&Ok(done.clone()));
        if let Some(claim) = claim
            && !idempotency::answer(&mut tx, claim, &text).await?
        {
            return Err(RegistryError::InProgress);
        }
        tx.commit().await?;
        if done.effect == Effect::Bundle {
            self.outbox.notify_one();
        }
        Ok(text)
    }
}

/// A policy by its id, else by its name: old clients ask for well-known names.
async fn resolve(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    reference: &str,
) -> Result<Option<PolicyRow>, RegistryError> {
    if let Ok(id) = reference.parse()
        && let Some(policy) = policies::by_id(connection, tenant, id).await?
    {
        return Ok(Some(policy));
    }
    Ok(policies::by_name(connection, tenant, reference).await?)
}
