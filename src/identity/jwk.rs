//! Key sets (JWKS: RFC 7517).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::jose::{self, Algorithm, Jwk};

use super::keys::Key;

/// A key set larger than this many bytes is refused unread.
pub(super) const SET_LIMIT: usize = 256 * 1024;
/// A token without a `kid` is tried against every key of a set, so there may not be more.
const KEYS_LIMIT: usize = 64;

/// Why a key set cannot be used. The old one stays in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetError {
    #[error("the key set is larger than {SET_LIMIT} bytes")]
    TooLarge,
    #[error("the key set is no JSON object with a list `keys`: {0}")]
    Malformed(serde_json::Error),
    #[error("the key set has {0} keys: more than {KEYS_LIMIT} are not looked through")]
    TooMany(usize),
    #[error("the key set has no key for {}{}", .algorithm.as_str(), because(.problem.as_ref()))]
    NoKey {
        algorithm: Algorithm,
        /// What was wrong with the last one that was meant for it.
        problem: Option<String>,
    },
}

fn because(problem: Option<&String>) -> String {
    problem.map_or_else(String::new, |problem| format!(", but {problem}"))
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The keys of a set that verify tokens of this algorithm. Others are passed over, as RFC 7517 asks; those that
/// are meant for it and cannot be used are passed over with a warning.
pub(super) fn keys(set: &[u8], algorithm: Algorithm) -> Result<Vec<Key>, SetError> {
    if set.len() > SET_LIMIT {
        return Err(SetError::TooLarge);
    }
    let set: Set<'_> = serde_json::from_slice(set).map_err(SetError::Malformed)?;
    if set.keys.len() > KEYS_LIMIT {
        return Err(SetError::TooMany(set.keys.len()));
    }
    let mut keys = Vec::new();
    let mut last_problem = None;
    for text in set.keys {
        // What has other members than a key of a kind known here is of a kind to come.
        let Ok(jwk) = serde_json::from_str::<Jwk>(text.get()) else {
            continue;
        };
        if !jwk.is_meant_for(algorithm) {
            continue;
        }
        let read = if jwk.is_private() {
            Err("a key whose private half is published with it".to_owned())
        } else {
            jose::Key::from_jwk(algorithm, &jwk).map_err(|error| error.to_string())
        };
        match read {
            Ok(public) => keys.push(Key::new(jwk.kid, public)),
            Err(problem) => {
                tracing::warn!(problem, kid = jwk.kid, "a key of the set cannot be used");
                last_problem = Some(problem);
            }
        }
    }
    if keys.is_empty() {
        return Err(SetError::NoKey {
            algorithm,
            problem: last_problem,
        });
    }
    Ok(keys)
}
