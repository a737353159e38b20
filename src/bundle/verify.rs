//! From bytes to signed entries: steps 1 to 10 in [`verify`], 11 and 12 while [`VerifiedBundle`] is read.

mod pass;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::model::{TenantId, Timestamp};

use super::hash::sha256;
use super::keyring::{Keyring, Signer};
use super::manifest::{Claims, FORMAT, Files, Manifest, parse_payload, payload_format};
use super::signatures::{self, SignatureFile, Token};
use super::step::{Code, Step};
use super::{gzip, ustar};

/// Bytes of the first member, compressed or not.
pub(super) const SIGNATURES_LIMIT: usize = 16 * 1024 * 1024;

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

impl VerifyError {
    pub(super) fn new(step: Step, code: Code, detail: impl Into<String>) -> Self {
        Self {
            step,
            code,
            detail: detail.into(),
            claims: None,
            unknown_key: false,
        }
    }

    /// With the claims of the bundle, whose signature held.
    fn about(mut self, claims: &Claims) -> Self {
        self.claims = Some(Box::new(claims.clone()));
        self
    }
}

/// What an archive says of itself, unverified: for `bundle inspect` alone.
#[derive(Clone, Debug)]
pub struct Peek {
    pub claims: Claims,
    pub kids: Vec<String>,
    /// Names and hex SHA-256 by OPA's rules, sorted by name.
    pub files: Vec<(String, String)>,
    pub manifest: Manifest,
}

/// What a signature that held says.
#[derive(Debug)]
struct Signed {
    claims: Claims,
    files: Files,
    /// SHA-256 of the signed payload.
    payload: Digest,
    signers: Vec<Signer>,
}

/// An archive whose signature held: a bounded reader of signed entries.
#[derive(Debug)]
pub struct VerifiedBundle<'a> {
    signed: Signed,
    archive: Digest,
    /// The second member.
    rest: &'a [u8],
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
    archive: &'a [u8],
    keyring: &Keyring,
    expected: &Expected,
    limits: &Limits,
) -> Result<VerifiedBundle<'a>, VerifyError> {
    // 1: archive size
    check_size(archive, limits)?;
    // 2: archive digest as announced
    let archive_digest = sha256(archive);
    if let Some(announced) = expected
        .announced
        .filter(|announced| *announced != archive_digest)
    {
        let text = format!(
            "SHA-256 is {}, announced was {}",
            hex::encode(archive_digest),
            hex::encode(announced)
        );
        return Err(VerifyError::new(
            Step::ArchiveDigest,
            Code::DigestMismatch,
            text,
        ));
    }
    // 3: first member within its limit, holding just `.signatures.json`, well formed
    let (file, rest) = first_member(archive)?;
    let signed = signed(&file, keyring, expected)?;
    // 10: size and digest of the second member
    let claims = &signed.claims;
    if claims.rest_size != rest.len() as u64 || claims.rest_sha256 != sha256(rest) {
        let text = format!(
            "the second member ({} bytes) is not the signed one ({} bytes)",
            rest.len(),
            claims.rest_size
        );
        let error = VerifyError::new(Step::SecondMember, Code::Tampered, text);
        return Err(error.about(claims));
    }
    Ok(VerifiedBundle {
        signed,
        archive: archive_digest,
        rest,
    })
}

/// Steps 3 (its second half) to 9: what a signature file says, held against the keyring and the expectations.
fn signed(
    file: &SignatureFile,
    keyring: &Keyring,
    expected: &Expected,
) -> Result<Signed, VerifyError> {
    let found = file.split().map_err(malformed)?;
    let format = payload_format(&found.payload).map_err(malformed)?;
    let known = (format == FORMAT)
        .then(|| parse_payload(&found.payload).map_err(malformed))
        .transpose()?;
    // 4: format known
    let Some((claims, files)) = known else {
        return Err(unknown_format(format));
    };
    // 5: enough distinct trusted keys, strict Ed25519, each valid now, not revoked, allowed for this tenant
    let signers = signers(&found.tokens, keyring, expected)?;
    let fail =
        |step, code, detail: String| Err(VerifyError::new(step, code, detail).about(&claims));
    // 6: tenant
    if claims.tenant != expected.tenant {
        let text = format!(
            "for tenant `{}`, expected `{}`",
            claims.tenant, expected.tenant
        );
        return fail(Step::Tenant, Code::WrongTenant, text);
    }
    // 7: constitutional hash
    if let Some(hash) = expected
        .constitutional_hash
        .as_ref()
        .filter(|hash| **hash != claims.constitutional_hash)
    {
        let text = format!("`{}`, expected `{hash}`", claims.constitutional_hash);
        return fail(
            Step::ConstitutionalHash,
            Code::WrongConstitutionalHash,
            text,
        );
    }
    // 8: number against the mark
    let payload = sha256(&found.payload);
    if let Some(text) = stale(&claims, &payload, expected) {
        return fail(Step::Number, Code::Stale, text);
    }
    // 9: issued not in the future, not expired
    if claims.issued_at > expected.now.plus_seconds(expected.clock_skew) {
        let text = format!("issued at {}, now is {}", claims.issued_at, expected.now);
        return fail(Step::Time, Code::NotYetValid, text);
    }
    if claims.expires_at <= expected.now {
        let text = format!("expired at {}, now is {}", claims.expires_at, expected.now);
        return fail(Step::Time, Code::Expired, text);
    }
    Ok(Signed {
        claims,
        files,
        payload,
        signers,
    })
}

