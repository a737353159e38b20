//! TLS for listeners: certificate and key from PEM files, rustls with ring.

mod spiffe;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio::runtime::Handle;

use super::{FileState, secret};

/// How often files are looked at.
const FILE_POLL: Duration = Duration::from_secs(1);

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

/// The files of a listener's TLS, all PEM. They are read again when they change.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificates: PathBuf,
    pub key: PathBuf,
    /// Where set, a client must show a certificate.
    pub clients: Option<ClientFiles>,
}

/// Which client certificates are believed.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// The authorities that issue them.
    pub authorities: PathBuf,
    /// The SPIFFE trust domain that their one SPIFFE id must be of.
    pub trust_domain: String,
}

/// What a listener needs to speak TLS with one protocol over it (`http/1.1`, `h2`). Its files are watched on
/// `handle`'s runtime for as long as the configuration lives; ones that cannot be used leave the old in force.
///
/// # Errors
///
/// [`TlsError`].
pub fn tls(
    files: TlsFiles,
    protocol: &str,
    handle: &Handle,
) -> Result<Arc<ServerConfig>, TlsError> {
    let seen = states(&files);
    let served = Arc::new(Served(ArcSwap::from_pointee(pair(&files)?)));
    let clients = match &files.clients {
        None => None,
        Some(clients) => Some(Arc::new(Clients {
            current: ArcSwap::from_pointee(client_verifier(clients)?),
            trust_domain: clients.trust_domain.clone(),
        })),
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Pair(error.to_string()))?;
    let builder = match &clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as _),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(&served) as _);
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    // A session must not outlive the certificates that it began under.
    if clients.is_some() {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    let clients = clients.as_ref().map(Arc::downgrade);
    handle.spawn(watch(files, seen, Arc::downgrade(&served), clients));
    Ok(Arc::new(config))
}

/// Reads changed files again until the listener is gone.
async fn watch(
    files: TlsFiles,
    mut seen: Vec<Option<FileState>>,
    served: Weak<Served>,
    clients: Option<Weak<Clients>>,
) {
    loop {
        tokio::time::sleep(FILE_POLL).await;
        let Some(served) = served.upgrade() else {
            return;
        };
        let states = states(&files);
        if states == seen {
            continue;
        }
        seen = states;
        // Both or neither: they may have been issued together.
        let read = pair(&files).and_then(|pair| {
            let verifier = files.clients.as_ref().map(client_verifier);
            Ok((pair, verifier.transpose()?))
        });
        match read {
            Ok((pair, verifier)) => {
                served.0.store(Arc::new(pair));
                let clients = clients.as_ref().and_then(Weak::upgrade);
                if let (Some(clients), Some(verifier)) = (clients, verifier) {
                    clients.current.store(Arc::new(verifier));
                }
                tracing::info!(certificates = %files.certificates.display(), "TLS files are in force");
            }
            Err(error) => tracing::warn!(%error, "TLS files cannot be used, the old ones stay"),
        }
    }
}

fn states(files: &TlsFiles) -> Vec<Option<FileState>> {
    let clients = files.clients.as_ref().map(|clients| &clients.authorities);
    [Some(&files.certificates), Some(&files.key), clients]
        .into_iter()
        .flatten()
        .map(|path| FileState::of(path))
        .collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::Certificate {
        path: path.display().to_string(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(|error| failed(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    if chain.is_empty() {
        return Err(failed("it holds no certificate in PEM".into()));
    }
    Ok(chain)
}

fn pair(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificates)?;
    let failed = |reason: String| TlsError::Key {
        path: files.key.display().to_string(),
        reason,
    };
    let text = secret::read_private(&files.key).map_err(|error| failed(error.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    CertifiedKey::from_der(chain, private, &provider())
        .map_err(|error| TlsError::Pair(error.to_string()))
}

fn client_verifier(files: &ClientFiles) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let failed = |reason: String| TlsError::Certificate {
        path: files.authorities.display().to_string(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.authorities)? {
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| failed(error.to_string()))
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Served(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Verifies clients: a chain to the authorities, and one SPIFFE id of the trust domain.
#[derive(Debug)]
struct Clients {
    current: ArcSwap<Arc<dyn ClientCertVerifier>>,
    trust_domain: String,
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let current = self.current.load();
        let verified = current.verify_client_cert(end_entity, intermediates, now)?;
        match spiffe::id(end_entity) {
            Some(id) if spiffe::trust_domain(&id) == Some(&self.trust_domain) => Ok(verified),
            _ => Err(rustls::CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current
            .load()
            .verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current
            .load()
            .verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().supported_verify_schemes()
    }
}

/// The SPIFFE id of the client at the other end; None where it showed no certificate.
#[must_use]
pub(super) fn peer_id(connection: &rustls::ServerConnection) -> Option<Rc<str>> {
    let certificate = connection.peer_certificates()?.first()?;
    spiffe::id(certificate).map(Rc::from)
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
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let tls = |certificates: &Path, key: &Path| {
            let files = TlsFiles {
                certificates: certificates.into(),
                key: key.into(),
                clients: None,
            };
            super::tls(files, "h2", runtime.handle())
        };
        let chain = write("chain", pair.cert.pem(), 0o644);
        let key = write("key", pair.signing_key.serialize_pem(), 0o600);
        assert_eq!(tls(&chain, &key).unwrap().alpn_protocols, [b"h2"]);
        let wide = write("wide", pair.signing_key.serialize_pem(), 0o644);
        assert!(matches!(tls(&chain, &wide), Err(TlsError::Key { .. })));
        let foreign = write("foreign", other.signing_key.serialize_pem(), 0o600);
        assert!(matches!(tls(&chain, &foreign), Err(TlsError::Pair(_))));
        assert!(matches!(
            tls(&key, &key),
            Err(TlsError::Certificate { .. } | TlsError::Pair(_))
        ));
        let nowhere = folder.path().join("nowhere");
        assert!(matches!(
            tls(&nowhere, &key),
            Err(TlsError::Certificate { .. })
        ));
    }
}
