//! A bundle in an OCI registry: the tag is resolved at every turn, the layer fetched where its digest is new.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::sidecar::cache::Download;
use crate::wire::oci::{Credentials, Reference, Repository};
use crate::wire::{self, Client, WireError};

use super::conditions::Conditions;
use super::{FetchError, Fetched, blocking, http};

/// See the module.
#[derive(Debug)]
pub struct OciSource {
    repository: Repository,
    credentials_file: Option<PathBuf>,
    pub(super) poll: Duration,
}

impl OciSource {
    pub(super) fn new(
        reference: Reference,
        credentials_file: Option<PathBuf>,
        poll: Duration,
        client: &wire::Settings,
        handle: &Handle,
    ) -> Result<Self, WireError> {
        Ok(Self {
            repository: Repository::new(Client::new(client, handle)?, reference),
            credentials_file,
            poll,
        })
    }

    pub(super) async fn fetch(
        &self,
        conditions: &Conditions,
        download: impl FnOnce() -> Download + Send + 'static,
    ) -> Result<Fetched, FetchError> {
        let credentials = self.credentials().await?;
        let layer = self.repository.layer(credentials.as_ref()).await?;
        if let Some(confirms_active) = conditions.knows(&layer.digest) {
            return Ok(Fetched::Unchanged { confirms_active });
        }
        let blob = self.repository.blob(&layer, credentials.as_ref()).await?;
        http::receive_whole(blob, layer.digest, download).await
    }

    async fn credentials(&self) -> Result<Option<Credentials>, FetchError> {
        let Some(path) = self.credentials_file.clone() else {
            return Ok(None);
        };
        let read = blocking(move || credentials(&path).map_err(|detail| (path, detail))).await?;
        read.map(Some)
            .map_err(|(path, detail)| FetchError::Token { path, detail })
    }
}

/// `username:password`, or a token.
fn credentials(path: &Path) -> Result<Credentials, String> {
    let text = http::read_secret(path)?;
    Ok(match text.split_once(':') {
        Some((username, password)) => Credentials::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        },
        None => Credentials::Bearer(text),
    })
}
