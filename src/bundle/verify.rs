//! From bytes to signed entries: steps 1 to 10 in [`verify`], 11 and 12 while [`VerifiedBundle`] is read.

use std::io::Read;

use crate::model::{TenantId, Timestamp};

use super::keyring::Keyring;
use super::manifest::{Claims, Manifest};
use super::step::{Code, Step};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// Bounds of an archive.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub archive_bytes: u64,
    pub entries: usize,
    pub entry_bytes: u64,
    /// All entries together, decompressed.
    pub total_bytes: u64,
    /// Decompressed over compressed, beyond the first MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            archive_bytes: GIB,
            entries: 100_000,
            entry_bytes: GIB,
            total_bytes: 4 * GIB,
            ratio: 200,
        }
    }
}

/// The newest bundle ever accepted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub tenant: TenantId,
    pub number: u64,
    /// SHA-256 of the signed payload.
    pub payload: Digest,
}

/// What the bundle is held against.
#[derive(Clone, Debug)]
pub struct Expected {
    pub tenant: TenantId,
    /// None = not compared.
    pub constitutional_hash: Option<String>,
    /// Step 8: must be above `mark`, or at it with the same payload.
    pub mark: Option<Mark>,
    /// Step 8: a fetched bundle must also be above what this process runs.
    pub running: Option<u64>,
    /// Step 8: a floor from the configuration.
    pub min_number: u64,
    pub now: Timestamp,
    /// Seconds.
    pub clock_skew: i64,
    /// Step 2, where a SHA-256 was announced.
    pub announced: Option<Digest>,
}

/// A bundle that failed a step.
#[derive(Debug, thiserror::Error)]
#[error("step {} ({}): {detail}", step.number(), code.as_str())]
pub struct VerifyError {
    pub step: Step,
    pub code: Code,
    /// What was found and what was expected.
    pub detail: String,
    /// The bundle's claims, where its signature held.
    pub claims: Option<Box<Claims>>,
    /// The signing keys are unknown here (as opposed to revoked, out of their window, or wrong): a later
    /// keyring may know them, so the bundle is not at fault.
    pub unknown_key: bool,
}

/// What an archive says of itself, unverified: for `bundle inspect` alone.
#[derive(Clone, Debug)]
pub struct Peek {
    pub claims: Claims,
    pub kids: Vec<String>,
    pub files: Vec<(String, String)>,
}

/// An archive whose signature held: a bounded reader of signed entries.
#[derive(Debug)]
pub struct VerifiedBundle<'a> {
    claims: Claims,
    payload: Digest,
    archive: Digest,
    kids: Vec<String>,
    bytes: &'a [u8],
}

/// A signed file, as it comes out of the archive.
pub struct Entry<'e> {
    pub name: &'e str,
    pub size: u64,
    pub reader: &'e mut dyn Read,
}

/// Steps 1 to 10.
///
/// # Errors
///
/// The first step that fails.
pub fn verify<'a>(
    _archive: &'a [u8],
    _keyring: &Keyring,
    _expected: &Expected,
    _limits: &Limits,
) -> Result<VerifiedBundle<'a>, VerifyError> {
    todo!()
}

/// Reads the first member without believing it.
///
/// # Errors
///
/// Steps 3 and 4.
pub fn peek(_archive: &[u8], _limits: &Limits) -> Result<Peek, VerifyError> {
    todo!()
}

impl<'a> VerifiedBundle<'a> {
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// SHA-256 of the signed payload: what the mark holds.
    #[must_use]
    pub const fn payload(&self) -> &Digest {
        &self.payload
    }

    /// SHA-256 of the archive: its `ETag`.
    #[must_use]
    pub const fn archive_digest(&self) -> &Digest {
        &self.archive
    }

    /// The trusted keys that signed.
    #[must_use]
    pub fn kids(&self) -> &[String] {
        &self.kids
    }

    /// Steps 11 and 12 in one pass: the manifest is parsed and compared first, then `each` gets every other
    /// entry in order. `hash_files` also checks every file's own hash (OPA's rules). Returns
    /// after the last entry with the manifest, once every listed file was seen and the compressed bytes hashed
    /// again to what was verified. Nothing that `each` gathered may be used if this fails.
    ///
    /// # Errors
    ///
    /// Steps 11 and 12, or what `each` returned.
    pub fn read<E: From<VerifyError>>(
        &self,
        _limits: &Limits,
        _hash_files: bool,
        _each: &mut dyn FnMut(&Manifest, Entry<'_>) -> Result<(), E>,
    ) -> Result<Manifest, E> {
        let _ = self.bytes;
        todo!()
    }
}
