//! What is counted of Envoy's checks, both doors together.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Registry};

use super::{add, counters};

/// Envoy waits 200 ms by default.
const BUCKETS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01,
    0.05, 0.1, 0.2, 1.0,
];

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Allowed,
    Denied,
    /// No decision: Envoy's failure mode applies.
    Error,
    FailedOpen,
}

impl Check {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Allowed, "allowed"),
        (Self::Denied, "denied"),
        (Self::Error, "error"),
        (Self::FailedOpen, "failed_open"),
    ];
}

/// The counters.
#[derive(Debug)]
pub struct Checks {
    outcomes: [IntCounter; 4],
    duration: Histogram,
    errors: IntCounterVec,
}

impl Checks {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let outcomes = counters(
            registry,
            "lictor_ext_authz_checks_total",
            "Envoy's checks by outcome.",
            &["outcome"],
        )?;
        let duration = Histogram::with_opts(
            HistogramOpts::new(
                "lictor_ext_authz_check_duration_seconds",
                "Time of a check, from its head to its answer.",
            )
            .buckets(BUCKETS.to_vec()),
        )?;
        add(registry, &duration)?;
        Ok(Self {
            outcomes: Check::ALL.map(|(_, word)| outcomes.with_label_values(&[word])),
            duration,
            errors: counters(
                registry,
                "lictor_ext_authz_errors_total",
                "Envoy's checks that no policy decided, by reason.",
                &["reason"],
            )?,
        })
    }

    /// A check was answered.
    pub fn checked(&self, check: Check, took: Duration) {
        if let Some(counter) = self.outcomes.get(check as usize) {
            counter.inc();
        }
        self.duration.observe(took.as_secs_f64());
    }

    /// No policy decided. Reasons are a closed set.
    pub fn failed(&self, reason: &str) {
        self.errors.with_label_values(&[reason]).inc();
    }
}
