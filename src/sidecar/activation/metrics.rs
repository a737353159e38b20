//! What `/metrics` tells of activation.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of activation.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) activations: IntCounter,
    pub(super) failures: IntCounterVec,
    pub(super) bundle_age: IntGauge,
    pub(super) bundle_expires: IntGauge,
    pub(super) bundle_number: IntGauge,
    pub(super) persisted: IntGauge,
    pub(super) active_policies: IntGauge,
    pub(super) interpreted_rules: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    ///
    /// When a name is taken already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let activations = IntCounter::new(
            "lictor_activations_total",
            "Bundles that became active, the cached one at start-up included",
        )?;
        registry.register(Box::new(activations.clone()))?;
        let failures = IntCounterVec::new(
            Opts::new(
                "lictor_activation_failures_total",
                "Failed activations by step (0 is the fetch itself) and code",
            ),
            &["step", "code"],
        )?;
        registry.register(Box::new(failures.clone()))?;
        Ok(Self {
            activations,
            failures,
            bundle_age: gauge(
                "lictor_bundle_age_seconds",
                "Seconds since the active bundle was confirmed by its source, -1 without a bundle",
            )?,
            bundle_expires: gauge(
                "lictor_bundle_expires_seconds",
                "Seconds until the active bundle expires, negative once it has",
            )?,
            bundle_number: gauge(
                "lictor_bundle_number",
                "Number of the active bundle, 0 without one",
            )?,
            persisted: gauge(
                "lictor_bundle_persisted",
                "1 when the active bundle would survive a restart",
            )?,
            active_policies: gauge(
                "policy_engine_active_policies",
                "Enabled policies of the active bundle",
            )?,
            interpreted_rules: gauge(
                "lictor_rego_interpreted_rules",
                "Rego rules of the active bundle that the register machine does not take and that are interpreted",
            )?,
        })
    }
}
