//! `lictor bundle build`: a folder becomes a signed archive; the same arguments give the same bytes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::bundle::{Builder, Limits, PolicyEntry, SigningKey, peek};
use crate::cli::output::Output;
use crate::model::{TenantId, Timestamp};
use crate::policy::canonical;
use crate::server::settings::units::parse_duration;

use super::folder::{self, Folder};
use super::read::{Keys, parse_moment, write_file};

const EXAMPLE: &str = "\
Example:
  lictor bundle build policies --tenant acme --number 12 --issued-at 2026-01-31T12:00:00Z \\
      --key bundle.key.pem -o acme-12.tar.gz";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Folder of policies (*.yaml, *.json), data.json or data.yaml at its path, Rego modules (*.rego)
    folder: PathBuf,
    /// Tenant the bundle is for
    #[arg(long)]
    tenant: TenantId,
    /// Number of the revision: higher than any before for this tenant
    #[arg(long)]
    number: u64,
    /// When it was issued (RFC 3339); also the creation time of its policies
    #[arg(long, value_parser = parse_moment)]
    issued_at: Timestamp,
    /// How long it may decide, for example 7d or 12h
    #[arg(long, value_parser = parse_duration, default_value = "7d")]
    expires_in: Duration,
    /// Label that sidecars may be configured to demand
    #[arg(long, default_value = crate::model::CONSTITUTIONAL_HASH)]
    constitutional_hash: String,
    #[command(flatten)]
    keys: Keys,
    /// Archive to write
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = folder::read(&args.folder, args.tenant.as_str())?;
    if !folder.errors.is_empty() {
        let text = || folder.errors.join("\n");
        args.output
            .print(&json!({ "errors": folder.errors }), text)?;
        return Ok(ExitCode::FAILURE);
    }
    let keys = args.keys.read()?;
    let signing: Vec<&SigningKey> = keys.iter().collect();
    let archive = builder(args, &folder)?
        .build(&signing)
        .context("cannot build the bundle")?;
    let built = peek(&archive, &Limits::default()).context("cannot read what was built")?;
    write_file(&args.out, &archive)?;
    let json = json!({
        "file": args.out,
        "revision": built.claims.revision.to_string(),
        "tenant": built.claims.tenant.as_str(),
        "expires_at": built.claims.expires_at.to_string(),
        "kids": built.kids,
        "policies": built.manifest.policies.len(),
        "files": built.files.len(),
        "bytes": archive.len(),
        "ignored": folder.ignored,
    });
    args.output.print(&json, || {
        let ignored: Vec<_> = folder
            .ignored
            .iter()
            .map(|name| format!("ignored {name}\n"))
            .collect();
        format!(
            "{}built {}: revision {}, {} policies, {} files, {} bytes, signed by {}",
            ignored.concat(),
            args.out.display(),
            built.claims.revision,
            built.manifest.policies.len(),
            built.files.len(),
            archive.len(),
            built.kids.join(", ")
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn builder(args: &Args, folder: &Folder) -> anyhow::Result<Builder> {
    let lifetime = i64::try_from(args.expires_in.as_secs()).unwrap_or(i64::MAX);
    let mut builder = Builder::new(
        args.tenant.clone(),
        args.number,
        args.issued_at,
        args.issued_at.plus_seconds(lifetime),
        args.constitutional_hash.clone(),
    );
    for document in &folder.documents {
        let metadata = &document.metadata;
        let entry = PolicyEntry {
            id: metadata.id,
            name: metadata.name.to_string(),
            kind: document.body.kind().to_owned(),
            version: metadata.version.to_string(),
            status: metadata.status,
            group: metadata.group,
            created_at: args.issued_at,
            changed_at: args.issued_at,
            content_hash: canonical::content_hash(document.json.as_bytes())?,
            path: String::new(),
        };
        builder.policy(entry, document.json.as_bytes().to_vec());
    }
    for (name, bytes) in folder.rego_files()?.into_iter().chain(folder.files.clone()) {
        builder.file(name, bytes);
    }
    Ok(builder)
}
