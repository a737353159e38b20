//! The typed documents. A value of these types was checked: enumerations are known, required fields
//! are there, numbers are in range. Only expressions are still text.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Group, PolicyId, Severity, Timestamp, VersionStatus};

use super::Place;

/// Text with its place: an expression, a pattern, a CIDR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub value: String,
    pub place: Place,
}

/// A name with an expression, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub expression: Text,
}

/// One document, as checked.
#[derive(Clone, Debug)]
pub struct Document {
    pub metadata: Metadata,
    pub body: Body,
    pub tests: Vec<DecisionTest>,
    /// The document itself as JSON text: what a bundle carries and a content hash covers. Numbers
    /// keep their text.
    pub json: Arc<str>,
    pub place: Place,
}

/// What identifies a policy version.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub name: Arc<str>,
    pub id: PolicyId,
    pub version: semver::Version,
    pub status: VersionStatus,
    pub group: Option<Group>,
    pub labels: BTreeMap<String, String>,
    /// From the manifest or the registry; never written by authors.
    pub created_at: Timestamp,
    /// When the version got the status it has; from the manifest, too. Orders retired versions.
    pub changed_at: Timestamp,
}

/// What a document says.
#[derive(Clone, Debug)]
pub enum Body {
    Validation(ValidationPolicy),
    Service(ServicePolicy),
    Access(AccessPolicy),
    Experiment(Experiment),
    Rego(RegoModules),
    /// Signed, versioned, routed and delivered; decides nothing.
    Opaque,
}

/// What a policy decides, as the registry and `policy check` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides {
    Validation,
    Access,
    Experiment,
    Rego,
    Nothing,
}

impl Body {
    /// What this decides. ACCESS_CONTROL service policies decide access; other service policies validation.
    #[must_use]
    pub const fn decides(&self) -> Decides {
        match self {
            Self::Validation(_) => Decides::Validation,
            Self::Service(service) => match service.kind {
                ServicePolicyType::AccessControl => Decides::Access,
                _ => Decides::Validation,
            },
            Self::Access(_) => Decides::Access,
            Self::Experiment(_) => Decides::Experiment,
            Self::Rego(_) => Decides::Rego,
            Self::Opaque => Decides::Nothing,
        }
    }

    /// `ValidationPolicy`, `ServicePolicy`, `AccessPolicy`, `Experiment`, `Rego` or `Opaque`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Validation(_) => "ValidationPolicy",
            Self::Service(_) => "ServicePolicy",
            Self::Access(_) => "AccessPolicy",
            Self::Experiment(_) => "Experiment",
            Self::Rego(_) => "Rego",
            Self::Opaque => "Opaque",
        }
    }
}

#[derive(Clone, Debug)]
pub struct ValidationPolicy {
    /// Free text (`SECURITY`, ...).
    pub kind: String,
    pub severity: Severity,
    pub matches: Vec<Text>,
    pub variables: Vec<Named>,
    pub validations: Vec<ValidationRule>,
}

