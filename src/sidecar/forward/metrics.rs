//! What forwarding tells Prometheus.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::api::ErrorCode;
use crate::resilience::{Breaker, State};

/// Tells the two ways to the control plane apart.
const UPSTREAM: &str = "upstream";

#[derive(Debug)]
pub(super) struct Metrics {
    requests: IntCounterVec,
    answered: IntCounter,
    retries: IntCounter,
    in_flight: IntGauge,
}

impl Metrics {
    pub(super) fn register(
        registry: &Registry,
        name: &str,
        breaker: &Arc<Breaker>,
    ) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "lictor_forwarded_requests_total",
                "Requests sent to the control plane, by outcome: answered, or the code of the problem",
            )
            .const_label(UPSTREAM, name),
            &["outcome"],
        )?;
        let retries = IntCounter::with_opts(
            Opts::new(
                "lictor_forward_retries_total",
                "Attempts after the first of a request to the control plane",
            )
            .const_label(UPSTREAM, name),
        )?;
        let in_flight = IntGauge::with_opts(
            Opts::new(
                "lictor_forward_in_flight",
                "Requests to the control plane that are under way",
            )
            .const_label(UPSTREAM, name),
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(retries.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(BreakerMetrics::new(name, Arc::clone(breaker))?))?;
        Ok(Self {
            answered: requests.with_label_values(&["answered"]),
            requests,
            retries,
            in_flight,
        })
    }

    pub(super) fn answered(&self) {
        self.answered.inc();
    }

    pub(super) fn refused(&self, code: ErrorCode) {
        self.requests.with_label_values(&[code.as_str()]).inc();
    }

    pub(super) fn retried(&self) {
        self.retries.inc();
    }

    /// The gauge of requests in flight.
    pub(super) const fn in_flight(&self) -> &IntGauge {
        &self.in_flight
    }
}

/// Reads the breaker when Prometheus asks, so that the two never disagree.
struct BreakerMetrics {
    breaker: Arc<Breaker>,
    state: IntGaugeVec,
    transitions: IntCounterVec,
}

impl BreakerMetrics {
    fn new(name: &str, breaker: Arc<Breaker>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            breaker,
            state: IntGaugeVec::new(
                Opts::new(
                    "lictor_circuit_breaker_state",
                    "1 for the state that the circuit breaker is in, 0 for the others",
                )
                .const_label("breaker", name),
                &["state"],
            )?,
            transitions: IntCounterVec::new(
                Opts::new(
                    "lictor_circuit_breaker_transitions_total",
                    "How often the circuit breaker entered a state",
                )
                .const_label("breaker", name),
                &["to"],
            )?,
        })
    }
}

impl Collector for BreakerMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let mut descriptions = self.state.desc();
        descriptions.extend(self.transitions.desc());
        descriptions
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = self.breaker.status();
        for (state, entered) in State::ALL.into_iter().zip(status.transitions) {
            self.state
                .with_label_values(&[state.as_str()])
                .set(i64::from(state == status.state));
            let counter = self.transitions.with_label_values(&[state.as_str()]);
            counter.reset();
            counter.inc_by(entered);
        }
        let mut families = self.state.collect();
        families.extend(self.transitions.collect());
        families
    }
}
