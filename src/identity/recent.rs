//! The tokens that a thread saw last, found by their text: hashing a token with SHA-256 for every request would cost
//! more than all else that is done for it.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::claims::Claims;

/// Places; a token has one, and whoever else has it is forgotten.
const PLACES: usize = 256;
/// A longer token is looked up by its SHA-256 each time.
const TOKEN_BYTES: usize = 2048;
/// So many bytes at a token's end are hashed: all of a short signature, enough of a long one that nobody guesses it.
const HASHED: usize = 96;

/// A small table of verified tokens.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Keyed by chance: nobody outside can tell which tokens share a place. How far a comparison went says nothing to whoever
    /// does not know the signature already.
    hasher: RandomState,
    places: Vec<Option<Entry>>,
}

struct Entry {
    hash: u64,
    token: Box<[u8]>,
    claims: Arc<Claims>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the token.
        formatter.write_str("Entry")
    }
}

impl Recent {
    fn hash(&self, token: &[u8]) -> u64 {
        let end = token.len().saturating_sub(HASHED);
        self.hasher.hash_one(token.get(end..).unwrap_or_default())
    }

    /// The claims of exactly this token.
    pub(super) fn get(&self, token: &[u8]) -> Option<&Arc<Claims>> {
        if self.places.is_empty() {
            return None;
        }
        let hash = self.hash(token);
        let entry = self.places.get(place(hash))?.as_ref()?;
        (entry.hash == hash && *entry.token == *token).then_some(&entry.claims)
    }

    pub(super) fn put(&mut self, token: &[u8], claims: &Arc<Claims>) {
        if token.len() > TOKEN_BYTES {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let hash = self.hash(token);
        if let Some(entry) = self.places.get_mut(place(hash)) {
            *entry = Some(Entry {
                hash,
                token: token.into(),
                claims: Arc::clone(claims),
            });
        }
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
    }
}

const fn place(hash: u64) -> usize {
    hash as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn claims(subject: &str) -> Arc<Claims> {
        Arc::new(Claims {
            issuer: String::new(),
            subject: subject.to_owned(),
            tenant: None,
            roles: Vec::new(),
            expires_at: Timestamp::default(),
            not_before: None,
            agent: None,
            json: String::new(),
        })
    }

    #[test]
    fn a_token_is_found_by_its_whole_text_until_it_is_forgotten() {
        let mut recent = Recent::default();
        assert!(recent.get(b"a.b.c").is_none());
        recent.put(b"a.b.c", &claims("one"));
        assert_eq!(recent.get(b"a.b.c").unwrap().subject, "one");
        assert!(recent.get(b"a.b.d").is_none());
        recent.clear();
        assert!(recent.get(b"a.b.c").is_none());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut recent = Recent::default();
        recent.put(&[b'x'; TOKEN_BYTES + 1], &claims("long"));
        assert!(recent.places.is_empty());
        for index in 0..10 * PLACES {
            recent.put(format!("token-{index}").as_bytes(), &claims("many"));
        }
        assert_eq!(recent.places.len(), PLACES);
        let last = format!("token-{}", 10 * PLACES - 1);
        assert!(recent.get(last.as_bytes()).is_some());
    }
}
