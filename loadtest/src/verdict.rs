//! What a result says about the goals: reached, missed, or not measurable here.

use serde::Serialize;

use crate::lictor::NAME;
use crate::result::{Figure, RunResult, ScenarioResult, Settings};
use crate::statistics::{confidence, median, spread};

/// Calm pairs that a CPU or throughput figure needs.
pub const CALM_PAIRS: usize = 10;
/// Calm rounds that a tail needs.
const TAIL_ROUNDS: usize = 5;
/// How far the base's own tail may wander across rounds before tails say nothing.
const TAIL_SPREAD: f64 = 0.25;
/// A generator busier than this was the limit.
pub const GENERATOR_LIMIT: f64 = 0.9;

/// One goal and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub scenario: String,
    /// What is bounded, in the words of the table of goals.
    pub what: String,
    pub figure: &'static str,
    /// `at most` or `at least`.
    pub bound: &'static str,
    pub goal: f64,
    /// The median of the ratio to the base over the rounds that count (over all where none does), or a count.
    pub measured: f64,
    /// Its 95 % confidence interval.
    pub interval: (f64, f64),
    pub outcome: Outcome,
    /// Why it is not measurable here.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Reached,
    NotReached,
    NotMeasurableHere,
}

impl Outcome {
    /// For people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NotReached => "NOT reached",
            Self::NotMeasurableHere => "not measurable here",
        }
    }
}

/// All goals of a result, in the order of its scenarios.
#[must_use]
pub fn all(result: &RunResult) -> Vec<Verdict> {
    let each = |scenario| of(scenario, &result.settings);
    result.scenarios.iter().flat_map(each).collect()
}

