//! What a run leaves behind: JSON with the machine, the configuration and every round.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::recording::{Recording, StoredHistogram};
use crate::scenario::Goal;

/// The version of this form.
const FORMAT: u32 = 2;

/// Everything one invocation measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunResult {
    pub format: u32,
    pub machine: Machine,
    pub settings: Settings,
    pub scenarios: Vec<ScenarioResult>,
}

/// What the command line said, as far as figures depend on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Calm rounds that end a scenario.
    pub pairs: usize,
    pub seconds: f64,
    pub server_core: usize,
    pub generator_core: usize,
    /// Rounds in which the hypervisor took more than this share of the machine do not count.
    pub steal_limit: f64,
    /// Nor those in which processes that are not measured took more than this.
    pub others_limit: f64,
    /// Versions of what was measured, as the programs print them.
    pub versions: BTreeMap<String, String>,
}

/// One scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScenarioResult {
    pub name: String,
    pub question: String,
    /// The system that the sidecar's figures are divided by.
    pub base: String,
    pub goal: Goal,
    pub rounds: Vec<Round>,
    /// Peers that were named but not there, and why.
    pub missing: BTreeMap<String, String>,
    /// Why it could not be measured to its end.
    pub failed: Option<String>,
}

/// One round: every system once, in turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    /// The hypervisor's share of the machine while it ran.
    pub steal: f64,
    /// The share of processes that are neither measured nor measure.
    pub others: f64,
    pub systems: BTreeMap<String, Measurement>,
}

/// One system in one round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// As fast as it answers.
    pub closed: Option<Loop>,
    /// By a schedule.
    pub open: Option<OpenLoop>,
    pub resident_kib: u64,
}

/// One phase of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Loop {
    /// Answers of the expected kind per second.
    pub throughput: f64,
    /// User and system time of the server over all answers.
    pub cpu_micros_per_request: f64,
    pub refused: u64,
    pub errors: u64,
    /// Shares of their cores that the generator worked and the server ran.
    pub generator_busy: f64,
    pub server_busy: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenLoop {
    #[serde(flatten)]
    pub figures: Loop,
    /// Requests per second that were due.
    pub rate: f64,
    pub late: u64,
    /// From the intended moment to the answer.
    pub latencies: StoredHistogram,
    /// From the moment it was sent.
    pub service: StoredHistogram,
}

impl Loop {
    /// The figures of a recording during which the server used `cpu_micros`.
    #[must_use]
    pub fn of(recording: &Recording, cpu_micros: f64) -> Self {
        let answers = recording.answered + recording.refused;
        Self {
            throughput: recording.throughput(),
            cpu_micros_per_request: cpu_micros / answers.max(1) as f64,
            refused: recording.refused,
            errors: recording.errors,
            generator_busy: recording.generator_busy,
            server_busy: cpu_micros / 1e6 / recording.elapsed_seconds.max(1e-9),
        }
    }
}

/// A number that a measurement has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Cpu,
    Throughput,
    P50,
    P99,
    P999,
    /// P99 from the moment of sending: of what got through an overload.
    ServiceP99,
}

impl Figure {
    /// The figure of a measurement: CPU and throughput at saturation where that was measured.
    #[must_use]
    pub fn of(self, measurement: &Measurement) -> Option<f64> {
        let open = measurement.open.as_ref();
        let either = measurement
            .closed
            .as_ref()
            .or(open.map(|open| &open.figures));
        let micros = |histogram: &StoredHistogram, quantile| {
            histogram.decode().value_at_quantile(quantile) as f64 / 1e3
        };
        match self {
            Self::Cpu => either.map(|it| it.cpu_micros_per_request),
            Self::Throughput => either.map(|it| it.throughput),
            Self::P50 => open.map(|open| micros(&open.latencies, 0.5)),
            Self::P99 => open.map(|open| micros(&open.latencies, 0.99)),
            Self::P999 => open.map(|open| micros(&open.latencies, 0.999)),
            Self::ServiceP99 => open.map(|open| micros(&open.service, 0.99)),
        }
    }
}

