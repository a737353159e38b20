//! `services` and `keys`: who bundles, logs and reports are exchanged with, and what bundles are signed with.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// A list of services with names in them, or a mapping by name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Services {
    List(Vec<Service>),
    Map(BTreeMap<String, Service>),
}

impl Default for Services {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}

impl Services {
    pub(super) fn by_name(self) -> Result<BTreeMap<String, Service>, String> {
        let all = match self {
            Self::Map(map) => map,
            Self::List(list) => list
                .into_iter()
                .map(|service| (service.name.clone(), service))
                .collect(),
        };
        for (name, service) in &all {
            if name.is_empty() {
                return Err("`services`: a service needs a name".to_owned());
            }
            service.check(name)?;
        }
        Ok(all)
    }
}

/// A service.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    pub name: String,
    /// `http(s)://`, with or without a path.
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub allow_insecure_tls: bool,
    /// Seconds for the head of an answer.
    pub response_header_timeout_seconds: Option<u64>,
    pub tls: Option<ServiceTls>,
    pub credentials: Credentials,
    /// Empty, or `oci`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl fmt::Debug for Service {
    /// Values of headers may be secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Service")
            .field("url", &self.url)
            .field("headers", &self.headers.keys())
            .field("credentials", &self.credentials)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Service {
    fn check(&self, name: &str) -> Result<(), String> {
        let is_url = self
            .url
            .parse::<http::Uri>()
            .is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")));
        if !is_url {
            return Err(format!(
                "`services.{name}.url` is `{}`: http:// or https:// is expected",
                self.url
            ));
        }
        if !self.kind.is_empty() && self.kind != "oci" {
            return Err(format!(
                "`services.{name}.type` is `{}`: oci or nothing is expected",
                self.kind
            ));
        }
        Ok(())
    }
}

/// Whom a service's certificate is checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceTls {
    /// PEM file.
    pub ca_cert: String,
    /// Trust the platform's as well.
    pub system_ca_required: bool,
}

/// How we show who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credentials {
    pub bearer: Option<Bearer>,
    pub client_tls: Option<ClientTls>,
}

/// A token in `authorization`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Bearer {
    pub token: String,
    /// A file that holds it, read again for every request.
    pub token_path: String,
    /// Empty = `Bearer`.
    pub scheme: String,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bearer")
            .field("token_path", &self.token_path)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// A certificate of ours.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClientTls {
    /// PEM file.
    pub cert: String,
    /// PEM file.
    pub private_key: String,
    pub private_key_passphrase: String,
    pub cert_reread_interval_seconds: Option<u64>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientTls")
            .field("cert", &self.cert)
            .field("private_key", &self.private_key)
            .finish_non_exhaustive()
    }
}

/// A key that bundles are verified with.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct VerificationKey {
    /// PEM, or the secret of an HMAC algorithm; a path of a file with either where it is one.
    pub key: String,
    /// `RS256` where it is not given.
    pub algorithm: String,
    pub scope: String,
}

impl Default for VerificationKey {
    fn default() -> Self {
        Self {
            key: String::new(),
            algorithm: "RS256".to_owned(),
            scope: String::new(),
        }
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerificationKey")
            .field("algorithm", &self.algorithm)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
