//! Compact JWS (RFC 7515), as JWTs (RFC 7519) use it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::jose::{Algorithm, Key};

use super::keys::TokenType;
use super::{IdentityError, TOKEN_LIMIT};

/// The header. `crit` is understood in no form, so a token that has it is refused (RFC 7515 4.1.11); keys that a
/// header brings along or points at (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kid: Option<String>,
    #[serde(default, skip_serializing)]
    crit: Option<serde::de::IgnoredAny>,
}

impl Header {
    /// The header of every token that is made here.
    pub(super) fn token(kid: Option<String>) -> Self {
        Self {
            alg: Algorithm::EdDsa.as_str().into(),
            typ: "JWT".into(),
            kid,
            crit: None,
        }
    }
}

/// A token taken apart; nothing in it is believed before [`Parts::verify`].
#[derive(Debug)]
pub(super) struct Parts<'t> {
    pub(super) header: Header,
    pub(super) typ: TokenType,
    pub(super) payload: Vec<u8>,
    signed: &'t [u8],
    signature: Vec<u8>,
}

impl<'t> Parts<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, IdentityError> {
        let malformed = IdentityError::Malformed;
        if token.len() > TOKEN_LIMIT {
            return Err(malformed("too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed("no three parts"))?;
        let (header, payload) = signed
            .split_once('.')
            .filter(|(_, payload)| !payload.contains('.'))
            .ok_or(malformed("no three parts"))?;
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| malformed("a part is no base64url"))
        };
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| malformed("the header is no JSON object with `alg` and `typ`"))?;
        if header.crit.is_some() {
            return Err(IdentityError::WrongKind);
        }
        // Before anything else is read: whatever else is signed is no token.
        let typ = TokenType::of(&header.typ).ok_or(IdentityError::WrongKind)?;
        Ok(Self {
            header,
            typ,
            payload: decode(payload)?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    /// Whether one of `keys` made the signature.
    pub(super) fn verify<'k>(&self, mut keys: impl Iterator<Item = &'k Key>) -> bool {
        keys.any(|key| key.verify(self.signed, &self.signature))
    }
}

/// Writes header and payload as they are signed.
pub(super) fn signing_input(header: &Header, payload: &[u8]) -> serde_json::Result<String> {
    let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(header)?);
    Ok(format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload)))
}

/// Appends the signature.
pub(super) fn signed(mut input: String, signature: &[u8]) -> String {
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut input);
    input
}
