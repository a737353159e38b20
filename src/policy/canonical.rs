//! Canonical JSON of the registry, its content hash, and what a content signature covers.
//!
//! Not RFC 8785: object keys sorted by code point, separators `,` and `:`, everything outside
//! U+0020..U+007E escaped, integers verbatim, floats as Python's shortest `repr`, last duplicate wins.

/// Text that is no JSON.
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct NotJson(pub String);

/// The canonical form of JSON text.
///
/// # Errors
///
/// When the text is no JSON.
pub fn canonical(_json: &[u8]) -> Result<String, NotJson> {
    todo!()
}

/// Lower-case hex SHA-256 of the canonical form.
///
/// # Errors
///
/// When the text is no JSON.
pub fn content_hash(_json: &[u8]) -> Result<String, NotJson> {
    todo!()
}
