//! `services` and `keys`: who bundles, logs and reports are exchanged with, and what bundles are signed with.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

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
    /// For the head of an answer, where the file says so.
    #[must_use]
    pub fn head_deadline(&self) -> Option<Duration> {
        let seconds = self.response_header_timeout_seconds;
        seconds.filter(|it| *it > 0).map(Duration::from_secs)
    }

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
        if let Some(own) = &self.credentials.client_tls
            && (own.cert.is_empty() || own.private_key.is_empty())
        {
            return Err(format!(
                "`services.{name}.credentials.client_tls`: give both `cert` and `private_key`"
            ));
        }
        if let Some(bearer) = &self.credentials.bearer {
            let place = format!("services.{name}.credentials.bearer");
            match (bearer.token.is_empty(), bearer.token_path.is_empty()) {
                (false, false) => {
                    return Err(format!("`{place}`: give `token` or `token_path`, not both"));
                }
                (true, true) => return Err(format!("`{place}`: give `token` or `token_path`")),
                _ => {}
            }
            let schemes = ["", "basic", "bearer"];
            if self.kind == "oci" && !schemes.contains(&bearer.scheme.to_ascii_lowercase().as_str())
            {
                return Err(format!(
                    "`{place}.scheme` is `{}`: a registry is opened by Basic or Bearer",
                    bearer.scheme
                ));
            }
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
    pub oauth2: Option<OAuth2>,
}

/// A token of a token endpoint.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct OAuth2 {
    /// Empty = `client_credentials`; or `jwt_bearer`.
    pub grant_type: String,
    /// `https://`.
    pub token_url: String,
    pub client_id: String,
    pub client_secret: String,
    /// A name in `keys`.
    pub signing_key: String,
    /// Hex of a certificate's SHA-1.
    pub thumbprint: String,
    pub additional_claims: serde_json::Map<String, serde_json::Value>,
    pub include_jti_claim: bool,
    pub scopes: Vec<String>,
    pub additional_headers: BTreeMap<String, String>,
    pub additional_parameters: BTreeMap<String, String>,
    pub client_assertion_type: String,
    pub client_assertion: String,
    pub client_assertion_path: String,
    /// The key that `signing_key` names, once it is known.
    #[serde(skip)]
    pub key: Option<VerificationKey>,
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OAuth2")
            .field("token_url", &self.token_url)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl OAuth2 {
    /// Finds the signing key, and says what is wrong.
    pub(super) fn resolve(
        &mut self,
        service: &str,
        keys: &BTreeMap<String, VerificationKey>,
    ) -> Result<(), String> {
        let place = format!("services.{service}.credentials.oauth2");
        if !self.token_url.starts_with("https://") || self.token_url.parse::<http::Uri>().is_err() {
            return Err(format!("`{place}.token_url`: https:// is expected"));
        }
        let is_grant = match self.grant_type.as_str() {
            "" | "client_credentials" => false,
            "jwt_bearer" => true,
            other => {
                return Err(format!(
                    "`{place}.grant_type` is `{other}`: client_credentials or jwt_bearer is expected"
                ));
            }
        };
        let proofs = [
            &self.client_secret,
            &self.signing_key,
            &self.client_assertion,
            &self.client_assertion_path,
        ];
        let given = proofs.iter().filter(|proof| !proof.is_empty()).count();
        if is_grant && self.signing_key.is_empty() {
            return Err(format!("`{place}.signing_key` is missing"));
        }
        if !is_grant && given != 1 {
            return Err(format!(
                "`{place}`: give one of client_secret, signing_key, client_assertion and client_assertion_path"
            ));
        }
        if !is_grant && self.signing_key.is_empty() && self.client_id.is_empty() {
            return Err(format!("`{place}.client_id` is missing"));
        }
        if !self.signing_key.is_empty() {
            let key = keys.get(&self.signing_key);
            let key = key
                .filter(|key| !key.private_key.is_empty())
                .ok_or_else(|| {
                    format!(
                        "`{place}.signing_key`: there is no key `{}` with a `private_key`",
                        self.signing_key
                    )
                })?;
            self.key = Some(key.clone());
        }
        Ok(())
    }
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
    /// PEM, or a path of a file with it: what assertions are signed with.
    pub private_key: String,
}

impl Default for VerificationKey {
    fn default() -> Self {
        Self {
            key: String::new(),
            algorithm: "RS256".to_owned(),
            scope: String::new(),
            private_key: String::new(),
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
