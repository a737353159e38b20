//! What the control plane is told: plain data, from a file, the environment and flags, or from `up`.

mod file;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::identity::TrustedIssuer;
use crate::model::TenantId;
use crate::spans;

pub use file::{FileError, KEYS, Log, load};

/// Everything the control plane needs to know. `build` checks it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the registry and the bundles are served. Port 0 = any free port.
    pub listen: SocketAddr,
    /// Where the policy engine's gRPC service is served; None = nowhere.
    pub grpc: Option<SocketAddr>,
    /// Policies on a page of `ListPolicies` where the request names no size; 0 = all.
    pub default_page_size: u32,
    /// Without it a listener beyond loopback needs `insecure_plaintext`.
    pub tls: Option<Tls>,
    pub insecure_plaintext: bool,
    /// Holds the database; created with mode 0700.
    pub data_dir: PathBuf,
    /// Signs bundles.
    pub bundle_key: BundleKey,
    /// The public keyring that sidecars trust: what is published must verify under it.
    pub keyring_file: PathBuf,
    /// PKCS#8 PEM of the Ed25519 key that signs the content of versions.
    pub content_key_file: PathBuf,
    pub authentication: Authentication,
    /// The tenant that a read without a token reads.
    pub anonymous_reads: Option<TenantId>,
    /// The label every bundle carries.
    pub constitutional_hash: String,
    /// How long a bundle lives; it is issued anew at half of that.
    pub bundle_life: Duration,
    pub limits: Limits,
    /// Where spans go; None = nowhere.
    pub tracing: Option<spans::Settings>,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// The private key that signs bundles, and the name sidecars know it by.
#[derive(Clone, Debug)]
pub struct BundleKey {
    pub kid: String,
    /// PKCS#8 PEM, mode 0600.
    pub file: PathBuf,
}

/// How callers prove who they are.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Bearer tokens of these issuers; at least one.
    Tokens(Vec<TrustedIssuer>),
    /// Nobody proves anything: every caller may do everything. On loopback only.
    InsecureNone,
}

/// Bounds on what comes in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    pub header_bytes: usize,
    pub connections: usize,
    /// For the request head, and again for the body.
    pub read_timeout: Duration,
    /// How long requests that run may go on after a shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 * 1024 * 1024,
            header_bytes: 32 * 1024,
            connections: 4096,
            read_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(25),
        }
    }
}

impl Config {
    /// The address clients of the originals know, on loopback.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
    /// The policy engine's address as its clients know it, on loopback.
    pub const GRPC: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);
    /// As documented for the policy engine.
    pub const DEFAULT_PAGE_SIZE: u32 = 50;
    /// Seven days.
    pub const BUNDLE_LIFE: Duration = Duration::from_hours(7 * 24);
}
