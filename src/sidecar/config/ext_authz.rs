//! The settings of Envoy's external authorization.

use serde::{Deserialize, Serialize};

/// How requests that Envoy holds back are decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtAuthzConfig {
    /// The Rego document that decides, such as `envoy/authz/allow`; None = the HTTP rules of access policies.
    pub path: Option<String>,
    /// Every decision is answered with a yes; what it was is in the dynamic metadata.
    pub dry_run: bool,
    /// Bodies are not looked into.
    pub skip_request_body_parse: bool,
    /// A file with a `FileDescriptorSet`: the services whose requests are read for the policies.
    pub proto_descriptor: Option<String>,
    pub undefined: Undefined,
    pub append: Append,
    pub metadata: DynamicMetadata,
    /// What experiments assign variants by: `source.principal`, `source.address`, `http.headers.NAME`,
    /// `http.query.NAME`, `jwt.CLAIM`, or a CEL expression over the canonical request.
    pub key: String,
    /// What a path may hold although servers read it differently.
    pub allow_ambiguous: Vec<String>,
}

/// What a Rego document that is undefined means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undefined {
    /// No decision, as OPA's plugin has it: Envoy's failure mode applies.
    #[default]
    Error,
    Deny,
}

/// How headers of a Rego decision say whether they replace or add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Append {
    /// In both fields: the first of a name replaces, further ones add.
    #[default]
    Both,
    /// Not at all, as OPA's plugin leaves it.
    Unset,
}

/// What dynamic metadata says of each decision over gRPC, beside variants and what a rule sets. Envoy reads it into a
/// structure of its own for every request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DynamicMetadata {
    /// Decision id, revision, the bundle's age, policy and rule.
    #[default]
    Full,
    /// The decision id alone: the record of that id says the rest.
    Id,
}

impl Default for ExtAuthzConfig {
    fn default() -> Self {
        Self {
            path: None,
            dry_run: false,
            skip_request_body_parse: false,
            proto_descriptor: None,
            undefined: Undefined::default(),
            append: Append::default(),
            metadata: DynamicMetadata::default(),
            key: "source.principal".to_owned(),
            allow_ambiguous: Vec::new(),
        }
    }
}
