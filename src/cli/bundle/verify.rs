//! `lictor bundle verify`: the steps a sidecar takes before it swaps, and every file's hash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::bundle::{self, Claims, Expected, Keyring, Limits, VerifyError};
use crate::cli::folder;
use crate::cli::output::{Output, count};
use crate::model::{TenantId, Timestamp};
use crate::snapshot::load::{self, LoadError};

use super::read::{parse_moment, read_file, read_keyring};

/// Seconds that clocks may differ by.
const CLOCK_SKEW: i64 = 60;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Archive, or the folder of an unpacked bundle
    path: PathBuf,
    /// Keyring file
    #[arg(long, value_name = "FILE")]
    keyring: PathBuf,
    /// Tenant it must be for; default: the one it names
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Constitutional hash it must carry; default: not compared
    #[arg(long)]
    constitutional_hash: Option<String>,
    /// Number it must have at least
    #[arg(long, default_value_t = 0)]
    min_number: u64,
    /// The moment to verify for (RFC 3339); default: now
    #[arg(long, value_parser = parse_moment)]
    at: Option<Timestamp>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// A bundle that held.
struct Verified {
    claims: Claims,
    kids: Vec<String>,
    /// None for an unpacked bundle, which is not compiled.
    policies: Option<usize>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let keyring = read_keyring(&args.keyring)?;
    let outcome = if args.path.is_dir() {
        verify_folder(args, &keyring)?
    } else {
        verify_archive(args, &keyring)?
    };
    match outcome {
        Ok(verified) => {
            args.output
                .print(&report(&verified), || text(&args.path, &verified))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let (step, code) = (error.step.number(), error.code.as_str());
            let json =
                json!({ "verified": false, "step": step, "code": code, "detail": error.detail });
            args.output
                .print(&json, || format!("{}: {error}", args.path.display()))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn verify_archive(args: &Args, keyring: &Keyring) -> anyhow::Result<Result<Verified, LoadError>> {
    let archive = read_file(&args.path)?;
    let limits = Limits::default();
    let check = || {
        let named = || bundle::peek(&archive, &limits).map(|peek| peek.claims.tenant);
        let expected = args.expected(named)?;
        let bundle = bundle::verify(&archive, keyring, &expected, &limits)?;
        let options = load::Options {
            archive: limits,
            decision: crate::engine::Limits::default(),
            hash_files: true,
            now: expected.now,
            source: String::new(),
        };
        let snapshot = load::load(&bundle, &options)?;
        Ok(Verified {
            claims: bundle.claims().clone(),
            kids: bundle.kids(),
            policies: Some(snapshot.policies()),
        })
    };
    Ok(check())
}

fn verify_folder(args: &Args, keyring: &Keyring) -> anyhow::Result<Result<Verified, LoadError>> {
    let mut files = unpacked(&args.path)?;
    let signatures = files
        .remove(".signatures.json")
        .context("there is no `.signatures.json`")?;
    let check = || {
        let manifest = files
            .get(".manifest")
            .map(Vec::as_slice)
            .unwrap_or_default();
        let peek = bundle::peek_unpacked(&signatures, manifest)?;
        let expected = args.expected(|| Ok(peek.claims.tenant))?;
        let claims = bundle::verify_unpacked(&signatures, &files, keyring, &expected)?;
        Ok(Verified {
            claims,
            kids: peek.kids,
            policies: None,
        })
    };
    Ok(check())
}

/// Every file of an unpacked bundle, by name.
pub(super) fn unpacked(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let own = |base: &str| matches!(base, ".manifest" | ".signatures.json");
    let names = folder::list(folder, &|base| !base.starts_with('.') || own(base))?;
    let read = |name: String| Ok((name.clone(), read_file(&folder.join(name))?));
    names.into_iter().map(read).collect()
}

impl Args {
    fn expected(
        &self,
        named: impl FnOnce() -> Result<TenantId, VerifyError>,
    ) -> Result<Expected, VerifyError> {
        let now = || Timestamp::from_unix_nanos(OffsetDateTime::now_utc().unix_timestamp_nanos());
        Ok(Expected {
            tenant: self.tenant.clone().map_or_else(named, Ok)?,
            constitutional_hash: self.constitutional_hash.clone(),
            mark: None,
            running: None,
            min_number: self.min_number,
            now: self.at.unwrap_or_else(now),
            clock_skew: CLOCK_SKEW,
            announced: None,
        })
    }
}

fn report(verified: &Verified) -> Value {
    json!({
        "verified": true,
        "revision": verified.claims.revision.to_string(),
        "tenant": verified.claims.tenant.as_str(),
        "expires_at": verified.claims.expires_at.to_string(),
        "kids": verified.kids,
        "policies": verified.policies,
        "compiled": verified.policies.is_some(),
    })
}

fn text(path: &Path, verified: &Verified) -> String {
    let claims = &verified.claims;
    let compiled = match verified.policies {
        Some(policies) => format!(
            "{} compiled and tested",
            count(policies, "policy", "policies")
        ),
        None => "every file as signed; an unpacked bundle is not compiled".to_owned(),
    };
    format!(
        "{}: revision {} for tenant {}, signed by {}, valid until {}; {compiled}",
        path.display(),
        claims.revision,
        claims.tenant,
        verified.kids.join(", "),
        claims.expires_at,
    )
}
