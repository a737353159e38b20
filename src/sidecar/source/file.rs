//! A bundle in a local file, or the newest of a folder, watched by looking at the files' metadata.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::bundle::{Digest, Limits, peek};
use crate::model::TenantId;
use crate::server::FileState;
use crate::sidecar::cache::Download;

use super::conditions::Conditions;
use super::{FetchError, Fetched, Received};

/// More files than this in a folder are not looked at.
const MAX_FILES: usize = 10_000;
/// Of a folder's file, what is read to learn its number: a first member at its limit.
const HEAD_LIMIT: u64 = 17 * 1024 * 1024;
const COPY_SIZE: usize = 256 * 1024;

/// See the module. Clones share what they have seen.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    tenant: TenantId,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The file that was read last, and the digest of what it held.
    last: Option<(PathBuf, FileState, Digest)>,
    /// Of a folder's files: the number that each claims; None for what is no bundle of this tenant.
    numbers: HashMap<PathBuf, (FileState, Option<u64>)>,
}

impl FileSource {
    pub(super) fn new(path: PathBuf, tenant: TenantId) -> Self {
        Self {
            path,
            tenant,
            seen: Arc::default(),
        }
    }

    /// Blocks.
    pub(super) fn fetch(
        &self,
        conditions: &Conditions,
        download: impl FnOnce() -> Download,
    ) -> Result<Fetched, FetchError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = fs::metadata(&self.path).map_err(|error| failed(&self.path, error))?;
        let (path, state) = if metadata.is_dir() {
            self.newest(&mut seen)?
        } else {
            (self.path.clone(), FileState::new(&metadata))
        };
        if let Some((last_path, last_state, digest)) = &seen.last
            && *last_path == path
            && *last_state == state
            && let Some(confirms_active) = conditions.knows(digest)
        {
            return Ok(Fetched::Unchanged { confirms_active });
        }
        let (received, digest) = copy(&path, download())?;
        seen.last = Some((path, state, digest));
        match conditions.knows(&digest) {
            Some(confirms_active) => Ok(Fetched::Unchanged { confirms_active }),
            None => Ok(Fetched::New(received)),
        }
    }

    /// The file with the highest number for this tenant; of several, the last by name.
    fn newest(&self, seen: &mut Seen) -> Result<(PathBuf, FileState), FetchError> {
        let mut numbers = HashMap::new();
        let entries = fs::read_dir(&self.path).map_err(|error| failed(&self.path, error))?;
        for entry in entries.take(MAX_FILES) {
            let path = entry.map_err(|error| failed(&self.path, error))?.path();
            let named = path.to_str().is_some_and(|name| name.ends_with(".tar.gz"));
            // A file that is gone again, or cannot be seen, is no candidate.
            let Some(state) = FileState::of(&path).filter(|_| named) else {
                continue;
            };
            let number = match seen.numbers.get(&path) {
                Some((known, number)) if *known == state => *number,
                _ => self.claimed_number(&path),
            };
            numbers.insert(path, (state, number));
        }
        seen.numbers = numbers;
        let newest = seen
            .numbers
            .iter()
            .filter_map(|(path, (state, number))| Some((number.as_ref()?, path, state)))
            .max_by_key(|(number, path, _)| (*number, *path));
        newest
            .map(|(_, path, state)| (path.clone(), *state))
            .ok_or_else(|| FetchError::NoBundle(self.path.clone()))
    }

    /// What the file claims, unverified: only which file is tried depends on it.
    fn claimed_number(&self, path: &Path) -> Option<u64> {
        let mut head = Vec::new();
        let file = File::open(path).ok()?;
        file.take(HEAD_LIMIT).read_to_end(&mut head).ok()?;
        let claims = peek(&head, &Limits::default()).ok()?.claims;
        (claims.tenant == self.tenant).then_some(claims.number)
    }
}

/// Takes a copy: another's file may be edited in place while it is read.
fn copy(path: &Path, mut download: Download) -> Result<(Received, Digest), FetchError> {
    let mut file = File::open(path).map_err(|error| failed(path, error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; COPY_SIZE];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(path, error)),
        };
        hash.update(read);
        let written = download.write(read);
        written.map_err(|error| FetchError::receiving(error, None, None))?;
    }
    let archive = download.finish();
    let received = Received {
        archive: archive.map_err(|error| FetchError::receiving(error, None, None))?,
        announced: None,
        tag: None,
    };
    Ok((received, hash.finalize().into()))
}

fn failed(path: &Path, source: io::Error) -> FetchError {
    FetchError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
