//! An issuer as both programs' configuration files write it.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::jose::Algorithm;
use crate::server::settings::units::duration;

use super::IssuerError;
use super::keys::{KeySource, SetUrl, TokenType, TrustedIssuer};

/// Between two fetches of a key set that unknown keys ask for.
const PAUSE: Duration = Duration::from_secs(10);
/// A key set is fetched no more often than this.
const SHORTEST_REFRESH: Duration = Duration::from_secs(10);

/// An issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerConfig {
    /// The token's `iss`.
    pub name: String,
    /// One of them must be in the token's `aud`.
    pub audience: Vec<String>,
    /// Always `token`: a bundle's key is not taken by mistake.
    #[serde(rename = "use")]
    pub usage: KeyUse,
    pub algorithm: Algorithm,
    /// What its tokens call themselves.
    pub typ: Vec<TokenType>,
    /// PEM of the public key, or for `EdDSA` base64 of the raw bytes. Either this or `jwks`.
    pub public_key_file: Option<String>,
    /// A key set: an https URL, or a path (or `file://`).
    pub jwks: Option<String>,
    /// PEM of the certificate authorities to trust instead of the platform's.
    pub jwks_ca_file: Option<String>,
    /// How often a key set behind a URL is fetched.
    #[serde(with = "duration")]
    pub jwks_refresh: Duration,
}

/// What the keys are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    #[default]
    Token,
}

impl Default for IssuerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            audience: Vec::new(),
            usage: KeyUse::Token,
            algorithm: Algorithm::EdDsa,
            typ: vec![TokenType::Jwt],
            public_key_file: None,
            jwks: None,
            jwks_ca_file: None,
            jwks_refresh: Duration::from_mins(5),
        }
    }
}

impl IssuerConfig {
    /// The issuer that this names.
    ///
    /// # Errors
    ///
    /// What contradicts itself or is missing.
    pub fn trusted(&self) -> Result<TrustedIssuer, IssuerError> {
        let wrong = |problem: String| IssuerError {
            issuer: self.name.clone(),
            problem,
        };
        let keys = match (&self.public_key_file, &self.jwks) {
            (Some(file), None) => KeySource::File(file.into()),
            (None, Some(jwks)) => self.key_set(jwks).map_err(wrong)?,
            _ => {
                return Err(wrong(
                    "say where its keys are: `public_key_file` or `jwks`, one of them".into(),
                ));
            }
        };
        if self.jwks_ca_file.is_some() && !matches!(keys, KeySource::SetUrl(_)) {
            return Err(wrong("`jwks_ca_file` is for a `jwks` that is a URL".into()));
        }
        Ok(TrustedIssuer {
            name: self.name.clone(),
            audience: self.audience.clone(),
            algorithm: self.algorithm,
            types: self.typ.clone(),
            keys,
        })
    }

    fn key_set(&self, jwks: &str) -> Result<KeySource, String> {
        if !jwks.starts_with("https://") && !jwks.starts_with("http://") {
            let path = jwks.strip_prefix("file://").unwrap_or(jwks);
            if path.contains("://") {
                return Err(format!(
                    "`jwks` is `{jwks}`: https, file or a path is expected"
                ));
            }
            return Ok(KeySource::SetFile(path.into()));
        }
        let url: Uri = jwks
            .parse()
            .map_err(|error| format!("`jwks` is `{jwks}`: {error}"))?;
        let host = url.host().unwrap_or_default();
        let loopback = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if url.scheme_str() != Some("https") && !loopback {
            return Err(format!(
                "`jwks` is `{jwks}`: keys in plain text are fetched from this machine only; use https"
            ));
        }
        if self.jwks_refresh < SHORTEST_REFRESH {
            return Err("`jwks_refresh` is less than 10s".into());
        }
        Ok(KeySource::SetUrl(SetUrl {
            url,
            ca_file: self.jwks_ca_file.as_ref().map(PathBuf::from),
            refresh: self.jwks_refresh,
            pause: PAUSE,
        }))
    }
}
