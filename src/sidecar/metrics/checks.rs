//! What is counted of Envoy's checks, by the mode in which it asks.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{add, counters};

/// Envoy waits 200 ms by default.
const BUCKETS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01,
    0.05, 0.1, 0.2, 1.0,
];

/// How Envoy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Grpc,
    Http,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Allowed,
    /// With the status that the client gets.
    Denied(u16),
    /// No decision: Envoy's failure mode applies.
    Error,
    FailedOpen,
}

/// The counters.
#[derive(Debug)]
pub struct Checks {
    outcomes: IntCounterVec,
    /// By mode: what nearly every check counts, found without a look-up.
    allowed: [IntCounter; 2],
    denied: [IntCounter; 2],
    duration: [Histogram; 2],
    errors: IntCounterVec,
}

impl Checks {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        const MODES: [&str; 2] = ["grpc", "http"];
        let outcomes = counters(
            registry,
            "lictor_ext_authz_checks_total",
            "Envoy's checks by mode, outcome and the status that a denied client gets.",
            &["mode", "outcome", "code"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "lictor_ext_authz_check_duration_seconds",
                "Time of a check, from its head to its answer.",
            )
            .buckets(BUCKETS.to_vec()),
            &["mode"],
        )?;
        add(registry, &durations)?;
        for mode in MODES {
            for outcome in ["error", "failed_open"] {
                outcomes.with_label_values(&[mode, outcome, ""]);
            }
        }
        Ok(Self {
            allowed: MODES.map(|mode| outcomes.with_label_values(&[mode, "allowed", ""])),
            denied: MODES.map(|mode| outcomes.with_label_values(&[mode, "denied", "403"])),
            duration: MODES.map(|mode| durations.with_label_values(&[mode])),
            outcomes,
            errors: counters(
                registry,
                "lictor_ext_authz_errors_total",
                "Envoy's checks that no policy decided, by reason.",
                &["reason"],
            )?,
        })
    }

    /// A check was answered.
    pub fn checked(&self, mode: Mode, check: Check, took: Duration) {
        let (index, word) = match mode {
            Mode::Grpc => (0, "grpc"),
            Mode::Http => (1, "http"),
        };
        let count = |outcome, code: &str| {
            self.outcomes
                .with_label_values(&[word, outcome, code])
                .inc();
        };
        let common = match check {
            Check::Allowed => self.allowed.get(index),
            Check::Denied(403) => self.denied.get(index),
            _ => None,
        };
        match (common, check) {
            (Some(counter), _) => counter.inc(),
            (None, Check::Denied(status)) => count("denied", itoa::Buffer::new().format(status)),
            (None, Check::Error) => count("error", ""),
            (None, Check::FailedOpen) => count("failed_open", ""),
            (None, Check::Allowed) => count("allowed", ""),
        }
        if let Some(duration) = self.duration.get(index) {
            duration.observe(took.as_secs_f64());
        }
    }

    /// No policy decided. Reasons are a closed set.
    pub fn failed(&self, reason: &str) {
        self.errors.with_label_values(&[reason]).inc();
    }
}
