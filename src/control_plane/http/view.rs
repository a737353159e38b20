//! What clients see of policies and versions: the original's members and the SDKs', side by side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::control_plane::store::{PolicyRow, VersionRow};
use crate::model::Group;

/// A policy.
pub fn policy(policy: &PolicyRow, constitutional_hash: &str) -> Value {
    let (id, tenant) = (policy.id.to_string(), policy.tenant.as_str());
    let (created, updated) = (policy.created_at.to_string(), policy.updated_at.to_string());
    json!({
        "policy_id": id,
        "id": id,
        "tenant_id": tenant,
        "tenantId": tenant,
        "name": policy.name,
        "description": policy.description,
        "format": policy.format.as_str(),
        "status": policy.status.as_str(),
        "version": policy.version.as_deref().unwrap_or("0.0.0"),
        "metadata": {},
        "tags": policy.tags,
        "complianceTags": policy.compliance_tags,
        "created_at": created,
        "createdAt": created,
        "updated_at": updated,
        "updatedAt": updated,
        "createdBy": policy.created_by,
        "constitutionalHash": constitutional_hash,
    })
}

/// A version. Its content stands as it was sent.
#[derive(Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are the wire's: the original's and the SDKs'"
)]
pub struct Version<'v> {
    version_id: String,
    id: String,
    policy_id: String,
    #[serde(rename = "policyId")]
    policy_id_camel: String,
    version: &'v str,
    content: &'v RawValue,
    content_hash: &'v str,
    predecessor_version: Option<&'v str>,
    status: &'static str,
    ab_test_group: Option<&'static str>,
    metadata: Value,
    kind: &'v str,
    decides: &'v str,
    description: Option<&'v str>,
    created_at: String,
    #[serde(rename = "createdAt")]
    created_at_camel: String,
    #[serde(rename = "createdBy")]
    created_by: &'v str,
    signature: Value,
}

/// The view of a version; None where its content is no JSON any more.
pub fn version(row: &VersionRow) -> Option<Version<'_>> {
    let id = uuid::Uuid::new_v5(&row.policy.0, row.version.as_bytes()).to_string();
    let created = row.created_at.to_string();
    Some(Version {
        version_id: id.clone(),
        policy_id: row.policy.to_string(),
        policy_id_camel: row.policy.to_string(),
        version: &row.version,
        content: serde_json::from_str(&row.content).ok()?,
        content_hash: &row.content_hash,
        predecessor_version: row.predecessor.as_deref(),
        status: row.status.as_str(),
        ab_test_group: row.group.map(Group::as_str),
        metadata: json!({}),
        kind: &row.kind,
        decides: &row.decides,
        description: row.description.as_deref(),
        signature: json!({
            "signature_id": id,
            "policy_id": row.policy.to_string(),
            "version": row.version,
            "public_key": row.public_key,
            "signature": row.signature,
            "algorithm": "Ed25519",
            "key_fingerprint": fingerprint(&row.public_key),
            "signed_at": created,
            "expires_at": null,
        }),
        id,
        created_at_camel: created.clone(),
        created_at: created,
        created_by: &row.created_by,
    })
}

/// Hex SHA-256 of the raw public key.
fn fingerprint(public_key: &str) -> String {
    let raw = STANDARD.decode(public_key).unwrap_or_default();
    hex::encode(Sha256::digest(raw))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fingerprint_is_the_originals() {
        assert_eq!(
            super::fingerprint("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="),
            "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c"
        );
    }
}
