//! Two results side by side, with confidence intervals.

use std::fmt::Write as _;

use serde::Serialize;

use crate::lictor::NAME;
use crate::result::{Figure, RunResult};
use crate::statistics::{confidence, median};

const FIGURES: [(&str, Figure); 4] = [
    ("CPU per request", Figure::Cpu),
    ("throughput", Figure::Throughput),
    ("P99 at half", Figure::P99),
    ("P99.9 at half", Figure::P999),
];

/// The sidecar's ratio to its base in both results.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub scenario: String,
    pub figure: &'static str,
    pub base: String,
    pub before: Ratio,
    pub after: Ratio,
    pub verdict: Difference,
}

/// The median over the rounds that count (over all where none does), its 95 % confidence interval, and how many count.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub rounds: usize,
}

/// A difference is called one where the intervals do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    Higher,
    Lower,
    NoneShown,
    /// One of them has fewer than three calm rounds.
    NotComparable,
}

impl Ratio {
    /// Of ratios, of which so many rounds count.
    fn of(ratios: &[f64], calm: usize) -> Self {
        let (low, high) = confidence(ratios);
        Self {
            median: median(ratios),
            low,
            high,
            rounds: calm.min(ratios.len()),
        }
    }

    fn to(self, after: Self) -> Difference {
        const FEWEST: usize = 3;
        if self.rounds < FEWEST || after.rounds < FEWEST {
            Difference::NotComparable
        } else if after.low > self.high {
            Difference::Higher
        } else if after.high < self.low {
            Difference::Lower
        } else {
            Difference::NoneShown
        }
    }
}

/// What changed in the scenarios that are in both results.
#[must_use]
pub fn changes(before: &RunResult, after: &RunResult) -> Vec<Change> {
    let mut changes = Vec::new();
    for scenario in &after.scenarios {
        let same = |it: &&crate::result::ScenarioResult| it.name == scenario.name;
        let Some(earlier) = before.scenarios.iter().find(same) else {
            continue;
        };
        for (label, figure) in FIGURES {
            let old = earlier.ratios(&before.settings, NAME, &earlier.base, figure);
            let new = scenario.ratios(&after.settings, NAME, &scenario.base, figure);
            if old.is_empty() && new.is_empty() {
                continue;
            }
            let old = Ratio::of(&old, earlier.calm(&before.settings).count());
            let new = Ratio::of(&new, scenario.calm(&after.settings).count());
            changes.push(Change {
                scenario: scenario.name.clone(),
                figure: label,
                base: scenario.base.clone(),
                before: old,
                after: new,
                verdict: old.to(new),
            });
        }
    }
    changes
}

/// The changes for people.
#[must_use]
pub fn table(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no scenario is in both results with calm rounds\n".into();
    }
    let mut text = String::new();
    let mut scenario = "";
    for change in changes {
        if scenario != change.scenario {
            scenario = &change.scenario;
            let _ = writeln!(text, "{scenario}, over {}", change.base);
        }
        let ratio =
            |ratio: Ratio| format!("{:.3} [{:.3}, {:.3}]", ratio.median, ratio.low, ratio.high);
        let verdict = match change.verdict {
            Difference::Higher => "higher",
            Difference::Lower => "lower",
            Difference::NoneShown => "no difference shown",
            Difference::NotComparable => "not comparable: fewer than three calm rounds",
        };
        let _ = writeln!(
            text,
            "  {:<16} {} -> {}  {verdict}",
            change.figure,
            ratio(change.before),
            ratio(change.after)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_needs_intervals_apart_and_three_rounds() {
        let low = Ratio::of(&[1.0, 1.01, 1.02, 0.99, 1.0], 5);
        let high = Ratio::of(&[1.2, 1.21, 1.19, 1.2, 1.22], 5);
        let wide = Ratio::of(&[0.9, 1.3, 1.0, 1.1, 1.25], 5);
        assert_eq!(low.to(high), Difference::Higher);
        assert_eq!(high.to(low), Difference::Lower);
        assert_eq!(low.to(wide), Difference::NoneShown);
        assert_eq!(
            low.to(Ratio::of(&[1.2, 1.2, 1.2], 2)),
            Difference::NotComparable
        );
    }
}
