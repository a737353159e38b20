//! What a bundle says about itself: the signed claims and the `.manifest`.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::model::{Group, PolicyId, Revision, TenantId, Timestamp, VersionStatus};

use super::Digest;

/// The format this build writes and reads.
pub(super) const FORMAT: u32 = 1;

/// The `lictor` claims of the signed payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The format's version; this build knows 1.
    pub format: u32,
    pub tenant: TenantId,
    pub number: u64,
    pub revision: Revision,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub constitutional_hash: String,
    /// Bytes of the compressed second member.
    pub rest_size: u64,
    /// SHA-256 of the compressed second member.
    pub rest_sha256: [u8; 32],
}

/// The `.manifest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub revision: Revision,
    pub roots: Vec<String>,
    /// 0 or 1.
    pub rego_version: u8,
    /// `metadata.lictor.policies`, in evaluation order.
    pub policies: Vec<PolicyEntry>,
}

/// A policy version in the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEntry {
    pub id: PolicyId,
    pub name: String,
    pub kind: String,
    pub version: String,
    pub status: VersionStatus,
    pub group: Option<Group>,
    pub created_at: Timestamp,
    /// When it was activated last, or retired last for a retired version; orders retired versions.
    pub changed_at: Timestamp,
    /// Hex SHA-256 of the canonical content.
    pub content_hash: String,
    /// `lictor/policies/<id>/<version>.json`.
    pub path: String,
}

/// Files with their hashes, by name.
pub(super) type Files = BTreeMap<String, Digest>;

/// The digest a revision is named after: over `name NUL sha256hex LF` of every file but the manifest.
pub(super) fn content_digest(files: &Files) -> Digest {
    let mut text = String::new();
    for (name, hash) in files.iter().filter(|(name, _)| *name != ".manifest") {
        text.push_str(name);
        text.push('\0');
        text.push_str(&hex::encode(hash));
        text.push('\n');
    }
    super::hash::sha256(text.as_bytes())
}

/// Whether a slash-separated path lies inside a root of a manifest.
pub(super) fn within(path: &str, root: &str) -> bool {
    let root = root.trim_matches('/');
    root.is_empty()
        || path
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where a policy version lies in an archive.
pub(super) fn policy_path(id: PolicyId, version: &str) -> String {
    format!("{POLICIES}{id}/{version}.json")
}

/// The folder of policies.
pub(super) const POLICIES: &str = "lictor/policies/";

/// The signed payload, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadJson {
    files: Vec<FileJson>,
    lictor: ClaimsJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJson {
    name: String,
    hash: String,
    algorithm: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimsJson {
    format: u32,
    tenant: String,
    number: u64,
    revision: String,
    issued_at: String,
    expires_at: String,
    constitutional_hash: String,
    rest_size: u64,
    rest_sha256: String,
}

/// The payload's format number, whatever else its format has.
pub(super) fn payload_format(payload: &[u8]) -> Result<u32, String> {
    #[derive(Deserialize)]
    struct Payload {
        lictor: Lictor,
    }
    #[derive(Deserialize)]
    struct Lictor {
        format: u32,
    }
    serde_json::from_slice::<Payload>(payload)
        .map(|payload| payload.lictor.format)
        .map_err(|error| format!("the signed payload is not a bundle's: {error}"))
}

/// Reads the payload of a format this build knows. Duplicate and unknown members, names listed twice, and a
/// revision that is not that of the listed files are errors.
pub(super) fn parse_payload(payload: &[u8]) -> Result<(Claims, Files), String> {
    let payload: PayloadJson = serde_json::from_slice(payload)
        .map_err(|error| format!("the signed payload is not a bundle's: {error}"))?;
    let mut files = Files::new();
    for file in payload.files {
        if file.algorithm != "SHA-256" {
            return Err(format!(
                "`{}` is hashed by `{}`, not by `SHA-256`",
                file.name, file.algorithm
            ));
        }
        let hash =
            digest(&file.hash).ok_or_else(|| format!("`{}` has a hash that is none", file.name))?;
        if let Some(fault) = super::name::fault(&file.name) {
            return Err(format!(
                "the listed name `{}` {fault}",
                file.name.escape_debug()
            ));
        }
        if files.contains_key(&file.name) {
            return Err(format!("`{}` is listed twice", file.name));
        }
        files.insert(file.name, hash);
    }
    let claims = parse_claims(payload.lictor)?;
    if claims.revision != Revision::new(claims.number, &content_digest(&files)) {
        return Err(format!(
            "revision `{}` is not that of number {} and the listed files",
            claims.revision, claims.number
        ));
    }
    Ok((claims, files))
}

fn parse_claims(claims: ClaimsJson) -> Result<Claims, String> {
    let moment =
        |text: &str| Timestamp::parse(text).ok_or_else(|| format!("`{text}` is no RFC 3339 time"));
    if claims.number == 0 || i64::try_from(claims.number).is_err() {
        return Err(format!(
            "number {} is not between 1 and {}",
            claims.number,
            i64::MAX
        ));
    }
    Ok(Claims {
        format: claims.format,
        tenant: claims.tenant.parse().map_err(|error| format!("{error}"))?,
        number: claims.number,
        revision: claims
            .revision
            .parse()
            .map_err(|error| format!("{error}"))?,
        issued_at: moment(&claims.issued_at)?,
        expires_at: moment(&claims.expires_at)?,
        constitutional_hash: claims.constitutional_hash,
        rest_size: claims.rest_size,
        rest_sha256: digest(&claims.rest_sha256).ok_or("`rest_sha256` is no SHA-256 in hex")?,
    })
}

/// Writes the payload to sign.
pub(super) fn render_payload(claims: &Claims, files: &Files) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&PayloadJson {
        files: files
            .iter()
            .map(|(name, hash)| FileJson {
                name: name.clone(),
                hash: hex::encode(hash),
                algorithm: "SHA-256".to_owned(),
            })
            .collect(),
        lictor: ClaimsJson {
            format: claims.format,
            tenant: claims.tenant.to_string(),
            number: claims.number,
            revision: claims.revision.to_string(),
            issued_at: claims.issued_at.to_string(),
            expires_at: claims.expires_at.to_string(),
            constitutional_hash: claims.constitutional_hash.clone(),
            rest_size: claims.rest_size,
            rest_sha256: hex::encode(claims.rest_sha256),
        },
    })
}

