//! `lictor bundle`: bundles from a folder of policies, without a control plane.

mod build;
mod diff;
mod inspect;
mod read;
mod registry;
mod sign;
mod verify;

use std::process::ExitCode;

/// Arguments of `lictor bundle`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Build and sign a bundle from a folder of policies, data and Rego modules
    Build(build::Args),
    /// Add signatures to a bundle, or replace them
    Sign(sign::Args),
    /// Take a bundle through every check a sidecar makes, and check every file's hash
    Verify(verify::Args),
    /// Show what a bundle says of itself; nothing is verified
    Inspect(inspect::Args),
    /// Show which policies and files differ between two bundles; nothing is verified
    Diff(diff::Args),
    /// Push a bundle to an OCI registry, where sidecars and OPA pull it
    Push(registry::PushArgs),
    /// Pull a bundle from an OCI registry; nothing is verified
    Pull(registry::PullArgs),
}

/// Runs the command.
///
/// # Errors
///
/// What kept it from being done; a bundle that does not verify is no error but exit code 1.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Build(args) => build::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Push(args) => registry::push(args),
        Command::Pull(args) => registry::pull(args),
    }
}
