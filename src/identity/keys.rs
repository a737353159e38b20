//! The issuers that are trusted, as a configuration names them, and their keys, checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use serde::{Deserialize, Serialize};

use super::IssuerError;

/// An issuer whose tokens are believed. Its tokens are verified with `EdDSA` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// What the token's `iss` must be.
    pub name: String,
    /// A token must name one of these in `aud`.
    pub audience: Vec<String>,
    /// Always `token`: a bundle's key is not taken by mistake.
    #[serde(rename = "use", default)]
    pub usage: KeyUse,
    pub keys: Vec<TrustedKey>,
}

/// A public key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Where both the key and the token have one, they must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// PEM (SPKI), or base64 of the 32 raw bytes.
    pub public_key: String,
}

/// What the keys are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    #[default]
    Token,
}

/// An issuer ready to verify with.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) audience: Vec<String>,
    keys: Vec<(Option<String>, VerifyingKey)>,
}

impl Issuer {
    /// The keys that may have made a signature under this `kid`.
    pub(super) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.iter().filter_map(move |(known, key)| {
            let agree = known.is_none() || kid.is_none() || known.as_deref() == kid;
            agree.then_some(key)
        })
    }
}

impl TryFrom<&TrustedIssuer> for Issuer {
    type Error = IssuerError;

    fn try_from(settings: &TrustedIssuer) -> Result<Self, IssuerError> {
        let wrong = |problem: &str| IssuerError {
            issuer: settings.name.clone(),
            problem: problem.into(),
        };
        if settings.name.is_empty() {
            return Err(wrong("`name` is empty"));
        }
        if settings.audience.is_empty() {
            return Err(wrong("`audience` is empty: name at least one"));
        }
        if settings.keys.is_empty() {
            return Err(wrong("`keys` is empty: name at least one"));
        }
        let keys = settings
            .keys
            .iter()
            .map(|key| Ok((key.kid.clone(), public_key(&key.public_key)?)))
            .collect::<Result<_, &str>>()
            .map_err(wrong)?;
        Ok(Self {
            name: settings.name.clone(),
            audience: settings.audience.clone(),
            keys,
        })
    }
}

fn public_key(text: &str) -> Result<VerifyingKey, &'static str> {
    let text = text.trim();
    let key = if text.starts_with("-----BEGIN") {
        VerifyingKey::from_public_key_pem(text)
            .map_err(|_| "`public_key` is no Ed25519 public key in PEM")?
    } else {
        let no_key = "`public_key` is neither PEM nor base64 of 32 bytes";
        let bytes = STANDARD.decode(text).map_err(|_| no_key)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| no_key)?;
        VerifyingKey::from_bytes(&bytes).map_err(|_| "`public_key` is no Ed25519 public key")?
    };
    if key.is_weak() {
        return Err("`public_key` is a weak key");
    }
    Ok(key)
}
