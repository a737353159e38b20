//! What the sidecar is told: plain data with defaults that bind to loopback and open nothing.
//!
//! Comes from a file, `LICTOR_` variables and flags ([`load`]), or is made by a program ([`Config::new`]).

mod bundles;
mod check;
pub mod engine;
mod ext_authz;
mod grpc;
mod keys;
mod load;
pub mod opa;
mod records;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::IssuerConfig;
use crate::server::settings::units::{duration, optional_duration};
use crate::spans::TracingConfig;

pub use bundles::{
    BundleKeyConfig, CacheConfig, OnError, SigningConfig, SourceConfig, TrustProfile,
};
pub use check::{Address, ConfigError};
pub use ext_authz::{Append, DynamicMetadata, ExtAuthzConfig, Undefined};
pub use grpc::GrpcListener;
pub use keys::{KEYS, schema};
pub use load::{Files, Loaded, load};
pub use records::{DecisionLogConfig, LogConfig, RecordContent, UploadConfig};

/// Everything the sidecar needs to know; `sidecar::Sidecar::build` checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The one tenant that this sidecar serves. Required.
    pub tenant: String,
    pub listeners: Listeners,
    /// Where bundles come from; at least one.
    pub sources: Vec<SourceConfig>,
    /// The label that every bundle must carry; None = not compared.
    pub constitutional_hash: Option<String>,
    #[serde(with = "duration")]
    pub clock_skew: Duration,
    /// How long a rejected bundle is remembered.
    #[serde(with = "duration")]
    pub retry_rejected: Duration,
    /// `/health/fresh` fails above this age.
    #[serde(with = "optional_duration")]
    pub max_bundle_age: Option<Duration>,
    /// The keyring file. Required, unless all sources are of profile `opa`.
    pub keyring: String,
    /// Profile `opa`: the keys that bundles are verified with.
    pub bundle_keys: Vec<BundleKeyConfig>,
    pub cache: CacheConfig,
    pub upstream: UpstreamConfig,
    pub limits: LimitsConfig,
    pub access: AccessConfig,
    pub authzen: AuthzenConfig,
    pub ext_authz: ExtAuthzConfig,
    pub identity: IdentityConfig,
    pub opa: OpaApiConfig,
    pub decision_log: DecisionLogConfig,
    /// The kinds of decision that are answered "yes" where no decision can be had.
    pub fail_open: Vec<FailOpen>,
    pub log: LogConfig,
    pub tracing: TracingConfig,
    /// Serving threads; 0 = one per processor.
    pub threads: usize,
}

/// Where the sidecar listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listeners {
    pub http: HttpListener,
    pub grpc: GrpcListener,
    pub admin: AdminListener,
}

/// The main listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpListener {
    /// None = no TCP.
    pub address: Option<String>,
    /// A Unix socket, made with mode 0600.
    pub unix: Option<String>,
    /// PEM files; both or none.
    pub tls_cert_file: Option<String>,
    pub tls_key_file: Option<String>,
    /// PEM of the authorities that issue client certificates; with it every client must show one.
    pub client_ca_file: Option<String>,
    /// The SPIFFE trust domain of those certificates.
    pub trust_domain: Option<String>,
    /// Plain text beyond loopback.
    pub insecure_plaintext: bool,
    /// Origins that browsers may call from.
    pub allowed_origins: Vec<String>,
}

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminListener {
    pub address: Option<String>,
    pub unix: Option<String>,
    pub insecure_plaintext: bool,
    /// The token that opens more than health and metrics beyond loopback.
    pub token_file: Option<String>,
}

/// Where writes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// The control plane; None = writes are answered `upstream_unavailable`.
    pub url: Option<String>,
    /// Its gRPC; None = policies cannot be read or written through the policy engine's API.
    pub grpc_url: Option<String>,
    pub ca_file: Option<String>,
    /// From the first byte of a forwarded request to the head of its answer.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Forwarded requests at a time.
    pub max_in_flight: usize,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long it stays open.
    #[serde(with = "duration")]
    pub breaker_open: Duration,
}

/// Bounds on what comes in and on what it may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Connections at a time, all listeners of the data plane together.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    pub uri_bytes: usize,
    /// Bytes of a decision's body.
    pub body_bytes: usize,
    pub input_depth: usize,
    /// Evaluation steps of a decision.
    pub steps: u64,
    /// How long a Rego evaluation may take.
    #[serde(with = "duration")]
    pub rego_time: Duration,
    /// Bytes of JSON that a Rego evaluation may answer.
    pub rego_result_bytes: usize,
    /// Whether what Rego prints goes to the log.
    pub rego_prints: bool,
    /// Items of an evaluations request.
    pub batch_items: usize,
    /// How long an evaluations request may compute.
    #[serde(with = "duration")]
    pub batch_time: Duration,
    /// For the head of a request to arrive, and for an idle connection.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// For the body of a decision to arrive.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// How long requests may finish after a shutdown began.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Bytes of a bundle as it is downloaded.
    pub bundle_bytes: usize,
    /// Files in a bundle.
    pub bundle_files: usize,
    /// Bytes of one file of a bundle, unpacked.
    pub bundle_file_bytes: usize,
    /// Bytes of all files of a bundle, unpacked.
    pub bundle_total_bytes: usize,
}

