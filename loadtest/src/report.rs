//! Views of a result: a table on the terminal, a page with curves. The JSON is the result; these only show it.

mod curves;
mod page;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::result::{Figure, RunResult, ScenarioResult, Settings};
use crate::statistics::median;
use crate::verdict::{self, Outcome, Verdict};

/// A scenario's medians over its calm rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub scenario: String,
    pub rounds: usize,
    pub calm: usize,
    pub systems: Vec<SystemSummary>,
    pub missing: BTreeMap<String, String>,
    pub failed: Option<String>,
}

/// One system's medians; null where it has no such figure.
#[derive(Clone, Debug, Serialize)]
pub struct SystemSummary {
    pub name: String,
    pub requests_per_second: f64,
    pub cpu_micros: f64,
    /// CPU per request over the base's.
    pub over_base: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
    pub p999_micros: f64,
    /// P99 from the moment of sending, of what was answered.
    pub service_p99_micros: f64,
    pub failures: u64,
    pub resident_mib: f64,
    /// Resident at the end of the first and of the last round.
    pub resident_from_to_mib: (f64, f64),
}

/// All scenarios' medians.
#[must_use]
pub fn summaries(result: &RunResult) -> Vec<Summary> {
    let each = |scenario| summary(scenario, &result.settings);
    result.scenarios.iter().map(each).collect()
}

fn summary(scenario: &ScenarioResult, settings: &Settings) -> Summary {
    Summary {
        scenario: scenario.name.clone(),
        rounds: scenario.rounds.len(),
        calm: scenario.calm(settings).count(),
        systems: scenario
            .systems()
            .iter()
            .map(|system| system_summary(scenario, settings, system))
            .collect(),
        missing: scenario.missing.clone(),
        failed: scenario.failed.clone(),
    }
}

fn system_summary(scenario: &ScenarioResult, settings: &Settings, name: &str) -> SystemSummary {
    let figure = |figure| median(&scenario.figures(settings, name, figure));
    let mib = |kib: u64| kib as f64 / 1024.0;
    let measured = || {
        scenario
            .rounds
            .iter()
            .filter_map(|round| round.systems.get(name))
    };
    let resident: Vec<f64> = measured().map(|it| mib(it.resident_kib)).collect();
    SystemSummary {
        name: name.to_owned(),
        requests_per_second: figure(Figure::Throughput),
        cpu_micros: figure(Figure::Cpu),
        over_base: median(&scenario.ratios(settings, name, &scenario.base, Figure::Cpu)),
        p50_micros: figure(Figure::P50),
        p99_micros: figure(Figure::P99),
        p999_micros: figure(Figure::P999),
        service_p99_micros: figure(Figure::ServiceP99),
        failures: scenario.failures(name),
        resident_mib: median(&resident),
        resident_from_to_mib: (
            resident.first().copied().unwrap_or(f64::NAN),
            resident.last().copied().unwrap_or(f64::NAN),
        ),
    }
}

/// The terminal's summary: the goals, then each scenario.
#[must_use]
pub fn table(result: &RunResult) -> String {
    let mut text = String::new();
    let machine = &result.machine;
    let _ = writeln!(
        text,
        "{} · {} cores · kernel {} · commit {}",
        machine.cpu, machine.cores, machine.kernel, machine.commit
    );
    for (name, version) in &result.settings.versions {
        let _ = writeln!(text, "{name}: {version}");
    }
    goals_table(&mut text, &verdict::all(result));
    for (scenario, summary) in result.scenarios.iter().zip(summaries(result)) {
        scenario_table(&mut text, scenario, &summary, &result.settings);
    }
    text
}

