//! The one way into memory: from received bytes through the steps to the swap, at start-up and ever after.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::bundle::{Digest, Expected, Keyring, Mark, Step, verify};
use crate::resilience::failpoint;
use crate::sidecar::cache::{Archive, MarkFile, PersistError};
use crate::snapshot::Snapshot;
use crate::snapshot::load::{Options, load};

use super::error::ActivationError;
use super::state::Active;
use super::{Activator, OnPersistError};

/// Where an archive came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Cache,
    /// Index of the source in the configuration.
    Source(usize),
}

/// An archive that is to become active.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) origin: Origin,
    pub(super) archive: Arc<Archive>,
    /// The SHA-256 that the source announced.
    pub(super) announced: Option<Digest>,
}

/// How an offer went that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    Activated,
    /// It is what runs already.
    Confirmed,
    /// Kept until the other sources have given theirs (profile `opa`).
    Waiting,
}

/// What an attempt was judged by, taken under one lock.
struct Judge {
    keyring: Arc<Keyring>,
    keyring_generation: u64,
    running: Option<u64>,
    min_number: u64,
}

impl Activator {
    /// Runs the steps. One at a time: the caller holds `activating`. Blocks.
    pub(super) fn activate(&self, offer: &Offer) -> Result<Accepted, ActivationError> {
        failpoint::hit("fetched");
        if let (Origin::Source(index), Some(_)) = (offer.origin, self.trust_of(0)) {
            return self.activate_part(offer, index);
        }
        if self.runs_already(offer) {
            return Ok(Accepted::Confirmed);
        }
        loop {
            let judge = self.judge(offer.origin);
            if let Some(accepted) = self.attempt(offer, &judge)? {
                return Ok(accepted);
            }
        }
    }

    /// Steps 1 to 17 under one keyring; None when that changed before the swap.
    fn attempt(&self, offer: &Offer, judge: &Judge) -> Result<Option<Accepted>, ActivationError> {
        let expected = self.expected(offer, judge);
        let limits = &self.settings.archive_limits;
        let verified = match verify(offer.archive.bytes(), &judge.keyring, &expected, limits) {
            Ok(verified) => verified,
            Err(error) if error.step == Step::Number && self.runs(error.claims.as_deref()) => {
                return Ok(Some(Accepted::Confirmed));
            }
            Err(error) => {
                return Err(ActivationError::verifying(error, expected.clock_skew));
            }
        };
        failpoint::hit("verified");
        let revision = verified.claims().revision.to_string();
        let snapshot = load(&verified, &self.load_options(offer, &expected))
            .map_err(|error| ActivationError::loading(error, Some(revision.clone())))?;
        failpoint::hit("loaded");
        let mark = Mark {
            tenant: self.settings.tenant.clone(),
            number: verified.claims().number,
            payload: *verified.payload(),
        };
        let (issued_at, expires_at) = (verified.claims().issued_at, verified.claims().expires_at);
        let signers = verified.signers().to_vec();
        let digest = *verified.archive_digest();
        drop(verified);
        let persisted = self.persist_step(offer, &mark, revision)?;
        failpoint::hit("persisted");
        self.swap(offer, snapshot, judge, |snapshot| Active {
            issued_at,
            expires_at,
            trusted_until: judge.keyring.valid_until(
                &signers,
                &self.settings.tenant,
                expected.now,
                expected.clock_skew,
            ),
            signers,
            snapshot,
            archive: Arc::clone(&offer.archive),
            digest,
            mark,
            persisted,
        })
    }

    /// Step 16: whether the bundle is on disk now.
    fn persist_step(
        &self,
        offer: &Offer,
        mark: &Mark,
        revision: String,
    ) -> Result<bool, ActivationError> {
        let Some(cache) = &self.cache else {
            return Ok(false);
        };
        // A cached bundle at its mark needs neither the lock nor a writable folder.
        if offer.origin == Origin::Cache && cache.mark() == MarkFile::Present(mark.clone()) {
            return Ok(true);
        }
        match cache.persist(&offer.archive, mark) {
            Ok(_) => {
                self.status.update(|report| report.cache.error = None);
                Ok(true)
            }
            Err(error) => {
                tracing::error!(%error, revision, "bundle not persisted");
                self.status
                    .update(|report| report.cache.error = Some(error.to_string()));
                let refused = ActivationError::persisting(&error, revision);
                match (&error, self.settings.on_persist_error) {
                    (PersistError::Io { .. }, OnPersistError::Activate) => {
                        self.count_failure(refused.step.number(), refused.code.as_str());
                        Ok(false)
                    }
                    _ => Err(refused),
                }
            }
        }
    }

