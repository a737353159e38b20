//! The keyring file: read at the start, and again whenever it changes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bundle::{Expected, Keyring, KeyringError, Signer, verify};
use crate::model::Timestamp;
use crate::server::telemetry::with_causes;
use crate::sidecar::status::{KeyReport, KeyringReport};

use super::state::{Active, Again};
use super::{Activator, Profile};

/// Keyring files are at most 1 MiB.
const LIMIT: u64 = 1024 * 1024;

/// A keyring file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeyringError {
    #[error("cannot read the keyring `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot use the keyring `{}`", path.display())]
    Parse { path: PathBuf, source: KeyringError },
}

/// Reads and checks the file.
pub(super) fn read(path: &Path) -> Result<Keyring, ReadKeyringError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut text));
    read.map_err(|source| ReadKeyringError::Read {
        path: path.to_owned(),
        source,
    })?;
    Keyring::parse(&text).map_err(|source| ReadKeyringError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// Shows this keyring as the one in force.
pub(super) fn report(report: &mut KeyringReport, keyring: &Keyring, now: Timestamp) {
    report.loaded_at = now.to_string();
    report.threshold = keyring.threshold;
    report.error = None;
    let shown = keyring.keys.iter().map(|key| KeyReport {
        kid: key.kid.clone(),
        not_before: key.not_before.map(|moment| moment.to_string()),
        not_after: key.not_after.map(|moment| moment.to_string()),
        revoked: key.revoked,
    });
    report.keys = shown.collect();
}

impl Activator {
    /// Takes the file as it is now. A file that cannot be used changes nothing and is shown. Blocks.
    pub(super) fn reload_keyring(&self) {
        let Profile::Lictor { keyring } = &self.settings.profile else {
            return;
        };
        match read(keyring) {
            Ok(keyring) => self.replace_keyring(&Arc::new(keyring)),
            Err(error) => {
                let detail = with_causes(&error);
                tracing::error!(detail, "keyring not reloaded, the old one stays in force");
                self.status
                    .update(|report| report.keyring.error = Some(detail));
            }
        }
    }

    /// The active bundle ends or decides again at once; rejected bundles get another chance.
    fn replace_keyring(&self, keyring: &Arc<Keyring>) {
        let now = self.clock.now();
        loop {
            let before = self.lock().active.clone();
            let trusted = before
                .as_ref()
                .map(|active| self.trust(active, keyring, now));
            let mut state = self.lock();
            let same = state.active.as_ref().map(|active| active.digest)
                == before.as_ref().map(|active| active.digest);
            if !same {
                continue; // another bundle became active meanwhile
            }
            state.keyring = Arc::clone(keyring);
            state.keyring_generation += 1;
            if let (Some(active), Some((signers, until))) = (&mut state.active, trusted) {
                active.signers = signers;
                active.trusted_until = until;
            }
            for source in &mut state.sources {
                source.rejected = None;
                if let Some(held) = &mut source.held
                    && matches!(held.again, Again::KeyringChanged)
                {
                    held.again = Again::At(now);
                }
            }
            break;
        }
        self.status.update(|status| {
            report(&mut status.keyring, keyring, now);
            for source in &mut status.sources {
                source.rejected = None;
            }
        });
        tracing::info!(keys = keyring.keys.len(), "keyring reloaded");
        self.apply_end();
    }

    /// The bundle's signers under this keyring, and the last moment at which enough of them count.
    pub(super) fn trust(
        &self,
        active: &Active,
        keyring: &Keyring,
        now: Timestamp,
    ) -> (Vec<Signer>, Option<Timestamp>) {
        let tenant = &self.settings.tenant;
        let skew = self.settings.clock_skew;
        let until = keyring.valid_until(&active.signers, tenant, now, skew);
        if until.is_some() {
            return (active.signers.clone(), until);
        }
        // A key that did not count before may count now: ask the archive itself.
        let expected = Expected {
            tenant: tenant.clone(),
            constitutional_hash: None,
            mark: None,
            running: None,
            min_number: 0,
            now,
            clock_skew: skew,
            announced: None,
        };
        let bytes = active.archive.bytes();
        match verify(bytes, keyring, &expected, &self.settings.archive_limits) {
            Ok(verified) => {
                let signers = verified.signers().to_vec();
                let until = keyring.valid_until(&signers, tenant, now, skew);
                (signers, until)
            }
            Err(_) => (active.signers.clone(), None),
        }
    }
}
