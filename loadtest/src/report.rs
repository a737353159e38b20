//! Views of a result: a table on the terminal, a page with curves. The JSON is the result; these only show it.

mod page;

use std::fmt::Write as _;

use crate::result::{Measurement, RunResult, ScenarioResult};
use crate::statistics::{median, spread};

pub use page::page;

/// Calm pairs that a CPU or throughput figure needs.
const CALM_PAIRS: usize = 10;
/// Calm rounds that a tail needs.
const TAIL_ROUNDS: usize = 5;
/// How far the floor's own tail may wander across rounds before tails say nothing.
const TAIL_SPREAD: f64 = 0.25;
/// A generator busier than this was the limit.
const GENERATOR_LIMIT: f64 = 0.9;

/// The terminal's summary.
#[must_use]
pub fn table(result: &RunResult) -> String {
    let mut text = String::new();
    let machine = &result.machine;
    let _ = writeln!(
        text,
        "{} · {} cores · kernel {} · commit {}",
        machine.cpu, machine.cores, machine.kernel, machine.commit
    );
    for scenario in &result.scenarios {
        scenario_table(&mut text, scenario, result.settings.steal_limit);
    }
    text
}

fn scenario_table(text: &mut String, scenario: &ScenarioResult, steal_limit: f64) {
    let calm = scenario.calm(steal_limit).count();
    let _ = writeln!(text, "\n{}: {}", scenario.name, scenario.question);
    let _ = writeln!(
        text,
        "{} of {} rounds were calm (steal at most {:.0} %)",
        calm,
        scenario.rounds.len(),
        steal_limit * 100.0
    );
    let _ = writeln!(
        text,
        "  {:<10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8}",
        "system", "req/s", "CPU us", "/ floor", "p50 us", "p99 us", "p99.9 us", "errors", "RSS MiB"
    );
    for system in scenario.systems() {
        system_row(text, scenario, &system, steal_limit);
    }
    for (peer, reason) in &scenario.missing {
        let _ = writeln!(text, "  {peer:<10} missing: {reason}");
    }
    for verdict in verdicts(scenario, steal_limit) {
        let _ = writeln!(text, "  {verdict}");
    }
}

fn system_row(text: &mut String, scenario: &ScenarioResult, system: &str, steal_limit: f64) {
    let figure =
        |figure: fn(&Measurement) -> f64| median(&scenario.figures(steal_limit, system, figure));
    let ratio = median(
        &scenario.ratios(steal_limit, system, "floor", |measurement| {
            measurement.cpu_micros_per_request
        }),
    );
    let errors = scenario.figures(1.0, system, |measurement| {
        (measurement.errors + measurement.open_errors) as f64
    });
    let _ = writeln!(
        text,
        "  {:<10} {:>10.0} {:>9.2} {:>9.2} {:>9.0} {:>9.0} {:>9.0} {:>8} {:>8.1}",
        system,
        figure(|measurement| measurement.throughput),
        figure(|measurement| measurement.cpu_micros_per_request),
        ratio,
        figure(|measurement| measurement.micros_at(0.5)),
        figure(|measurement| measurement.micros_at(0.99)),
        figure(|measurement| measurement.micros_at(0.999)),
        errors.iter().sum::<f64>(),
        figure(|measurement| measurement.resident_kib as f64 / 1024.0),
    );
}

/// What can be said about the goals, and what cannot be measured here.
#[must_use]
pub fn verdicts(scenario: &ScenarioResult, steal_limit: f64) -> Vec<String> {
    let mut lines = Vec::new();
    let limited = scenario.figures(steal_limit, "lictor", |measurement| {
        measurement.generator_busy
    });
    if median(&limited) > GENERATOR_LIMIT {
        lines.push(format!(
            "the generator was the limit (busy {:.0} % of its core): throughput says nothing here",
            median(&limited) * 100.0
        ));
    }
    let mut judge = |label: &str,
                     goal: Option<f64>,
                     at_most: bool,
                     ratios: &[f64],
                     measurable: Result<(), String>| {
        let Some(goal) = goal else { return };
        let bound = if at_most { "at most" } else { "at least" };
        let measured = median(ratios);
        let met = if at_most {
            measured <= goal
        } else {
            measured >= goal
        };
        lines.push(if let Err(reason) = measurable {
            format!(
                "{label} {bound} {goal}: not measurable here ({reason}; measured {measured:.3})"
            )
        } else {
            format!(
                "{label} {bound} {goal}: {} ({measured:.3})",
                if met { "met" } else { "NOT met" }
            )
        });
    };
    let cpu = scenario.ratios(steal_limit, "lictor", "floor", |measurement| {
        measurement.cpu_micros_per_request
    });
    let throughput = scenario.ratios(steal_limit, "lictor", "floor", |measurement| {
        measurement.throughput
    });
    let tail = scenario.ratios(steal_limit, "lictor", "floor", |measurement| {
        measurement.micros_at(0.99)
    });
    let enough = || {
        if cpu.len() >= CALM_PAIRS {
            Ok(())
        } else {
            Err(format!("{} calm pairs of {CALM_PAIRS}", cpu.len()))
        }
    };
    let floor_tail = scenario.figures(steal_limit, "floor", |measurement| {
        measurement.micros_at(0.99)
    });
    let steady = if floor_tail.len() < TAIL_ROUNDS {
        Err(format!("{} calm rounds of {TAIL_ROUNDS}", floor_tail.len()))
    } else if spread(&floor_tail) <= TAIL_SPREAD {
        Ok(())
    } else {
        Err(format!(
            "the floor's own P99 wandered by {:.0} %",
            spread(&floor_tail) * 100.0
        ))
    };
    judge(
        "CPU per request over the floor,",
        scenario.goal_cpu,
        true,
        &cpu,
        enough(),
    );
    judge(
        "throughput over the floor,",
        scenario.goal_throughput,
        false,
        &throughput,
        enough(),
    );
    judge(
        "P99 at half of saturation over the floor,",
        scenario.goal_p99,
        true,
        &tail,
        steady,
    );
    lines
}
