//! Idempotency keys as they come in, whatever the door.

use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::registry::RegistryError;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LONGEST_KEY: usize = 255;

/// The key: quoted, as the draft has it, or bare, as most clients send it.
///
/// # Errors
///
/// [`RegistryError::Shape`] for what is no key, or several.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, RegistryError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong = || {
        RegistryError::shape(
            "",
            format!(
                "`{IDEMPOTENCY_KEY}` must be one key of 1 to {LONGEST_KEY} printable characters"
            ),
        )
    };
    let text = value.to_str().map_err(|_| wrong())?.trim();
    let key = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    if values.next().is_some() || !(1..=LONGEST_KEY).contains(&key.len()) || key.contains('"') {
        return Err(wrong());
    }
    Ok(Some(key.to_owned()))
}

/// What tells requests with the same key apart: hex SHA-256 of all that they say.
pub fn fingerprint<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
