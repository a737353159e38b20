//! The command line: one file per command. Each has its `Args` and a `run`.
//!
//! Exit codes: 0 = done, 1 = failed (or what was checked is not in order), 2 = wrong usage.

mod bundle;
mod completions;
#[cfg(feature = "control-plane")]
mod control_plane;
mod folder;
mod key;
mod output;
mod policy;
mod sidecar;
#[cfg(feature = "control-plane")]
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  lictor up                                  everything in one process, to try it
  lictor up --data-dir ./lictor-data         the same, kept for the next run
  lictor sidecar --config sidecar.yaml       the sidecar of one pod
  lictor control-plane --config plane.yaml   the control plane
  lictor key generate --help                 key pairs and keyrings
  lictor bundle build --help                 signed bundles from a folder of policies
  lictor completions bash > lictor.bash      completion for your shell

`lictor <command> --help` shows the options of a command, with examples.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "lictor",
    version,
    about = "Policy decisions beside the application: a per-pod sidecar and its control plane",
    after_help = EXAMPLES,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a control plane and a sidecar in one process, to try things
    #[cfg(feature = "control-plane")]
    Up(up::Args),
    /// Decide beside the application: the sidecar of one pod
    Sidecar(sidecar::Args),
    /// Keep policies and publish them as signed bundles
    #[cfg(feature = "control-plane")]
    ControlPlane(control_plane::Args),
    /// Build, sign, verify, inspect and compare bundles, without a control plane
    Bundle(bundle::Args),
    /// Make Ed25519 key pairs and keyring entries
    Key(key::Args),
    /// Check, test and try policies
    Policy(policy::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// What kept it from being done, to be shown to the user.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            #[cfg(feature = "control-plane")]
            Command::Up(args) => up::run(&args),
            Command::Sidecar(args) => sidecar::run(&args),
            #[cfg(feature = "control-plane")]
            Command::ControlPlane(args) => control_plane::run(&args),
            Command::Bundle(args) => bundle::run(&args),
            Command::Key(args) => key::run(&args),
            Command::Policy(args) => policy::run(&args),
            Command::Completions(args) => completions::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
