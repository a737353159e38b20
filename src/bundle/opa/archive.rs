//! Step 11 for archives that other tools wrote: any dialect of tar, within limits, nothing but regular files.

use std::collections::HashSet;
use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use super::super::verify::{Limits, VerifyError};
use super::super::{Code, Step};

/// What decompresses without being held against the ratio.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;

/// A file of the archive: its path without leading `/` or `./`.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// All regular files. Directories and links are left out, as OPA does.
pub(super) fn read(archive: &[u8], limits: &Limits) -> Result<Vec<File>, VerifyError> {
    let by_ratio = (archive.len() as u64)
        .saturating_mul(limits.ratio)
        .saturating_add(RATIO_FREE_BYTES);
    let bounded = Bounded {
        inner: MultiGzDecoder::new(archive),
        left: limits.total_bytes.min(by_ratio),
    };
    let mut tar = tar::Archive::new(bounded);
    let mut files = Vec::new();
    let mut names = HashSet::new();
    for entry in tar.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if files.len() == limits.entries {
            return Err(refused("too many files".to_owned()));
        }
        let name = normalised(&entry.path_bytes())?;
        if entry.size() > limits.entry_bytes {
            return Err(refused(format!(
                "`{name}` has {} bytes, at most {}",
                entry.size(),
                limits.entry_bytes
            )));
        }
        if !names.insert(name.clone()) {
            return Err(refused(format!("`{name}` is there twice")));
        }
        // Not reserved ahead: what a header claims is only a claim.
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| broken(&error))?;
        files.push(File { name, bytes });
    }
    Ok(files)
}

fn normalised(path: &[u8]) -> Result<String, VerifyError> {
    let shown = String::from_utf8_lossy(path);
    let fault = |what: &str| refused(format!("the name `{}` {what}", shown.escape_debug()));
    let name = std::str::from_utf8(path).map_err(|_| fault("is not UTF-8"))?;
    let name = name.trim_start_matches("./").trim_start_matches('/');
    if name.is_empty() || name.len() > 4096 {
        return Err(fault("is empty or too long"));
    }
    if name.contains('\\') || name.chars().any(char::is_control) {
        return Err(fault("has a backslash or a control character"));
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(fault("has an empty, `.` or `..` part"));
    }
    Ok(name.to_owned())
}

fn refused(detail: String) -> VerifyError {
    VerifyError::new(Step::Decompression, Code::UnsafeArchive, detail)
}

fn broken(error: &io::Error) -> VerifyError {
    refused(format!("the archive cannot be read: {error}"))
}

/// Ends with an error where more comes than the limit allows.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other("it decompresses to more than the limit in total or by ratio")
        })?;
        Ok(count)
    }
}
