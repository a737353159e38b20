//! Certificates made for a test, and clients that show them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::pod::Pod;

/// A certificate authority.
pub struct Authority {
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Shown {
    pub pem: String,
    key_pem: String,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate of these names: of hosts, or URIs.
    pub fn issue(&self, names: &[&str]) -> Shown {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        for name in names {
            params.subject_alt_names.push(if name.contains("://") {
                SanType::URI((*name).try_into().unwrap())
            } else {
                SanType::DnsName((*name).try_into().unwrap())
            });
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Shown {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    /// A client that trusts this authority's servers and shows that certificate.
    pub fn client(&self, shown: Option<&Shown>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let key = PrivateKeyDer::Pkcs8(shown.key.clone().into());
                builder
                    .with_client_auth_cert(vec![shown.der.clone()], key)
                    .unwrap()
            }
        }
    }
}

/// Puts a server's certificate where its configuration looks: `cert.pem` and `key.pem`.
pub fn put_pair(pod: &Pod, shown: &Shown) {
    pod.put_at("key.pem", shown.key_pem.as_bytes());
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(pod.path("key.pem"), mode).unwrap();
    pod.put_at("cert.pem", shown.pem.as_bytes());
}

/// The answer to one HTTP/1.1 request over TLS, or what kept it from being answered.
pub fn exchange(
    address: SocketAddr,
    trusted: &Authority,
    shown: Option<&Shown>,
    request: &str,
) -> Result<String, String> {
    let config = trusted.client(shown);
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    stream
        .write_all(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error.to_string()),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}
