//! The floors: servers that decide nothing. What everything is a ratio to.
//!
//! Over HTTP/1.1 a bare hyper server that reads the body and sends a fixed reply; over gRPC a bare tonic
//! service that decodes an `ext_authz` check and allows it.

use std::convert::Infallible;
use std::future::{Ready, ready};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::server::UnaryService;

use crate::ext_authz::{CheckRequest, CheckResponse, Status};
use crate::generator::Address;
use crate::scenario::Protocol;

/// 148 bytes, as long as a small decision.
const REPLY: &str = r#"{"compliant":true,"violations":[],"policy_version":"1.0.0","validated_at":"2026-11-01T00:00:00Z","metadata":{"policies_evaluated":5,"policies":5}}  "#;

/// Serves until killed, on one current-thread runtime.
///
/// # Errors
///
/// Where the address cannot be bound.
pub fn serve(address: &Address, protocol: Protocol) -> Result<()> {
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
                    tokio::spawn(converse(stream, protocol));
                }
            }
            Address::Unix(path) => {
                let listener = tokio::net::UnixListener::bind(path)?;
                loop {
                    tokio::spawn(converse(listener.accept().await?.0, protocol));
                }
            }
        }
    })
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, protocol: Protocol) {
    // A connection that breaks concerns its client alone.
    match protocol {
        Protocol::Http => {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            let _ = connection.await;
        }
        Protocol::Grpc { .. } => {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(check));
            let _ = connection.await;
        }
    }
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

async fn check(request: Request<Incoming>) -> Result<Response<tonic::body::Body>, Infallible> {
    let codec = tonic_prost::ProstCodec::default();
    let mut grpc = tonic::server::Grpc::new(codec);
    Ok(grpc.unary(AlwaysAllow, request).await)
}

struct AlwaysAllow;

impl UnaryService<CheckRequest> for AlwaysAllow {
    type Response = CheckResponse;
    type Future = Ready<Result<tonic::Response<CheckResponse>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<CheckRequest>) -> Self::Future {
        ready(Ok(tonic::Response::new(CheckResponse {
            status: Some(Status { code: 0 }),
        })))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reply_has_the_length_that_ratios_were_measured_with() {
        assert_eq!(super::REPLY.len(), 148);
    }
}
