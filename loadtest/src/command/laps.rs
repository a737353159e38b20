//! Rounds through all scenarios in turn, until each has enough calm ones or the time is up.
//!
//! Scenarios take turns so that a noisy minute hits all of them, and so that a run that ends early has
//! measured all of them alike. What is measured is stored after every round.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::RunArguments;
use crate::result::{RunResult, ScenarioResult};
use crate::run::{Running, Start};
use crate::scenario::Scenario;

/// Takes over what an earlier run measured.
///
/// # Errors
///
/// Where that was another sidecar, or measured otherwise: its rounds cannot stand beside new ones.
pub fn resume(result: &mut RunResult, earlier: RunResult) -> Result<()> {
    let lictor = |result: &RunResult| result.settings.versions.get(crate::lictor::NAME).cloned();
    if result.machine.commit != earlier.machine.commit || lictor(result) != lictor(&earlier) {
        bail!(
            "the result is of commit {}, this is {}: start anew without --resume",
            earlier.machine.commit,
            result.machine.commit
        );
    }
    let (ours, theirs) = (&mut result.settings, earlier.settings);
    ours.versions = theirs.versions.clone();
    ours.pairs = ours.pairs.max(theirs.pairs);
    if ours.seconds.to_bits() != theirs.seconds.to_bits()
        || (ours.server_core, ours.generator_core) != (theirs.server_core, theirs.generator_core)
    {
        bail!(
            "the result was measured with --seconds {} --server-core {} --generator-core {}: say the same, or start anew without --resume",
            theirs.seconds,
            theirs.server_core,
            theirs.generator_core
        );
    }
    result.scenarios = earlier.scenarios;
    Ok(())
}

/// Measures; true where a scenario could not be measured to its end.
///
/// # Errors
///
/// Where the result cannot be stored.
pub fn run(
    root: &Path,
    arguments: &RunArguments,
    scenarios: &[Scenario],
    result: &mut RunResult,
) -> Result<bool> {
    let minutes = if arguments.quick {
        60.0
    } else {
        arguments.minutes
    };
    let deadline = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let with = Start {
        root,
        lictor: &arguments.lictor,
        server_core: arguments.server_core,
        generator_core: arguments.generator_core,
        peers: !arguments.no_peers && !arguments.quick,
    };
    let progress = Progress::new();
    let mut running = Vec::new();
    for scenario in scenarios {
        let place = place(result, scenario);
        if missing(result, place, arguments.quick) == 0 {
            continue;
        }
        progress.say(&format!("{}: starting", scenario.name));
        match Running::start(scenario.clone(), with) {
            Ok(started) => {
                result.settings.versions.extend(started.versions.clone());
                result.scenarios[place].missing.clone_from(&started.missing);
                result.scenarios[place].failed = None;
                running.push((place, started));
            }
            Err(error) => {
                progress.note(&format!("{}: {error:#}", scenario.name));
                result.scenarios[place].failed = Some(format!("{error:#}"));
            }
        }
    }
    let mut begun = 0;
    while !running.is_empty() {
        let mut done = vec![false; running.len()];
        for index in 0..running.len() {
            if Instant::now() > deadline {
                break;
            }
            progress.update(begun, &running, result, deadline);
            let (place, scenario) = &mut running[index];
            let name = result.scenarios[*place].name.clone();
            let outcome = scenario.round(&result.settings, |system| {
                progress.say(&format!("{name}: {system}"));
            });
            begun += 1;
            let measured = &mut result.scenarios[*place];
            match outcome {
                Ok(round) => measured.rounds.push(round),
                Err(error) => {
                    progress.note(&format!("{name}: {error:#}"));
                    measured.failed = Some(format!("{error:#}"));
                }
            }
            done[index] =
                measured.failed.is_some() || missing(result, *place, arguments.quick) == 0;
            result.store(&arguments.result)?;
        }
        let mut done = done.into_iter();
        running.retain(|_| !done.next().unwrap_or(true));
        if Instant::now() > deadline {
            break;
        }
    }
    progress.finish();
    result.store(&arguments.result)?;
    Ok(result
        .scenarios
        .iter()
        .any(|scenario| scenario.failed.is_some()))
}

/// Rounds that a scenario still needs. A quick run counts all: it is not figures that it is asked for.
fn missing(result: &RunResult, place: usize, quick: bool) -> usize {
    let scenario = &result.scenarios[place];
    let have = if quick {
        scenario.rounds.len()
    } else {
        scenario.calm(&result.settings).count()
    };
    result.settings.pairs.saturating_sub(have)
}

/// Where a scenario's result is, made where it is new.
fn place(result: &mut RunResult, scenario: &Scenario) -> usize {
    let known = result
        .scenarios
        .iter()
        .position(|it| it.name == scenario.name);
    known.unwrap_or_else(|| {
        result.scenarios.push(ScenarioResult {
            name: scenario.name.clone(),
            question: scenario.question.clone(),
            base: scenario.against.name().into(),
            goal: scenario.goal.clone(),
            rounds: Vec::new(),
            missing: std::collections::BTreeMap::new(),
            failed: None,
        });
        result.scenarios.len() - 1
    })
}

/// The bar on standard error.
struct Progress(ProgressBar);

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} rounds {elapsed} {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    fn say(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }

    /// A line that stays.
    fn note(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }

    /// How many rounds there will be, as far as it can be known: what is missing, or what fits into the time.
    fn update(
        &self,
        begun: u64,
        running: &[(usize, Running)],
        result: &RunResult,
        deadline: Instant,
    ) {
        let (mut rounds, mut seconds) = (0.0, 0.0);
        for (place, scenario) in running {
            let missing = missing(result, *place, false) as f64;
            rounds += missing;
            seconds += missing * scenario.round_seconds(result.settings.seconds);
        }
        let left = deadline
            .saturating_duration_since(Instant::now())
            .as_secs_f64();
        let fit = if seconds > left {
            rounds * left / seconds
        } else {
            rounds
        };
        self.0.set_length(begun + fit.ceil().max(1.0) as u64);
        self.0.set_position(begun);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
