//! Minting tokens, for programs that hold a token key.

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Map, Value, json};

use crate::model::{TenantId, Timestamp};

use super::jws::{self, Header};

/// The claims that a [`Grant`] sets by itself; extra claims must keep off them.
const RESERVED: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "tenant_id",
    "role",
    "roles",
];

/// Signs tokens under one issuer's name. Its `Debug` shows the name alone.
pub struct Issuer {
    name: String,
    kid: Option<String>,
    key: SigningKey,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Issuer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Grant {
    pub subject: String,
    pub tenant: TenantId,
    pub roles: Vec<String>,
    pub audience: Vec<String>,
    pub issued_at: Timestamp,
    pub lifetime_seconds: u32,
    /// Anything else; may not name a claim of the above.
    pub extra: Map<String, Value>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("`{0}` is a registered claim and cannot be set as an extra one")]
    Reserved(String),
    #[error("the private key is no Ed25519 key in PKCS#8 PEM")]
    Key,
    #[error("the claims cannot be written")]
    Claims(#[source] serde_json::Error),
}

impl Issuer {
    /// An issuer with this PKCS#8 PEM key; `kid` is put into every token's header.
    ///
    /// # Errors
    ///
    /// [`MintError::Key`].
    pub fn from_pem(name: &str, kid: Option<&str>, pem: &str) -> Result<Self, MintError> {
        Ok(Self {
            name: name.into(),
            kid: kid.map(Into::into),
            key: SigningKey::from_pkcs8_pem(pem).map_err(|_| MintError::Key)?,
        })
    }

    /// The raw public key that verifies this issuer's tokens.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// A signed token, valid from `issued_at` for its lifetime.
    ///
    /// # Errors
    ///
    /// [`MintError::Reserved`] when an extra claim names a registered one.
    pub fn mint(&self, grant: &Grant) -> Result<String, MintError> {
        if let Some(name) = grant
            .extra
            .keys()
            .find(|name| RESERVED.contains(&name.as_str()))
        {
            return Err(MintError::Reserved(name.clone()));
        }
        let issued = grant.issued_at.unix_seconds();
        let mut claims = grant.extra.clone();
        for (name, value) in [
            ("iss", json!(self.name)),
            ("sub", json!(grant.subject)),
            ("aud", json!(grant.audience)),
            ("iat", json!(issued)),
            ("nbf", json!(issued)),
            ("exp", json!(issued + i64::from(grant.lifetime_seconds))),
            ("jti", json!(uuid::Uuid::new_v4().to_string())),
            ("tenant_id", json!(grant.tenant.as_str())),
            ("roles", json!(grant.roles)),
        ] {
            claims.insert(name.into(), value);
        }
        let payload = serde_json::to_vec(&claims).map_err(MintError::Claims)?;
        let input = jws::signing_input(&Header::token(self.kid.clone()), &payload)
            .map_err(MintError::Claims)?;
        let signature = self.key.sign(input.as_bytes());
        Ok(jws::signed(input, &signature.to_bytes()))
    }
}
