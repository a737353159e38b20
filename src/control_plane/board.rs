//! Which bundle of each tenant is served, and who waits for the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OnceCell, watch};

use crate::control_plane::store::sqlite::bundles;
use crate::control_plane::store::{BundleRow, Store, StoreError};
use crate::model::TenantId;

/// A bundle that is served. Its bytes are read once, when somebody asks for them.
#[derive(Debug)]
pub struct Published {
    pub bundle: BundleRow,
    archive: OnceCell<Bytes>,
}

/// The served bundles. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Board {
    tenants: Arc<Mutex<HashMap<TenantId, Slot>>>,
}

type Slot = watch::Sender<Option<Arc<Published>>>;

impl Published {
    /// A bundle whose bytes are still in the store.
    pub fn stored(bundle: BundleRow) -> Self {
        Self {
            bundle,
            archive: OnceCell::new(),
        }
    }

    /// Its entity tag: `"sha256:<hex>"` of the archive.
    pub fn tag(&self) -> String {
        format!("\"sha256:{}\"", self.bundle.sha256)
    }

    /// Its bytes; None where the store has dropped them.
    pub async fn archive(&self, store: &Store) -> Result<Option<Bytes>, StoreError> {
        if let Some(bytes) = self.archive.get() {
            return Ok(Some(bytes.clone()));
        }
        let mut read = store.read().await?;
        let found = bundles::archive(&mut read, &self.bundle.tenant, self.bundle.number).await?;
        Ok(match found {
            None => None,
            Some(bytes) => Some(
                self.archive
                    .get_or_init(|| async { Bytes::from(bytes) })
                    .await
                    .clone(),
            ),
        })
    }
}

impl Board {
    /// Follows a tenant's bundle.
    pub fn follow(&self, tenant: &TenantId) -> watch::Receiver<Option<Arc<Published>>> {
        self.with(tenant, watch::Sender::subscribe)
    }

    /// Serves a bundle and wakes who waits, unless a later one is served already.
    pub fn serve(&self, bundle: BundleRow) {
        let tenant = bundle.tenant.clone();
        let published = Arc::new(Published::stored(bundle));
        self.with(&tenant, |slot| {
            slot.send_if_modified(|current| {
                let newer = current
                    .as_ref()
                    .is_none_or(|current| current.bundle.number < published.bundle.number);
                if newer {
                    *current = Some(published);
                }
                newer
            })
        });
    }

    fn with<T>(&self, tenant: &TenantId, act: impl FnOnce(&Slot) -> T) -> T {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = tenants.get(tenant) {
            return act(slot);
        }
        act(tenants
            .entry(tenant.clone())
            .or_insert_with(|| watch::Sender::new(None)))
    }
}