/// Reads the signatures and the manifest without believing them, within the limits.
///
/// # Errors
///
/// Steps 1, 3, 4, 11 and 12, as far as they concern these two files.
pub fn peek(archive: &[u8], limits: &Limits) -> Result<Peek, VerifyError> {
    check_size(archive, limits)?;
    let (file, rest) = first_member(archive)?;
    Peek::new(&file, &pass::first_file(rest, limits)?)
}

/// The same for an unpacked bundle: the bytes of its `.signatures.json` and its `.manifest`.
///
/// # Errors
///
/// Steps 3, 4 and 12.
pub fn peek_unpacked(signatures: &[u8], manifest: &[u8]) -> Result<Peek, VerifyError> {
    let file = SignatureFile::parse(signatures).map_err(malformed)?;
    Peek::new(&file, manifest)
}

/// Steps 3 to 9 and 12 for an unpacked bundle, whose second member is not there any more: its signatures are held
/// against the keyring, and every file against its signed hash. `files` is everything but `.signatures.json`.
///
/// # Errors
///
/// The first step that fails.
pub fn verify_unpacked(
    signatures: &[u8],
    files: &BTreeMap<String, Vec<u8>>,
    keyring: &Keyring,
    expected: &Expected,
) -> Result<Claims, VerifyError> {
    let file = SignatureFile::parse(signatures).map_err(malformed)?;
    let signed = signed(&file, keyring, expected)?;
    pass::check_unpacked(&signed, files)?;
    Ok(signed.claims)
}

impl Peek {
    fn new(file: &SignatureFile, manifest: &[u8]) -> Result<Self, VerifyError> {
        let found = file.split().map_err(malformed)?;
        let format = payload_format(&found.payload).map_err(malformed)?;
        if format != FORMAT {
            return Err(unknown_format(format));
        }
        let (claims, files) = parse_payload(&found.payload).map_err(malformed)?;
        let manifest = pass::parse_manifest(manifest)?;
        Ok(Self {
            claims,
            kids: found.tokens.into_iter().map(|token| token.kid).collect(),
            files: files
                .into_iter()
                .map(|(name, hash)| (name, hex::encode(hash)))
                .collect(),
            manifest,
        })
    }
}

fn check_size(archive: &[u8], limits: &Limits) -> Result<(), VerifyError> {
    if archive.len() as u64 <= limits.archive_bytes {
        return Ok(());
    }
    let text = format!("{} bytes, at most {}", archive.len(), limits.archive_bytes);
    Err(VerifyError::new(Step::ArchiveSize, Code::TooLarge, text))
}

fn malformed(detail: String) -> VerifyError {
    VerifyError::new(Step::SignatureMember, Code::Malformed, detail)
}

fn unknown_format(format: u32) -> VerifyError {
    let text = format!("format {format}, this build knows {FORMAT}");
    VerifyError::new(Step::Format, Code::UnknownFormat, text)
}

