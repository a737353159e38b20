//! What is counted of tokens and of their issuers' keys.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::IdentityError;
use super::claims::Claims;

/// How verifications come out: a yes first, then the errors by [`IdentityError::place`].
const OUTCOMES: [&str; 11] = [
    "verified",
    "malformed",
    "wrong_kind",
    "unknown_issuer",
    "unknown_key",
    "no_keys_yet",
    "bad_signature",
    "wrong_audience",
    "expired",
    "not_yet_valid",
    "wrong_constitutional_hash",
];

/// The counters of one verifier.
#[derive(Debug)]
pub(super) struct Metrics {
    tokens: IntCounterVec,
    outcomes: [IntCounter; OUTCOMES.len()],
    hits: IntCounter,
    misses: IntCounter,
    refreshes: IntCounterVec,
    limited: IntCounterVec,
    keys: IntGaugeVec,
    read_at: IntGaugeVec,
}

/// The counters of one issuer's keys.
#[derive(Clone, Debug)]
pub(super) struct KeyMetrics {
    metrics: Arc<Metrics>,
    issuer: String,
}

/// How an attempt to read an issuer's keys came out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// So many keys are in force from now on.
    Changed(usize),
    Unchanged,
    Failed,
}

impl Metrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let gauges = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["issuer"]);
        let tokens = counters(
            "lictor_identity_tokens_total",
            "Bearer tokens by what came out of their verification.",
            &["outcome"],
        )?;
        Ok(Self {
            outcomes: OUTCOMES.map(|outcome| tokens.with_label_values(&[outcome])),
            tokens,
            hits: IntCounter::new(
                "lictor_identity_cache_hits_total",
                "Tokens that had been verified before and were only checked for time.",
            )?,
            misses: IntCounter::new(
                "lictor_identity_cache_misses_total",
                "Tokens that were verified, or refused, because they were not known.",
            )?,
            refreshes: counters(
                "lictor_identity_key_reads_total",
                "Attempts to read an issuer's keys by outcome; looks at a file that did not change are left out.",
                &["issuer", "outcome"],
            )?,
            limited: counters(
                "lictor_identity_key_reads_limited_total",
                "Tokens with an unknown key for which the keys were not read again, because they had been lately or too many requests were waiting.",
                &["issuer"],
            )?,
            keys: gauges(
                "lictor_identity_keys",
                "Public keys of an issuer that are in force.",
            )?,
            read_at: gauges(
                "lictor_identity_keys_read_timestamp_seconds",
                "When an issuer's keys were last read well, as Unix time; the age of the set is the time since.",
            )?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 7] = [
            Box::new(self.tokens.clone()),
            Box::new(self.hits.clone()),
            Box::new(self.misses.clone()),
            Box::new(self.refreshes.clone()),
            Box::new(self.limited.clone()),
            Box::new(self.keys.clone()),
            Box::new(self.read_at.clone()),
        ];
        all.into_iter()
            .try_for_each(|collector| registry.register(collector))
    }

    /// A token was looked at.
    pub(super) fn verified(&self, result: &Result<Arc<Claims>, IdentityError>) {
        let place = result.as_ref().err().map_or(0, IdentityError::place);
        if let Some(counter) = self.outcomes.get(place) {
            counter.inc();
        }
    }

    /// A token was known.
    pub(super) fn hit(&self) {
        self.hits.inc();
    }

    /// A token was not known.
    pub(super) fn miss(&self) {
        self.misses.inc();
    }
}

impl KeyMetrics {
    pub(super) fn new(metrics: &Arc<Metrics>, issuer: &str) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            issuer: issuer.to_owned(),
        }
    }

    /// Keys are in force from the start.
    pub(super) fn in_force(&self, keys: usize) {
        let label = [self.issuer.as_str()];
        self.metrics.keys.with_label_values(&label).set(keys as i64);
        // The counter shows from the start, too.
        self.metrics.limited.with_label_values(&label);
        if keys > 0 {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let seconds = now.map_or(0, |since| since.as_secs() as i64);
            self.metrics.read_at.with_label_values(&label).set(seconds);
        }
    }

    pub(super) fn read(&self, outcome: Read) {
        let word = match outcome {
            Read::Changed(_) => "changed",
            Read::Unchanged => "unchanged",
            Read::Failed => "failed",
        };
        let labels = [self.issuer.as_str(), word];
        self.metrics.refreshes.with_label_values(&labels).inc();
        let keys = self.metrics.keys.with_label_values(&labels[..1]);
        match outcome {
            Read::Changed(keys) => self.in_force(keys),
            Read::Unchanged => self.in_force(keys.get() as usize),
            Read::Failed => {}
        }
    }

    /// A read was wanted and not begun.
    pub(super) fn limited(&self) {
        let label = [self.issuer.as_str()];
        self.metrics.limited.with_label_values(&label).inc();
    }
}
