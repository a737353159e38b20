//! Where bundles come from: an HTTP URL (long-polled) or a local file or folder (watched).
//!
//! A source gives bytes; whether they are a bundle is not its concern.

mod conditions;
mod file;
mod http;
mod oci;

use std::path::PathBuf;
use std::time::Duration;

use ::http::Uri;
use tokio::runtime::Handle;

use crate::bundle::Digest;
use crate::model::TenantId;
use crate::wire::oci::{OciError, Reference};
use crate::wire::{self, Client, WireError};

use super::cache::{Archive, Download, DownloadError};
use super::credentials::{Credentials, CredentialsError, RegistryCredentials};

pub use conditions::Conditions;

/// How often files are looked at.
const FILE_POLL: Duration = Duration::from_secs(1);

/// One source, as configured.
#[derive(Clone, Debug)]
pub struct Settings {
    pub name: String,
    pub location: Location,
    /// Between two fetches of an HTTP source that does not hold requests.
    pub poll: Duration,
    /// Bundles below this number are refused.
    pub min_number: u64,
    /// Profile `opa`: whether its last bundle is kept on disk.
    pub persist: bool,
}

/// Where a source fetches from.
#[derive(Clone, Debug)]
pub enum Location {
    Http {
        /// Absolute, `http` or `https`.
        url: Uri,
        credentials: Credentials,
        client: Box<wire::Settings>,
        /// How long the source may hold a request; zero polls.
        wait: Duration,
        /// Whether a delta bundle may come instead of a whole one.
        takes_deltas: bool,
        /// Sent along to this URL.
        headers: ::http::HeaderMap,
        /// For the head of an answer, beyond `wait`; None = 30 seconds.
        head_deadline: Option<Duration>,
    },
    /// A tag or digest of an OCI registry.
    Oci {
        reference: Reference,
        credentials: RegistryCredentials,
        client: Box<wire::Settings>,
    },
    /// A `.tar.gz` file, or a folder of them: there the highest number of this tenant is taken.
    File { path: PathBuf },
}

/// A source at work.
#[derive(Debug)]
pub enum Source {
    Http(Box<http::HttpSource>),
    Oci(Box<oci::OciSource>),
    File(file::FileSource),
}

/// Whether the source may hold the request until it has something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    No,
    Held,
}

/// What a source had.
#[derive(Debug)]
pub enum Fetched {
    New(Received),
    /// Nothing but what the conditions named.
    Unchanged {
        /// It has the active bundle, as opposed to one that was refused here.
        confirms_active: bool,
    },
}

/// A received archive.
#[derive(Debug)]
pub struct Received {
    pub archive: Archive,
    /// The SHA-256 that the source announced.
    pub announced: Option<Digest>,
    /// The source's entity tag, verbatim.
    pub tag: Option<String>,
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("cannot fetch the bundle")]
    Wire(#[from] WireError),
    #[error(transparent)]
    Registry(#[from] OciError),
    #[error("the source answered with status {0}")]
    Status(u16),
    #[error("the source redirects, and {0}")]
    Redirect(&'static str),
    #[error("the download stalled or took too long")]
    Stalled,
    #[error("the archive is larger than {limit} bytes")]
    TooLarge {
        limit: u64,
        announced: Option<Digest>,
        tag: Option<String>,
    },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("cannot read `{}`", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no bundle of this tenant in `{}`", .0.display())]
    NoBundle(PathBuf),
    #[error("cannot keep what was received")]
    Local(#[source] std::io::Error),
    #[error("receiving failed: {0}")]
    Internal(String),
}

impl Location {
    /// `http` or `file`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Oci { .. } => "oci",
            Self::File { .. } => "file",
        }
    }

    /// For status and logs: without credentials and query.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Http { url, .. } => {
                let scheme = url.scheme_str().unwrap_or("http");
                let host = url.host().unwrap_or_default();
                let port = url.port_u16().map(|port| format!(":{port}"));
                format!(
                    "{scheme}://{host}{}{}",
                    port.unwrap_or_default(),
                    url.path()
                )
            }
            Self::Oci { reference, .. } => reference.to_string(),
            Self::File { path } => path.display().to_string(),
        }
    }
}