    /// Step 17, unless the keyring changed since the signature was checked.
    fn swap(
        &self,
        offer: &Offer,
        snapshot: Snapshot,
        judge: &Judge,
        active: impl FnOnce(Arc<Snapshot>) -> Active,
    ) -> Result<Option<Accepted>, ActivationError> {
        let mut state = self.lock();
        if state.keyring_generation != judge.keyring_generation {
            return Ok(None);
        }
        let signed = snapshot.bundles.first();
        let signed = signed.and_then(|bundle| bundle.signed.as_ref());
        self.status.begin(match (offer.origin, signed) {
            (Origin::Cache, Some(signed)) => signed.claims.issued_at,
            _ => self.clock.now(),
        });
        let published = self.publisher.publish(snapshot);
        let published = published.map_err(|error| ActivationError::swapping(&error))?;
        let active = active(published);
        state.active = Some(active.clone());
        drop(state);
        failpoint::hit("swapped");
        self.report_activation(offer.origin, &active);
        failpoint::hit("reported");
        Ok(Some(Accepted::Activated))
    }

    fn judge(&self, origin: Origin) -> Judge {
        let state = self.lock();
        let minima = self.settings.sources.iter().map(|source| source.min_number);
        let min_number = match origin {
            Origin::Cache => minima.max(),
            Origin::Source(index) => minima.skip(index).take(1).next(),
        };
        Judge {
            keyring: Arc::clone(&state.keyring),
            keyring_generation: state.keyring_generation,
            running: state.active.as_ref().map(|active| active.mark.number),
            min_number: min_number.unwrap_or(0).max(state.floor),
        }
    }

    fn expected(&self, offer: &Offer, judge: &Judge) -> Expected {
        Expected {
            tenant: self.settings.tenant.clone(),
            constitutional_hash: self.settings.constitutional_hash.clone(),
            mark: self.mark(),
            running: judge.running,
            min_number: judge.min_number,
            now: self.clock.now(),
            clock_skew: self.settings.clock_skew,
            announced: offer.announced,
        }
    }

    /// The mark as it is on disk now. An unreadable one is an alarm, and only the source is believed.
    fn mark(&self) -> Option<Mark> {
        match self.cache.as_ref()?.mark() {
            MarkFile::Present(mark) => Some(mark),
            MarkFile::Absent => None,
            MarkFile::Unreadable(detail) => {
                tracing::error!(
                    detail,
                    "the mark is unreadable, only the source is believed"
                );
                self.status.update(|report| {
                    report.cache.error = Some(format!("unreadable mark: {detail}"));
                });
                None
            }
        }
    }

    fn load_options(&self, offer: &Offer, expected: &Expected) -> Options {
        Options {
            archive: self.settings.archive_limits,
            decision: self.settings.decision_limits,
            hash_files: false,
            now: expected.now,
            source: self.origin_name(offer.origin).to_owned(),
        }
    }

    fn runs_already(&self, offer: &Offer) -> bool {
        let active = self.lock().active.as_ref().map(|active| active.digest);
        active.is_some_and(|active| Digest::from(Sha256::digest(offer.archive.bytes())) == active)
    }

    /// Whether these claims are those of the active bundle: the same payload in another wrapping.
    fn runs(&self, claims: Option<&crate::bundle::Claims>) -> bool {
        let state = self.lock();
        let active = state.active.as_ref();
        let active = active.and_then(|active| active.snapshot.bundles.first());
        let signed = active.and_then(|active| active.signed.as_ref());
        signed.is_some_and(|signed| Some(&signed.claims) == claims)
    }
}
