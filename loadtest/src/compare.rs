//! Two results side by side, with confidence intervals.

use std::fmt::Write as _;

use crate::result::{Measurement, RunResult};
use crate::statistics::{confidence, median};

type Figure = (&'static str, fn(&Measurement) -> f64);

const FIGURES: [Figure; 3] = [
    ("CPU per request / floor", |measurement| {
        measurement.cpu_micros_per_request
    }),
    ("throughput / floor", |measurement| measurement.throughput),
    ("P99 at half / floor", |measurement| {
        measurement.micros_at(0.99)
    }),
];

/// A table of the sidecar's ratios to the floor in both results; a difference is called real where
/// the 95 % intervals do not overlap.
#[must_use]
pub fn table(before: &RunResult, after: &RunResult) -> String {
    let mut text = String::new();
    for scenario in &after.scenarios {
        let Some(earlier) = before
            .scenarios
            .iter()
            .find(|other| other.name == scenario.name)
        else {
            continue;
        };
        let _ = writeln!(text, "{}", scenario.name);
        for (label, figure) in FIGURES {
            let old = earlier.ratios(before.settings.steal_limit, "lictor", "floor", figure);
            let new = scenario.ratios(after.settings.steal_limit, "lictor", "floor", figure);
            let ((old_low, old_high), (new_low, new_high)) = (confidence(&old), confidence(&new));
            let verdict = if old.is_empty() || new.is_empty() {
                "not measurable: no calm rounds"
            } else if new_low > old_high {
                "higher"
            } else if new_high < old_low {
                "lower"
            } else {
                "no difference shown"
            };
            let _ = writeln!(
                text,
                "  {label:<24} {:.3} [{old_low:.3}, {old_high:.3}] -> {:.3} [{new_low:.3}, {new_high:.3}]  {verdict}",
                median(&old),
                median(&new),
            );
        }
    }
    if text.is_empty() {
        "no scenario is in both results\n".into()
    } else {
        text
    }
}
