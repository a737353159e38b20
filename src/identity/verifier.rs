//! Verification, and the table of tokens that were verified before.
//!
//! The table belongs to the keys it was filled under: both are replaced in one step, so no token outlives the key
//! that made it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use dashmap::DashMap;
use prometheus::Registry;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::model::Timestamp;

use super::claims::{Claims, Payload};
use super::jws::Parts;
use super::keys::{self, Issuer, Key, KeySource};
use super::metrics::{KeyMetrics, Metrics};
use super::recent::Recent;
use super::refresh::{Refresher, Source};
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

/// Verifies bearer tokens, and keeps the keys of its issuers fresh until it is dropped. Shared by all threads; see
/// [`Verifier::local`] for serving threads.
#[derive(Debug)]
pub struct Verifier {
    state: Arc<ArcSwap<State>>,
    metrics: Arc<Metrics>,
    /// In the order of the issuers; None where the keys were given.
    refreshers: Vec<Option<Arc<Refresher>>>,
    tasks: Vec<AbortHandle>,
}

impl Verifier {
    /// A verifier that trusts these issuers. Files of keys are read now; key sets are fetched on `handle`'s runtime,
    /// and until that has succeeded once their issuer's tokens are refused.
    ///
    /// # Errors
    ///
    /// The first issuer whose settings cannot be used.
    pub fn new(settings: &Settings, handle: &Handle) -> Result<Self, IssuerError> {
        let metrics = Metrics::new().map_err(|error| IssuerError {
            issuer: String::new(),
            problem: error.to_string(),
        })?;
        let metrics = Arc::new(metrics);
        let mut issuers = Vec::new();
        let mut sources = Vec::new();
        for trusted in &settings.issuers {
            let mut issuer = trusted.checked()?;
            let mut source = Source::of(trusted, handle)?;
            let keys = match (&trusted.keys, &mut source) {
                (KeySource::Given(keys), _) => keys::given(trusted.algorithm, keys).map(Some),
                (_, Some(source)) => source.at_start(),
                (_, None) => Ok(None),
            };
            issuer.keys = keys
                .map_err(|problem| trusted.wrong(problem))?
                .unwrap_or_default();
            KeyMetrics::new(&metrics, &issuer.name).in_force(issuer.keys.len());
            issuers.push(issuer);
            sources.push(source);
        }
        let state = Arc::new(ArcSwap::from_pointee(State {
            issuers,
            skew: i64::from(settings.clock_skew),
            constitutional_hash: settings.constitutional_hash.clone(),
            verified: DashMap::new(),
        }));
        let mut refreshers = Vec::new();
        let mut tasks = Vec::new();
        for (index, source) in sources.into_iter().enumerate() {
            refreshers.push(source.map(|source| {
                let refresher = Arc::new(source.refresher(&metrics));
                let state = Arc::clone(&state);
                let keep = source.keep(Arc::clone(&refresher), move |keys| {
                    replace_keys(&state, index, &keys);
                });
                tasks.push(handle.spawn(keep).abort_handle());
                refresher
            }));
        }
        Ok(Self {
            state,
            metrics,
            refreshers,
            tasks,
        })
    }