/// The goals of a scenario.
#[must_use]
pub fn of(scenario: &ScenarioResult, settings: &Settings) -> Vec<Verdict> {
    let goal = &scenario.goal;
    let judge = |label, figure, at_most, goal: Option<f64>| {
        goal.map(|goal| judge(scenario, settings, label, figure, at_most, goal))
    };
    let mut verdicts: Vec<Verdict> = [
        judge("CPU per request", Figure::Cpu, true, goal.cpu),
        judge("throughput", Figure::Throughput, false, goal.throughput),
        judge("P99 at half of saturation", Figure::P99, true, goal.p99),
        judge("P99.9 at half of saturation", Figure::P999, true, goal.p999),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let Some(most) = goal.errors {
        let failures = scenario.failures(NAME);
        let measured = failures as f64;
        verdicts.push(Verdict {
            scenario: scenario.name.clone(),
            what: goal.what.clone(),
            figure: "errors",
            bound: "at most",
            goal: most as f64,
            measured,
            interval: (measured, measured),
            outcome: if scenario.rounds.is_empty() {
                Outcome::NotMeasurableHere
            } else if failures <= most {
                Outcome::Reached
            } else {
                Outcome::NotReached
            },
            reason: scenario.failed.clone(),
        });
    }
    verdicts
}

fn judge(
    scenario: &ScenarioResult,
    settings: &Settings,
    label: &'static str,
    figure: Figure,
    at_most: bool,
    goal: f64,
) -> Verdict {
    let ratios = scenario.ratios(settings, NAME, &scenario.base, figure);
    let measured = median(&ratios);
    let reason = unmeasurable(scenario, settings, figure, &ratios);
    let met = if at_most {
        measured <= goal
    } else {
        measured >= goal
    };
    Verdict {
        scenario: scenario.name.clone(),
        what: scenario.goal.what.clone(),
        figure: label,
        bound: if at_most { "at most" } else { "at least" },
        goal,
        measured,
        interval: confidence(&ratios),
        outcome: match (&reason, met) {
            (Some(_), _) => Outcome::NotMeasurableHere,
            (None, true) => Outcome::Reached,
            (None, false) => Outcome::NotReached,
        },
        reason,
    }
}

/// Why a figure cannot be told here, if it cannot.
fn unmeasurable(
    scenario: &ScenarioResult,
    settings: &Settings,
    figure: Figure,
    ratios: &[f64],
) -> Option<String> {
    let spread_of = |values: &[f64]| format!("spread {:.0} %", spread(values) * 100.0);
    let calm = scenario.calm(settings).count();
    if let Some(failed) = &scenario.failed {
        return Some(failed.clone());
    }
    if matches!(figure, Figure::Cpu | Figure::Throughput) {
        let count = calm.min(ratios.len());
        if count < CALM_PAIRS {
            return Some(format!(
                "{count} calm pairs of {CALM_PAIRS}, {}",
                spread_of(ratios)
            ));
        }
        let busy = median(&generator_busy(scenario, settings));
        if figure == Figure::Throughput && busy > GENERATOR_LIMIT {
            return Some(format!(
                "the generator was the limit, at work {:.0} % of the time",
                busy * 100.0
            ));
        }
        return None;
    }
    let base = scenario.figures(settings, &scenario.base, figure);
    let count = calm.min(base.len());
    if count < TAIL_ROUNDS {
        return Some(format!(
            "{count} calm rounds of {TAIL_ROUNDS}, {} itself: {}",
            scenario.base,
            spread_of(&base)
        ));
    }
    (spread(&base) > TAIL_SPREAD).then(|| {
        format!(
            "of {} itself across rounds: {}",
            scenario.base,
            spread_of(&base)
        )
    })
}

/// How busy the generator was in each round shown, with the system that made it work hardest.
#[must_use]
pub fn generator_busy(scenario: &ScenarioResult, settings: &Settings) -> Vec<f64> {
    let rounds = scenario.shown(settings);
    rounds
        .map(|round| {
            let pair = [NAME, &scenario.base].map(|name| round.systems.get(name));
            let loops = pair
                .into_iter()
                .flatten()
                .filter_map(|it| it.closed.as_ref());
            loops.map(|it| it.generator_busy).fold(0.0, f64::max)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recording::{Recording, StoredHistogram};
    use crate::result::{Loop, Measurement, OpenLoop, Round};
    use crate::scenario::Goal;

    fn settings() -> Settings {
        Settings {
            pairs: 10,
            seconds: 1.0,
            server_core: 0,
            generator_core: 1,
            steal_limit: 0.03,
            others_limit: 0.05,
            versions: BTreeMap::new(),
        }
    }

    fn measurement(cpu: f64, throughput: f64, tail_micros: u64, busy: f64) -> Measurement {
        let mut recording = Recording::default();
        recording.answer(tail_micros * 1000, tail_micros * 1000, true);
        let figures = Loop {
            throughput,
            cpu_micros_per_request: cpu,
            refused: 0,
            errors: 0,
            generator_busy: busy,
            server_busy: 1.0,
        };
        Measurement {
            closed: Some(figures.clone()),
            open: Some(OpenLoop {
                figures,
                rate: throughput / 2.0,
                late: 0,
                latencies: StoredHistogram::encode(&recording.latencies),
                service: StoredHistogram::encode(&recording.service),
            }),
            resident_kib: 1,
        }
    }

    /// Rounds with these steals; the sidecar costs 1.1 of the floor.
    fn scenario(steals: &[f64], floor_tail: impl Fn(usize) -> u64, busy: f64) -> ScenarioResult {
        let round = |(index, steal): (usize, &f64)| Round {
            steal: *steal,
            others: 0.0,
            systems: BTreeMap::from([
                (
                    "floor".to_owned(),
                    measurement(10.0, 100.0, floor_tail(index), 0.1),
                ),
                (NAME.to_owned(), measurement(11.0, 90.0, 120, busy)),
            ]),
        };
        ScenarioResult {
            name: "validate".into(),
            question: String::new(),
            base: "floor".into(),
            goal: Goal {
                cpu: Some(1.15),
                throughput: Some(0.95),
                p99: Some(1.25),
                errors: Some(0),
                ..Goal::default()
            },
            rounds: steals.iter().enumerate().map(round).collect(),
            missing: BTreeMap::new(),
            failed: None,
        }
    }

    fn outcomes(scenario: &ScenarioResult) -> Vec<Outcome> {
        let verdicts = of(scenario, &settings());
        verdicts.iter().map(|verdict| verdict.outcome).collect()
    }

    #[test]
    fn ten_calm_pairs_decide_and_nine_do_not() {
        use Outcome::{NotMeasurableHere, NotReached, Reached};
        let mut steals = vec![0.0; 10];
        assert_eq!(
            outcomes(&scenario(&steals, |_| 100, 0.1)),
            [Reached, NotReached, Reached, Reached]
        );
        steals[3] = 0.031;
        assert_eq!(
            outcomes(&scenario(&steals, |_| 100, 0.1)),
            [NotMeasurableHere, NotMeasurableHere, Reached, Reached]
        );
    }

    #[test]
    fn a_tail_says_nothing_where_the_floors_own_wanders() {
        let wandering = |index| if index == 2 { 160 } else { 100 };
        let verdicts = of(&scenario(&[0.0; 10], wandering, 0.1), &settings());
        assert_eq!(verdicts[2].outcome, Outcome::NotMeasurableHere);
        let reason = verdicts[2].reason.as_deref().unwrap();
        assert!(reason.contains("60 %"), "{reason}");
        assert_eq!(verdicts[0].outcome, Outcome::Reached);
    }

    #[test]
    fn a_generator_that_was_the_limit_spoils_throughput_alone() {
        let verdicts = of(&scenario(&[0.0; 10], |_| 100, 0.95), &settings());
        assert_eq!(verdicts[0].outcome, Outcome::Reached);
        assert_eq!(verdicts[1].outcome, Outcome::NotMeasurableHere);
    }

    #[test]
    fn a_scenario_that_failed_reaches_nothing() {
        let mut failed = scenario(&[0.0; 10], |_| 100, 0.1);
        failed.failed = Some("it ended".into());
        let mut outcomes = outcomes(&failed);
        outcomes.pop();
        assert_eq!(outcomes, [Outcome::NotMeasurableHere; 3]);
    }
}
