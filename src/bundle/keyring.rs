//! The public keys that a sidecar trusts.

mod file;

use crate::model::{TenantId, Timestamp};

/// The keys, and how many distinct ones must have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    pub threshold: usize,
    pub keys: Vec<Key>,
}

/// A trusted key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub kid: String,
    /// Raw Ed25519 public key; never a weak one.
    pub public_key: [u8; 32],
    /// None = every tenant.
    pub tenants: Option<Vec<TenantId>>,
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    pub revoked: bool,
}

/// A key that signed a bundle: what a later keyring is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    pub kid: String,
    pub public_key: [u8; 32],
}

/// A keyring file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("keyring: {0}")]
pub struct KeyringError(pub String);

/// The end of what does not end.
const NEVER: Timestamp = Timestamp::from_unix_seconds(i64::MAX);

impl Keyring {
    /// Trusts nobody.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            threshold: 1,
            keys: Vec::new(),
        }
    }

    /// Reads a keyring file (YAML or JSON, at most 1 MiB).
    ///
    /// # Errors
    ///
    /// Unknown fields (with a suggestion), unknown algorithm or use, weak keys, duplicate kids, a threshold no keys can meet.
    pub fn parse(text: &[u8]) -> Result<Self, KeyringError> {
        file::parse(text).map_err(KeyringError)
    }

    /// Writes the file's YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        file::render(self)
    }

    /// The key of this kid.
    pub(super) fn key(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Why this key does not count for a bundle of `tenant` now; None where it does. A public key that is
    /// revoked under one kid is revoked under all.
    pub(super) fn fault(
        &self,
        key: &Key,
        tenant: &TenantId,
        now: Timestamp,
        clock_skew: i64,
    ) -> Option<&'static str> {
        let revoked = |other: &Key| other.revoked && other.public_key == key.public_key;
        if self.keys.iter().any(revoked) {
            return Some("is revoked");
        }
        if key
            .tenants
            .as_ref()
            .is_some_and(|tenants| !tenants.contains(tenant))
        {
            return Some("is not allowed for this tenant");
        }
        if key
            .not_before
            .is_some_and(|start| now < start.plus_seconds(-clock_skew))
        {
            return Some("is not valid yet");
        }
        if now > end(key, clock_skew) {
            return Some("is not valid any more");
        }
        None
    }

    /// The moment at which fewer than the threshold of these signers' keys will be valid for `tenant`; None where
    /// that is so already. Keys without an end give a moment beyond all others. `clock_skew` in seconds.
    ///
    /// A key that did not count when the bundle was verified is not among its signers: where a new keyring
    /// answers None, the archive itself may still verify under it.
    #[must_use]
    pub fn valid_until(
        &self,
        signers: &[Signer],
        tenant: &TenantId,
        now: Timestamp,
        clock_skew: i64,
    ) -> Option<Timestamp> {
        let mut ends: Vec<([u8; 32], Timestamp)> = signers
            .iter()
            .filter_map(|signer| {
                let key = self.key(&signer.kid)?;
                let counts = key.public_key == signer.public_key
                    && self.fault(key, tenant, now, clock_skew).is_none();
                counts.then(|| (key.public_key, end(key, clock_skew)))
            })
            .collect();
        // Latest first, and each public key once.
        ends.sort_unstable_by_key(|&(key, end)| (key, std::cmp::Reverse(end)));
        ends.dedup_by_key(|&mut (key, _)| key);
        ends.sort_unstable_by_key(|&(_, end)| std::cmp::Reverse(end));
        let last_needed = ends.get(self.threshold.checked_sub(1)?)?;
        Some(last_needed.1)
    }
}

/// The last moment at which a key counts.
fn end(key: &Key, clock_skew: i64) -> Timestamp {
    key.not_after
        .map_or(NEVER, |end| end.plus_seconds(clock_skew))
}

#[cfg(test)]
mod tests;
