//! Verification, and the table of tokens that were verified before.
//!
//! The table belongs to the set of issuers it was filled under: both are replaced in one step, so
//! no token outlives the key that made it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use dashmap::DashMap;
use sha2::{Digest as _, Sha256};

use crate::model::Timestamp;

use super::claims::{Claims, Payload};
use super::jws::Parts;
use super::keys::Issuer;
use super::{IdentityError, IssuerError, TrustedIssuer};

/// How many verified tokens a table remembers.
const CACHED_TOKENS: usize = 10_000;

type TokenHash = [u8; 32];

/// What tokens are verified against.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub issuers: Vec<TrustedIssuer>,
    /// Seconds that clocks may differ.
    pub clock_skew: u32,
    /// Where set, a token that names another one is refused.
    pub constitutional_hash: Option<String>,
}

#[derive(Debug)]
struct State {
    issuers: Vec<Issuer>,
    skew: i64,
    constitutional_hash: Option<String>,
    verified: DashMap<TokenHash, Arc<Claims>>,
}

/// Verifies bearer tokens. Shared by all threads; see [`Verifier::local`] for serving threads.
#[derive(Debug)]
pub struct Verifier {
    state: Arc<ArcSwap<State>>,
}

impl Verifier {
    /// A verifier that trusts these issuers.
    ///
    /// # Errors
    ///
    /// The first issuer whose settings cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, IssuerError> {
        let state = State::new(settings)?;
        Ok(Self {
            state: Arc::new(ArcSwap::from_pointee(state)),
        })
    }

    /// Trusts these issuers from now on and forgets every verified token. Changes nothing on error.
    ///
    /// # Errors
    ///
    /// The first issuer whose settings cannot be used.
    pub fn replace(&self, settings: &Settings) -> Result<(), IssuerError> {
        self.state.store(Arc::new(State::new(settings)?));
        Ok(())
    }

    /// The claims of a token.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, IdentityError> {
        self.state.load().verify(hash(token), token, now)
    }

    /// A verifier for one thread, with a table of its own in front of the shared one.
    #[must_use]
    pub fn local(&self) -> LocalVerifier {
        let mut current = Cache::new(Arc::clone(&self.state));
        LocalVerifier {
            seen: Arc::clone(current.load()),
            current,
            verified: HashMap::new(),
        }
    }
}

/// A thread's own verifier: a token that it has seen costs a hash and a look-up.
#[derive(Debug)]
pub struct LocalVerifier {
    current: Cache<Arc<ArcSwap<State>>, Arc<State>>,
    /// The state that `verified` was filled under.
    seen: Arc<State>,
    verified: HashMap<TokenHash, Arc<Claims>>,
}

impl LocalVerifier {
    /// The claims of a token.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn verify(&mut self, token: &str, now: Timestamp) -> Result<Arc<Claims>, IdentityError> {
        let state = self.current.load();
        if !Arc::ptr_eq(state, &self.seen) {
            self.seen = Arc::clone(state);
            self.verified.clear();
        }
        let hash = hash(token);
        if let Some(claims) = self.verified.get(&hash) {
            claims.check_time(now, state.skew)?;
            return Ok(Arc::clone(claims));
        }
        let claims = state.verify(hash, token, now)?;
        if self.verified.len() >= CACHED_TOKENS {
            self.verified.retain(|hash, _| survives(hash));
        }
        self.verified.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }
}

impl State {
    fn new(settings: &Settings) -> Result<Self, IssuerError> {
        Ok(Self {
            issuers: settings
                .issuers
                .iter()
                .map(Issuer::try_from)
                .collect::<Result<_, _>>()?,
            skew: i64::from(settings.clock_skew),
            constitutional_hash: settings.constitutional_hash.clone(),
            verified: DashMap::new(),
        })
    }

    fn verify(
        &self,
        hash: TokenHash,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Claims>, IdentityError> {
        let known = self.verified.get(&hash).map(|entry| Arc::clone(&entry));
        if let Some(claims) = known {
            claims.check_time(now, self.skew)?;
            return Ok(claims);
        }
        let claims = Arc::new(self.verify_anew(token, now)?);
        if self.verified.len() >= CACHED_TOKENS {
            self.verified.retain(|hash, _| survives(hash));
        }
        self.verified.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }

    fn verify_anew(&self, token: &str, now: Timestamp) -> Result<Claims, IdentityError> {
        let parts = Parts::parse(token)?;
        let payload = Payload::parse(&parts.payload)?;
        let issuer = self
            .issuers
            .iter()
            .find(|issuer| issuer.name == payload.iss)
            .ok_or(IdentityError::UnknownIssuer)?;
        if !parts.verify(issuer.candidates(parts.header.kid.as_deref())) {
            return Err(IdentityError::BadSignature);
        }
        if !payload.names_audience(&issuer.audience) {
            return Err(IdentityError::WrongAudience);
        }
        if let (Some(ours), Some(theirs)) =
            (&self.constitutional_hash, &payload.constitutional_hash)
            && ours != theirs
        {
            return Err(IdentityError::WrongConstitutionalHash);
        }
        if payload
            .iat
            .is_some_and(|issued| issued.0 > now.plus_seconds(self.skew))
        {
            return Err(IdentityError::NotYetValid);
        }
        let claims = payload.into_claims(parts.payload)?;
        claims.check_time(now, self.skew)?;
        Ok(claims)
    }
}

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// Which half of a full table stays: the hashes are uniform, so any bit does.
fn survives(hash: &TokenHash) -> bool {
    hash.first().is_some_and(|byte| byte & 1 == 0)
}
