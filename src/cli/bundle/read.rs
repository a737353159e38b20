//! Files in and out, bounded and whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::bundle::{Keyring, Limits, SigningKey};
use crate::cli::folder::read_bounded;
use crate::cli::key;
use crate::cli::output::count;
use crate::model::Timestamp;

/// Reads a file of at most the size of an archive.
pub(super) fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let limit = Limits::default().archive_bytes;
    let bytes =
        read_bounded(path, limit).with_context(|| format!("cannot read `{}`", path.display()))?;
    if bytes.len() as u64 > limit {
        bail!("`{}` is larger than {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// Writes a file whole or not at all.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let write = || {
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        anyhow::Ok(())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Reads a keyring file.
pub(super) fn read_keyring(path: &Path) -> anyhow::Result<Keyring> {
    Keyring::parse(&read_file(path)?).with_context(|| format!("cannot use `{}`", path.display()))
}

/// The keys to sign with.
#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    /// Private key file to sign with (PKCS#8 PEM, mode 0600); may be given several times
    #[arg(long = "key", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Key id, one for each key in their order; default: the key's RFC 7638 thumbprint
    #[arg(long = "kid")]
    kids: Vec<String>,
}

impl Keys {
    pub(super) fn read(&self) -> anyhow::Result<Vec<SigningKey>> {
        ensure!(
            self.kids.is_empty() || self.kids.len() == self.files.len(),
            "{} for {}: give each key its own, or none",
            count(self.kids.len(), "key id", "key ids"),
            count(self.files.len(), "key", "keys")
        );
        let kids = self
            .kids
            .iter()
            .map(|kid| Some(kid.as_str()))
            .chain(std::iter::repeat(None));
        self.files
            .iter()
            .zip(kids)
            .map(|(file, kid)| key::read(file, kid))
            .collect()
    }
}

/// For arguments.
pub(super) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| format!("`{text}` is no RFC 3339 time, for example 2026-01-31T12:00:00Z"))
}
