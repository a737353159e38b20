//! Builds and signs archives: the same input gives the same bytes.

use std::collections::BTreeMap;

use crate::model::{Revision, TenantId, Timestamp};

use super::hash::{self, sha256};
use super::key::SigningKey;
use super::manifest::{
    Claims, FORMAT, Files, Manifest, PolicyEntry, content_digest, policy_path, render_payload,
};
use super::{gzip, json, name, signatures, ustar, verify};

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
    #[error("{0}")]
    InvalidClaims(String),
    /// Of an archive that is to get further signatures.
    #[error("{0}")]
    Archive(#[from] Box<verify::VerifyError>),
    #[error("cannot write the archive")]
    Write(#[from] std::io::Error),
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
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
    /// newest `created_at` first, ties by name, then version. Its place in the archive too: `path` is
    /// not read.
    pub fn policy(&mut self, mut entry: PolicyEntry, json: Vec<u8>) -> &mut Self {
        entry.path = policy_path(entry.id, &entry.version);
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
    pub fn build(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, BuildError> {
        self.check_claims()?;
        let mut contents = self.contents()?;
        let mut hashes = hashes(&contents)?;
        let revision = Revision::new(self.number, &content_digest(&hashes));
        let manifest = self.manifest(revision).render()?;
        hashes.extend(self::hashes(&BTreeMap::from([(
            ".manifest",
            &manifest[..],
        )]))?);

        // `.manifest` comes first although names that sort before it could exist.
        let mut tar = Vec::new();
        append(&mut tar, ".manifest", &manifest)?;
        while let Some((name, content)) = contents.pop_first() {
            append(&mut tar, name, content)?;
        }
        tar.extend_from_slice(&ustar::END);
        let rest = gzip::member(&tar)?;

        let claims = Claims {
            format: FORMAT,
            tenant: self.tenant.clone(),
            number: self.number,
            revision,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            constitutional_hash: self.constitutional_hash.clone(),
            rest_size: rest.len() as u64,
            rest_sha256: sha256(&rest),
        };
        let payload = render_payload(&claims, &hashes)?;
        let tokens = keys
            .iter()
            .map(|key| signatures::sign(&payload, key))
            .collect::<Result<_, _>>()?;
        assemble(tokens, &rest)
    }

    fn check_claims(&self) -> Result<(), BuildError> {
        if self.number == 0 || i64::try_from(self.number).is_err() {
            let text = format!("number {} is not between 1 and {}", self.number, i64::MAX);
            return Err(BuildError::InvalidClaims(text));
        }
        if self.expires_at <= self.issued_at {
            let text = format!(
                "it would expire at {}, not after {}",
                self.expires_at, self.issued_at
            );
            return Err(BuildError::InvalidClaims(text));
        }
        for moment in [self.issued_at, self.expires_at] {
            if Timestamp::parse(&moment.to_string()) != Some(moment) {
                return Err(BuildError::InvalidClaims(
                    "a time lies beyond the year 9999".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Every file but the manifest, by name.
    fn contents(&self) -> Result<BTreeMap<&str, &[u8]>, BuildError> {
        let mut contents = BTreeMap::new();
        let policies = self
            .policies
            .iter()
            .map(|(entry, json)| (entry.path.as_str(), json));
        let files = self
            .files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes));
        for (name, content) in policies.chain(files) {
            if contents.insert(name, content.as_slice()).is_some() {
                return Err(BuildError::DuplicateName(name.to_owned()));
            }
        }
        for (entry, json) in &self.policies {
            json::parse(json).map_err(|error| invalid(&entry.path, &error.to_string()))?;
        }
        for (name, bytes) in &self.files {
            check_file(name, bytes)?;
        }
        Ok(contents)
    }

    fn manifest(&self, revision: Revision) -> Manifest {
        let mut policies: Vec<PolicyEntry> = self
            .policies
            .iter()
            .map(|(entry, _)| entry.clone())
            .collect();
        policies.sort_by(|a, b| {
            b.created_at
                .cmp(&a.created_at)
                .then_with(|| a.name.cmp(&b.name))
                .then_with(|| a.version.cmp(&b.version))
                .then_with(|| a.id.cmp(&b.id))
        });
        Manifest {
            revision,
            roots: self.roots(),
            rego_version: 1,
            policies,
        }
    }

    /// The folders of the data files, without those inside others; everything as soon as there is a Rego
    /// module, whose package may lie anywhere, or a data file at the root. Policies need no root.
    fn roots(&self) -> Vec<String> {
        let folder = |name: &String| match name.strip_suffix("data.json") {
            Some(folder) => folder.trim_end_matches('/').to_owned(),
            None => String::new(),
        };
        let owning = |(name, _): &&(String, Vec<u8>)| {
            name::extension(name) == "rego" || name::base(name) == "data.json"
        };
        let mut folders: Vec<String> = self
            .files
            .iter()
            .filter(owning)
            .map(|(name, _)| folder(name))
            .collect();
        folders.sort_unstable();
        let mut roots: Vec<String> = Vec::new();
        for folder in folders {
            if !roots
                .iter()
                .any(|root| super::manifest::within(&folder, root))
            {
                roots.push(folder);
            }
        }
        roots
    }
}

fn check_file(name: &str, bytes: &[u8]) -> Result<(), BuildError> {
    if name.starts_with("lictor/") || name == ".manifest" {
        return Err(invalid(name, "is a name of the bundle's own"));
    }
    match name::base(name) {
        "data.yaml" | "data.yml" => return Err(invalid(name, "must be given as data.json")),
        "policy.wasm" | "plan.json" => return Err(invalid(name, "is nothing that Lictor runs")),
        _ => {}
    }
    if name::extension(name) == "json" {
        json::parse(bytes).map_err(|error| invalid(name, &error.to_string()))?;
    }
    Ok(())
}

fn invalid(name: &str, message: &str) -> BuildError {
    BuildError::InvalidFile {
        name: name.to_owned(),
        message: message.to_owned(),
    }
}

fn hashes(contents: &BTreeMap<&str, &[u8]>) -> Result<Files, BuildError> {
    let mut hashes = Files::new();
    for (&name, content) in contents {
        if let Some(fault) = name::fault(name) {
            return Err(invalid(&name.escape_debug().to_string(), fault));
        }
        let hash = hash::file(name, content).map_err(|error| invalid(name, &error.to_string()))?;
        hashes.insert(name.to_owned(), hash);
    }
    Ok(hashes)
}

fn append(tar: &mut Vec<u8>, name: &str, content: &[u8]) -> Result<(), BuildError> {
    let size = content.len() as u64;
    let header = ustar::encode(name, size).ok_or_else(|| {
        invalid(
            name,
            "is too long a name or too large a file for a ustar header",
        )
    })?;
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len() + ustar::padding(size), 0);
    Ok(())
}

/// Puts the first member, made of the tokens, before the second.
fn assemble(tokens: Vec<String>, rest: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut tokens = tokens.into_iter();
    let first = tokens.next().ok_or(BuildError::NoKey)?;
    let file = signatures::render(first, tokens.collect())?;
    let mut tar = Vec::new();
    append(&mut tar, signatures::NAME, &file)?;
    let mut archive = gzip::member(&tar)?;
    if tar.len().max(archive.len()) > verify::SIGNATURES_LIMIT {
        return Err(invalid(
            signatures::NAME,
            "is larger than 16 MiB: too many files or keys",
        ));
    }
    archive.extend_from_slice(rest);
    Ok(archive)
}

/// What becomes of an archive's signatures when it is signed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// They stay, and the new ones follow.
    Keep,
    Replace,
}

/// Signs an archive's payload, unverified, with further keys. Its second member stays as it is.
///
/// # Errors
///
/// When the first member is malformed (steps 3 and 4), or a key has signed it already.
pub fn sign(
    archive: &[u8],
    previous: Previous,
    keys: &[&SigningKey],
) -> Result<Vec<u8>, BuildError> {
    let (file, rest) = verify::first_member(archive).map_err(Box::new)?;
    let found = file.split().map_err(BuildError::InvalidClaims)?;
    let mut tokens = match previous {
        Previous::Keep => found
            .tokens
            .iter()
            .map(|token| token.text().to_owned())
            .collect(),
        Previous::Replace => Vec::new(),
    };
    for key in keys {
        if previous == Previous::Keep && found.tokens.iter().any(|token| token.kid == key.kid) {
            return Err(BuildError::Key(format!(
                "`{}` has signed this bundle already",
                key.kid
            )));
        }
        tokens.push(signatures::sign(&found.payload, key)?);
    }
    assemble(tokens, rest)
}
