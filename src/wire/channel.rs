//! A gRPC client's channel over our own connections.

use http::Uri;
use tokio::runtime::Handle;
use tonic::transport::{Channel, Endpoint};

use super::connect::Connector;
use super::{Settings, WireError, tls};

/// A channel to `target`, which is connected to when it is first needed, and again after it was lost. To be called on
/// the runtime that it is used on.
///
/// # Errors
///
/// [`WireError::Tls`] when `ca_file` cannot be read or holds no certificate.
pub fn channel(settings: &Settings, target: Uri, handle: &Handle) -> Result<Channel, WireError> {
    let connector = Connector::new(tls::config(settings)?, settings.connect_timeout, handle);
    Ok(Endpoint::from(target).connect_with_connector_lazy(connector))
}
