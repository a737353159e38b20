//! Tests of the client against servers of this process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn client(ca_file: Option<PathBuf>) -> Client {
    let settings = Settings {
        ca_file,
        ..Settings::default()
    };
    Client::new(&settings, &Handle::current()).unwrap()
}

fn get(url: String) -> Request<Body> {
    Request::get(url).body(empty()).unwrap()
}

/// Answers with the version it was asked in, and the path.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = format!("{:?} {}", request.version(), request.uri().path());
    Ok(Response::new(Full::new(text.into())))
}

async fn plain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer)),
            );
        }
    });
    address
}

/// A server with a certificate for `localhost`, and the certificate's PEM.
async fn encrypted() -> (SocketAddr, String) {
    encrypted_for(None).await
}

/// The same that serves nobody but who shows this certificate.
async fn encrypted_for(only: Option<&rcgen::Certificate>) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match only {
        None => builder.with_no_client_auth(),
        Some(only) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(only.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        }
    });
    (address, made.cert.pem())
}

#[tokio::test]
async fn it_speaks_http_1_in_the_clear_and_http_2_over_tls() {
    let address = plain().await;
    let response = client(None)
        .fetch(get(format!("http://{address}/a")), PATIENCE, 100)
        .await
        .unwrap();
    assert_eq!(response.body(), "HTTP/1.1 /a");

    let (address, pem) = encrypted().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let response = client(Some(file.path().into()))
        .fetch(
            get(format!("https://localhost:{}/b", address.port())),
            PATIENCE,
            100,
        )
        .await
        .unwrap();
    assert_eq!(response.body(), "HTTP/2.0 /b");
}

#[tokio::test]
async fn an_unknown_authority_is_refused_before_anything_is_sent() {
    let (address, _) = encrypted().await;
    let other = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), other.cert.pem()).unwrap();
    let url = format!("https://localhost:{}/", address.port());
    let error = client(Some(file.path().into()))
        .fetch(get(url), PATIENCE, 100)
        .await
        .unwrap_err();
    assert!(error.never_sent(), "{error:?}");
}

#[tokio::test]
async fn certificate_files_without_a_certificate_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for text in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        std::fs::write(file.path(), text).unwrap();
        let settings = Settings {
            ca_file: Some(file.path().into()),
            ..Settings::default()
        };
        assert!(matches!(
            Client::new(&settings, &Handle::current()),
            Err(WireError::Tls(_))
        ));
    }
}

#[tokio::test]
async fn limits_hold() {
    let address = plain().await;
    let url = format!("http://{address}/0123456789");
    let error = client(None).fetch(get(url), PATIENCE, 10).await;
    assert!(matches!(error, Err(WireError::TooLarge(10))));

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let short = Duration::from_millis(50);
    let error = client(None).fetch(get(url), short, 10).await.unwrap_err();
    assert!(matches!(error, WireError::Deadline(_)));
    assert!(!error.never_sent());

    let address = silent.local_addr().unwrap();
    drop(silent);
    let url = format!("http://{address}/");
    let error = client(None).fetch(get(url), PATIENCE, 10).await;
    assert!(error.unwrap_err().never_sent());
}

#[test]
fn a_connection_outlives_the_runtime_that_asked_for_it() {
    let home = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let address = home.block_on(plain());
    let client = Client::new(&Settings::default(), home.handle()).unwrap();
    for _ in 0..2 {
        let passing = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let asked = client.fetch(get(format!("http://{address}/")), PATIENCE, 100);
        assert!(passing.block_on(asked).is_ok());
    }
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_as_its_files_have_it_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let put = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(path("client.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("client.key"), made.signing_key.serialize_pem()).unwrap();
    };
    let wanted = rcgen::generate_simple_self_signed(["client".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["client".into()]).unwrap();
    let (address, authority) = encrypted_for(Some(&wanted.cert)).await;
    std::fs::write(path("ca.pem"), authority).unwrap();
    put(&other);
    let settings = Settings {
        ca_file: Some(path("ca.pem")),
        client: Some(ClientFiles {
            certificates: path("client.pem"),
            key: path("client.key"),
        }),
        pool_max_idle: 0,
        ..Settings::default()
    };
    let client = Client::new(&settings, &Handle::current()).unwrap();
    let url = format!("https://localhost:{}/x", address.port());
    assert!(client.fetch(get(url.clone()), PATIENCE, 100).await.is_err());
    put(&wanted);
    let answer = client.fetch(get(url.clone()), PATIENCE, 100).await.unwrap();
    assert_eq!(answer.body().as_ref(), b"HTTP/2.0 /x");
    std::fs::write(path("client.key"), "garbage").unwrap();
    assert!(matches!(
        Client::new(&settings, &Handle::current()),
        Err(WireError::Tls(_))
    ));
}
