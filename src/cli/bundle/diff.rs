//! `lictor bundle diff`: what would change between two bundles. Nothing is verified.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::bundle::{Peek, PolicyEntry};
use crate::cli::output::Output;

use super::inspect::{open, policy};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The older bundle: an archive, or the folder of an unpacked one
    old: PathBuf,
    /// The newer one
    new: PathBuf,
    /// Exit with 1 when anything but the claims differs
    #[arg(long)]
    exit_code: bool,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// What one side has, the other has, or both have differently, by name.
struct Changes<T> {
    added: BTreeMap<String, T>,
    removed: BTreeMap<String, T>,
    changed: BTreeMap<String, (T, T)>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (old, new) = (open(&args.old)?, open(&args.new)?);
    let policies = Changes::between(versions(&old), versions(&new));
    let files = Changes::between(files(&old), files(&new));
    args.output
        .print(&report(&old, &new, &policies, &files), || {
            text(&old, &new, &policies, &files)
        })?;
    let same = policies.is_empty() && files.is_empty();
    Ok(if same || !args.exit_code {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl<T: PartialEq> Changes<T> {
    fn between(old: BTreeMap<String, T>, mut new: BTreeMap<String, T>) -> Self {
        let mut changes = Self {
            added: BTreeMap::new(),
            removed: BTreeMap::new(),
            changed: BTreeMap::new(),
        };
        for (name, before) in old {
            match new.remove(&name) {
                None => {
                    changes.removed.insert(name, before);
                }
                Some(after) if after != before => {
                    changes.changed.insert(name, (before, after));
                }
                Some(_) => {}
            }
        }
        changes.added = new;
        changes
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// What of a policy version can change; its times cannot, they are facts about it.
#[derive(Clone, PartialEq)]
struct Version(PolicyEntry);

/// Every version, by policy name and version.
fn versions(found: &Peek) -> BTreeMap<String, Version> {
    let policies = found.manifest.policies.iter();
    policies
        .map(|entry| {
            let mut compared = entry.clone();
            compared.created_at = crate::model::Timestamp::default();
            compared.changed_at = crate::model::Timestamp::default();
            (
                format!("{} {}", entry.name, entry.version),
                Version(compared),
            )
        })
        .collect()
}

/// Data and Rego modules with their hashes.
fn files(found: &Peek) -> BTreeMap<String, String> {
    let own = |name: &str| name == ".manifest" || name.starts_with("lictor/");
    found
        .files
        .iter()
        .filter(|(name, _)| !own(name))
        .cloned()
        .collect()
}

fn report(old: &Peek, new: &Peek, policies: &Changes<Version>, files: &Changes<String>) -> Value {
    let listed = |versions: &BTreeMap<String, Version>| -> Vec<Value> {
        versions.values().map(shown).collect()
    };
    let changed: Vec<Value> = policies
        .changed
        .values()
        .map(|(before, after)| json!({ "old": shown(before), "new": shown(after) }))
        .collect();
    json!({
        "old": old.claims.revision.to_string(),
        "new": new.claims.revision.to_string(),
        "policies": {
            "added": listed(&policies.added),
            "removed": listed(&policies.removed),
            "changed": changed,
        },
        "files": {
            "added": files.added.keys().collect::<Vec<_>>(),
            "removed": files.removed.keys().collect::<Vec<_>>(),
            "changed": files.changed.keys().collect::<Vec<_>>(),
        },
    })
}

fn shown(version: &Version) -> Value {
    let mut json = policy(&version.0);
    if let Some(members) = json.as_object_mut() {
        members.remove("created_at");
    }
    json
}

/// Writing to a `String` cannot fail.
fn text(old: &Peek, new: &Peek, policies: &Changes<Version>, files: &Changes<String>) -> String {
    let mut text = format!("{} -> {}\n", old.claims.revision, new.claims.revision);
    let described = |version: &Version| {
        let group = version.0.group.map_or("", |group| group.as_str());
        let hash = version.0.content_hash.get(..12).unwrap_or_default();
        format!(
            "{} {} {group} {hash}",
            version.0.kind,
            version.0.status.as_str()
        )
    };
    for (name, version) in &policies.added {
        let _ = writeln!(text, "+ policy {name} ({})", described(version));
    }
    for (name, version) in &policies.removed {
        let _ = writeln!(text, "- policy {name} ({})", described(version));
    }
    for (name, (before, after)) in &policies.changed {
        let _ = writeln!(
            text,
            "~ policy {name} ({} -> {})",
            described(before),
            described(after)
        );
    }
    for (sign, names) in [('+', files.added.keys()), ('-', files.removed.keys())] {
        for name in names {
            let _ = writeln!(text, "{sign} file {name}");
        }
    }
    for name in files.changed.keys() {
        let _ = writeln!(text, "~ file {name}");
    }
    if policies.is_empty() && files.is_empty() {
        text.push_str("same policies, same files\n");
    }
    text
}
