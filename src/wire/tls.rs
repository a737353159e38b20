//! Whom an outgoing TLS connection trusts.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{Settings, WireError};

/// Makes ring the process's TLS provider. Safe to call more than once.
pub fn install_provider() {
    // The error says that a provider is installed already, which is what is wanted.
    drop(ring::default_provider().install_default());
}

pub(super) fn config(settings: &Settings) -> Result<rustls::ClientConfig, WireError> {
    let builder = || {
        rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| WireError::Tls(error.to_string()))
    };
    if let Some(path) = &settings.ca_file {
        return Ok(builder()?
            .with_root_certificates(roots(path)?)
            .with_no_client_auth());
    }
    // An image without certificate files still reaches public hosts.
    let trusting = match builder()?.with_native_roots() {
        Ok(native) => native,
        Err(_) => builder()?.with_webpki_roots(),
    };
    Ok(trusting.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, WireError> {
    let unusable = |why: String| WireError::Tls(format!("`{}`: {why}", path.display()));
    let mut store = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(unusable("holds no certificate in PEM".into()));
    }
    Ok(store)
}
