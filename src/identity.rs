//! Bytes of a credential in, verified claims out; and, for those who hold a token key, the way back.
//!
//! Tokens are JWTs signed by the algorithm that their issuer's settings name, never by the one that
//! their header does. The header must say a `typ` that the settings name, `JWT` or `at+jwt`; a bundle's
//! signature says neither, so neither can stand in for the other.

mod claims;
mod issuer;
mod jwk;
mod jws;
mod keys;
mod metrics;
mod recent;
mod refresh;
mod settings;
mod verifier;

pub use claims::{Agent, Claims};
pub use issuer::{Grant, Issuer, MintError};
pub use keys::TokenType;
pub use keys::{KeySource, SetUrl, TrustedIssuer, TrustedKey};
pub use settings::{IssuerConfig, KeyUse};
pub use verifier::{LocalVerifier, Settings, Verifier};

/// A token longer than this many bytes is refused unread.
pub const TOKEN_LIMIT: usize = 16 * 1024;

/// Why a token is not believed. The words may be told to the caller; they hold nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("the token is of another type than its issuer's, or signed by another algorithm")]
    WrongKind,
    #[error("the token's issuer is not trusted here")]
    UnknownIssuer,
    /// A later look may find it: see `Verifier::refreshed`. `issuer` is its place in the settings.
    #[error("the token's key is none of its issuer's")]
    UnknownKey { issuer: usize },
    #[error("the keys of the token's issuer could not be fetched yet")]
    NoKeysYet { issuer: usize },
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

impl IdentityError {
    /// The error's place among the labels of the metric.
    const fn place(&self) -> usize {
        match self {
            Self::Malformed(_) => 1,
            Self::WrongKind => 2,
            Self::UnknownIssuer => 3,
            Self::UnknownKey { .. } => 4,
            Self::NoKeysYet { .. } => 5,
            Self::BadSignature => 6,
            Self::WrongAudience => 7,
            Self::Expired => 8,
            Self::NotYetValid => 9,
            Self::WrongConstitutionalHash => 10,
        }
    }
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
