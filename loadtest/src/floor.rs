//! The floor: a bare hyper server that reads the body and sends a fixed reply. What everything is a ratio to.

use std::convert::Infallible;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::generator::Address;

/// 148 bytes, as long as a small decision.
const REPLY: &str = r#"{"compliant":true,"violations":[],"policy_version":"1.0.0","validated_at":"2026-11-01T00:00:00Z","metadata":{"policies_evaluated":5,"policies":5}}  "#;

/// Serves until killed, on one current-thread runtime.
///
/// # Errors
///
/// Where the address cannot be bound.
pub fn serve(address: &Address) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match address {
            Address::Tcp(address) => {
                let listener = tokio::net::TcpListener::bind(address).await?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(converse(stream));
                }
            }
            Address::Unix(path) => {
                let listener = tokio::net::UnixListener::bind(path)?;
                loop {
                    tokio::spawn(converse(listener.accept().await?.0));
                }
            }
        }
    })
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin) {
    // A connection that breaks concerns its client alone.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(REPLY.as_bytes())));
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reply_has_the_length_that_ratios_were_measured_with() {
        assert_eq!(super::REPLY.len(), 148);
    }
}