#[derive(Clone, Debug)]
pub struct ValidationRule {
    pub expression: Text,
    pub field: String,
    pub message: String,
    pub remediation: String,
    /// Literal text.
    pub expected: Option<String>,
    /// CEL.
    pub actual: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServicePolicyType {
    DataResidency,
    Compliance,
    Security,
    Pricing,
    AccessControl,
    RateLimiting,
    ContentFiltering,
    DataClassification,
}

#[derive(Clone, Debug)]
pub struct ServicePolicy {
    pub kind: ServicePolicyType,
    pub severity: Severity,
    pub enabled: bool,
    /// None for CONTENT_FILTERING and DATA_CLASSIFICATION, whose rules live in `metadata`.
    pub rule: Option<Rule>,
    /// Strings; some steer evaluation (`applies_from_level`, `certification_match`, `deny_patterns`,
    /// `max_payload_bytes`, `classification_max`).
    pub metadata: BTreeMap<String, String>,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub enum Rule {
    DataResidency(DataResidency),
    Compliance(Compliance),
    Security(Security),
    Pricing(Pricing),
    AccessControl(AccessControl),
    RateLimiting(RateLimiting),
}

#[derive(Clone, Debug, Default)]
pub struct DataResidency {
    pub allowed_countries: Vec<String>,
    pub blocked_countries: Vec<String>,
    pub require_specification: bool,
    pub minimum_locations: i32,
}

#[derive(Clone, Debug, Default)]
pub struct Compliance {
    pub required_certifications: Vec<String>,
    pub require_gdpr_compliance: bool,
    pub require_hipaa_compliance: bool,
    pub require_soc2_compliance: bool,
    /// Empty, or one of public, internal, confidential, restricted.
    pub minimum_compliance_level: String,
}

#[derive(Clone, Debug, Default)]
pub struct Security {
    pub require_https: bool,
    pub require_authentication: bool,
    pub allowed_authentication_types: Vec<String>,
    pub require_encryption_at_rest: bool,
    pub require_encryption_in_transit: bool,
    /// 0 = unset; 12 = TLS 1.2, 13 = TLS 1.3.
    pub minimum_tls_version: i32,
}

#[derive(Clone, Debug, Default)]
pub struct Pricing {
    pub max_rate_per_token: f64,
    pub max_rate_per_request: f64,
    pub require_free_tier: bool,
    pub minimum_sla_for_enterprise: f64,
}

#[derive(Clone, Debug, Default)]
pub struct AccessControl {
    pub allowed_user_roles: Vec<String>,
    pub blocked_user_ids: Vec<String>,
    pub require_approval: bool,
    /// CIDR ranges, syntax checked.
    pub allowed_ip_ranges: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct RateLimiting {
    pub max_requests_per_minute: i64,
    pub max_requests_per_hour: i64,
    pub max_requests_per_day: i64,
    pub max_tokens_per_request: i64,
}

#[derive(Clone, Debug)]
pub struct AccessPolicy {
    pub spec: AccessSpec,
    pub http: Vec<HttpRule>,
}

#[derive(Clone, Debug)]
pub struct AccessSpec {
    pub variables: Vec<Named>,
    /// Resource types; `*` = any. May be empty only where `http` rules exist.
    pub resources: Vec<String>,
    /// Derived roles.
    pub roles: Vec<Named>,
    pub rules: Vec<AccessRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
pub struct AccessRule {
    /// As written, else `rules[<index>]`.
    pub id: String,
    pub effect: Effect,
    /// Empty or containing `*` = any.
    pub actions: Vec<String>,
    /// Any of; empty = no role needed.
    pub roles: Vec<String>,
    pub condition: Option<Text>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug)]
pub struct HttpRule {
    /// As written, else `http[<index>]`.
    pub id: String,
    pub effect: Effect,
    /// Empty = any.
    pub methods: Vec<String>,
    /// Templates such as `/accounts/{id}` and `/public/{rest*}`; empty = any.
    pub paths: Vec<Text>,
    /// Host names, lower case; empty = any.
    pub hosts: Vec<String>,
    pub roles: Vec<String>,
    pub condition: Option<Text>,
    pub reason: Option<String>,
    pub on_allow: Option<OnAllow>,
    pub on_deny: Option<OnDeny>,
}

/// Changes to a request that is let through; values are CEL.
#[derive(Clone, Debug, Default)]
pub struct OnAllow {
    pub set_headers: Vec<Named>,
    pub append_headers: Vec<Named>,
    pub remove_headers: Vec<String>,
    pub set_response_headers: Vec<Named>,
    pub set_query: Vec<Named>,
    pub remove_query: Vec<String>,
    pub metadata: Vec<Named>,
}

/// The reply to a request that is refused; header and body values are CEL.
#[derive(Clone, Debug)]
pub struct OnDeny {
    /// A redirect (3xx), 401, 403, 404, 429 or 503.
    pub status: u16,
    pub headers: Vec<Named>,
    pub body: Option<Text>,
    pub metadata: Vec<Named>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExperimentHash {
    Murmur3,
    Md5,
}

#[derive(Clone, Debug)]
pub struct Experiment {
    pub key: Option<Text>,
    pub hash: ExperimentHash,
    pub salt: String,
    /// 0 to 100.
    pub rollout: u32,
    pub audience: Option<Text>,
    pub variants: Vec<Variant>,
    pub overrides: BTreeMap<String, String>,
    /// By policy name: the version that each variant runs, by variant name.
    pub policies: BTreeMap<String, BTreeMap<String, semver::Version>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    pub name: String,
    pub weight: u32,
}

/// Rego modules by path, and data beside them.
#[derive(Clone, Debug)]
pub struct RegoModules {
    pub modules: BTreeMap<String, String>,
    /// JSON text of the data document, an object.
    pub data: Option<Arc<str>>,
}

/// A decision test: travels in the bundle and runs before activation.
#[derive(Clone, Debug)]
pub struct DecisionTest {
    pub name: String,
    pub question: Question,
    pub expect: Expectation,
    pub place: Place,
}

/// What a test asks. JSON texts.
#[derive(Clone, Debug)]
pub enum Question {
    /// `input:` of a validation (for validating policies).
    Validate { input: String },
    /// `input: {subject, action, resource, context}` (for access policies).
    Access { input: String },
    /// `http: {method, path, headers, host, scheme, body, source, destination}` (for `http` rules), with `jwt` claims
    /// beside it.
    Http { http: String, jwt: Option<String> },
    /// `key` and `context` (for experiments).
    Variant {
        key: String,
        context: Option<String>,
    },
}

/// What a test expects; what is None is not compared.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    pub compliant: Option<bool>,
    /// Each must be met by a distinct violation of this document's policy: the given fields
    /// (`field`, `message`, `severity`, `actual`, `expected`) equal; and no violation is left over.
    pub violations: Option<Vec<BTreeMap<String, String>>>,
    pub allowed: Option<bool>,
    pub rule: Option<String>,
    pub status: Option<u16>,
    /// Upstream request headers that an allow sets.
    pub headers: BTreeMap<String, String>,
    /// `Some(None)` = not in the experiment.
    pub variant: Option<Option<String>>,
}
