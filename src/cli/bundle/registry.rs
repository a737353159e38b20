//! `lictor bundle push` and `pull`: bundles in an OCI registry.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http_body_util::BodyExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::bundle::Limits;
use crate::cli::output::Output;
use crate::server::secret;
use crate::wire::oci::{Credentials, Reference, Repository};
use crate::wire::{self, Client};

use super::read::{read_file, write_file};

/// Between two pieces of a download.
const PIECE_DEADLINE: Duration = Duration::from_secs(30);
/// For a whole download.
const DEADLINE: Duration = Duration::from_mins(10);
/// Between two lines of progress.
const TICK: Duration = Duration::from_millis(100);

/// How far it is, for whoever looks at a terminal: one line on standard error, which is gone at the end.
struct Progress {
    shown: bool,
    next: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            next: Instant::now(),
        }
    }

    fn show(&mut self, what: &str, done: usize, of: u64) {
        let now = Instant::now();
        if self.shown && now >= self.next {
            self.next = now + TICK;
            let percent = done as u64 * 100 / of.max(1);
            // Nobody needs it.
            let _ = write!(
                std::io::stderr(),
                "\r{what}: {percent} % of {of} bytes\x1b[K"
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Which registry, and what opens it.
#[derive(Debug, clap::Args)]
struct Registry {
    /// User of the registry; with --password-file
    #[arg(long, requires = "password_file")]
    username: Option<String>,
    /// File with the password, or without --username with a bearer token
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// PEM of the certificate authorities to trust instead of the platform's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct PushArgs {
    /// Archive to push
    file: PathBuf,
    /// Where to: oci://registry/repository:tag (oci+http:// without TLS)
    reference: Reference,
    #[command(flatten)]
    registry: Registry,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(super) struct PullArgs {
    /// Where from: oci://registry/repository:tag, or @sha256:...
    reference: Reference,
    #[command(flatten)]
    registry: Registry,
    /// Archive to write
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn push(args: &PushArgs) -> anyhow::Result<ExitCode> {
    let archive = read_file(&args.file)?;
    if !archive.starts_with(&[0x1f, 0x8b]) {
        bail!("`{}` is no gzip-compressed archive", args.file.display());
    }
    let size = archive.len();
    let mut progress = Progress::new();
    progress.show("pushing", 0, size as u64);
    let digest = args
        .registry
        .run(&args.reference, async |repository, credentials| {
            repository.push(archive.into(), credentials).await
        })?;
    drop(progress);
    let digest = digest.with_context(|| format!("cannot push to {}", args.reference))?;
    let json = json!({"reference": args.reference.to_string(), "manifest": digest, "bytes": size});
    args.output.print(&json, || {
        format!("pushed {}: {size} bytes, manifest {digest}", args.reference)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn pull(args: &PullArgs) -> anyhow::Result<ExitCode> {
    let limit = Limits::default().archive_bytes;
    let pulled = args
        .registry
        .run(&args.reference, async |repository, credentials| {
            let layer = repository.layer(credentials).await?;
            if layer.size > limit {
                bail!("the layer has {} bytes, at most {limit}", layer.size);
            }
            let mut body = repository.blob(&layer, credentials).await?.into_body();
            let mut archive = Vec::new();
            let mut progress = Progress::new();
            let end = Instant::now() + DEADLINE;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let frame = tokio::time::timeout(left.min(PIECE_DEADLINE), body.frame()).await;
                let Some(frame) = frame.context("the download stalled or took too long")? else {
                    break;
                };
                let frame = frame.context("the download broke off")?;
                progress.show("pulling", archive.len(), layer.size);
                archive.extend_from_slice(frame.data_ref().map_or(&[], |piece| piece));
                if archive.len() as u64 > layer.size {
                    bail!(
                        "the registry sends more than the {} bytes it announced",
                        layer.size
                    );
                }
            }
            let found: [u8; 32] = Sha256::digest(&archive).into();
            if found != layer.digest {
                bail!(
                    "what was received has SHA-256 {}, announced was {}",
                    hex::encode(found),
                    hex::encode(layer.digest)
                );
            }
            Ok(archive)
        })?;
    let archive = pulled.with_context(|| format!("cannot pull {}", args.reference))?;
    write_file(&args.out, &archive)?;
    let digest = hex::encode(Sha256::digest(&archive));
    let json = json!({
        "reference": args.reference.to_string(),
        "file": args.out,
        "sha256": digest,
        "bytes": archive.len(),
    });
    args.output.print(&json, || {
        format!(
            "wrote {}: {} bytes, sha256:{digest}; nothing is verified yet (`lictor bundle verify`)",
            args.out.display(),
            archive.len()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Registry {
    fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        let Some(file) = &self.password_file else {
            return Ok(None);
        };
        let secret = secret::read_token(Path::new(file))?;
        Ok(Some(match &self.username {
            Some(username) => Credentials::Basic {
                username: username.clone(),
                password: secret,
            },
            None => Credentials::Bearer(secret),
        }))
    }

    /// Does `work` on a runtime of its own.
    fn run<T>(
        &self,
        reference: &Reference,
        work: impl AsyncFnOnce(&Repository, Option<&Credentials>) -> T,
    ) -> anyhow::Result<T> {
        wire::install_provider();
        let credentials = self.credentials()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        let settings = wire::Settings {
            ca_file: self.ca_file.clone(),
            ..wire::Settings::default()
        };
        let client = Client::new(&settings, runtime.handle())?;
        let repository = Repository::new(client, reference.clone());
        Ok(runtime.block_on(work(&repository, credentials.as_ref())))
    }
}
