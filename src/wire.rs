//! The outgoing HTTP client: one connection pool, HTTP/1.1 and HTTP/2, TLS by rustls with ring.
//!
//! It follows no redirect, has a deadline for every request, and does all of its I/O on one given
//! runtime, so that requests may come from any thread. The choice of the TLS provider stands here
//! and nowhere else.

#[cfg(feature = "otlp")]
mod channel;
mod connect;
pub mod oci;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Collected, Empty, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;
use tokio::runtime::Handle;

#[cfg(feature = "otlp")]
pub use channel::channel;
use connect::{Connector, OnHandle};
pub use tls::install_provider;

/// Any error of a body or below, boxed because it comes from several crates.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body, streamed or not.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// How the client connects and what it keeps.
#[derive(Clone, Debug)]
pub struct Settings {
    /// PEM file of the only certificate authorities to trust; without it the platform's, and where
    /// there are none Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of a certificate of ours and its key, read for every new connection.
    pub client: Option<ClientFiles>,
    /// For name lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// How many unused connections are kept per origin.
    pub pool_max_idle: usize,
    /// Speak HTTP/2 and nothing else, without asking first: gRPC.
    pub http2_only: bool,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    pub certificates: PathBuf,
    pub key: PathBuf,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub head: http::response::Parts,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: None,
            client: None,
            connect_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_mins(1),
            pool_max_idle: 64,
            http2_only: false,
        }
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The certificate authorities cannot be used; `detail` says why.
    #[error("cannot prepare TLS: {0}")]
    Tls(String),
    /// No connection, so no byte of the request was sent.
    #[error("cannot connect")]
    Connect(#[source] BoxError),
    /// No complete answer within this time; the request may have been received.
    #[error("no answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The answer's body is larger than this many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke; the request may have been received.
    #[error("the connection broke")]
    Interrupted(#[source] BoxError),
}

impl WireError {
    /// Whether it is certain that the other side saw nothing of the request.
    #[must_use]
    pub const fn never_sent(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Tls(_))
    }
}

/// The client. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Client {
    inner: legacy::Client<Connector, Body>,
}

impl Client {
    /// A client whose connections live on `handle`'s runtime.
    ///
    /// # Errors
    ///
    /// [`WireError::Tls`] when `ca_file` cannot be read or holds no certificate.
    pub fn new(settings: &Settings, handle: &Handle) -> Result<Self, WireError> {
        let connector = Connector::new(tls::config(settings)?, settings.connect_timeout, handle);
        let inner = legacy::Client::builder(OnHandle(handle.clone()))
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(settings.pool_max_idle)
            .http2_only(settings.http2_only)
            .build(connector);
        Ok(Self { inner })
    }

    /// Sends a request with an absolute URI; answers when the response's head is there, within
    /// `deadline`. The body is the caller's to bound.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub async fn send(
        &self,
        request: Request<Body>,
        deadline: Duration,
    ) -> Result<Response<Incoming>, WireError> {
        match tokio::time::timeout(deadline, self.inner.request(request)).await {
            Err(_) => Err(WireError::Deadline(deadline)),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(WireError::Connect(error.into())),
            Ok(Err(error)) => Err(WireError::Interrupted(error.into())),
        }
    }

    /// Sends a request and reads the whole answer, at most `limit` bytes of body, within `deadline`.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub async fn fetch(
        &self,
        request: Request<Body>,
        deadline: Duration,
        limit: usize,
    ) -> Result<Response<Bytes>, WireError> {
        let Answer { head, body, .. } = self.exchange(request, deadline, limit).await?;
        Ok(Response::from_parts(head, body))
    }

    /// As [`Client::fetch`], with the trailers.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub async fn exchange(
        &self,
        request: Request<Body>,
        deadline: Duration,
        limit: usize,
    ) -> Result<Answer, WireError> {
        let whole = async {
            let (head, body) = self.send(request, deadline).await?.into_parts();
            let whole = whole(body, limit).await?;
            Ok(Answer {
                head,
                trailers: whole.trailers().cloned(),
                body: whole.to_bytes(),
            })
        };
        tokio::time::timeout(deadline, whole)
            .await
            .unwrap_or(Err(WireError::Deadline(deadline)))
    }
}

/// Reads a response's body of at most `limit` bytes. Has no deadline of its own.
///
/// # Errors
///
/// [`WireError::TooLarge`] and [`WireError::Interrupted`].
pub async fn collect(body: Incoming, limit: usize) -> Result<Bytes, WireError> {
    whole(body, limit).await.map(Collected::to_bytes)
}

async fn whole(body: Incoming, limit: usize) -> Result<Collected<Bytes>, WireError> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole),
        Err(error) if error.is::<LengthLimitError>() => Err(WireError::TooLarge(limit)),
        Err(error) => Err(WireError::Interrupted(error)),
    }
}

/// No body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is all there.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

#[cfg(test)]
mod tests;