fn digest(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestJson {
    revision: String,
    roots: Vec<String>,
    rego_version: u8,
    metadata: MetadataJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetadataJson {
    lictor: LictorJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LictorJson {
    policies: Vec<PolicyJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyJson {
    id: String,
    name: String,
    kind: String,
    version: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    created_at: String,
    changed_at: String,
    content_hash: String,
    path: String,
}

impl Manifest {
    /// Whether one of the roots contains the slash-separated path.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        self.roots.iter().any(|root| within(path, root))
    }

    /// Reads a `.manifest`. Duplicate and unknown members are errors, and so is a policy version listed twice or
    /// not at its own path.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json: ManifestJson =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if json.rego_version > 1 {
            return Err(format!(
                "`rego_version` is {}, not 0 or 1",
                json.rego_version
            ));
        }
        let mut paths = HashSet::new();
        let mut policies = Vec::with_capacity(json.metadata.lictor.policies.len());
        for policy in json.metadata.lictor.policies {
            let entry = parse_policy(policy)?;
            if !paths.insert(entry.path.clone()) {
                return Err(format!("`{}` is listed twice", entry.path));
            }
            policies.push(entry);
        }
        Ok(Self {
            revision: json.revision.parse().map_err(|error| format!("{error}"))?,
            roots: json.roots,
            rego_version: json.rego_version,
            policies,
        })
    }

    /// Writes the `.manifest`.
    pub(super) fn render(&self) -> Result<Vec<u8>, serde_json::Error> {
        let policies = self.policies.iter().map(render_policy).collect();
        serde_json::to_vec(&ManifestJson {
            revision: self.revision.to_string(),
            roots: self.roots.clone(),
            rego_version: self.rego_version,
            metadata: MetadataJson {
                lictor: LictorJson { policies },
            },
        })
    }
}

fn parse_policy(json: PolicyJson) -> Result<PolicyEntry, String> {
    let at = |what: &str, text: &str| format!("policy `{}`: `{text}` is no {what}", json.name);
    let moment = |text: &str| Timestamp::parse(text).ok_or_else(|| at("RFC 3339 time", text));
    let id: PolicyId = json.id.parse().map_err(|_| at("UUID", &json.id))?;
    let status = match json.status.as_str() {
        "active" => VersionStatus::Active,
        "testing" => VersionStatus::Testing,
        "retired" => VersionStatus::Retired,
        other => return Err(at("status of a version in a bundle", other)),
    };
    let group = match json.group.as_deref() {
        None => None,
        Some("A") => Some(Group::A),
        Some("B") => Some(Group::B),
        Some(other) => return Err(at("A/B group", other)),
    };
    if digest(&json.content_hash).is_none() {
        return Err(at("SHA-256 in hex", &json.content_hash));
    }
    if json.path != policy_path(id, &json.version) {
        return Err(at("place of this version", &json.path));
    }
    Ok(PolicyEntry {
        id,
        status,
        group,
        created_at: moment(&json.created_at)?,
        changed_at: moment(&json.changed_at)?,
        name: json.name,
        kind: json.kind,
        version: json.version,
        content_hash: json.content_hash,
        path: json.path,
    })
}

fn render_policy(entry: &PolicyEntry) -> PolicyJson {
    PolicyJson {
        id: entry.id.to_string(),
        name: entry.name.clone(),
        kind: entry.kind.clone(),
        version: entry.version.clone(),
        status: entry.status.as_str().to_owned(),
        group: entry.group.map(|group| group.as_str().to_owned()),
        created_at: entry.created_at.to_string(),
        changed_at: entry.changed_at.to_string(),
        content_hash: entry.content_hash.clone(),
        path: entry.path.clone(),
    }
}
