//! Bytes of a credential in, verified claims out; and, for those who hold a token key, the way back.
//!
//! Tokens are JWTs signed with Ed25519 and nothing else. The header must say `typ: JWT`, which a
//! bundle's signature never says, so neither can stand in for the other.

mod claims;
mod issuer;
mod jws;
mod keys;
mod verifier;

pub use claims::Claims;
pub use issuer::{Grant, Issuer, MintError};
pub use keys::{KeyUse, TrustedIssuer, TrustedKey};
pub use verifier::{LocalVerifier, Settings, Verifier};

/// A token longer than this many bytes is refused unread.
pub const TOKEN_LIMIT: usize = 16 * 1024;

/// Why a token is not believed. The words may be told to the caller; they hold nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("the token is no `JWT` signed with `EdDSA`")]
    WrongKind,
    #[error("the token's issuer is not trusted here")]
    UnknownIssuer,
    #[error("the token's signature does not hold")]
    BadSignature,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token was made under another constitutional hash")]
    WrongConstitutionalHash,
}

/// Issuer settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("issuer `{issuer}`: {problem}")]
pub struct IssuerError {
    pub issuer: String,
    pub problem: String,
}

#[cfg(test)]
mod tests;
