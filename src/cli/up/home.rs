//! The folder that `up` lives in: private, locked, and removed at exit unless it was asked for.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

/// The folder, locked for as long as this exists.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    _lock: File,
    /// Last, so that the folder is removed after the lock was let go.
    temporary: Option<TempDir>,
}

impl Home {
    /// Makes or takes `folder`; without one, makes a temporary folder.
    pub(super) fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        let (root, temporary) = if let Some(folder) = folder {
            make_private(folder)?;
            (folder.to_owned(), None)
        } else {
            // Made with mode 0700.
            let temporary = tempfile::Builder::new()
                .prefix("lictor-up-")
                .tempdir()
                .context("cannot make a temporary folder: name one with `--data-dir`")?;
            (temporary.path().to_owned(), Some(temporary))
        };
        let lock = lock(&root.join("lock"))?;
        Ok(Self {
            root,
            _lock: lock,
            temporary,
        })
    }

    /// A file or folder in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it goes away at exit.
    pub(super) const fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }
}

/// Makes the folder with mode 0700. One that is there must be private, or empty.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the folder `{shown}`"))?;
    let mode = std::fs::metadata(folder)
        .with_context(|| format!("cannot look at `{shown}`"))?
        .permissions()
        .mode();
    let open_to_others = mode & 0o077;
    if open_to_others == 0 {
        return Ok(());
    }
    let mut entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the folder `{shown}`"))?;
    if entries.next().is_some() {
        bail!(
            "`{shown}` will hold private keys but is open to others: choose another folder, or run `chmod 700` on it"
        );
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
        .with_context(|| format!("cannot make `{shown}` private"))
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open `{shown}`"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another `lictor up` runs on this folder (`{shown}` is locked): stop it, or name another folder with `--data-dir`"
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock `{shown}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_locked() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("a/b");
        let home = Home::open(Some(&folder)).unwrap();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let refused = Home::open(Some(&folder)).unwrap_err().to_string();
        assert!(refused.contains("another `lictor up`"), "{refused}");
        drop(home);
        assert!(!Home::open(Some(&folder)).unwrap().is_temporary());
    }

    #[test]
    fn a_folder_that_others_read_is_refused_unless_it_is_empty() {
        let scratch = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let folder = scratch.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
            folder
        };
        let (empty, full) = (open("empty"), open("full"));
        std::fs::write(full.join("file"), "").unwrap();
        drop(Home::open(Some(&empty)).unwrap());
        let mode = std::fs::metadata(&empty).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(
            Home::open(Some(&full))
                .unwrap_err()
                .to_string()
                .contains("chmod 700")
        );
    }

    #[test]
    fn a_temporary_folder_is_removed() {
        let home = Home::open(None).unwrap();
        let root = home.root().to_owned();
        assert!(home.is_temporary() && root.is_dir());
        drop(home);
        assert!(!root.exists());
    }
}
