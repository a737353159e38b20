//! `lictor bundle inspect`: what a bundle says of itself. Nothing is verified, and the output says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::bundle::{self, Limits, Peek, PolicyEntry};
use crate::cli::output::Output;
use crate::model::Group;

use super::read::read_file;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Archive, or the folder of an unpacked bundle
    path: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = open(&args.path)?;
    args.output.print(&report(&found), || text(&found))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the claims and the manifest of an archive or of an unpacked bundle.
pub(super) fn open(path: &Path) -> anyhow::Result<Peek> {
    let found = if path.is_dir() {
        let signatures = read_file(&path.join(".signatures.json"))?;
        let manifest = read_file(&path.join(".manifest"))?;
        bundle::peek_unpacked(&signatures, &manifest)
    } else {
        bundle::peek(&read_file(path)?, &Limits::default())
    };
    found.with_context(|| format!("`{}` is no bundle", path.display()))
}

fn report(found: &Peek) -> Value {
    let claims = &found.claims;
    json!({
        "verified": false,
        "claims": {
            "format": claims.format,
            "tenant": claims.tenant.as_str(),
            "number": claims.number,
            "revision": claims.revision.to_string(),
            "issued_at": claims.issued_at.to_string(),
            "expires_at": claims.expires_at.to_string(),
            "constitutional_hash": claims.constitutional_hash,
            "rest_size": claims.rest_size,
            "rest_sha256": hex::encode(claims.rest_sha256),
        },
        "kids": found.kids,
        "roots": found.manifest.roots,
        "policies": found.manifest.policies.iter().map(policy).collect::<Vec<_>>(),
        "files": found.files.iter().map(|(name, hash)| json!({"name": name, "sha256": hash})).collect::<Vec<_>>(),
    })
}

/// A policy version as JSON.
pub(super) fn policy(entry: &PolicyEntry) -> Value {
    json!({
        "id": entry.id.to_string(),
        "name": entry.name,
        "kind": entry.kind,
        "version": entry.version,
        "status": entry.status.as_str(),
        "group": entry.group.map(Group::as_str),
        "created_at": entry.created_at.to_string(),
        "content_hash": entry.content_hash,
    })
}

/// Writing to a `String` cannot fail.
fn text(found: &Peek) -> String {
    let claims = &found.claims;
    let mut text = format!(
        "not verified; this is what the bundle says of itself\n\
         revision  {}\n\
         tenant    {}\n\
         issued    {}\n\
         expires   {}\n\
         hash      {}\n\
         signed by {}\n\
         roots     {}\n\
         policies, in evaluation order:\n",
        claims.revision,
        claims.tenant,
        claims.issued_at,
        claims.expires_at,
        claims.constitutional_hash,
        found.kids.join(", "),
        found
            .manifest
            .roots
            .iter()
            .map(|root| format!("/{root}"))
            .collect::<Vec<_>>()
            .join(", "),
    );
    for entry in &found.manifest.policies {
        let (status, hash) = (
            entry.status.as_str(),
            entry.content_hash.get(..12).unwrap_or_default(),
        );
        let _ = writeln!(
            text,
            "  {} {} ({}, {status}, {hash})",
            entry.name, entry.version, entry.kind
        );
    }
    text.push_str("other files:\n");
    let policies = |name: &str| {
        found
            .manifest
            .policies
            .iter()
            .any(|policy| policy.path == name)
    };
    for (name, hash) in found.files.iter().filter(|(name, _)| !policies(name)) {
        let _ = writeln!(text, "  {name} ({})", hash.get(..12).unwrap_or_default());
    }
    text
}
