//! Profile `opa`: every source gives one bundle, and all of them together are the generation that decides.
//!
//! Until every source has given one, nothing decides. Afterwards each new bundle, whole or delta, is loaded together
//! with the others as they are; where that fails the generation in force stays whole.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::bundle::{Code, Digest, OpaBundle, OpaTrust, Patch, Step, open_opa};
use crate::model::Timestamp;
use crate::sidecar::cache::Archive;
use crate::sidecar::status::{ActiveReport, BundleReport, PartReport};
use crate::snapshot::Snapshot;
use crate::snapshot::load::{self, load_generation};

use super::Activator;
use super::error::ActivationError;
use super::state::printed;
use super::steps::{Accepted, Offer, Origin};

/// More patches than this since the last whole bundle are refused: they are applied anew at every activation.
const MAX_PATCHES: usize = 100_000;

/// What one source contributes to the generation.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The last whole bundle.
    archive: Arc<Archive>,
    /// Of what was received last, which may be a delta.
    pub(super) digest: Digest,
    /// What deltas have changed since.
    patches: Vec<Patch>,
    /// That of the last delta, where there was one.
    revision: Option<String>,
    pub(super) persisted: bool,
    /// When the source last said that it has nothing newer.
    pub(super) confirmed: Timestamp,
}

impl Activator {
    /// Steps 1 to 17 of profile `opa`. The caller holds `activating`. Blocks.
    pub(super) fn activate_part(
        &self,
        offer: &Offer,
        index: usize,
    ) -> Result<Accepted, ActivationError> {
        let digest: Digest = Sha256::digest(offer.archive.bytes()).into();
        let before = self.lock().parts.get(index).cloned().flatten();
        if before.as_ref().is_some_and(|part| part.digest == digest) {
            return Ok(Accepted::Confirmed);
        }
        let Some(trust) = self.trust_of(index) else {
            return Err(ActivationError::no_base(self.name(index)));
        };
        let limits = &self.settings.archive_limits;
        let opened = open_opa(
            offer.archive.bytes(),
            offer.announced.as_ref(),
            trust,
            limits,
        )
        .map_err(|error| ActivationError::verifying(error, self.settings.clock_skew))?;
        let mut part = match opened {
            OpaBundle::Snapshot(_) => Part {
                archive: Arc::clone(&offer.archive),
                digest,
                patches: Vec::new(),
                revision: None,
                persisted: offer.origin == Origin::Cache,
                confirmed: self.clock.now(),
            },
            OpaBundle::Delta { manifest, patches } => {
                let base = before.ok_or_else(|| ActivationError::no_base(self.name(index)))?;
                let mut all = base.patches;
                all.extend(patches);
                if all.len() > MAX_PATCHES {
                    return Err(ActivationError::no_base(self.name(index)));
                }
                Part {
                    patches: all,
                    digest,
                    revision: Some(manifest.revision),
                    confirmed: self.clock.now(),
                    ..base
                }
            }
        };
        let mut parts = self.lock().parts.clone();
        if let Some(place) = parts.get_mut(index) {
            *place = Some(part.clone());
        }
        let Some(whole) = parts.iter().cloned().collect::<Option<Vec<Part>>>() else {
            self.keep(offer, index, part);
            return Ok(Accepted::Waiting);
        };
        let number = self.lock().generation + 1;
        let snapshot = self.load_parts(&whole, number)?;
        if part.patches.is_empty() && offer.origin != Origin::Cache {
            part.persisted = self.persist_part_step(&part, index)?;
        }
        if let Some(oldest) = whole.iter().map(|part| part.confirmed).min() {
            self.status.begin(oldest);
        }
        let published = self.publisher.publish(snapshot);
        let snapshot = published.map_err(|error| ActivationError::swapping(&error))?;
        let mut state = self.lock();
        state.generation = number;
        if let Some(place) = state.parts.get_mut(index) {
            *place = Some(part);
        }
        drop(state);
        self.report_generation(offer.origin, &snapshot);
        Ok(Accepted::Activated)
    }

    /// The keys of a source of profile `opa`.
    pub(super) fn trust_of(&self, index: usize) -> Option<&OpaTrust> {
        match &self.settings.profile {
            super::Profile::Lictor { .. } => None,
            super::Profile::Opa { trust } => trust.get(index),
        }
    }

    /// Whether every source gives a bundle of its own.
    pub(super) const fn has_parts(&self) -> bool {
        matches!(self.settings.profile, super::Profile::Opa { .. })
    }

