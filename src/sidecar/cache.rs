//! The last known good on disk: one archive and one mark per tenant, written by every process of the folder
//! under one lock, archive first, mark second. The folder is 0700; what it holds is not trusted.

mod archive;
mod parts;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::bundle::{Digest, Limits, Mark, peek};
use crate::model::TenantId;
use crate::resilience::failpoint;

pub use archive::{Archive, Download, DownloadError};

/// A mark is a few hundred bytes; more is no mark.
const MARK_LIMIT: u64 = 4096;
const TEMPORARY: &str = ".tmp";
/// Another process holds the lock for as long as one archive takes to write.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// The cache folder of one tenant.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    tenant: TenantId,
    limits: Limits,
}

/// What the mark file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkFile {
    Absent,
    Present(Mark),
    /// An alarm: the folder was tampered with or the disk is broken. Only the source is believed.
    Unreadable(String),
}

/// How a bundle came to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persisted {
    Written,
    /// The mark names this payload and its archive is there.
    AlreadyThere,
}

/// Why a bundle is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// Another process of this folder is further; neither file was touched.
    #[error("another process on this cache folder already reached number {0}")]
    Overtaken(u64),
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// The mark file's JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkText {
    tenant: String,
    number: u64,
    payload: String,
}

/// Held until dropped; another process waits for it.
struct Lock {
    _file: File,
}

