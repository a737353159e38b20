//! `lictor bundle build`: a folder becomes a signed archive; the same arguments give the same bytes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::bundle::{Builder, Limits, Peek, PolicyEntry, SigningKey, peek};
use crate::cli::folder::{self, Folder};
use crate::cli::output::{Output, count, finding, finding_line};
use crate::model::{TenantId, Timestamp, VersionStatus};
use crate::policy::{Body, PolicyError, canonical};
use crate::server::settings::units::parse_duration;

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
    let folder = folder::read(std::slice::from_ref(&args.folder), args.tenant.as_str())?;
    let builder = match builder(args, &folder) {
        Ok(builder) => builder,
        Err(errors) => {
            let found: Vec<_> = errors.iter().map(finding).collect();
            let lines = || errors.iter().map(|error| finding_line("error", error));
            args.output
                .print(&json!({ "errors": found }), || lines().collect())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let keys = args.keys.read()?;
    let signing: Vec<&SigningKey> = keys.iter().collect();
    let archive = builder.build(&signing).context("cannot build the bundle")?;
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
    args.output
        .print(&json, || text(args, &folder, &built, archive.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn text(args: &Args, folder: &Folder, built: &Peek, bytes: usize) -> String {
    let ignored: Vec<_> = folder
        .ignored
        .iter()
        .map(|name| format!("ignored {name}\n"))
        .collect();
    format!(
        "{}built {}: revision {}, {}, {}, {}, signed by {}",
        ignored.concat(),
        args.out.display(),
        built.claims.revision,
        count(built.manifest.policies.len(), "policy", "policies"),
        count(built.files.len(), "file", "files"),
        count(bytes, "byte", "bytes"),
        built.kids.join(", ")
    )
}

/// The bundle to be, or everything that is wrong with the folder.
fn builder(args: &Args, folder: &Folder) -> Result<Builder, Vec<PolicyError>> {
    let mut errors = folder.errors.clone();
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
        let content_hash = match canonical::content_hash(document.json.as_bytes()) {
            Ok(hash) => hash,
            Err(error) => {
                errors.push(PolicyError {
                    place: document.place.clone(),
                    message: error.to_string(),
                });
                continue;
            }
        };
        let entry = PolicyEntry {
            id: metadata.id,
            name: metadata.name.to_string(),
            kind: document.body.kind().to_owned(),
            version: metadata.version.to_string(),
            status: metadata.status,
            group: metadata.group,
            created_at: args.issued_at,
            changed_at: args.issued_at,
            content_hash,
            path: String::new(),
        };
        builder.policy(entry, document.json.as_bytes().to_vec());
    }
    for (name, bytes) in files(folder, &mut errors) {
        builder.file(name, bytes);
    }
    errors.extend(folder.data().1);
    if errors.is_empty() {
        return Ok(builder);
    }
    errors.sort_by(|left, right| left.place.cmp(&right.place));
    Err(errors)
}

/// Data and Rego modules by name: the folder's, and those that active Rego policies carry.
fn files(folder: &Folder, errors: &mut Vec<PolicyError>) -> BTreeMap<String, Vec<u8>> {
    let kept = folder.modules.iter().chain(&folder.data);
    let mut files: BTreeMap<String, Vec<u8>> = kept
        .map(|file| (file.name.clone(), file.bytes.clone()))
        .collect();
    for document in &folder.documents {
        let Body::Rego(rego) = &document.body else {
            continue;
        };
        if document.metadata.status != VersionStatus::Active {
            continue;
        }
        let modules = rego.modules.iter();
        let modules = modules.map(|(path, text)| (path.clone(), text.clone()));
        let data = rego.data.iter();
        let data = data.map(|data| ("data.json".to_owned(), data.to_string()));
        for (path, text) in modules.chain(data) {
            match files.entry(path) {
                Entry::Vacant(entry) => {
                    entry.insert(text.into_bytes());
                }
                Entry::Occupied(entry) => errors.push(PolicyError {
                    place: document.place.clone(),
                    message: format!("`{}` is there twice", entry.key()),
                }),
            }
        }
    }
    files
}