    /// Reads every cached bundle; together they are the last known good generation.
    pub(super) fn boot_parts(&self) {
        let Some(cache) = &self.cache else { return };
        for index in 0..self.settings.sources.len() {
            let is_there = self.lock().parts.get(index).is_some_and(Option::is_some);
            if is_there {
                continue;
            }
            let archive = match cache.part(self.name(index)) {
                Ok(Some(archive)) => Arc::new(archive),
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(%error, "a cached bundle cannot be used");
                    self.status
                        .update(|report| report.cache.error = Some(error.to_string()));
                    continue;
                }
            };
            let offer = Offer {
                origin: Origin::Cache,
                archive,
                announced: None,
            };
            if let Err(error) = self.activate_part(&offer, index) {
                self.refuse_cached(&error);
            }
        }
    }

    /// Keeps a bundle until the other sources have given theirs.
    fn keep(&self, offer: &Offer, index: usize, mut part: Part) {
        if part.patches.is_empty() && offer.origin != Origin::Cache {
            part.persisted = self.persist_part_step(&part, index).unwrap_or(false);
        }
        let mut state = self.lock();
        if let Some(place) = state.parts.get_mut(index) {
            *place = Some(part);
        }
        let missing = self.settings.sources.iter().zip(&state.parts);
        let missing: Vec<&str> = missing
            .filter(|(_, part)| part.is_none())
            .map(|(source, _)| source.name.as_str())
            .collect();
        tracing::info!(
            source = self.name(index),
            missing = missing.join(", "),
            "bundle kept until every source has given one"
        );
    }

    pub(super) fn load_parts(
        &self,
        parts: &[Part],
        number: u64,
    ) -> Result<Snapshot, ActivationError> {
        let mut loaded = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let Some(trust) = self.trust_of(index) else {
                continue;
            };
            let limits = &self.settings.archive_limits;
            let opened = open_opa(part.archive.bytes(), None, trust, limits)
                .map_err(|error| ActivationError::verifying(error, self.settings.clock_skew))?;
            let OpaBundle::Snapshot(mut content) = opened else {
                return Err(ActivationError::no_base(self.name(index)));
            };
            if let Some(revision) = &part.revision {
                content.manifest.revision.clone_from(revision);
            }
            loaded.push(load::Part {
                name: self.name(index).to_owned(),
                content,
                patches: part.patches.clone(),
                archive: part.digest,
            });
        }
        let alone = loaded.len() == 1;
        load_generation(loaded, number, &self.settings.decision_limits).map_err(|error| {
            let mut error = ActivationError::loading(error, None);
            if !alone {
                // Another bundle may be what does not fit, and it may change.
                error.fate = super::error::Fate::Later;
            }
            error
        })
    }

    /// Step 16: whether the bundle is on disk now.
    fn persist_part_step(&self, part: &Part, index: usize) -> Result<bool, ActivationError> {
        let wanted = self.settings.sources.get(index);
        let wanted = wanted.is_some_and(|source| source.persist);
        let Some(cache) = self.cache.as_ref().filter(|_| wanted) else {
            return Ok(false);
        };
        match cache.persist_part(self.name(index), &part.archive) {
            Ok(()) => Ok(true),
            Err(error) if self.settings.on_persist_error == super::OnPersistError::Activate => {
                tracing::warn!(%error, "bundle not persisted");
                self.status
                    .update(|report| report.cache.error = Some(error.to_string()));
                Ok(false)
            }
            Err(error) => Err(ActivationError::persisting(&error, String::new())),
        }
    }

    pub(super) fn report_generation(&self, origin: Origin, snapshot: &Snapshot) {
        let now = self.clock.now();
        let state = self.lock();
        let persisted = state.parts.iter().flatten().all(|part| part.persisted);
        let parts = snapshot.bundles.iter().zip(&state.parts);
        let bundles: Vec<PartReport> = parts
            .map(|(bundle, part)| PartReport {
                name: bundle.source.clone(),
                revision: bundle.revision.clone(),
                digest: printed(&bundle.archive),
                roots: bundle.roots.clone(),
                patches: part.as_ref().map_or(0, |part| part.patches.len()),
                persisted: part.as_ref().is_some_and(|part| part.persisted),
            })
            .collect();
        let shown = state.parts.iter().flatten().map(|part| {
            (
                part.archive.bytes().len() as u64,
                !part.patches.is_empty() || part.revision.is_some(),
            )
        });
        let active: Vec<ActiveReport> = bundles
            .iter()
            .zip(shown)
            .map(|(bundle, (bytes, is_delta))| ActiveReport {
                revision: bundle.revision.clone(),
                digest: bundle.digest.clone(),
                bytes,
                is_delta,
                activated_at: now.to_string(),
            })
            .collect();
        drop(state);
        let source = self.origin_name(origin);
        tracing::info!(
            source,
            revision = snapshot.name,
            bundles = bundles.len(),
            persisted,
            "bundle activated"
        );
        self.metrics.activations.inc();
        let number = i64::try_from(snapshot.number);
        self.metrics.bundle_number.set(number.unwrap_or(i64::MAX));
        self.metrics.persisted.set(i64::from(persisted));
        let policies = i64::try_from(snapshot.program.active_policies());
        self.metrics
            .active_policies
            .set(policies.unwrap_or(i64::MAX));
        let interpreted = i64::try_from(snapshot.program.rego().interpreted());
        self.metrics
            .interpreted_rules
            .set(interpreted.unwrap_or(i64::MAX));
        let digest = bundles.last().map(|bundle| bundle.digest.clone());
        self.status.update(|status| {
            for (source, active) in status.sources.iter_mut().zip(active) {
                // What stayed as it was is as old as it was.
                let known = source.active.as_ref();
                if known.is_none_or(|known| known.digest != active.digest) {
                    source.active = Some(active);
                }
            }
            status.bundle = Some(BundleReport {
                revision: snapshot.name.clone(),
                number: snapshot.number,
                digest: digest.unwrap_or_default(),
                source: source.to_owned(),
                active_policies: snapshot.program.active_policies(),
                activated_at: now.to_string(),
                persisted,
                bundles,
                ..BundleReport::default()
            });
        });
        self.confirm_generation();
    }

    /// The generation is as fresh as the part that was confirmed longest ago.
    pub(super) fn confirm_generation(&self) {
        let state = self.lock();
        let oldest = state
            .parts
            .iter()
            .flatten()
            .map(|part| part.confirmed)
            .min();
        drop(state);
        if let Some(oldest) = oldest {
            self.status.confirm(oldest);
        }
    }
}

impl ActivationError {
    /// A delta that there is nothing for to change: the source is asked for a whole bundle.
    fn no_base(source: &str) -> Self {
        Self {
            step: Step::Parse,
            code: Code::InvalidPolicy,
            detail: format!("a delta from `{source}`, and no whole bundle that it could change"),
            revision: None,
            claims: None,
            fate: super::error::Fate::Refetch,
        }
    }
}
