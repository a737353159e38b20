//! The settings of where bundles come from and what they must be.

use crate::server::settings::{Key, Kind};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "sources[].name",
        Kind::Text,
        "Name of the source in status, metrics and logs.",
    ),
    key(
        "sources[].url",
        Kind::Url,
        "http(s) URL of an archive, or path of an archive or a folder of them.",
    ),
    key(
        "sources[].token_file",
        Kind::OptionalText,
        "Bearer token for the source; read again when the file changes.",
    ),
    key(
        "sources[].ca_file",
        Kind::OptionalText,
        "PEM of the certificate authorities to trust instead of the platform's.",
    ),
    key(
        "sources[].poll",
        Kind::Duration,
        "How often to ask where the source cannot wait.",
    ),
    key(
        "sources[].wait",
        Kind::Duration,
        "How long the source may hold a request back; 0 = do not ask it to.",
    ),
    key(
        "sources[].profile",
        Kind::Word(&["lictor", "opa"]),
        "How its bundles are verified; the same for all sources.",
    ),
    key(
        "sources[].allow_unsigned",
        Kind::Boolean,
        "Profile opa: bundles need not be signed.",
    ),
    key(
        "sources[].persist",
        Kind::Boolean,
        "Profile opa: whether its last bundle is kept in cache.dir.",
    ),
    key(
        "sources[].signing.kid",
        Kind::OptionalText,
        "Profile opa: the key of bundle_keys that must have signed; null = the one that the signature names.",
    ),
    key(
        "sources[].signing.scope",
        Kind::OptionalText,
        "Profile opa: what the signature's scope must be; null = the key's.",
    ),
    key(
        "sources[].signing.exclude_files",
        Kind::Texts,
        "Profile opa: patterns of files that need not be signed.",
    ),
    key(
        "bundle_keys[].kid",
        Kind::Text,
        "Profile opa: id of a key that bundles are verified with.",
    ),
    key(
        "bundle_keys[].algorithm",
        Kind::Text,
        "Its algorithm, by its JOSE name.",
    ),
    key(
        "bundle_keys[].key_file",
        Kind::Text,
        "A file with the public key in PEM, or the secret of an HMAC algorithm.",
    ),
    key(
        "bundle_keys[].scope",
        Kind::OptionalText,
        "What the scope of its signatures must be.",
    ),
    key(
        "sources[].min_number",
        Kind::Integer,
        "Bundles below this number are refused.",
    ),
    key(
        "constitutional_hash",
        Kind::OptionalText,
        "Label that every bundle must carry; null = not compared.",
    ),
    key("clock_skew", Kind::Duration, "How far clocks may differ."),
    key(
        "retry_rejected",
        Kind::Duration,
        "How long a rejected bundle is remembered.",
    ),
    key(
        "max_bundle_age",
        Kind::OptionalDuration,
        "/health/fresh fails above this age.",
    ),
    key(
        "keyring",
        Kind::Text,
        "File of the public keys that bundles must be signed with.",
    ),
    key(
        "cache.dir",
        Kind::Text,
        "Folder of the last known good, or none.",
    ),
    key(
        "cache.on_error",
        Kind::Word(&["activate", "keep"]),
        "What a bundle that cannot be persisted does.",
    ),
];
