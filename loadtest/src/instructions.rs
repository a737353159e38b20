//! User-space instructions per request, counted by valgrind: the figure that a busy machine does not move.
//!
//! Every system runs twice under `valgrind --tool=callgrind`, with few and with many requests over one kept-alive
//! connection. What the second run took more is what the requests took; start and end cancel out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::generator::{Address, Pace, Plan, PreparedRequest, run as generate};
use crate::lictor;
use crate::scenario::{Protocol, Scenario};
use crate::schedule::Schedule;
use crate::system::{System, on_path};

/// Scenarios that are counted where none is named.
const DEFAULT_SCENARIOS: [&str; 6] = [
    "validate",
    "everything-on",
    "access",
    "variant",
    "ext-authz",
    "rego",
];
/// Requests of the short run: caches are warm and buffers have their size.
const FEW: u64 = 500;
/// How far from its recorded value a count may be.
const TOLERANCE: f64 = 0.03;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Scenarios, by name. Default: validate, everything-on, access, variant, ext-authz, rego.
    scenarios: Vec<String>,
    /// Requests that are counted.
    #[arg(long, default_value_t = 2000)]
    requests: u64,
    /// The sidecar to measure.
    #[arg(long, env = "LOADTEST_LICTOR", default_value = "target/release/lictor")]
    lictor: PathBuf,
    /// Leaves a callgrind file per system in this folder, for `callgrind_annotate`.
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Fails where a count is not within 3 % of the one in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    check: Option<PathBuf>,
    /// Writes the counts into this file, from now on the ones to compare with.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// Instructions per request.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Count {
    floor: u64,
    lictor: u64,
}

type Counts = BTreeMap<String, Count>;

/// Counts, prints, and compares or records.
///
/// # Errors
///
/// Where valgrind is missing, a system does not run under it, or a count is not what was recorded.
pub fn count(root: &Path, arguments: &Arguments) -> Result<()> {
    if on_path("valgrind").is_none() {
        bail!("valgrind is not installed (Debian package `valgrind`)");
    }
    if !arguments.lictor.is_file() {
        bail!(
            "there is no sidecar at `{}`: build it with `cargo build --release`, or name it with --lictor",
            arguments.lictor.display()
        );
    }
    let names = if arguments.scenarios.is_empty() {
        DEFAULT_SCENARIOS.map(String::from).to_vec()
    } else {
        arguments.scenarios.clone()
    };
    let recorded = arguments.check.as_deref().map(read).transpose()?;
    let mut counts = Counts::new();
    println!(
        "{:<16} {:>9} {:>9} {:>11}  instructions a request",
        "scenario", "floor", "lictor", "over floor"
    );
    for name in &names {
        let counted = scenario(&Scenario::read(root, name)?, root, arguments)?;
        println!(
            "{name:<16} {:>9} {:>9} {:>+11}",
            counted.floor,
            counted.lictor,
            counted.lictor as i64 - counted.floor as i64
        );
        counts.insert(name.clone(), counted);
    }
    if let Some(recorded) = recorded {
        compare(&counts, &recorded)?;
    }
    if let Some(file) = &arguments.record {
        let mut all = if file.exists() {
            read(file)?
        } else {
            Counts::new()
        };
        all.append(&mut counts);
        let text = serde_json::to_string_pretty(&all)? + "\n";
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Counts> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))
}

