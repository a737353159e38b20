//! Signed bundles: bytes in, [`VerifiedBundle`] out; and the other way, the same input giving the same bytes.
//!
//! The format is OPA's `tar.gz` in two gzip members: the first holds `.signatures.json` alone, the second
//! everything else. The steps of verification are numbered; see [`Step`].

mod builder;
mod keyring;
mod manifest;
mod step;
mod verify;

pub use builder::{BuildError, Builder, SigningKey};
pub use keyring::{Key, Keyring, KeyringError};
pub use manifest::{Claims, Manifest, PolicyEntry};
pub use step::{Code, Step};
pub use verify::{
    Digest, Entry, Expected, Limits, Mark, Peek, VerifiedBundle, VerifyError, peek, verify,
};
