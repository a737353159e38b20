//! Secrets in files: private keys and tokens. Bounded, never logged, never world-readable when written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A secret file larger than this many bytes is refused.
pub const LIMIT: u64 = 64 * 1024;

/// Why a secret file cannot be used. Never holds any of its content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`{}` is no regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("`{}` has mode {mode:04o}, which lets others read the key: run `chmod 600` on it", path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("`{}` is larger than {LIMIT} bytes, too large for a secret", .0.display())]
    TooLarge(PathBuf),
    #[error("`{}` is empty", .0.display())]
    Empty(PathBuf),
    #[error("`{}` is no UTF-8 text", .0.display())]
    NotText(PathBuf),
}

/// Reads a private key file (at most [`LIMIT`] bytes of UTF-8 text).
///
/// # Errors
///
/// [`SecretError`]; in particular a mode wider than 0600.
pub fn read_private(path: &Path) -> Result<String, SecretError> {
    let file = open(path)?;
    let mode = file
        .metadata()
        .map_err(failed("read", path))?
        .permissions()
        .mode()
        & 0o7777;
    if mode & !0o600 != 0 {
        return Err(SecretError::TooOpen {
            path: path.into(),
            mode,
        });
    }
    read(file, path)
}

/// Reads a token file, without the white space around it. Its mode is not looked at: a platform
/// that mounts tokens into a container chooses it.
///
/// # Errors
///
/// [`SecretError`].
pub fn read_token(path: &Path) -> Result<String, SecretError> {
    let text = read(open(path)?, path)?;
    Ok(text.trim().to_owned())
}

/// Writes a new file with mode 0600 and makes it durable.
///
/// # Errors
///
/// [`SecretError::Io`], also when the file is already there: a secret is never overwritten.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), SecretError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(failed("make durable", path))
}

fn open(path: &Path) -> Result<File, SecretError> {
    // Asked before opening: a named pipe would otherwise wait for its writer.
    if std::fs::metadata(path)
        .map_err(failed("read", path))?
        .is_file()
    {
        File::open(path).map_err(failed("read", path))
    } else {
        Err(SecretError::NotAFile(path.into()))
    }
}

fn read(file: File, path: &Path) -> Result<String, SecretError> {
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    if bytes.len() as u64 > LIMIT {
        return Err(SecretError::TooLarge(path.into()));
    }
    let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(path.into()))?;
    if text.trim().is_empty() {
        return Err(SecretError::Empty(path.into()));
    }
    Ok(text)
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> SecretError + use<'a> {
    move |source| SecretError::Io {
        action,
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_secret_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write_new(&path, b"secret\n").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        assert_eq!(read_private(&path).unwrap(), "secret\n");
        assert!(matches!(
            write_new(&path, b"other"),
            Err(SecretError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists
        ));
        assert_eq!(read_token(&path).unwrap(), "secret");
    }

    #[test]
    fn a_private_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o700, 0o644] {
            let path = folder.path().join(format!("{mode:o}"));
            std::fs::write(&path, "key").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read_private(&path).unwrap_err();
            assert!(matches!(error, SecretError::TooOpen { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("chmod 600"));
            assert_eq!(read_token(&path).unwrap(), "key");
        }
    }

    #[test]
    fn what_is_no_bounded_text_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_token(folder.path()),
            Err(SecretError::NotAFile(_))
        ));
        let path = folder.path().join("file");
        assert!(matches!(read_token(&path), Err(SecretError::Io { .. })));
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(read_token(&path), Err(SecretError::Empty(_))));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read_token(&path), Err(SecretError::NotText(_))));
        std::fs::write(&path, vec![b'a'; LIMIT as usize + 1]).unwrap();
        assert!(matches!(read_token(&path), Err(SecretError::TooLarge(_))));
    }
}
