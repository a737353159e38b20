//! Whom an outgoing TLS connection trusts.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_rustls::ConfigBuilderExt as _;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};

use super::{ClientFiles, Settings, WireError};

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
    let trusting = match &settings.ca_file {
        Some(path) => builder()?.with_root_certificates(roots(path)?),
        // An image without certificate files still reaches public hosts.
        None => match builder()?.with_native_roots() {
            Ok(native) => native,
            Err(_) => builder()?.with_webpki_roots(),
        },
    };
    Ok(match &settings.client {
        None => trusting.with_no_client_auth(),
        Some(files) => trusting.with_client_cert_resolver(Arc::new(Shown::read(files)?)),
    })
}

/// A certificate of ours. Connections are few, and the files may change between them.
#[derive(Debug)]
struct Shown {
    files: ClientFiles,
    /// What was good last.
    last: Mutex<Arc<CertifiedKey>>,
}

impl Shown {
    fn read(files: &ClientFiles) -> Result<Self, WireError> {
        let last = Mutex::new(Arc::new(pair(files)?));
        Ok(Self {
            files: files.clone(),
            last,
        })
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match pair(&self.files) {
            Ok(pair) => *last = Arc::new(pair),
            Err(error) => tracing::warn!(%error, "the client certificate of before is shown"),
        }
        Some(Arc::clone(&last))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn pair(files: &ClientFiles) -> Result<CertifiedKey, WireError> {
    let unusable =
        |path: &Path, why: String| WireError::Tls(format!("`{}`: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&files.certificates, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable(&files.key, error.to_string()))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| unusable(&files.certificates, error.to_string()))
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
