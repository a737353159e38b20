//! Connecting on the client's own runtime, within the connect timeout.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tower_service::Service;

use super::BoxError;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Runs hyper's connection tasks on a given runtime.
#[derive(Clone, Debug)]
pub(super) struct OnHandle(pub(super) Handle);

impl<F> hyper::rt::Executor<F> for OnHandle
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Connects on `handle`: a socket belongs to the runtime it was opened on, and the caller's may
/// end, or be busy, while the pooled connection still serves others.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    timeout: Duration,
    handle: Handle,
}

impl Connector {
    pub(super) fn new(tls: rustls::ClientConfig, timeout: Duration, handle: &Handle) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Self {
            inner,
            timeout,
            handle: handle.clone(),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.inner.call(target);
        let timeout = self.timeout;
        let task = self
            .handle
            .spawn(async move { tokio::time::timeout(timeout, connecting).await });
        Box::pin(async move {
            task.await?
                .map_err(|_| format!("no connection within {} ms", timeout.as_millis()))?
        })
    }
}