fn goals_table(text: &mut String, verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        return;
    }
    let title = |verdict: &Verdict| format!("{}: {}", verdict.what, verdict.figure);
    let width = verdicts
        .iter()
        .map(|it| title(it).chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(
        text,
        "\n{:<width$}  {:>14}  {:>8}  {:>16}  verdict",
        "goal", "", "measured", "95 % interval"
    );
    for verdict in verdicts {
        let _ = writeln!(
            text,
            "{:<width$}  {:>14}  {:>8}  {:>16}  {}",
            title(verdict),
            format!("{} {}", verdict.bound, verdict.goal),
            number(verdict.measured, 3),
            if verdict.figure == "errors" {
                String::new()
            } else {
                let (low, high) = verdict.interval;
                format!("{}..{}", number(low, 3), number(high, 3))
            },
            outcome(verdict)
        );
    }
}

/// A verdict in words, with its reason.
fn outcome(verdict: &Verdict) -> String {
    match (&verdict.reason, verdict.outcome) {
        (Some(reason), Outcome::NotMeasurableHere) => {
            format!("{} ({reason})", verdict.outcome.text())
        }
        (_, outcome) => outcome.text().to_owned(),
    }
}

/// A dash where there is no number.
fn number(value: f64, digits: usize) -> String {
    if value.is_finite() {
        format!("{value:.digits$}")
    } else {
        "-".into()
    }
}

fn scenario_table(
    text: &mut String,
    scenario: &ScenarioResult,
    summary: &Summary,
    settings: &Settings,
) {
    let _ = writeln!(text, "\n{}: {}", scenario.name, scenario.question);
    let _ = writeln!(text, "  {}", rounds_line(summary, settings));
    if let Some(failed) = &summary.failed {
        let _ = writeln!(text, "  could not be measured to its end: {failed}");
    }
    if !summary.systems.is_empty() {
        let _ = writeln!(
            text,
            "  {:<12} {:>9} {:>8} {:>7} {:>8} {:>8} {:>9} {:>10} {:>8} {:>8}",
            "system",
            "req/s",
            "CPU us",
            "/ base",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "sent p99",
            "failures",
            "RSS MiB"
        );
    }
    for system in &summary.systems {
        let _ = writeln!(
            text,
            "  {:<12} {:>9} {:>8} {:>7} {:>8} {:>8} {:>9} {:>10} {:>8} {:>8}",
            system.name,
            number(system.requests_per_second, 0),
            number(system.cpu_micros, 2),
            number(system.over_base, 2),
            number(system.p50_micros, 0),
            number(system.p99_micros, 0),
            number(system.p999_micros, 0),
            number(system.service_p99_micros, 0),
            system.failures,
            number(system.resident_mib, 1),
        );
    }
    for line in remarks(scenario, summary, settings) {
        let _ = writeln!(text, "  {line}");
    }
}

/// How many rounds count, and why others do not.
fn rounds_line(summary: &Summary, settings: &Settings) -> String {
    let line = format!(
        "{} of {} rounds count, {} were dropped (steal over {:.0} %, or other processes over {:.0} %)",
        summary.calm,
        summary.rounds,
        summary.rounds - summary.calm,
        settings.steal_limit * 100.0,
        settings.others_limit * 100.0
    );
    if summary.calm == 0 && summary.rounds > 0 {
        format!("{line}: figures of all rounds, which say little")
    } else {
        line
    }
}

/// What else a reader must know: who is missing, and whether the generator kept up.
fn remarks(scenario: &ScenarioResult, summary: &Summary, settings: &Settings) -> Vec<String> {
    let mut lines: Vec<String> = summary
        .missing
        .iter()
        .map(|(peer, reason)| format!("{peer} is missing: {reason}"))
        .collect();
    let busy = median(&verdict::generator_busy(scenario, settings));
    if busy.is_finite() {
        lines.push(if busy > verdict::GENERATOR_LIMIT {
            format!(
                "the generator was the limit (at work {:.0} % of the time): throughput says nothing here",
                busy * 100.0
            )
        } else {
            format!(
                "the generator kept up (at work {:.0} % of the time at most)",
                busy * 100.0
            )
        });
    }
    lines
}

/// Writes the page.
///
/// # Errors
///
/// Where the file cannot be written.
pub fn write_page(result: &RunResult, path: &Path) -> Result<()> {
    std::fs::write(path, page::page(result)).with_context(|| format!("writing {}", path.display()))
}
