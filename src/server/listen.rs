//! Sockets that are bound before anything is spawned: TCP and Unix (mode 0600).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Where a listener is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// With the real port.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Bound {
    /// Whether only this machine can connect.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The TCP address.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`: {}", explain(source))]
pub struct BindError {
    pub address: String,
    #[source]
    pub source: io::Error,
}

fn explain(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        "another process listens there".to_owned()
    } else {
        error.to_string()
    }
}

#[derive(Debug)]
enum Socketed {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A bound socket, not accepting yet.
#[derive(Debug)]
pub struct Listener {
    socket: Socketed,
    bound: Bound,
}

impl Listener {
    /// Binds a TCP address; port 0 = any free one.
    ///
    /// # Errors
    ///
    /// When it cannot be bound.
    pub fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || -> io::Result<TcpListener> {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        let failed = |source| BindError {
            address: address.to_string(),
            source,
        };
        let listener = bind().map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            socket: Socketed::Tcp(listener),
            bound: Bound::Tcp(address),
        })
    }

    /// Binds a Unix socket that only its owner may use. A socket file that nobody listens on is replaced.
    ///
    /// # Errors
    ///
    /// When somebody listens there, or something else is in the way.
    pub fn unix(path: &Path) -> Result<Self, BindError> {
        let listener = bind_unix(path).map_err(|source| BindError {
            address: format!("unix:{}", path.display()),
            source,
        })?;
        Ok(Self {
            socket: Socketed::Unix(listener),
            bound: Bound::Unix(path.to_owned()),
        })
    }

    /// Where it is bound.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// A second handle on the same socket, for another thread.
    ///
    /// # Errors
    ///
    /// When the process has no file descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let socket = match &self.socket {
            Socketed::Tcp(listener) => Socketed::Tcp(listener.try_clone()?),
            Socketed::Unix(listener) => Socketed::Unix(listener.try_clone()?),
        };
        Ok(Self {
            socket,
            bound: self.bound.clone(),
        })
    }

    /// Ready to accept on the current runtime.
    ///
    /// # Errors
    ///
    /// When the runtime cannot take it.
    pub fn into_tokio(self) -> io::Result<Accepting> {
        Ok(match self.socket {
            Socketed::Tcp(listener) => Accepting::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Socketed::Unix(listener) => {
                Accepting::Unix(tokio::net::UnixListener::from_std(listener)?)
            }
        })
    }
}

/// The socket is made in a private folder, narrowed, and only then moved to its place: nobody can connect to a
/// socket with a wider mode.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt as _;
        if !metadata.file_type().is_socket() || UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new().prefix(".l").tempdir_in(parent)?;
    let temporary = folder.path().join("s");
    let listener = UnixListener::bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    std::fs::rename(&temporary, path)?;
    Ok(listener)
}

/// A socket on a runtime.
#[derive(Debug)]
pub enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Accepting {
    /// The next connection, and who made it where that is an address. An error of one socket is passed over; where the process has no descriptors or memory
    /// left it waits a moment, so that this never ends and never spins.
    pub async fn accept(&self) -> (Stream, Option<SocketAddr>) {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                    let _ = stream.set_nodelay(true);
                    (Stream::Tcp(stream), Some(peer))
                }),
                Self::Unix(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| (Stream::Unix(stream), None)),
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept, waiting");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_named_and_a_busy_one_refused() {
        let first = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.bound().tcp().unwrap();
        assert_ne!(address.port(), 0);
        let error = Listener::tcp(address).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("another process listens there"), "{error}");
    }

    #[test]
    fn a_unix_socket_is_private_and_replaces_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lictor.sock");
        let first = Listener::unix(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(Listener::unix(&path).is_err(), "somebody listens");
        drop(first);
        let second = Listener::unix(&path).unwrap();
        assert!(second.bound().is_local());
        drop(second);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "data").unwrap();
        assert!(Listener::unix(&path).is_err(), "no socket is replaced");
        assert_eq!(std::fs::read(&path).unwrap(), b"data");
    }
}
