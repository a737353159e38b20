//! What can be asked of the registry, and what came of it.

use crate::control_plane::store::{Format, PolicyRow, VersionRow};
use crate::model::{Group, PolicyId, TenantId};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub tenant: TenantId,
    /// The token's `sub`.
    pub subject: String,
    pub roles: Vec<String>,
}

/// A write.
#[derive(Clone, Debug)]
pub enum Command {
    CreatePolicy(NewPolicy),
    CreateVersion {
        /// Id or name.
        policy: String,
        version: NewVersion,
    },
    SetTesting {
        policy: String,
        version: String,
    },
    Activate {
        policy: String,
        /// None = the newest that is draft or testing.
        version: Option<String>,
    },
    /// Makes and activates the next version of an active ServicePolicy.
    Revise {
        policy: String,
        revision: Revision,
    },
    /// Takes an active ServicePolicy out of the bundle for good. Its versions stay, and its name is remembered.
    Archive {
        policy: String,
    },
}

/// A policy to be made, and its first version where content came along.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    pub name: String,
    /// None = as the content says, else derived from its name.
    pub id: Option<PolicyId>,
    pub description: Option<String>,
    pub format: Format,
    pub tags: Vec<String>,
    pub compliance_tags: Vec<String>,
    /// JSON text.
    pub content: Option<String>,
    /// The first version's number; None = as the content says, else 1.0.0.
    pub version: Option<semver::Version>,
    /// Whether the first version decides at once.
    pub activate: bool,
}

/// What shall be different about a ServicePolicy; None = stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Revision {
    pub name: Option<String>,
    /// Empty = none.
    pub description: Option<String>,
    /// The new version's number. None, or the present one = the next patch.
    pub version: Option<semver::Version>,
    /// Members of the document's `spec` to be set; null = taken out.
    pub spec: serde_json::Map<String, serde_json::Value>,
}

/// A version to be made.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// None = as the content says, else the next patch.
    pub version: Option<semver::Version>,
    pub group: Option<Group>,
    pub description: Option<String>,
    /// JSON text.
    pub content: String,
    /// None = the server's key signs.
    pub keys: Option<KeyPair>,
}

/// A key pair that came with a request, base64. Its `Debug` shows nothing of the private half.
#[derive(Clone)]
pub struct KeyPair {
    pub private: String,
    pub public: Option<String>,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// A write with its conditions.
#[derive(Clone, Debug)]
pub struct Order {
    pub caller: Caller,
    pub command: Command,
    pub if_match: Option<IfMatch>,
    pub idempotency: Option<IdempotencyKey>,
}

/// `If-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    /// Entity tags with their quotes; weak ones left out, since they never match.
    Tags(Vec<String>),
}

impl IfMatch {
    /// Whether the condition holds for the present tag (None = there is nothing).
    pub fn holds(&self, present: Option<&str>) -> bool {
        match self {
            Self::Any => present.is_some(),
            Self::Tags(tags) => {
                present.is_some_and(|present| tags.iter().any(|tag| tag == present))
            }
        }
    }
}

/// An idempotency key with the fingerprint of its request.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    pub key: String,
    /// Hex SHA-256 of method, target and body.
    pub fingerprint: String,
}

/// What a write did.
#[derive(Clone, Debug)]
pub struct Done {
    pub policy: PolicyRow,
    pub version: Option<VersionRow>,
    pub effect: Effect,
    /// The number of the bundle that will contain it, or the current one.
    pub number: u64,
}

/// What became different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: what was asked for is there.
    Nothing,
    /// The registry alone.
    Registry,
    /// What a bundle contains.
    Bundle,
}

/// The entity tag of a policy; it changes with every change of the policy and of its versions.
pub fn policy_tag(policy: &PolicyRow) -> String {
    format!("\"p{}\"", policy.edition)
}

/// The entity tag of a version.
pub fn version_tag(version: &VersionRow) -> String {
    format!("\"v{}\"", version.edition)
}
