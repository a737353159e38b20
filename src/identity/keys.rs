//! The issuers that are trusted, as programs name them, and their keys, checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::jose::{self, Algorithm};

use super::IssuerError;

/// An issuer whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// What the token's `iss` must be.
    pub name: String,
    /// A token must name one of these in `aud`.
    pub audience: Vec<String>,
    /// What its tokens are signed with, whatever they say themselves.
    pub algorithm: Algorithm,
    /// What its tokens may call themselves; at least one.
    pub types: Vec<TokenType>,
    pub keys: KeySource,
}

/// What a token calls itself in its header's `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenType {
    #[serde(rename = "JWT")]
    Jwt,
    /// An OAuth 2.0 access token (RFC 9068).
    #[serde(rename = "at+jwt")]
    AccessToken,
}

impl TokenType {
    /// The words of the configuration.
    pub const WORDS: &'static [&'static str] = &["JWT", "at+jwt"];

    /// What a `typ` says; None where it is neither. Media types are compared without regard to case, and
    /// `application/` may stand before them (RFC 7515, section 4.1.9); `JWT` is taken as it is written alone.
    pub(super) fn of(typ: &str) -> Option<Self> {
        if typ == "JWT" {
            return Some(Self::Jwt);
        }
        const PREFIX: &str = "application/";
        let bare = match typ.get(..PREFIX.len()) {
            Some(start) if start.eq_ignore_ascii_case(PREFIX) => &typ[PREFIX.len()..],
            _ => typ,
        };
        bare.eq_ignore_ascii_case("at+jwt")
            .then_some(Self::AccessToken)
    }
}

/// Where an issuer's keys come from. Files and key sets are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    Given(Vec<TrustedKey>),
    /// One public key: PEM, or for `EdDSA` base64 of the 32 raw bytes.
    File(PathBuf),
    /// A key set (JWKS).
    SetFile(PathBuf),
    SetUrl(SetUrl),
}

/// A key set behind a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUrl {
    pub url: Uri,
    /// PEM of the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// How often it is fetched.
    pub refresh: Duration,
    /// Between two fetches that unknown keys ask for, however many there are.
    pub pause: Duration,
}

/// A public key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Where both the key and the token have one, they must agree.
    pub kid: Option<String>,
    /// PEM (SPKI), or for `EdDSA` base64 of the 32 raw bytes.
    pub public_key: String,
}

/// A key that was checked.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    public: Arc<jose::Key>,
}

impl Key {
    pub(super) fn new(kid: Option<String>, public: jose::Key) -> Self {
        Self {
            kid,
            public: Arc::new(public),
        }
    }
}

/// An issuer ready to verify with.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) audience: Vec<String>,
    pub(super) algorithm: Algorithm,
    pub(super) types: Vec<TokenType>,
    /// Empty until a key set that must be fetched was fetched once.
    pub(super) keys: Vec<Key>,
}

impl Issuer {
    /// The keys that may have made a signature under this `kid`.
    pub(super) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &jose::Key> {
        self.keys.iter().filter_map(move |key| {
            let agree = key.kid.is_none() || kid.is_none() || key.kid.as_deref() == kid;
            agree.then_some(&*key.public)
        })
    }
}

impl TrustedIssuer {
    /// Checks everything but the keys; none are there yet.
    pub(super) fn checked(&self) -> Result<Issuer, IssuerError> {
        if self.name.is_empty() {
            return Err(self.wrong("`name` is empty"));
        }
        if self.algorithm.is_symmetric() {
            return Err(self.wrong("a shared secret is no key of an issuer"));
        }
        if self.audience.is_empty() {
            return Err(self.wrong("`audience` is empty: name at least one"));
        }
        if self.types.is_empty() {
            return Err(self.wrong("`typ` is empty: name at least one"));
        }
        Ok(Issuer {
            name: self.name.clone(),
            audience: self.audience.clone(),
            algorithm: self.algorithm,
            types: self.types.clone(),
            keys: Vec::new(),
        })
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> IssuerError {
        IssuerError {
            issuer: self.name.clone(),
            problem: problem.into(),
        }
    }
}

/// The keys as they were given, checked.
pub(super) fn given(algorithm: Algorithm, keys: &[TrustedKey]) -> Result<Vec<Key>, String> {
    if keys.is_empty() {
        return Err("`keys` is empty: name at least one".into());
    }
    keys.iter()
        .map(|key| {
            let public = jose::Key::from_pem(algorithm, &key.public_key)
                .map_err(|error| format!("the public key is {error}"))?;
            Ok(Key::new(key.kid.clone(), public))
        })
        .collect()
}
