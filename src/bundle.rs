//! Signed bundles: bytes in, [`VerifiedBundle`] out; and the other way, the same input giving the same bytes.
//!
//! The format is OPA's `tar.gz` in two gzip members: the first holds `.signatures.json` alone, the second
//! everything else. The steps of verification are numbered; see [`Step`].

mod builder;
mod gzip;
mod hash;
mod json;
mod key;
mod keyring;
mod manifest;
mod name;
mod opa;
mod signatures;
mod step;
mod ustar;
mod verify;

pub use builder::{BuildError, Builder, Previous, sign};
pub use key::{KeyError, SigningKey, parse_public_key, public_key_pem, thumbprint};
pub use keyring::{Key, Keyring, KeyringError, Signer};
pub use manifest::{Claims, Manifest, PolicyEntry};
pub use opa::{
    OPA_WAIVED, OpaBundle, OpaContent, OpaKey, OpaKeyError, OpaManifest, OpaTrust, Operation,
    Patch, PatchError, open_opa, overlapping_roots,
};
pub use step::{Code, Step};
pub use verify::{
    Digest, Entry, Expected, Limits, Mark, Peek, VerifiedBundle, VerifyError, peek, peek_unpacked,
    verify, verify_unpacked,
};

/// Checks that a file is one JSON value in which no member name comes twice.
///
/// # Errors
///
/// What is wrong and at which byte.
pub fn check_json(text: &[u8]) -> Result<(), String> {
    json::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}
