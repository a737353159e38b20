//! The last known good bundles of profile `opa`: one archive per source, with a mark that names its digest alone.

use std::fs::File;
use std::io;
use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use crate::bundle::Digest;

use super::{Archive, Cache, MARK_LIMIT, PersistError, failed};

impl Cache {
    /// The cached archive of a source, where its mark names it. A file that is not what the mark says is no archive.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read, or is not what the mark names.
    pub fn part(&self, source: &str) -> Result<Option<Archive>, PersistError> {
        let path = self.part_path(source, "tar.gz");
        let opened = match File::open(&path) {
            Ok(file) => Archive::mapped(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        let archive = opened.map_err(|error| failed("read", &path, error))?;
        let found: Digest = Sha256::digest(archive.bytes()).into();
        if self.part_mark(source).as_deref() == Some(&hex::encode(found)) {
            return Ok(Some(archive));
        }
        let error = io::Error::other("it is not the bundle that its mark names");
        Err(failed("believe", &path, error))
    }

    /// Stores a source's archive and then its mark, under the folder's lock.
    ///
    /// # Errors
    ///
    /// [`PersistError`].
    pub fn persist_part(&self, source: &str, archive: &Archive) -> Result<(), PersistError> {
        let _lock = self.lock()?;
        let digest: Digest = Sha256::digest(archive.bytes()).into();
        let mark = hex::encode(digest);
        if self.part_mark(source).as_ref() == Some(&mark) && self.part(source).is_ok() {
            return Ok(());
        }
        let path = self.part_path(source, "tar.gz");
        self.store_archive_at(archive, &path)?;
        self.store_text_at(mark.as_bytes(), &self.part_path(source, "mark"))
    }

    fn part_mark(&self, source: &str) -> Option<String> {
        let mut text = String::new();
        let file = File::open(self.part_path(source, "mark")).ok()?;
        file.take(MARK_LIMIT).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Names are hashed: a source's name may hold what a file's must not.
    fn part_path(&self, source: &str, extension: &str) -> std::path::PathBuf {
        let digest: Digest = Sha256::digest(source.as_bytes()).into();
        let name = hex::encode(digest.get(..8).unwrap_or_default());
        self.dir().join(format!("opa-{name}.{extension}"))
    }
}
