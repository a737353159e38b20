//! Step 5: `.signatures.json` as OPA signs, by the keys of an OPA configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;
use sha2::Digest as _;

use crate::jose::{Algorithm, Key, KeyError};

use super::super::verify::VerifyError;
use super::super::{Code, Step, json, name};
use super::archive::File;
use super::{is_signature, yaml_to_json};

/// A key that may sign bundles.
#[derive(Debug)]
pub struct OpaKey {
    pub key: Key,
    /// What a signature's `scope` must be; None = there must be none.
    pub scope: Option<String>,
}

/// What a bundle of profile `opa` must show.
#[derive(Debug, Default)]
pub struct OpaTrust {
    /// By key id.
    pub keys: BTreeMap<String, OpaKey>,
    /// The key that this bundle must be signed with; None = the one that the signature names.
    pub keyid: Option<String>,
    /// Wins over the key's own scope.
    pub scope: Option<String>,
    /// Patterns of files that need not be signed; `*` does not cross a slash.
    pub exclude_files: Vec<String>,
    /// An unsigned bundle passes. Without this and without a key, nothing does.
    pub allow_unsigned: bool,
}

/// A configured key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpaKeyError {
    #[error("`{0}` is no algorithm that signatures can be verified with here")]
    Algorithm(String),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl OpaKey {
    /// A key as an OPA configuration writes it: PEM, or for HMAC the secret itself.
    ///
    /// # Errors
    ///
    /// [`OpaKeyError`].
    pub fn new(key: &str, algorithm: &str, scope: Option<String>) -> Result<Self, OpaKeyError> {
        let known =
            Algorithm::named(algorithm).ok_or_else(|| OpaKeyError::Algorithm(algorithm.into()))?;
        let key = if known.is_symmetric() {
            Key::from_secret(known, key.as_bytes(), 1)?
        } else {
            Key::from_pem(known, key)?
        };
        Ok(Self { key, scope })
    }
}

impl OpaTrust {
    /// Whether a bundle without a signature passes.
    #[must_use]
    pub fn allows_unsigned(&self) -> bool {
        self.allow_unsigned && self.keyid.is_none()
    }
}

#[derive(Deserialize)]
struct SignaturesJson {
    signatures: Vec<String>,
    plugin: Option<String>,
}

#[derive(Deserialize)]
struct HeaderJson {
    alg: String,
    #[serde(default)]
    kid: String,
}

#[derive(Deserialize)]
struct PayloadJson {
    files: Vec<FileJson>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    keyid: String,
}

#[derive(Deserialize)]
struct FileJson {
    name: String,
    hash: String,
    algorithm: String,
}

/// The key id that signed all files; None where there is no signature and none is asked for.
pub(super) fn check(files: &[File], trust: &OpaTrust) -> Result<Option<String>, VerifyError> {
    // Of several files that OPA would take for the signature it takes the last.
    let Some(file) = files.iter().rev().find(|file| is_signature(&file.name)) else {
        if trust.allows_unsigned() {
            return Ok(None);
        }
        return Err(untrusted("bundle missing .signatures.json file".to_owned()));
    };
    let (kid, payload) = verified(file, trust)?;
    check_files(files, &payload, trust)?;
    Ok(Some(kid))
}

fn verified(file: &File, trust: &OpaTrust) -> Result<(String, PayloadJson), VerifyError> {
    let document: SignaturesJson = serde_json::from_slice(&file.bytes)
        .map_err(|error| malformed(format!("`.signatures.json`: {error}")))?;
    // OPA names its own way of signing, too.
    if document
        .plugin
        .is_some_and(|plugin| !matches!(plugin.as_str(), "" | "_default"))
    {
        return Err(malformed(
            "a signature by a plugin cannot be verified".to_owned(),
        ));
    }
    let [token] = document.signatures.as_slice() else {
        let count = document.signatures.len();
        return Err(malformed(format!(
            "{count} signatures, expected exactly one"
        )));
    };
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(malformed("the signature is no compact JWS".to_owned()));
    };
    let decode = |part: &str| {
        BASE64
            .decode(part)
            .map_err(|_| malformed("a part of the signature is not base64url".to_owned()))
    };
    let head: HeaderJson = serde_json::from_slice(&decode(header)?)
        .map_err(|error| malformed(format!("the signature's header: {error}")))?;
    let claims: PayloadJson = serde_json::from_slice(&decode(payload)?)
        .map_err(|error| malformed(format!("the signature's payload: {error}")))?;
    let named = [
        trust.keyid.as_deref().unwrap_or(""),
        &head.kid,
        &claims.keyid,
    ];
    let kid = named.into_iter().find(|kid| !kid.is_empty());
    let kid = kid.ok_or_else(|| untrusted("verification key ID is empty".to_owned()))?;
    let Some(known) = trust.keys.get(kid) else {
        let text = format!("verification key corresponding to ID `{kid}` not found");
        return Err(VerifyError {
            unknown_key: true,
            ..untrusted(text)
        });
    };
    if head.alg != known.key.algorithm().as_str() {
        return Err(untrusted(format!(
            "the signature is by {}, key `{kid}` is for {}",
            head.alg,
            known.key.algorithm().as_str()
        )));
    }
    let message = format!("{header}.{payload}");
    if !known.key.verify(message.as_bytes(), &decode(signature)?) {
        return Err(untrusted(format!(
            "the signature does not hold under key `{kid}`"
        )));
    }
    let scope = trust
        .scope
        .as_deref()
        .or(known.scope.as_deref())
        .unwrap_or("");
    if claims.scope != scope {
        return Err(untrusted(format!(
            "scope mismatch: the signature's is `{}`, expected is `{scope}`",
            claims.scope
        )));
    }
    Ok((kid.to_owned(), claims))
}

