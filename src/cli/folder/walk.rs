//! What lies in a folder, and its files' content within bounds.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Folders inside folders beyond this are refused: a link may lead in a circle.
const MAX_DEPTH: usize = 32;

/// Names of all files below a folder, sorted, with `/` between their parts. Files and folders whose own
/// name `keep` refuses are passed over, and so are pipes and devices; links are followed.
///
/// # Errors
///
/// A folder that cannot be listed or lies too deep, a name that is no UTF-8.
pub(in crate::cli) fn list(
    folder: &Path,
    keep: &dyn Fn(&str) -> bool,
) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    descend(folder, "", 0, keep, &mut names)?;
    names.sort_unstable();
    Ok(names)
}

fn descend(
    folder: &Path,
    prefix: &str,
    depth: usize,
    keep: &dyn Fn(&str) -> bool,
    names: &mut Vec<String>,
) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        bail!(
            "`{}` is nested deeper than {MAX_DEPTH} folders",
            folder.display()
        );
    }
    let cannot_list = || format!("cannot list `{}`", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_list)? {
        let entry = entry.with_context(cannot_list)?;
        let path = entry.path();
        let base = entry.file_name();
        let Some(base) = base.to_str() else {
            bail!("`{}` is no UTF-8 name", path.display());
        };
        if !keep(base) {
            continue;
        }
        let name = format!("{prefix}{base}");
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                descend(&path, &format!("{name}/"), depth + 1, keep, names)?;
            }
            Ok(metadata) if !metadata.is_file() => {}
            // Whoever reads a link that leads nowhere is told so.
            Ok(_) | Err(_) => names.push(name),
        }
    }
    Ok(())
}

/// The file, or one byte more than `limit` bytes of it.
///
/// # Errors
///
/// Those of the file system.
pub(in crate::cli) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
