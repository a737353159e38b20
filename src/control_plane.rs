//! The control plane: a registry of policies, and the bundles made of them.
//!
//! A write commits a change, its number and a publication job in one transaction; a worker turns the
//! job into a signed bundle, verifies and loads its own output, and only then moves the tenant's pointer.

mod clock;
mod config;
mod registry;
mod store;

use std::net::SocketAddr;

pub use config::{Authentication, BundleKey, Config, Limits, Tls};

/// A control plane whose store is open and whose listener is bound.
#[derive(Debug)]
pub struct ControlPlane {
    address: SocketAddr,
}

/// Why the control plane does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// The configuration cannot be used; says what to change.
    #[error("{0}")]
    Config(String),
}

impl ControlPlane {
    /// Opens the store, reads the keys, binds the listener. Serves nothing yet.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from starting: configuration, keys, the store, the address.
    pub async fn build(_config: Config) -> Result<Self, ControlPlaneError> {
        todo!()
    }

    /// Where it listens (the real port, where the configuration said 0).
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves and publishes until `shutdown` completes, then drains.
    ///
    /// # Errors
    ///
    /// When the listener fails for good.
    pub async fn run(
        self,
        _shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ControlPlaneError> {
        todo!()
    }
}
