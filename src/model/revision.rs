//! Which bundle: `<number>-<first 12 hex digits of the content digest>`.

use std::fmt;
use std::str::FromStr;

/// A revision of a tenant's bundle. Ordered by number alone in practice: a number never has two contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Grows within a tenant; positive, at most `i64::MAX`.
    pub number: u64,
    /// The first six bytes of the content digest.
    pub digest: [u8; 6],
}

/// Text that is no revision.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no revision: expected `<number>-<12 hex digits>`")]
pub struct InvalidRevision(pub String);

impl Revision {
    /// The revision of content with this SHA-256 digest under this number.
    #[must_use]
    pub fn new(number: u64, content_digest: &[u8; 32]) -> Self {
        let mut digest = [0; 6];
        digest.copy_from_slice(&content_digest[..6]);
        Self { number, digest }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.number, hex::encode(self.digest))
    }
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, InvalidRevision> {
        let invalid = || InvalidRevision(text.chars().take(64).collect());
        let (number, digest) = text.split_once('-').ok_or_else(invalid)?;
        let number: i64 = number.parse().map_err(|_| invalid())?;
        let number = u64::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(invalid)?;
        let mut bytes = [0; 6];
        hex::decode_to_slice(digest, &mut bytes).map_err(|_| invalid())?;
        let revision = Self {
            number,
            digest: bytes,
        };
        if revision.to_string() == text {
            Ok(revision)
        } else {
            Err(invalid())
        }
    }
}
