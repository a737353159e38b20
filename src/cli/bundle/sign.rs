//! `lictor bundle sign`: further signatures over the same payload, for a threshold or a change of keys.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use crate::bundle::{self, Limits, Previous, SigningKey, peek};
use crate::cli::output::Output;

use super::read::{Keys, read_file, write_file};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Archive to sign
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// Drop the signatures it has
    #[arg(long)]
    replace: bool,
    /// Archive to write; may be the same file
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let archive = read_file(&args.file)?;
    let keys = args.keys.read()?;
    let signing: Vec<&SigningKey> = keys.iter().collect();
    let previous = if args.replace {
        Previous::Replace
    } else {
        Previous::Keep
    };
    let signed = bundle::sign(&archive, previous, &signing)
        .with_context(|| format!("cannot sign `{}`", args.file.display()))?;
    let peek = peek(&signed, &Limits::default()).context("cannot read what was signed")?;
    write_file(&args.out, &signed)?;
    let json = json!({
        "file": args.out,
        "revision": peek.claims.revision.to_string(),
        "kids": peek.kids,
    });
    args.output.print(&json, || {
        format!(
            "wrote {}: revision {}, signed by {}",
            args.out.display(),
            peek.claims.revision,
            peek.kids.join(", ")
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
