//! Where bundles come from, what they must be, and where the last good one is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::server::settings::units::duration;

/// A place that bundles come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    pub name: String,
    /// `http(s)://` of an archive, or a path (or `file://`) of an archive or a folder of them.
    pub url: String,
    pub token_file: Option<String>,
    /// PEM of the certificate authorities to trust instead of the platform's.
    pub ca_file: Option<String>,
    /// How often to ask where the source cannot wait.
    #[serde(with = "duration")]
    pub poll: Duration,
    /// How long the source may hold a request back; 0 = do not ask it to.
    #[serde(with = "duration")]
    pub wait: Duration,
    pub profile: TrustProfile,
    /// Bundles below this number are refused.
    pub min_number: u64,
    /// Profile `opa`: bundles need not be signed.
    pub allow_unsigned: bool,
    /// Profile `opa`: whether its last bundle is kept in `cache.dir`.
    pub persist: bool,
    /// Profile `opa`: how bundles are signed.
    pub signing: SigningConfig,
}

/// How bundles are verified. All sources have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustProfile {
    /// Every step; the sources are mirrors of one tenant's bundle.
    #[default]
    Lictor,
    /// OPA's own bundles, each source another one.
    Opa,
}

/// How a bundle of profile `opa` is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigningConfig {
    /// The key of `bundle_keys` that must have signed; None = the one that the signature names.
    pub kid: Option<String>,
    /// What the signature's scope must be; None = the key's.
    pub scope: Option<String>,
    /// Patterns of files that need not be signed.
    pub exclude_files: Vec<String>,
}

/// A key that bundles of profile `opa` are verified with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BundleKeyConfig {
    pub kid: String,
    /// A JOSE name.
    pub algorithm: String,
    /// A file with the public key in PEM, or the secret of an HMAC algorithm.
    pub key_file: String,
    pub scope: Option<String>,
}

impl Default for BundleKeyConfig {
    fn default() -> Self {
        Self {
            kid: String::new(),
            algorithm: "RS256".to_owned(),
            key_file: String::new(),
            scope: None,
        }
    }
}

/// The last known good on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// A folder, or `none` in so many words. Required.
    pub dir: String,
    pub on_error: OnError,
}

/// What a bundle that cannot be persisted does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Decides all the same; persisting is tried again.
    #[default]
    Activate,
    /// Stays out; the old one decides.
    Keep,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            url: String::new(),
            token_file: None,
            ca_file: None,
            poll: Duration::from_secs(30),
            wait: Duration::from_secs(50),
            profile: TrustProfile::Lictor,
            min_number: 0,
            allow_unsigned: false,
            persist: true,
            signing: SigningConfig::default(),
        }
    }
}
