//! The JSON of `/v1/status`, the part that activation writes.

use serde::Serialize;

/// What the sidecar runs, from what, and what went wrong last.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub tenant: String,
    /// The active bundle.
    pub bundle: Option<BundleReport>,
    /// A cached bundle that had expired when this process started: it does not decide.
    pub expired_last_known_good: Option<LastKnownGood>,
    pub keyring: KeyringReport,
    pub cache: CacheReport,
    /// What became of the cached bundle at start-up, where it did not become active.
    pub boot_error: Option<Failure>,
    pub sources: Vec<SourceReport>,
    /// The discovery bundle, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<SourceReport>,
    /// The last upload of decision events, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_log: Option<UploadReport>,
}

/// How an upload ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UploadReport {
    /// None = it was taken.
    pub error: Option<String>,
    /// The status that the service refused it with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
}

/// The active bundle.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BundleReport {
    pub revision: String,
    pub number: u64,
    /// `sha256:<hex>` of the archive.
    pub digest: String,
    /// The source it came from, `cache` at start-up.
    pub source: String,
    pub issued_at: String,
    pub expires_at: String,
    /// The keys that signed.
    pub kids: Vec<String>,
    /// Enabled validation policies.
    pub active_policies: usize,
    pub activated_at: String,
    /// Since its source last confirmed it.
    pub age_seconds: u64,
    /// Whether it would survive a restart.
    pub persisted: bool,
    /// Less than a quarter of its life is left.
    pub expires_soon: bool,
    /// `bundle_expired` or `bundle_untrusted` when it no longer decides.
    pub ended: Option<&'static str>,
    /// Profile `opa`: the bundles of the generation; those have no number, no moment of issue and no expiry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<PartReport>,
}

/// A bundle of a generation under profile `opa`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PartReport {
    /// The source's name.
    pub name: String,
    /// As its manifest says, or empty.
    pub revision: String,
    /// `sha256:<hex>` of what was received last.
    pub digest: String,
    pub roots: Vec<String>,
    /// Changes by delta bundles since the last whole one.
    pub patches: usize,
    /// Whether the last whole bundle would survive a restart.
    pub persisted: bool,
}

/// A bundle that is known and does not decide.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LastKnownGood {
    pub revision: String,
    pub number: u64,
    pub expires_at: String,
}

/// The keyring in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KeyringReport {
    pub path: String,
    pub loaded_at: String,
    pub threshold: usize,
    pub keys: Vec<KeyReport>,
    /// Why the file as it is now was not taken; the keys above stay in force.
    pub error: Option<String>,
}

/// A key of the keyring.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KeyReport {
    pub kid: String,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    pub revoked: bool,
}

/// The cache folder.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CacheReport {
    /// None where the configuration says `none`: a restart starts without a bundle.
    pub dir: Option<String>,
    /// Why the last write or read of the folder failed.
    pub error: Option<String>,
}

/// One source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceReport {
    pub name: String,
    /// `http` or `file`.
    pub kind: &'static str,
    /// Where it fetches from, without credentials and query.
    pub location: String,
    /// The trust profile.
    pub profile: &'static str,
    /// Steps that the profile waives.
    pub waived: Vec<u8>,
    pub last_attempt: Option<String>,
    /// When it last answered, be it with nothing new.
    pub last_success: Option<String>,
    pub last_error: Option<Failure>,
    /// `sha256:<hex>` of the bundle that is not asked for again for now.
    pub rejected: Option<String>,
    /// When the last fetch ended, well or not.
    pub last_result: Option<String>,
    /// When the last archive was received.
    pub last_download: Option<String>,
    /// What of it decides.
    pub active: Option<ActiveReport>,
    /// Nanoseconds of the last fetch.
    pub fetch_ns: u64,
    /// Nanoseconds from the last archive to the end of its steps.
    pub load_ns: u64,
    /// What is to be said although nothing went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a source has given that decides now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActiveReport {
    pub revision: String,
    /// `sha256:<hex>` of what was received last.
    pub digest: String,
    /// Bytes of the last whole archive.
    pub bytes: u64,
    pub is_delta: bool,
    pub activated_at: String,
}

/// A failed fetch or activation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// 1 to 17, 0 for the fetch itself.
    pub step: u8,
    pub code: &'static str,
    pub detail: String,
    /// The bundle's revision, where its signature held.
    pub revision: Option<String>,
    /// The status that the source answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    pub at: String,
}