/// Fails on any count that left its band, upwards or downwards: a gain is recorded too.
fn compare(counts: &Counts, recorded: &Counts) -> Result<()> {
    let mut moved = Vec::new();
    for (name, counted) in counts {
        let Some(before) = recorded.get(name) else {
            moved.push(format!("{name}: nothing is recorded"));
            continue;
        };
        let change = counted.lictor as f64 / before.lictor as f64 - 1.0;
        if change.abs() > TOLERANCE {
            moved.push(format!(
                "{name}: {} instead of {} ({:+.1} %)",
                counted.lictor,
                before.lictor,
                change * 100.0
            ));
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    bail!(
        "instructions a request moved: {}; where that is meant, record it with --record and say why in the commit",
        moved.join("; ")
    )
}

fn scenario(scenario: &Scenario, root: &Path, arguments: &Arguments) -> Result<Count> {
    let requests: Rc<[_]> = scenario.prepared();
    let run = |few: u64| -> Result<Count> {
        let scratch = tempfile::tempdir().context("making a scratch folder")?;
        let address = Address::free(scenario.transport, scratch.path().join("floor.sock"))?;
        let program = std::env::current_exe().context("finding this program")?;
        let listen = address.to_string();
        let plain: &[&str] = &["floor", "--listen", &listen];
        let grpc: &[&str] = &["floor", "--grpc", "--listen", &listen];
        let floor = Counted {
            name: "floor",
            program: &program,
            arguments: match scenario.protocol {
                Protocol::Http => plain,
                Protocol::Grpc { .. } => grpc,
            },
            address,
        };
        let prepared = lictor::prepare(root, scenario, &arguments.lictor, scratch.path())?;
        let config = prepared.config.display().to_string();
        let lictor = Counted {
            name: "lictor",
            program: &arguments.lictor,
            arguments: &["sidecar", "--config", &config],
            address: prepared.address.clone(),
        };
        let mut totals = [0; 2];
        for (total, system) in totals.iter_mut().zip([floor, lictor]) {
            let counts = scratch.path().join(format!("{}.callgrind", system.name));
            *total = system.instructions(few, &requests, &counts)?;
            if let Some(folder) = &arguments.profile {
                std::fs::create_dir_all(folder)?;
                let kept = folder.join(format!("{}.{}.callgrind", scenario.name, system.name));
                std::fs::copy(&counts, &kept)
                    .with_context(|| format!("writing {}", kept.display()))?;
            }
        }
        Ok(Count {
            floor: totals[0],
            lictor: totals[1],
        })
    };
    let few = run(FEW)?;
    let many = run(FEW + arguments.requests)?;
    let each = |few: u64, many: u64| many.saturating_sub(few) / arguments.requests.max(1);
    Ok(Count {
        floor: each(few.floor, many.floor),
        lictor: each(few.lictor, many.lictor),
    })
}

/// A server that is run to be counted.
struct Counted<'a> {
    name: &'static str,
    program: &'a Path,
    arguments: &'a [&'a str],
    address: Address,
}

impl Counted<'_> {
    /// All instructions of a life with that many requests.
    fn instructions(
        &self,
        count: u64,
        requests: &Rc<[PreparedRequest]>,
        counts: &Path,
    ) -> Result<u64> {
        let mut command = Command::new("valgrind");
        command
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(self.program)
            .args(self.arguments);
        let log = counts.with_extension("log");
        let system = System::start(self.name, command, self.address.clone(), &requests[0], &log)?;
        let answers = generate(&Plan {
            address: system.address.clone(),
            requests: Rc::clone(requests),
            connections: 1,
            // All are due at once: one after the other as fast as they are answered.
            pace: Pace::Open(Schedule::constant(1e6, Duration::from_micros(count))),
        })?;
        system.terminate()?;
        if answers.answered != count {
            bail!(
                "{} answered {} of {count} requests as expected",
                self.name,
                answers.answered
            );
        }
        total(counts)
    }
}

/// The sum of a callgrind file.
fn total(file: &Path) -> Result<u64> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    text.lines()
        .find_map(|line| {
            let rest = line
                .strip_prefix("totals: ")
                .or_else(|| line.strip_prefix("summary: "))?;
            rest.split(' ').next()?.parse().ok()
        })
        .with_context(|| format!("{} holds no sum", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lictor: u64) -> Counts {
        let count = Count {
            floor: 10_000,
            lictor,
        };
        Counts::from([("validate".to_owned(), count)])
    }

    #[test]
    fn a_count_may_move_by_three_percent_either_way() {
        let recorded = counts(20_000);
        for (now, holds) in [
            (20_000, true),
            (20_590, true),
            (19_410, true),
            (20_610, false),
            (19_390, false),
        ] {
            assert_eq!(compare(&counts(now), &recorded).is_ok(), holds, "{now}");
        }
        let error = compare(&counts(1), &Counts::new()).unwrap_err().to_string();
        assert!(error.contains("nothing is recorded"), "{error}");
    }

    #[test]
    fn the_sum_is_read_from_either_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in [
            "version: 1\nevents: Ir\nsummary: 123\n",
            "fn=(1)\n1 2\ntotals: 123\n",
        ] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(total(file.path()).unwrap(), 123);
        }
        std::fs::write(file.path(), "events: Ir\n").unwrap();
        assert!(total(file.path()).is_err());
    }
}
