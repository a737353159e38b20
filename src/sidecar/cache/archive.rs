//! An archive on its way in: a download that grows, and the finished bytes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::Mmap;
use tempfile::NamedTempFile;

/// An archive that is being received: into a file of the cache folder, or into memory where there is no usable folder.
#[derive(Debug)]
pub struct Download {
    target: Target,
    written: u64,
    limit: u64,
}

#[derive(Debug)]
enum Target {
    File(NamedTempFile),
    Memory(Vec<u8>),
}

/// Why no archive came of a download.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("the archive is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the downloaded file cannot be read back")]
    Local(#[source] io::Error),
}

/// A received archive. Its bytes are this process's own: nobody edits them in place.
#[derive(Debug)]
pub struct Archive {
    bytes: Bytes,
    /// The temporary file that holds exactly these bytes, until it becomes the cached archive.
    temporary: Mutex<Option<NamedTempFile>>,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Memory(Vec<u8>),
}

impl Download {
    pub(super) const fn into_file(file: NamedTempFile, limit: u64) -> Self {
        Self {
            target: Target::File(file),
            written: 0,
            limit,
        }
    }

    /// Receives into memory, at most `limit` bytes.
    #[must_use]
    pub const fn into_memory(limit: u64) -> Self {
        Self {
            target: Target::Memory(Vec::new()),
            written: 0,
            limit,
        }
    }

    /// How many bytes it takes at most.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Appends a piece. A folder that takes no more (full, read-only) is given up for memory.
    ///
    /// # Errors
    ///
    /// [`DownloadError`]; then the download is over.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), DownloadError> {
        if self.written + piece.len() as u64 > self.limit {
            return Err(DownloadError::TooLarge { limit: self.limit });
        }
        match &mut self.target {
            Target::Memory(bytes) => bytes.extend_from_slice(piece),
            Target::File(file) => {
                if let Err(error) = file.write_all(piece) {
                    tracing::warn!(%error, "the cache folder takes no more, receiving into memory");
                    let mut bytes = self.written_so_far().map_err(DownloadError::Local)?;
                    bytes.extend_from_slice(piece);
                    self.target = Target::Memory(bytes);
                }
            }
        }
        self.written += piece.len() as u64;
        Ok(())
    }

    /// What arrived before the write that failed (which may have written a part of its piece).
    fn written_so_far(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Target::File(file) = &mut self.target {
            file.as_file_mut().rewind()?;
            file.as_file_mut()
                .take(self.written)
                .read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// The finished archive.
    ///
    /// # Errors
    ///
    /// [`DownloadError::Local`] when the file cannot be mapped.
    pub fn finish(self) -> Result<Archive, DownloadError> {
        match self.target {
            Target::Memory(bytes) => Ok(Archive {
                bytes: Bytes::Memory(bytes),
                temporary: Mutex::new(None),
            }),
            Target::File(file) => Ok(Archive {
                bytes: map(file.as_file()).map_err(DownloadError::Local)?,
                temporary: Mutex::new(Some(file)),
            }),
        }
    }
}

impl Archive {
    /// The archive in an open file of the cache folder.
    pub(super) fn mapped(file: &File) -> io::Result<Self> {
        Ok(Self {
            bytes: map(file)?,
            temporary: Mutex::new(None),
        })
    }

    /// Takes the temporary file out, to be renamed; on failure it is put back.
    pub(super) fn temporary(&self) -> MutexGuard<'_, Option<NamedTempFile>> {
        self.temporary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The archive's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Memory(bytes) => bytes,
        }
    }
}

/// Maps a file of the cache folder.
#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe because another process could truncate or edit it. These files lie in a \
              folder of mode 0700 that is ours; every program writes them once, under a temporary name, before it \
              maps or renames them, and replaces them by renaming only, never in place. What a foreign hand \
              changes all the same is refused: the pass that decompresses hashes the very bytes it reads"
)]
fn map(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::Memory(Vec::new()));
    }
    // SAFETY: see the reason above.
    Ok(Bytes::Mapped(unsafe { Mmap::map(file) }?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_bounded() {
        let mut download = Download::into_memory(4);
        download.write(b"abcd").unwrap();
        assert!(matches!(
            download.write(b"e"),
            Err(DownloadError::TooLarge { limit: 4 })
        ));
    }

    #[test]
    fn a_file_is_mapped_once_finished() {
        let mut download = Download::into_file(NamedTempFile::new().unwrap(), 1024);
        download.write(b"archive").unwrap();
        let archive = download.finish().unwrap();
        assert_eq!(archive.bytes(), b"archive");
        assert!(archive.temporary().is_some());
    }

    #[test]
    fn a_folder_that_takes_no_more_is_given_up_for_memory() {
        let full = File::options()
            .read(true)
            .write(true)
            .open("/dev/full")
            .unwrap();
        let file = NamedTempFile::new().unwrap();
        let (_, path) = file.into_parts();
        let mut download = Download::into_file(NamedTempFile::from_parts(full, path), 1024);
        download.write(b"archive").unwrap();
        let archive = download.finish().unwrap();
        assert_eq!(archive.bytes(), b"archive");
        assert!(archive.temporary().is_none());
    }

    #[test]
    fn an_empty_archive_is_no_mapping() {
        let download = Download::into_file(NamedTempFile::new().unwrap(), 1024);
        assert_eq!(download.finish().unwrap().bytes(), b"");
    }
}
