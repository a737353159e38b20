//! The public keys that a sidecar trusts.

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

/// A keyring file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("keyring: {0}")]
pub struct KeyringError(pub String);

impl Keyring {
    /// Reads a keyring file (YAML or JSON, at most 1 MiB).
    ///
    /// # Errors
    ///
    /// Unknown fields (with a suggestion), unknown algorithm or use, weak keys, duplicate kids, a threshold no keys can meet.
    pub fn parse(_text: &[u8]) -> Result<Self, KeyringError> {
        todo!()
    }

    /// Writes the file's YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        todo!()
    }
}
