//! What each command does.

mod laps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use crate::machine::{self, Machine};
use crate::result::{RunResult, Settings};
use crate::scenario::{self, Scenario};
use crate::verdict::{self, CALM_PAIRS, Outcome};
use crate::{Form, FormArgument, compare, peers, report, system};

/// The scenarios of the README's table.
const TABLE: [&str; 6] = [
    "validate",
    "access",
    "variant",
    "everything-on",
    "many-policies",
    "swap-storm",
];
/// A goal was not reached.
const NOT_REACHED: u8 = 3;

#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Scenarios, by name; `loadtest list` shows them. Default: those of the README's table.
    scenarios: Vec<String>,
    /// Calm rounds after which a scenario is done; each measures every system once.
    #[arg(long, default_value_t = CALM_PAIRS)]
    pairs: usize,
    /// Seconds per phase of a measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// After this many minutes no further round is begun.
    #[arg(long, default_value_t = 9.5)]
    minutes: f64,
    /// Two short rounds of everything, without peers: does it work? No figure of it says anything.
    #[arg(long, conflicts_with_all = ["pairs", "seconds", "minutes"])]
    quick: bool,
    /// Goes on with the result that is there, where it is of the same sidecar and settings.
    #[arg(long)]
    resume: bool,
    /// The core that servers run on.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core that the generator runs on.
    #[arg(long, default_value_t = 1)]
    generator_core: usize,
    /// Rounds in which the hypervisor took more than this share of the machine do not count.
    #[arg(long, default_value_t = 0.03)]
    steal_limit: f64,
    /// Nor do those in which other processes took more than this share.
    #[arg(long, default_value_t = 0.05)]
    others_limit: f64,
    /// The sidecar to measure.
    #[arg(long, env = "LOADTEST_LICTOR", default_value = "target/release/lictor")]
    lictor: PathBuf,
    /// Leave the peers out.
    #[arg(long)]
    no_peers: bool,
    /// Where the JSON goes; the page lies beside it as `.html`.
    #[arg(long, value_name = "FILE", default_value = "loadtest-result.json")]
    result: PathBuf,
    /// Ends with code 3 where a goal is not reached.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    form: FormArgument,
}

/// Measures.
pub fn run(root: &Path, arguments: &RunArguments) -> Result<ExitCode> {
    if !arguments.lictor.is_file() {
        bail!(
            "there is no sidecar at `{}`: build it with `cargo build --release`, or name it with --lictor",
            arguments.lictor.display()
        );
    }
    if arguments.server_core == arguments.generator_core {
        bail!("server and generator need different cores: --server-core, --generator-core");
    }
    if !(0.01..=600.0).contains(&arguments.seconds) || arguments.pairs == 0 {
        bail!("--seconds is from 0.01 to 600, --pairs at least 1");
    }
    let names: Vec<String> = if arguments.scenarios.is_empty() {
        TABLE.map(String::from).to_vec()
    } else {
        arguments.scenarios.clone()
    };
    let scenarios = names
        .iter()
        .map(|name| Scenario::read(root, name))
        .collect::<Result<Vec<_>>>()?;
    // Read before pinning: a pinned process sees one core.
    let machine = Machine::read(root);
    machine::pin_to(arguments.generator_core)?;
    let mut result = RunResult::new(machine, settings(arguments));
    if arguments.resume && arguments.result.is_file() {
        let earlier = RunResult::read(&arguments.result)?;
        laps::resume(&mut result, earlier)?;
    }
    let failed = laps::run(root, arguments, &scenarios, &mut result)?;
    let code = show(
        &result,
        &arguments.result,
        arguments.form.form,
        arguments.check,
    )?;
    Ok(if failed { ExitCode::FAILURE } else { code })
}

fn settings(arguments: &RunArguments) -> Settings {
    let (pairs, seconds) = if arguments.quick {
        (2, 0.2)
    } else {
        (arguments.pairs, arguments.seconds)
    };
    Settings {
        pairs,
        seconds,
        server_core: arguments.server_core,
        generator_core: arguments.generator_core,
        steal_limit: arguments.steal_limit,
        others_limit: arguments.others_limit,
        versions: BTreeMap::from([(
            crate::lictor::NAME.into(),
            system::version(&arguments.lictor, &["--version"]),
        )]),
    }
}

/// Prints a result, and writes its page beside it.
fn show(result: &RunResult, path: &Path, form: Form, check: bool) -> Result<ExitCode> {
    let page = path.with_extension("html");
    report::write_page(result, &page)?;
    let verdicts = verdict::all(result);
    match form {
        Form::Text => {
            print!("{}", report::table(result));
            println!("\n{} and {}", path.display(), page.display());
        }
        Form::Json => println!(
            "{:#}",
            json!({
                "result": path,
                "page": page,
                "machine": result.machine,
                "verdicts": verdicts,
                "scenarios": report::summaries(result),
            })
        ),
    }
    let missed = |outcome| outcome == Outcome::NotReached;
    if check && verdicts.iter().any(|verdict| missed(verdict.outcome)) {
        return Ok(NOT_REACHED.into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Names the scenarios and their questions.
pub fn list(root: &Path, form: Form) -> Result<ExitCode> {
    let scenarios = scenario::names(root)?
        .iter()
        .map(|name| Scenario::read(root, name))
        .collect::<Result<Vec<_>>>()?;
    match form {
        Form::Text => {
            for scenario in scenarios {
                let table = if TABLE.contains(&scenario.name.as_str()) {
                    "*"
                } else {
                    " "
                };
                println!("{table} {:<18} {}", scenario.name, scenario.question);
            }
            println!("\n* of the README's table: what `loadtest run` measures without names");
        }
        Form::Json => {
            let all: Vec<_> = scenarios
                .iter()
                .map(|it| json!({"name": it.name, "question": it.question}))
                .collect();
            println!("{:#}", json!(all));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what changed from one result to another.
pub fn compare(before: &Path, after: &Path, form: Form) -> Result<ExitCode> {
    let changes = compare::changes(&RunResult::read(before)?, &RunResult::read(after)?);
    match form {
        Form::Text => print!("{}", compare::table(&changes)),
        Form::Json => println!("{:#}", json!(changes)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a result again.
pub fn report(path: &Path, check: bool, form: Form) -> Result<ExitCode> {
    show(&RunResult::read(path)?, path, form, check)
}

/// Gets the peers.
pub fn fetch(form: Form) -> Result<ExitCode> {
    let fetched = peers::fetch()?;
    match form {
        Form::Text => {
            for peer in &fetched {
                match (&peer.program, &peer.error) {
                    (Some(program), _) => println!("{}: {}", peer.peer, program.display()),
                    (None, error) => println!(
                        "{}: not to be had here: {}",
                        peer.peer,
                        error.as_deref().unwrap_or_default()
                    ),
                }
            }
        }
        Form::Json => println!("{:#}", json!(fetched)),
    }
    let all = fetched.iter().all(|peer| peer.program.is_some());
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
