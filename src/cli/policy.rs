//! `lictor policy`: the author's loop, from errors with line and column to one decision explained.

mod check;
mod coverage;
mod eval;
mod test;

use std::process::ExitCode;

use super::folder::{self, Folder};
use super::output::Output;
use crate::model::Timestamp;

const EXAMPLES: &str = "\
Examples:
  lictor policy check policies/                    every error at once
  lictor policy test --coverage policies/          run the decision tests
  lictor policy eval --input service.json policies/
  lictor policy eval --kind access --explain --input - policies/ < request.json
  lictor policy schema > lictor.schema.json        for your editor

Exit codes: 0 = in order, 1 = findings, 2 = wrong usage.";

/// The exit code of a command that was given paths or options that make no sense.
const USAGE: u8 = 2;

/// Arguments of `lictor policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check policies: every error with file, line, column and field
    Check(check::Args),
    /// Run the decision tests that stand beside the policies
    Test(test::Args),
    /// Make one decision
    Eval(eval::Args),
    /// Print the JSON Schema of policies, for editors
    Schema,
}

/// Where policies are read from, in every command.
#[derive(Debug, clap::Args)]
struct Sources {
    /// Files and folders of policies
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<std::path::PathBuf>,
    /// The tenant that ids are derived from
    #[arg(long, default_value = "default")]
    tenant: crate::model::TenantId,
}

/// Runs the command.
///
/// # Errors
///
/// When standard output is closed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Schema => {
            Output::Json.print(&crate::policy::schema(), String::new)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Sources {
    /// Reads everything, or says on standard error what makes no sense and gives the exit code.
    fn read(&self) -> Result<Folder, ExitCode> {
        folder::read(&self.paths, self.tenant.as_str()).map_err(|error| usage(&error))
    }
}

/// Reads a moment from the command line.
fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "expected a time such as 2026-01-31T12:00:00Z".to_owned())
}

/// This moment.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_unix_nanos(since.map_or(0, |since| since.as_nanos() as i128))
}

/// Reports wrong usage.
fn usage(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(USAGE)
}
