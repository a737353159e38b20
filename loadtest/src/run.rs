//! Runs a scenario: alternating rounds, every system once per round, closed loop and then open loop.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use crate::disturb::Disturber;
use crate::generator::{Pace, Plan, PreparedRequest, run as generate};
use crate::machine::CpuReading;
use crate::recording::{Recording, StoredHistogram};
use crate::result::{Measurement, Round, ScenarioResult, Settings};
use crate::scenario::{Load, Scenario};
use crate::schedule::Schedule;
use crate::system::System;

/// A system with what it is asked.
#[derive(Debug)]
pub struct Subject {
    pub system: System,
    pub requests: Rc<[PreparedRequest]>,
    /// Only the sidecar is disturbed.
    pub disturber: Option<Disturber>,
}

/// Runs all rounds of a scenario over systems that are already running.
///
/// # Errors
///
/// Where a system ends or cannot be reached.
pub fn scenario(
    scenario: &Scenario,
    subjects: &mut [Subject],
    settings: &Settings,
    missing: BTreeMap<String, String>,
    progress: &ProgressBar,
) -> Result<ScenarioResult> {
    let duration = Duration::from_secs_f64(settings.seconds);
    for subject in subjects.iter() {
        measure_closed(subject, scenario.connections, Duration::from_millis(500))
            .with_context(|| format!("warming {} up", subject.system.name))?;
    }
    let count = subjects.len();
    let mut rounds = Vec::with_capacity(settings.rounds);
    for index in 0..settings.rounds {
        let before = CpuReading::now()?;
        let mut systems = BTreeMap::new();
        // The order turns with the rounds, so that no system always follows the same one.
        for turn in 0..count {
            let subject = &mut subjects[(turn + index) % count];
            progress.set_message(format!(
                "{} · round {} · {}",
                scenario.name,
                index + 1,
                subject.system.name
            ));
            let measurement = measure(scenario, subject, duration).with_context(|| {
                format!("measuring {} in {}", subject.system.name, scenario.name)
            })?;
            systems.insert(subject.system.name.clone(), measurement);
            progress.inc(1);
        }
        rounds.push(Round {
            steal: CpuReading::now()?.steal_since(&before),
            systems,
        });
    }
    Ok(ScenarioResult {
        name: scenario.name.clone(),
        question: scenario.question.clone(),
        rounds,
        missing,
        goal_cpu: scenario.goal.cpu,
        goal_throughput: scenario.goal.throughput,
        goal_p99: scenario.goal.p99,
    })
}

fn measure(scenario: &Scenario, subject: &mut Subject, duration: Duration) -> Result<Measurement> {
    let (closed, cpu_micros_per_request) = measure_closed(subject, scenario.connections, duration)?;
    let rate = closed.throughput()
        * match scenario.load {
            Load::Saturation | Load::Soak => 0.5,
            Load::Overload => 3.0,
        };
    let open_for = if scenario.load == Load::Soak {
        duration * 10
    } else {
        duration
    };
    if let Some(disturber) = &mut subject.disturber {
        disturber.start()?;
    }
    // Half of saturation never has more than a few requests under way; overload needs connections to wait on.
    let open = generate(&Plan {
        address: subject.system.address.clone(),
        requests: Rc::clone(&subject.requests),
        connections: scenario.connections
            * if scenario.load == Load::Overload {
                8
            } else {
                1
            },
        pace: Pace::Open(Schedule::constant(rate.max(10.0), open_for)),
    });
    if let Some(disturber) = &mut subject.disturber {
        disturber.stop()?;
    }
    let open = open?;
    Ok(Measurement {
        throughput: closed.throughput(),
        cpu_micros_per_request,
        resident_kib: subject.system.reading()?.resident_kib,
        refused: closed.refused,
        errors: closed.errors,
        generator_busy: closed.generator_busy,
        open_rate: rate,
        open_throughput: open.throughput(),
        open_errors: open.errors,
        open_refused: open.refused,
        late: open.late,
        latencies: StoredHistogram::encode(&open.latencies),
    })
}

fn measure_closed(
    subject: &Subject,
    connections: usize,
    duration: Duration,
) -> Result<(Recording, f64)> {
    let before = subject.system.reading()?.cpu_micros;
    let recording = generate(&Plan {
        address: subject.system.address.clone(),
        requests: Rc::clone(&subject.requests),
        connections,
        pace: Pace::Closed(duration),
    })?;
    let spent = subject.system.reading()?.cpu_micros - before;
    let answers = recording.answered + recording.refused;
    Ok((recording, spent / answers.max(1) as f64))
}

/// Writes the result.
///
/// # Errors
///
/// Where the file cannot be written.
pub fn store(result: &crate::result::RunResult, path: &Path) -> Result<()> {
    let text = serde_json::to_vec_pretty(result)?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