impl Source {
    /// A source that has fetched nothing yet; its connections live on `handle`'s runtime.
    ///
    /// # Errors
    ///
    /// [`WireError::Tls`] when the certificate authorities cannot be used.
    pub fn new(settings: &Settings, tenant: &TenantId, handle: &Handle) -> Result<Self, WireError> {
        match &settings.location {
            Location::Http {
                url,
                credentials,
                client,
                wait,
                takes_deltas,
                headers,
                head_deadline,
            } => Ok(Self::Http(Box::new(http::HttpSource {
                client: Client::new(client, handle)?,
                url: url.clone(),
                credentials: credentials.clone(),
                wait: *wait,
                poll: settings.poll,
                takes_deltas: *takes_deltas,
                headers: headers.clone(),
                head_deadline: head_deadline.unwrap_or(http::HEAD_DEADLINE),
            }))),
            Location::Oci {
                reference,
                credentials,
                client,
            } => {
                let source = oci::OciSource::new(
                    reference.clone(),
                    credentials.clone(),
                    settings.poll,
                    client,
                    handle,
                )?;
                Ok(Self::Oci(Box::new(source)))
            }
            Location::File { path } => {
                let source = file::FileSource::new(path.clone(), tenant.clone());
                Ok(Self::File(source))
            }
        }
    }

    /// How long to wait between two fetches.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        match self {
            Self::Http(source) => source.poll,
            Self::Oci(source) => source.poll,
            Self::File(_) => FILE_POLL,
        }
    }

    /// Whether it may hold requests until it has something new.
    #[must_use]
    pub const fn holds(&self) -> bool {
        match self {
            Self::Http(source) => !source.wait.is_zero(),
            Self::Oci(_) | Self::File(_) => false,
        }
    }

    /// Fetches what the conditions do not name. `download` may block; it is called once at most. Safe to cancel.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub async fn fetch(
        &self,
        conditions: Conditions,
        wait: Wait,
        download: impl FnOnce() -> Download + Send + 'static,
    ) -> Result<Fetched, FetchError> {
        match self {
            Self::Http(source) => source.fetch(&conditions, wait, download).await,
            Self::Oci(source) => source.fetch(&conditions, download).await,
            Self::File(source) => {
                let source = source.clone();
                blocking(move || source.fetch(&conditions, download)).await?
            }
        }
    }
}

impl FetchError {
    /// The word in status, metric and log.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Wire(error) | Self::Registry(OciError::Wire(error)) if error.never_sent() => {
                "unreachable"
            }
            Self::Wire(WireError::Deadline(_))
            | Self::Registry(OciError::Wire(WireError::Deadline(_)))
            | Self::Stalled => "timeout",
            Self::Wire(_) | Self::Registry(OciError::Wire(_)) => "interrupted",
            Self::Status(_) | Self::Registry(OciError::Status(..)) => "http_status",
            Self::Redirect(_) | Self::Registry(OciError::Redirect) => "redirect",
            Self::TooLarge { .. } => "too_large",
            Self::Credentials(_) | Self::Registry(OciError::Unauthorized(_)) => "token",
            Self::File { .. } => "unreadable",
            Self::NoBundle(_) | Self::Registry(OciError::Malformed(_) | OciError::NoLayer) => {
                "no_bundle"
            }
            Self::Local(_) => "local",
            Self::Internal(_) => "internal",
        }
    }

    /// The status that the source answered with, where that is what is wrong.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) | Self::Registry(OciError::Status(_, status)) => Some(*status),
            _ => None,
        }
    }

    fn receiving(error: DownloadError, announced: Option<Digest>, tag: Option<&str>) -> Self {
        match error {
            DownloadError::TooLarge { limit } => Self::TooLarge {
                limit,
                announced,
                tag: tag.map(str::to_owned),
            },
            DownloadError::Local(error) => Self::Local(error),
        }
    }
}

/// Runs what touches the disk where it stops nobody else.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, FetchError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| FetchError::Internal(error.to_string()))
}
