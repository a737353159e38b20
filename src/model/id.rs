//! Identifiers with their syntax checked once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// The label that bundles carry and sidecars demand where none is configured.
pub const CONSTITUTIONAL_HASH: &str = "cdd01ef066bc6cf2";

/// A tenant: 1 to 100 characters of `[A-Za-z0-9_-]`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Text that is no tenant.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no tenant: 1 to 100 characters of A-Z, a-z, 0-9, `_` and `-`")]
pub struct InvalidTenant(pub String);

impl TenantId {
    /// The tenant's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenant;

    fn from_str(text: &str) -> Result<Self, InvalidTenant> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=100).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTenant(text.into()))
        }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A policy's id: a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub Uuid);

impl PolicyId {
    /// The id that a document without one gets: `UUIDv5` of `tenant/kind/name` in the URL namespace.
    #[must_use]
    pub fn derived(tenant: &str, kind: &str, name: &str) -> Self {
        Self(Uuid::new_v5(
            &Uuid::NAMESPACE_URL,
            format!("{tenant}/{kind}/{name}").as_bytes(),
        ))
    }
}

impl FromStr for PolicyId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
