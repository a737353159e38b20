//! A bundle in an OCI registry: the tag is resolved at every turn, the layer fetched where its digest is new.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::sidecar::cache::Download;
use crate::sidecar::credentials::RegistryCredentials;
use crate::wire::oci::{Reference, Repository};
use crate::wire::{self, Client, WireError};

use super::conditions::Conditions;
use super::{FetchError, Fetched, http};

/// See the module.
#[derive(Debug)]
pub struct OciSource {
    repository: Repository,
    credentials: RegistryCredentials,
    pub(super) poll: Duration,
}

impl OciSource {
    pub(super) fn new(
        reference: Reference,
        credentials: RegistryCredentials,
        poll: Duration,
        client: &wire::Settings,
        handle: &Handle,
    ) -> Result<Self, WireError> {
        Ok(Self {
            repository: Repository::new(Client::new(client, handle)?, reference),
            credentials,
            poll,
        })
    }

    pub(super) async fn fetch(
        &self,
        conditions: &Conditions,
        download: impl FnOnce() -> Download + Send + 'static,
    ) -> Result<Fetched, FetchError> {
        let credentials = self.credentials.resolve().await?;
        let layer = self.repository.layer(credentials.as_ref()).await?;
        if let Some(confirms_active) = conditions.knows(&layer.digest) {
            return Ok(Fetched::Unchanged { confirms_active });
        }
        let blob = self.repository.blob(&layer, credentials.as_ref()).await?;
        http::receive_whole(blob, layer.digest, download).await
    }
}
