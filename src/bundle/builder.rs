//! Builds and signs archives: the same input gives the same bytes.

use crate::model::{TenantId, Timestamp};

use super::manifest::PolicyEntry;

/// An Ed25519 private key with its key id. Its `Debug` shows the kid alone.
pub struct SigningKey {
    pub kid: String,
    key: ed25519_dalek::SigningKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("`{0}` is there twice")]
    DuplicateName(String),
    #[error("`{name}`: {message}")]
    InvalidFile { name: String, message: String },
    #[error("no signing key was given")]
    NoKey,
    #[error("private key: {0}")]
    Key(String),
}

/// What goes into an archive. `issued_at`, `expires_at` and keys are given, never read from a clock.
#[derive(Debug)]
pub struct Builder {
    pub tenant: TenantId,
    pub number: u64,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub constitutional_hash: String,
    policies: Vec<(PolicyEntry, Vec<u8>)>,
    files: Vec<(String, Vec<u8>)>,
}

impl SigningKey {
    /// Reads PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// When it is no Ed25519 private key.
    pub fn from_pem(_kid: &str, _pem: &str) -> Result<Self, BuildError> {
        todo!()
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
}

impl Builder {
    #[must_use]
    pub fn new(
        tenant: TenantId,
        number: u64,
        issued_at: Timestamp,
        expires_at: Timestamp,
        constitutional_hash: String,
    ) -> Self {
        Self {
            tenant,
            number,
            issued_at,
            expires_at,
            constitutional_hash,
            policies: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Adds a policy version with its JSON content. Evaluation order is settled by the builder:
    /// newest `created_at` first, ties by name, then version.
    pub fn policy(&mut self, entry: PolicyEntry, json: Vec<u8>) -> &mut Self {
        self.policies.push((entry, json));
        self
    }

    /// Adds a data file (`a/b/data.json`) or a Rego module.
    pub fn file(&mut self, name: String, bytes: Vec<u8>) -> &mut Self {
        self.files.push((name, bytes));
        self
    }

    /// The signed archive, one token per key.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn build(&self, _keys: &[&SigningKey]) -> Result<Vec<u8>, BuildError> {
        todo!()
    }
}