/// Access decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    pub when_no_policy: WhenNoPolicy,
}

/// The answer where no access policy is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenNoPolicy {
    #[default]
    Deny,
    Allow,
}

/// The AuthZEN doors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthzenConfig {
    /// The https URL under which callers know this decision point; None = no metadata.
    pub policy_decision_point: Option<String>,
}

/// Whose tokens are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    pub issuers: Vec<IssuerConfig>,
}

/// The doors for OPA's clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpaApiConfig {
    pub authentication: OpaAuthentication,
    pub authorization: OpaAuthorization,
    /// Bundles that an OPA configuration file names need not be signed.
    pub allow_unsigned: bool,
    /// Path of the document that `POST /` asks for.
    pub default_decision: String,
    /// Path of the document that decides about requests.
    pub default_authorization_decision: String,
    /// Bytes of a request's body as it arrives.
    pub body_bytes: usize,
    /// Bytes of a compressed body, unpacked.
    pub gzip_body_bytes: usize,
    /// Shorter answers are not compressed.
    pub gzip_min_length: usize,
    /// 0 to 9.
    pub gzip_level: u32,
}

/// What is learnt about a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpaAuthentication {
    #[default]
    Off,
    /// The bearer token is `input.identity` of the authorization policy, which has to verify it.
    Token,
}

/// Whether a policy decides about each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpaAuthorization {
    #[default]
    Off,
    Basic,
}

/// What may fail open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailOpen {
    /// access/check, AuthZEN and ext_authz together.
    Access,
}

impl Config {
    /// A configuration with everything that has no default.
    #[must_use]
    pub fn new(tenant: &str, source: SourceConfig, keyring: &Path, cache_dir: &Path) -> Self {
        Self {
            tenant: tenant.to_owned(),
            sources: vec![source],
            keyring: keyring.to_string_lossy().into_owned(),
            cache: CacheConfig {
                dir: cache_dir.to_string_lossy().into_owned(),
                on_error: OnError::default(),
            },
            ..Self::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant: String::new(),
            listeners: Listeners::default(),
            sources: Vec::new(),
            constitutional_hash: Some(crate::model::CONSTITUTIONAL_HASH.to_owned()),
            clock_skew: Duration::from_mins(1),
            retry_rejected: Duration::from_mins(10),
            max_bundle_age: None,
            keyring: String::new(),
            bundle_keys: Vec::new(),
            cache: CacheConfig::default(),
            upstream: UpstreamConfig::default(),
            limits: LimitsConfig::default(),
            access: AccessConfig::default(),
            authzen: AuthzenConfig::default(),
            ext_authz: ExtAuthzConfig::default(),
            identity: IdentityConfig::default(),
            opa: OpaApiConfig::default(),
            decision_log: DecisionLogConfig::default(),
            fail_open: Vec::new(),
            log: LogConfig::default(),
            tracing: TracingConfig::default(),
            threads: 0,
        }
    }
}

impl Default for HttpListener {
    fn default() -> Self {
        Self {
            address: Some("127.0.0.1:8181".to_owned()),
            unix: None,
            tls_cert_file: None,
            tls_key_file: None,
            client_ca_file: None,
            trust_domain: None,
            insecure_plaintext: false,
            allowed_origins: Vec::new(),
        }
    }
}

impl Default for AdminListener {
    fn default() -> Self {
        Self {
            address: Some("127.0.0.1:8282".to_owned()),
            unix: None,
            insecure_plaintext: false,
            token_file: None,
        }
    }
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            url: None,
            grpc_url: None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            max_in_flight: 64,
            breaker_failures: 5,
            breaker_open: Duration::from_secs(30),
        }
    }
}

impl LimitsConfig {
    /// What bounds one decision.
    #[must_use]
    pub const fn decision(&self) -> crate::engine::Limits {
        crate::engine::Limits {
            input_bytes: self.body_bytes,
            input_depth: self.input_depth,
            steps: self.steps,
            rego_time: self.rego_time,
            rego_result_bytes: self.rego_result_bytes,
            rego_prints: self.rego_prints,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: 4096,
            header_bytes: 32 * 1024,
            uri_bytes: 8 * 1024,
            body_bytes: 1024 * 1024,
            input_depth: 64,
            steps: 1_000_000,
            rego_time: Duration::from_millis(500),
            rego_result_bytes: 16 * 1024 * 1024,
            rego_prints: false,
            batch_items: 1000,
            batch_time: Duration::from_secs(1),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(25),
            bundle_bytes: 1 << 30,
            bundle_files: 100_000,
            bundle_file_bytes: 1 << 30,
            bundle_total_bytes: 4 << 30,
        }
    }
}

impl Default for OpaApiConfig {
    fn default() -> Self {
        Self {
            authentication: OpaAuthentication::default(),
            authorization: OpaAuthorization::default(),
            allow_unsigned: false,
            default_decision: opa::DEFAULT_DECISION.to_owned(),
            default_authorization_decision: opa::DEFAULT_AUTHORIZATION_DECISION.to_owned(),
            body_bytes: 1024 * 1024,
            gzip_body_bytes: 2 * 1024 * 1024,
            gzip_min_length: 1024,
            gzip_level: 9,
        }
    }
}
