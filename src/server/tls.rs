//! TLS for listeners: certificate and key from PEM files, rustls with ring.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::secret;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the certificates in `{path}`: {reason}")]
    Certificate { path: String, reason: String },
    #[error("cannot use the private key in `{path}`: {reason}")]
    Key { path: String, reason: String },
    #[error("certificate and private key cannot be used together: {0}")]
    Pair(String),
}

/// What a listener needs to speak TLS: the chain in `certificates` and its key in `key` (PEM files), and the one
/// protocol that is spoken over it (`http/1.1`, `h2`).
///
/// # Errors
///
/// [`TlsError`].
pub fn tls(certificates: &Path, key: &Path, protocol: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let failed = |reason: String| TlsError::Certificate {
        path: certificates.display().to_string(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .map_err(|error| failed(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    let failed = |reason: String| TlsError::Key {
        path: key.display().to_string(),
        reason,
    };
    let text = secret::read_private(key).map_err(|error| failed(error.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Pair(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| TlsError::Pair(error.to_string()))?;
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_chain_needs_its_own_private_key() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String, mode| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let names = || vec!["localhost".to_owned()];
        let pair = rcgen::generate_simple_self_signed(names()).unwrap();
        let other = rcgen::generate_simple_self_signed(names()).unwrap();
        let chain = write("chain", pair.cert.pem(), 0o644);
        let key = write("key", pair.signing_key.serialize_pem(), 0o600);
        assert_eq!(tls(&chain, &key, "h2").unwrap().alpn_protocols, [b"h2"]);
        let wide = write("wide", pair.signing_key.serialize_pem(), 0o644);
        assert!(matches!(
            tls(&chain, &wide, "h2"),
            Err(TlsError::Key { .. })
        ));
        let foreign = write("foreign", other.signing_key.serialize_pem(), 0o600);
        assert!(matches!(
            tls(&chain, &foreign, "h2"),
            Err(TlsError::Pair(_))
        ));
        assert!(matches!(
            tls(&key, &key, "h2"),
            Err(TlsError::Certificate { .. } | TlsError::Pair(_))
        ));
        let nowhere = folder.path().join("nowhere");
        assert!(matches!(
            tls(&nowhere, &key, "h2"),
            Err(TlsError::Certificate { .. })
        ));
    }
}