/// The signature file, and the bytes of the second member. The first member ends right after its one padded
/// entry: with end-of-archive blocks there, OPA would stop reading.
pub(super) fn first_member(archive: &[u8]) -> Result<(SignatureFile, &[u8]), VerifyError> {
    let (tar, rest) = gzip::split_first(archive, SIGNATURES_LIMIT).map_err(malformed)?;
    let (block, content) = tar
        .split_first_chunk()
        .ok_or_else(|| malformed("the first member ends inside a tar header".to_owned()))?;
    let header = ustar::decode(block).map_err(malformed)?;
    if header.name != signatures::NAME {
        let text = format!(
            "the first member holds `{}`, expected `{}`",
            header.name.escape_debug(),
            signatures::NAME
        );
        return Err(malformed(text));
    }
    let (file, padding) = usize::try_from(header.size)
        .ok()
        .and_then(|size| content.split_at_checked(size))
        .ok_or_else(|| malformed("the first member ends inside its file".to_owned()))?;
    if padding.len() != ustar::padding(header.size) || padding.iter().any(|&byte| byte != 0) {
        let text = "the first member does not end after its one padded file";
        return Err(malformed(text.to_owned()));
    }
    let file = SignatureFile::parse(file).map_err(malformed)?;
    Ok((file, rest))
}

/// The trusted keys that signed, each public key once; an error where they are too few.
fn signers(
    tokens: &[Token<'_>],
    keyring: &Keyring,
    expected: &Expected,
) -> Result<Vec<Signer>, VerifyError> {
    let mut signers: Vec<Signer> = Vec::new();
    let mut unknown = BTreeSet::new();
    let mut faults = Vec::new();
    for token in tokens {
        let kid = token.kid.escape_debug();
        if !token.marked() {
            faults.push(format!(
                "the token of `{kid}` is not marked as a bundle's signature"
            ));
            continue;
        }
        let Some(key) = keyring.key(&token.kid) else {
            unknown.insert(token.kid.as_str());
            faults.push(format!("key `{kid}` is unknown"));
            continue;
        };
        if signers
            .iter()
            .any(|signer| signer.public_key == key.public_key)
        {
            continue;
        }
        if let Some(fault) = keyring.fault(key, &expected.tenant, expected.now, expected.clock_skew)
        {
            faults.push(format!("key `{kid}` {fault}"));
        } else if token.is_by(&key.public_key) {
            signers.push(Signer {
                kid: token.kid.clone(),
                public_key: key.public_key,
            });
        } else {
            faults.push(format!("the signature of `{kid}` is wrong"));
        }
    }
    if signers.len() >= keyring.threshold.max(1) {
        return Ok(signers);
    }
    faults.truncate(8);
    let text = format!(
        "{} of {} needed keys: {}",
        signers.len(),
        keyring.threshold,
        faults.join(", ")
    );
    let mut error = VerifyError::new(Step::Signatures, Code::Untrusted, text);
    error.unknown_key = signers.len() + unknown.len() >= keyring.threshold;
    Err(error)
}

/// Why the number is too low; None where it is not.
fn stale(claims: &Claims, payload: &Digest, expected: &Expected) -> Option<String> {
    let number = claims.number;
    if number < expected.min_number {
        return Some(format!(
            "number {number} is below the configured minimum {}",
            expected.min_number
        ));
    }
    if let Some(running) = expected.running.filter(|running| number <= *running) {
        return Some(format!(
            "number {number} is not above the running {running}"
        ));
    }
    let mark = expected
        .mark
        .as_ref()
        .filter(|mark| mark.tenant == expected.tenant)?;
    if number < mark.number {
        Some(format!("number {number} is below the mark {}", mark.number))
    } else if number == mark.number && *payload != mark.payload {
        Some(format!(
            "number {number} is the mark's, with another payload"
        ))
    } else {
        None
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("name", &self.name)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl VerifiedBundle<'_> {
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.signed.claims
    }

    /// SHA-256 of the signed payload: what the mark holds.
    #[must_use]
    pub const fn payload(&self) -> &Digest {
        &self.signed.payload
    }

    /// SHA-256 of the archive: its `ETag`.
    #[must_use]
    pub const fn archive_digest(&self) -> &Digest {
        &self.archive
    }

    /// The trusted keys that signed, each public key once.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signed.signers
    }

    /// The key ids of [`Self::signers`].
    #[must_use]
    pub fn kids(&self) -> Vec<String> {
        self.signed
            .signers
            .iter()
            .map(|signer| signer.kid.clone())
            .collect()
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
        limits: &Limits,
        hash_files: bool,
        each: &mut dyn FnMut(&Manifest, Entry<'_>) -> Result<(), E>,
    ) -> Result<Manifest, E> {
        pass::read(self, limits, hash_files, each)
    }
}

#[cfg(test)]
mod tests;
