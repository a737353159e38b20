//! What activation remembers between bundles. Held under a lock for moments only, never over a step.

use std::sync::Arc;
use std::time::Instant;

use crate::bundle::{Digest, Keyring, Mark, Signer};
use crate::model::Timestamp;
use crate::sidecar::cache::Archive;
use crate::sidecar::source::Conditions;
use crate::snapshot::{Ended, Snapshot};

use super::generation::Part;

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    pub(super) keyring: Arc<Keyring>,
    /// Grows with every change of the keyring: what was verified under an older one is verified again before the swap.
    pub(super) keyring_generation: u64,
    pub(super) active: Option<Active>,
    /// The cached bundle that had expired at start-up: nothing older may come after it.
    pub(super) floor: u64,
    /// Profile `opa`: what each source contributes, and how many generations there were.
    pub(super) parts: Vec<Option<Part>>,
    pub(super) generation: u64,
    /// In the order of the configuration.
    pub(super) sources: Vec<SourceState>,
}

/// The bundle this process runs.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub(super) snapshot: Arc<Snapshot>,
    /// Its bytes, for a changed keyring and for a persist that failed.
    pub(super) archive: Arc<Archive>,
    pub(super) digest: Digest,
    pub(super) mark: Mark,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) signers: Vec<Signer>,
    /// The last moment at which enough of its keys are valid; None when that is past.
    pub(super) trusted_until: Option<Timestamp>,
    pub(super) persisted: bool,
}

/// What is known about one source.
#[derive(Debug, Default)]
pub(super) struct SourceState {
    /// The digest of a bundle that became active, and the tag under which the source gave it.
    pub(super) tag: Option<(Digest, String)>,
    pub(super) rejected: Option<Rejected>,
    pub(super) held: Option<Held>,
}

/// A bundle at fault.
#[derive(Clone, Debug)]
pub(super) struct Rejected {
    /// None where nothing of it was received.
    pub(super) digest: Option<Digest>,
    pub(super) tag: Option<String>,
    pub(super) since: Instant,
}

/// A bundle that failed for no fault of its own, kept as received.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) archive: Arc<Archive>,
    pub(super) digest: Digest,
    pub(super) announced: Option<Digest>,
    pub(super) tag: Option<String>,
    pub(super) again: Again,
}

/// When a kept bundle is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Again {
    KeyringChanged,
    At(Timestamp),
    After(Instant),
}

impl State {
    pub(super) fn new(keyring: Keyring, sources: usize) -> Self {
        Self {
            keyring: Arc::new(keyring),
            keyring_generation: 0,
            active: None,
            floor: 0,
            parts: vec![None; sources],
            generation: 0,
            sources: std::iter::repeat_with(SourceState::default)
                .take(sources)
                .collect(),
        }
    }

    /// What the next request to a source tells it.
    pub(super) fn conditions(&self, source: usize) -> Conditions {
        let mut conditions = Conditions::default();
        let Some(state) = self.sources.get(source) else {
            return conditions;
        };
        let part = self.parts.get(source).and_then(Option::as_ref);
        let active = self.active.as_ref().map(|active| active.digest);
        if let Some(active) = active.or_else(|| part.map(|part| part.digest)) {
            let tag = state.tag.as_ref().filter(|tag| tag.0 == active);
            conditions.set_active(active, tag.map(|tag| tag.1.as_str()));
        }
        if let Some(rejected) = &state.rejected {
            conditions.add(rejected.digest, rejected.tag.as_deref());
        }
        if let Some(held) = &state.held {
            conditions.add(Some(held.digest), held.tag.as_deref());
        }
        conditions
    }
}

impl Active {
    /// Whether it may decide at this moment.
    pub(super) fn ended(&self, now: Timestamp) -> Option<Ended> {
        if now >= self.expires_at {
            Some(Ended::Expired)
        } else if self.trusted_until.is_none_or(|end| now > end) {
            Some(Ended::Untrusted)
        } else {
            None
        }
    }

    /// The earlier of its expiry and the end of its trust; what is past already does not count.
    pub(super) fn end(&self) -> Timestamp {
        let trust = self.trusted_until.unwrap_or(self.expires_at);
        trust.min(self.expires_at)
    }

    /// Whether less than a quarter of its life is left.
    pub(super) fn expires_soon(&self, now: Timestamp) -> bool {
        let life = self.expires_at.unix_nanos() - self.issued_at.unix_nanos();
        self.expires_at.unix_nanos() - now.unix_nanos() < life / 4
    }
}

/// A digest as status and logs show it.
pub(super) fn printed(digest: &Digest) -> String {
    format!("sha256:{}", hex::encode(digest))
}