impl Cache {
    /// The cache of `tenant` in `dir`. Touches nothing yet.
    #[must_use]
    pub const fn new(dir: PathBuf, tenant: TenantId, limits: Limits) -> Self {
        Self {
            dir,
            tenant,
            limits,
        }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the folder, for its owner alone, and removes what killed processes left behind.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made, or its permissions cannot be narrowed.
    pub fn prepare(&self) -> Result<(), PersistError> {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| failed("create", &self.dir, error))?;
        let narrowed = fs::metadata(&self.dir).and_then(|metadata| {
            if metadata.permissions().mode() & 0o777 == 0o700 {
                return Ok(());
            }
            fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))
        });
        narrowed.map_err(|error| failed("make private", &self.dir, error))?;
        let _lock = self.lock()?;
        self.remove_abandoned()
            .map_err(|error| failed("clean", &self.dir, error))
    }

    /// Starts receiving an archive: into the folder, or into memory where that does not work.
    #[must_use]
    pub fn download(&self) -> Download {
        match self.temporary() {
            Ok(file) => Download::into_file(file, self.limits.archive_bytes),
            Err(error) => {
                tracing::warn!(%error, "no file in the cache folder, receiving into memory");
                Download::into_memory(self.limits.archive_bytes)
            }
        }
    }

    /// The cached archive, if there is one.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be opened.
    pub fn archive(&self) -> Result<Option<Archive>, PersistError> {
        let path = self.archive_path();
        let opened = match File::open(&path) {
            Ok(file) => Archive::mapped(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        let archive = opened.map_err(|error| failed("read", &path, error))?;
        Ok(Some(archive))
    }

    /// The mark.
    #[must_use]
    pub fn mark(&self) -> MarkFile {
        let path = self.mark_path();
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MARK_LIMIT).read_to_end(&mut text));
        match read {
            Ok(_) => self.parse_mark(&text).map_or_else(
                || MarkFile::Unreadable(format!("`{}` holds no mark", path.display())),
                MarkFile::Present,
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => MarkFile::Absent,
            Err(error) => MarkFile::Unreadable(format!("`{}`: {error}", path.display())),
        }
    }

    /// Stores an archive and then its mark, under the folder's lock. Safe to repeat after any failure.
    ///
    /// # Errors
    ///
    /// [`PersistError`].
    pub fn persist(&self, archive: &Archive, mark: &Mark) -> Result<Persisted, PersistError> {
        let _lock = self.lock()?;
        failpoint::hit("cache_locked");
        let digest: Digest = Sha256::digest(archive.bytes()).into();
        let stored = self.archive()?;
        let same_archive = stored
            .as_ref()
            .is_some_and(|stored| Digest::from(Sha256::digest(stored.bytes())) == digest);
        match self.mark() {
            MarkFile::Present(found) if found == *mark && same_archive => {
                return Ok(Persisted::AlreadyThere);
            }
            MarkFile::Present(found) if found.number > mark.number => {
                return Err(PersistError::Overtaken(found.number));
            }
            MarkFile::Present(found) if found.number == mark.number && found != *mark => {
                return Err(PersistError::Overtaken(found.number));
            }
            MarkFile::Absent => self.not_behind(stored.as_ref(), mark)?,
            MarkFile::Present(_) | MarkFile::Unreadable(_) => {}
        }
        if !same_archive {
            self.store_archive(archive)?;
        }
        self.store_mark(mark)?;
        Ok(Persisted::Written)
    }

    /// A missing mark beside an archive means that archive's number.
    fn not_behind(&self, stored: Option<&Archive>, mark: &Mark) -> Result<(), PersistError> {
        let number = stored
            .and_then(|stored| peek(stored.bytes(), &self.limits).ok())
            .filter(|found| found.claims.tenant == self.tenant)
            .map_or(0, |found| found.claims.number);
        if number > mark.number {
            return Err(PersistError::Overtaken(number));
        }
        Ok(())
    }

    fn store_archive(&self, archive: &Archive) -> Result<(), PersistError> {
        self.store_archive_at(archive, &self.archive_path())
    }

    fn store_archive_at(&self, archive: &Archive, path: &Path) -> Result<(), PersistError> {
        let temporary = match archive.temporary().take() {
            Some(file) => file,
            None => self.written(archive.bytes(), path)?,
        };
        if let Err(error) = temporary.as_file().sync_all() {
            *archive.temporary() = Some(temporary);
            return Err(failed("write", path, error));
        }
        failpoint::hit("archive_temp_written");
        if let Err(error) = temporary.persist(path) {
            *archive.temporary() = Some(error.file);
            return Err(failed("rename to", path, error.error));
        }
        self.sync_dir()?;
        failpoint::hit("archive_renamed");
        Ok(())
    }

    fn store_mark(&self, mark: &Mark) -> Result<(), PersistError> {
        let path = self.mark_path();
        let text = serde_json::to_vec(&MarkText {
            tenant: mark.tenant.to_string(),
            number: mark.number,
            payload: hex::encode(mark.payload),
        })
        .map_err(|error| failed("write", &path, error.into()))?;
        self.store_text_at(&text, &path)
    }

    fn store_text_at(&self, text: &[u8], path: &Path) -> Result<(), PersistError> {
        let temporary = self.written(text, path)?;
        let synced = temporary.as_file().sync_all();
        synced.map_err(|error| failed("write", path, error))?;
        failpoint::hit("mark_temp_written");
        let renamed = temporary.persist(path);
        renamed.map_err(|error| failed("rename to", path, error.error))?;
        self.sync_dir()?;
        failpoint::hit("mark_renamed");
        Ok(())
    }

    fn parse_mark(&self, text: &[u8]) -> Option<Mark> {
        let text: MarkText = serde_json::from_slice(text).ok()?;
        let mut payload = [0; 32];
        hex::decode_to_slice(text.payload, &mut payload).ok()?;
        let tenant: TenantId = text.tenant.parse().ok()?;
        (tenant == self.tenant && text.number > 0).then_some(Mark {
            tenant,
            number: text.number,
            payload,
        })
    }

    /// A file of ours beside its target, with this content.
    fn written(&self, content: &[u8], target: &Path) -> Result<NamedTempFile, PersistError> {
        let written = self.named_temporary().and_then(|mut file| {
            file.write_all(content)?;
            Ok(file)
        });
        written.map_err(|error| failed("write", target, error))
    }

    /// A temporary file that its own lock protects against [`Cache::prepare`] of another process. Made under the
    /// folder's lock: between its making and its locking nobody may take it for abandoned.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let _lock = self.lock().map_err(io::Error::other)?;
        self.named_temporary()
    }

    fn named_temporary(&self) -> io::Result<NamedTempFile> {
        let file = tempfile::Builder::new()
            .prefix(".")
            .suffix(TEMPORARY)
            .tempfile_in(&self.dir)?;
        file.as_file().lock()?;
        Ok(file)
    }

    fn remove_abandoned(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().map(std::ffi::OsStr::to_string_lossy);
            if !name.is_some_and(|name| name.starts_with('.') && name.ends_with(TEMPORARY)) {
                continue;
            }
            let Ok(file) = File::open(&path) else {
                continue; // gone since
            };
            match file.try_lock() {
                Ok(()) => fs::remove_file(&path)?,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn lock(&self) -> Result<Lock, PersistError> {
        let path = self.dir.join("lock");
        let opened = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        let locked = opened.and_then(|file| lock_within(&file, LOCK_DEADLINE).map(|()| file));
        let lock = locked.map(|file| Lock { _file: file });
        lock.map_err(|error| failed("lock", &path, error))
    }

    fn sync_dir(&self) -> Result<(), PersistError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|error| failed("sync", &self.dir, error))
    }

    fn archive_path(&self) -> PathBuf {
        self.dir.join(format!("{}.tar.gz", self.tenant))
    }

    fn mark_path(&self) -> PathBuf {
        self.dir.join(format!("{}.mark", self.tenant))
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> PersistError {
    PersistError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Takes the file's lock, waiting for its holder until the deadline.
fn lock_within(file: &File, deadline: Duration) -> io::Result<()> {
    let end = Instant::now() + deadline;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(LOCK_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => {
                let held = format!("held by another process for {} s", deadline.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, held));
            }
        }
    }
}

#[cfg(test)]
mod tests;
