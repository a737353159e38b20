//! Bundles under trust profile `opa`: what OPA itself writes and serves.
//!
//! Such a bundle has no number, no expiry and no tenant: steps 3, 4 and 6 to 10 do not apply. The archive is read
//! within the limits of step 11, then its signature and the hash of every file are checked (5), then its manifest
//! (12). Unlike OPA, an unsigned bundle passes only where the configuration says so.

mod archive;
mod delta;
mod manifest;
mod signature;

use std::collections::BTreeMap;

use super::verify::{Digest, Limits, VerifyError};
use super::{Code, Step};
use super::{hash, json, name};

pub use delta::{Operation, Patch, PatchError};
pub use manifest::OpaManifest;
pub use signature::{OpaKey, OpaKeyError, OpaTrust};

use archive::File;

/// Steps that profile `opa` waives.
pub const OPA_WAIVED: [u8; 7] = [3, 4, 6, 7, 8, 9, 10];

/// A bundle that passed steps 1, 2, 5, 11 and 12 of profile `opa`.
#[derive(Debug)]
pub enum OpaBundle {
    /// All of it.
    Snapshot(OpaContent),
    /// Changes to the data of the one before.
    Delta {
        manifest: OpaManifest,
        patches: Vec<Patch>,
    },
}

/// What a whole bundle holds.
#[derive(Debug)]
pub struct OpaContent {
    pub manifest: OpaManifest,
    /// Path in the archive and text, sorted by path.
    pub modules: Vec<(String, String)>,
    /// Where below `data` each document belongs, and its JSON; shorter paths first.
    pub data: Vec<(Vec<String>, Vec<u8>)>,
    /// Files that decide nothing here, such as compiled policies.
    pub ignored: Vec<String>,
    /// The key that signed it; None where it was unsigned.
    pub kid: Option<String>,
}

/// Reads a bundle of profile `opa`.
///
/// # Errors
///
/// The first step that fails.
pub fn open_opa(
    archive: &[u8],
    announced: Option<&Digest>,
    trust: &OpaTrust,
    limits: &Limits,
) -> Result<OpaBundle, VerifyError> {
    // 1: size
    if archive.len() as u64 > limits.archive_bytes {
        let text = format!("the archive is larger than {} bytes", limits.archive_bytes);
        return Err(VerifyError::new(Step::ArchiveSize, Code::TooLarge, text));
    }
    // 2: digest, where a SHA-256 was announced
    if announced.is_some_and(|announced| *announced != hash::sha256(archive)) {
        let text = "the archive does not have the SHA-256 that was announced";
        return Err(VerifyError::new(
            Step::ArchiveDigest,
            Code::DigestMismatch,
            text,
        ));
    }
    // 11: decompression limits
    let files = archive::read(archive, limits)?;
    let delta = files
        .iter()
        .any(|file| name::base(&file.name) == "patch.json");
    // 5: the signature, and every file as it was signed. A delta is never signed: OPA cannot sign one.
    let kid = if delta && trust.allows_unsigned() {
        None
    } else {
        signature::check(&files, trust)?
    };
    // 12: the manifest, and everything inside its roots
    let manifest = manifest::read(&files)?;
    if delta {
        let patches = delta::read(&files)?;
        return Ok(OpaBundle::Delta { manifest, patches });
    }
    sorted(files, manifest, kid).map(OpaBundle::Snapshot)
}

fn sorted(
    files: Vec<File>,
    manifest: OpaManifest,
    kid: Option<String>,
) -> Result<OpaContent, VerifyError> {
    let mut content = OpaContent {
        manifest,
        modules: Vec::new(),
        data: Vec::new(),
        ignored: Vec::new(),
        kid,
    };
    for file in files {
        let (folder, base) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
        match base {
            "data.json" | "data.yaml" | "data.yml" => {
                let json = json_of(&file)?;
                let path: Vec<String> = folder
                    .split('/')
                    .filter(|p| !p.is_empty())
                    .map(str::to_owned)
                    .collect();
                content.manifest.check_data(&path, &json, &file.name)?;
                content.data.push((path, json));
            }
            _ if name::extension(&file.name) == "rego" => {
                let File { name, bytes } = file;
                let text = String::from_utf8(bytes)
                    .map_err(|_| invalid(format!("`{name}` is not UTF-8")))?;
                content.modules.push((name, text));
            }
            _ if is_signature(&file.name) || file.name == ".manifest" => {}
            _ => content.ignored.push(file.name),
        }
    }
    content.modules.sort();
    content.data.sort_by_key(|(path, _)| path.len());
    if content
        .data
        .first()
        .is_some_and(|(path, json)| path.is_empty() && !is_object(json))
    {
        return Err(invalid(
            "the data document at the root is no object".to_owned(),
        ));
    }
    Ok(content)
}

fn is_object(json: &[u8]) -> bool {
    json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// The JSON of a data document; a member that is there twice is refused.
fn json_of(file: &File) -> Result<Vec<u8>, VerifyError> {
    let fault = |error: String| invalid(format!("`{}`: {error}", file.name));
    let bytes = file
        .bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&file.bytes);
    if name::extension(&file.name) == "json" {
        json::parse(bytes).map_err(|error| fault(error.to_string()))?;
        return Ok(bytes.to_vec());
    }
    yaml_to_json(&file.name, bytes).map_err(fault)
}

/// YAML as JSON text.
fn yaml_to_json(name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    crate::policy::to_json(name, bytes, crate::policy::Format::Yaml)
        .map(String::into_bytes)
        .map_err(|errors| errors.to_string())
}

/// OPA takes any file of such a name for the signature.
fn is_signature(name: &str) -> bool {
    name.ends_with("signatures.json")
}

fn invalid(detail: String) -> VerifyError {
    VerifyError::new(Step::Parse, Code::InvalidPolicy, detail)
}

fn mismatch(detail: String) -> VerifyError {
    VerifyError::new(Step::Manifest, Code::ManifestMismatch, detail)
}

/// The first pair of roots of different bundles that overlap.
#[must_use]
pub fn overlapping_roots<'a>(
    bundles: &'a BTreeMap<&'a str, &'a [String]>,
) -> Option<[(&'a str, &'a str); 2]> {
    let roots: Vec<(&str, &str)> = bundles
        .iter()
        .flat_map(|(name, roots)| roots.iter().map(|root| (*name, root.as_str())))
        .collect();
    // Sorted by segments, a root stands directly before the first of those below it, so neighbours tell. What
    // lies between a root and a later one below it is itself below it.
    let mut sorted: Vec<(Vec<&str>, (&str, &str))> = roots
        .into_iter()
        .map(|root| (segments(root.1), root))
        .collect();
    sorted.sort();
    sorted.windows(2).find_map(|pair| match pair {
        [(outer, first), (inner, second)] if inner.starts_with(outer) && first.0 != second.0 => {
            Some([*first, *second])
        }
        _ => None,
    })
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests;