    /// Puts what is counted of tokens and keys into a registry.
    ///
    /// # Errors
    ///
    /// When another verifier's are there already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.metrics.register(registry)
    }

    /// Whether a token that was refused with this error is worth another look: its issuer's keys were not known, and
    /// have been read anew meanwhile. Waits for that; asks for it no more often than the issuer's settings allow.
    pub async fn refreshed(&self, error: &IdentityError) -> bool {
        let (IdentityError::UnknownKey { issuer } | IdentityError::NoKeysYet { issuer }) = error
        else {
            return false;
        };
        match self.refreshers.get(*issuer) {
            Some(Some(refresher)) => refresher.newer().await,
            _ => false,
        }
    }

    /// The claims of a token.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, IdentityError> {
        let state = self.state.load();
        let result = state.verify(hash(token), token, now, &self.metrics);
        self.metrics.verified(&result);
        result
    }

    /// A verifier for one thread, with a table of its own in front of the shared one.
    #[must_use]
    pub fn local(&self) -> LocalVerifier {
        let mut current = Cache::new(Arc::clone(&self.state));
        LocalVerifier {
            seen: Arc::clone(current.load()),
            current,
            metrics: Arc::clone(&self.metrics),
            recent: Recent::default(),
            verified: HashMap::new(),
        }
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Puts an issuer's new keys in force and forgets every verified token.
fn replace_keys(state: &ArcSwap<State>, index: usize, keys: &[Key]) {
    state.rcu(|old| {
        let mut issuers = old.issuers.clone();
        if let Some(issuer) = issuers.get_mut(index) {
            issuer.keys = keys.to_vec();
        }
        State {
            issuers,
            skew: old.skew,
            constitutional_hash: old.constitutional_hash.clone(),
            verified: DashMap::new(),
        }
    });
}

/// A thread's own verifier: a token that it has seen lately costs a look-up.
#[derive(Debug)]
pub struct LocalVerifier {
    current: Cache<Arc<ArcSwap<State>>, Arc<State>>,
    metrics: Arc<Metrics>,
    /// The state that `verified` was filled under.
    seen: Arc<State>,
    /// In front of `verified`.
    recent: Recent,
    verified: HashMap<TokenHash, Arc<Claims>>,
}

impl LocalVerifier {
    /// The claims of a token; a token that is no text is malformed.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn verify(&mut self, token: &[u8], now: Timestamp) -> Result<Arc<Claims>, IdentityError> {
        let result = self.find(token, now);
        self.metrics.verified(&result);
        result
    }

    fn find(&mut self, token: &[u8], now: Timestamp) -> Result<Arc<Claims>, IdentityError> {
        let state = self.current.load();
        if !Arc::ptr_eq(state, &self.seen) {
            self.seen = Arc::clone(state);
            self.recent.clear();
            self.verified.clear();
        }
        if let Some(claims) = self.recent.get(token) {
            self.metrics.hit();
            claims.check_time(now, state.skew)?;
            return Ok(Arc::clone(claims));
        }
        let text = std::str::from_utf8(token);
        let text = text.map_err(|_| IdentityError::Malformed("it is no text"))?;
        let hash = hash(text);
        if let Some(claims) = self.verified.get(&hash) {
            self.metrics.hit();
            claims.check_time(now, state.skew)?;
            self.recent.put(token, claims);
            return Ok(Arc::clone(claims));
        }
        let claims = state.verify(hash, text, now, &self.metrics)?;
        if self.verified.len() >= CACHED_TOKENS {
            self.verified.retain(|hash, _| survives(hash));
        }
        self.recent.put(token, &claims);
        self.verified.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }
}

impl State {
    fn verify(
        &self,
        hash: TokenHash,
        token: &str,
        now: Timestamp,
        metrics: &Metrics,
    ) -> Result<Arc<Claims>, IdentityError> {
        let known = self.verified.get(&hash).map(|entry| Arc::clone(&entry));
        if let Some(claims) = known {
            metrics.hit();
            claims.check_time(now, self.skew)?;
            return Ok(claims);
        }
        metrics.miss();
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
        let index = self
            .issuers
            .iter()
            .position(|issuer| issuer.name == payload.iss)
            .ok_or(IdentityError::UnknownIssuer)?;
        let issuer = &self.issuers[index];
        if parts.header.alg != issuer.algorithm.as_str() || !issuer.types.contains(&parts.typ) {
            return Err(IdentityError::WrongKind);
        }
        if issuer.keys.is_empty() {
            return Err(IdentityError::NoKeysYet { issuer: index });
        }
        let mut keys = issuer.candidates(parts.header.kid.as_deref()).peekable();
        if keys.peek().is_none() {
            return Err(IdentityError::UnknownKey { issuer: index });
        }
        if !parts.verify(keys) {
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
        if payload.is_agents()
            && self.constitutional_hash.is_some()
            && payload.constitutional_hash.is_none()
        {
            return Err(IdentityError::WrongConstitutionalHash);
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