fn check_files(files: &[File], payload: &PayloadJson, trust: &OpaTrust) -> Result<(), VerifyError> {
    let excluded = |name: &str| {
        trust
            .exclude_files
            .iter()
            .any(|pattern| matches(pattern, name))
    };
    let mut listed = BTreeMap::new();
    for file in &payload.files {
        let name = file.name.trim_start_matches('/');
        if listed.insert(name, file).is_some() {
            return Err(tampered(format!(
                "`{name}` is listed twice in the signature"
            )));
        }
    }
    let mut seen = BTreeSet::new();
    for file in files {
        let name = file.name.as_str();
        if is_signature(name) || excluded(name) {
            continue;
        }
        let Some(signed) = listed.get(name) else {
            return Err(tampered(format!(
                "file `{name}` not included in bundle signature"
            )));
        };
        let found = hash(file, &signed.algorithm)?;
        if !found.eq_ignore_ascii_case(&signed.hash) {
            return Err(tampered(format!(
                "`{name}` hashes to {found}, signed is {}",
                signed.hash
            )));
        }
        seen.insert(name);
    }
    let missing: Vec<&str> = listed
        .keys()
        .copied()
        .filter(|name| !seen.contains(name) && !excluded(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(tampered(format!(
        "file(s) {missing:?} specified in bundle signatures but not found in the target bundle"
    )))
}

/// Hex hash of a file by OPA's rules. MD5 and SHA-1, which OPA takes too, are refused.
fn hash(file: &File, algorithm: &str) -> Result<String, VerifyError> {
    let text = hashed_text(file)?;
    Ok(match algorithm {
        "SHA-224" => hex::encode(sha2::Sha224::digest(&text)),
        "SHA-256" => hex::encode(sha2::Sha256::digest(&text)),
        "SHA-384" => hex::encode(sha2::Sha384::digest(&text)),
        "SHA-512" => hex::encode(sha2::Sha512::digest(&text)),
        "SHA-512-224" => hex::encode(sha2::Sha512_224::digest(&text)),
        "SHA-512-256" => hex::encode(sha2::Sha512_256::digest(&text)),
        _ => {
            let text = format!(
                "`{}` is hashed by `{algorithm}`, which is refused",
                file.name
            );
            return Err(tampered(text));
        }
    })
}

/// The bytes that OPA hashes: of documents their value, of everything else what is there.
fn hashed_text(file: &File) -> Result<Vec<u8>, VerifyError> {
    let fault = |error: String| malformed(format!("`{}`: {error}", file.name));
    let json = match name::base(&file.name) {
        "data.json" | ".manifest" => file.bytes.clone(),
        "data.yaml" => yaml_to_json(&file.name, &file.bytes).map_err(fault)?,
        _ => return Ok(file.bytes.clone()),
    };
    let node = json::parse(&json).map_err(|error| fault(error.to_string()))?;
    let mut text = Vec::new();
    let written = node.write(&mut text).and_then(|()| text.flush());
    written.map_err(|error| fault(error.to_string()))?;
    Ok(text)
}

/// Whether a path fits a pattern in which `*` and `?` stay within a part. What is no pattern fits nothing.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let mut glob = globset::GlobBuilder::new(pattern);
    let glob = glob.literal_separator(true).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(path))
}

fn untrusted(detail: String) -> VerifyError {
    VerifyError::new(Step::Signatures, Code::Untrusted, detail)
}

fn tampered(detail: String) -> VerifyError {
    VerifyError::new(Step::Signatures, Code::Tampered, detail)
}

fn malformed(detail: String) -> VerifyError {
    VerifyError::new(Step::Signatures, Code::Malformed, detail)
}
