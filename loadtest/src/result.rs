//! What a run leaves behind: JSON with the machine, the configuration and every round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::recording::StoredHistogram;

/// Everything one invocation measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunResult {
    pub machine: Machine,
    pub settings: Settings,
    pub scenarios: Vec<ScenarioResult>,
}

/// What the command line said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub rounds: usize,
    pub seconds: f64,
    pub server_core: usize,
    pub generator_core: usize,
    /// Rounds with more steal than this do not count.
    pub steal_limit: f64,
    /// Versions of what was measured, as the programs print them.
    pub versions: BTreeMap<String, String>,
}

/// One scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScenarioResult {
    pub name: String,
    pub question: String,
    pub rounds: Vec<Round>,
    /// Peers that were named but not there, and why.
    pub missing: BTreeMap<String, String>,
    pub goal_cpu: Option<f64>,
    pub goal_throughput: Option<f64>,
    pub goal_p99: Option<f64>,
}

/// One round: every system once, in turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    /// The hypervisor's share of the machine while it ran.
    pub steal: f64,
    pub systems: BTreeMap<String, Measurement>,
}

/// One system in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Closed loop.
    pub throughput: f64,
    pub cpu_micros_per_request: f64,
    pub resident_kib: u64,
    pub refused: u64,
    pub errors: u64,
    /// The generator's own share of its core in the closed loop.
    pub generator_busy: f64,
    /// Open loop: the rate asked for, and what came.
    pub open_rate: f64,
    pub open_throughput: f64,
    pub open_errors: u64,
    pub open_refused: u64,
    pub late: u64,
    pub latencies: StoredHistogram,
}

impl ScenarioResult {
    /// The rounds that count.
    pub fn calm(&self, steal_limit: f64) -> impl Iterator<Item = &Round> {
        self.rounds
            .iter()
            .filter(move |round| round.steal <= steal_limit)
    }

    /// A system's figure in every calm round, divided by another's in the same round.
    pub fn ratios(
        &self,
        steal_limit: f64,
        system: &str,
        base: &str,
        figure: impl Fn(&Measurement) -> f64,
    ) -> Vec<f64> {
        self.calm(steal_limit)
            .filter_map(|round| {
                let (over, under) = (
                    figure(round.systems.get(system)?),
                    figure(round.systems.get(base)?),
                );
                (under > 0.0).then_some(over / under)
            })
            .collect()
    }

    /// A system's figure in every calm round.
    pub fn figures(
        &self,
        steal_limit: f64,
        system: &str,
        figure: impl Fn(&Measurement) -> f64,
    ) -> Vec<f64> {
        self.calm(steal_limit)
            .filter_map(|round| round.systems.get(system).map(&figure))
            .collect()
    }

    /// The systems measured, the floor first.
    #[must_use]
    pub fn systems(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .rounds
            .iter()
            .flat_map(|round| round.systems.keys().cloned())
            .collect();
        names.sort_by_key(|name| (name != "floor", name != "lictor", name.clone()));
        names.dedup();
        names
    }
}

impl Measurement {
    /// Latency at half of saturation, microseconds.
    #[must_use]
    pub fn micros_at(&self, quantile: f64) -> f64 {
        self.latencies.decode().value_at_quantile(quantile) as f64 / 1e3
    }
}
