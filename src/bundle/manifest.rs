//! What a bundle says about itself: the signed claims and the `.manifest`.

use crate::model::{Group, PolicyId, Revision, TenantId, Timestamp, VersionStatus};

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