impl RunResult {
    /// An empty result.
    #[must_use]
    pub const fn new(machine: Machine, settings: Settings) -> Self {
        Self {
            format: FORMAT,
            machine,
            settings,
            scenarios: Vec::new(),
        }
    }

    /// Reads a result.
    ///
    /// # Errors
    ///
    /// Names the file, and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let result: Self = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is no result of this version of loadtest",
                path.display()
            )
        })?;
        if result.format != FORMAT {
            bail!(
                "{} has format {}, this is format {FORMAT}",
                path.display(),
                result.format
            );
        }
        Ok(result)
    }

    /// Writes it in one step: a run that is cut off leaves the round before.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn store(&self, path: &Path) -> Result<()> {
        let fresh = path.with_extension("json.new");
        std::fs::write(&fresh, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("writing {}", fresh.display()))?;
        std::fs::rename(&fresh, path).with_context(|| format!("writing {}", path.display()))
    }
}

impl Settings {
    /// Whether a round counts.
    #[must_use]
    pub fn calm(&self, round: &Round) -> bool {
        round.steal <= self.steal_limit && round.others <= self.others_limit
    }
}

impl ScenarioResult {
    /// The rounds that count.
    pub fn calm<'s>(&'s self, settings: &'s Settings) -> impl Iterator<Item = &'s Round> {
        self.rounds.iter().filter(|round| settings.calm(round))
    }

    /// The rounds whose figures are shown: those that count, or where none does all of them.
    pub fn shown<'s>(&'s self, settings: &'s Settings) -> impl Iterator<Item = &'s Round> {
        let none = self.calm(settings).next().is_none();
        let rounds = self.rounds.iter();
        rounds.filter(move |round| none || settings.calm(round))
    }

    /// A system's figure in every round shown, divided by another's in the same round.
    #[must_use]
    pub fn ratios(
        &self,
        settings: &Settings,
        system: &str,
        base: &str,
        figure: Figure,
    ) -> Vec<f64> {
        self.shown(settings)
            .filter_map(|round| {
                let over = figure.of(round.systems.get(system)?)?;
                let under = figure.of(round.systems.get(base)?)?;
                (under > 0.0).then_some(over / under)
            })
            .collect()
    }

    /// A system's figure in every round shown.
    #[must_use]
    pub fn figures(&self, settings: &Settings, system: &str, figure: Figure) -> Vec<f64> {
        self.shown(settings)
            .filter_map(|round| figure.of(round.systems.get(system)?))
            .collect()
    }

    /// What a system failed at in all rounds, calm or not: errors, and refusals in the open loop.
    #[must_use]
    pub fn failures(&self, system: &str) -> u64 {
        let measured = self
            .rounds
            .iter()
            .filter_map(|round| round.systems.get(system));
        measured
            .map(|measurement| {
                let closed = measurement
                    .closed
                    .as_ref()
                    .map_or(0, |it| it.errors + it.refused);
                let open = measurement
                    .open
                    .as_ref()
                    .map_or(0, |it| it.figures.errors + it.figures.refused);
                closed + open
            })
            .sum()
    }

    /// The latencies of a system in all rounds shown, merged.
    #[must_use]
    pub fn merged(&self, settings: &Settings, system: &str) -> Option<Histogram<u64>> {
        let mut all: Option<Histogram<u64>> = None;
        let measured = self
            .shown(settings)
            .filter_map(|round| round.systems.get(system));
        for open in measured.filter_map(|measurement| measurement.open.as_ref()) {
            let histogram = open.latencies.decode();
            match &mut all {
                // Equal bounds: adding cannot fail.
                Some(sum) => drop(sum.add(&histogram)),
                None => all = Some(histogram),
            }
        }
        all
    }

    /// The systems measured: the base, the sidecar, the peers.
    #[must_use]
    pub fn systems(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .rounds
            .iter()
            .flat_map(|round| round.systems.keys().cloned())
            .collect();
        names.sort_by_key(|name| {
            (
                *name != self.base,
                name != crate::lictor::NAME,
                name.clone(),
            )
        });
        names.dedup();
        names
    }
}
