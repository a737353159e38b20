//! A small gRPC client that blocks, over TCP or a Unix socket: unary calls of raw messages.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Runtime;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(70);

/// One connection.
#[derive(Debug)]
pub struct Grpc {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The HTTP status.
    pub status: u16,
    /// `grpc-status`; -1 where there is none.
    pub code: i32,
    /// `grpc-message`.
    pub text: String,
    /// Headers and trailers together.
    pub headers: hyper::HeaderMap,
    /// Trailers alone.
    pub trailers: hyper::HeaderMap,
    /// The message, without its prefix; empty where there is none.
    pub message: Bytes,
}

impl Grpc {
    /// Connects over TCP.
    pub fn tcp(address: SocketAddr) -> Self {
        let runtime = runtime();
        let stream = runtime
            .block_on(tokio::net::TcpStream::connect(address))
            .unwrap();
        Self::over(runtime, TokioIo::new(stream))
    }

    /// Connects to a Unix socket.
    pub fn unix(path: &Path) -> Self {
        let runtime = runtime();
        let stream = runtime
            .block_on(tokio::net::UnixStream::connect(path))
            .unwrap();
        Self::over(runtime, TokioIo::new(stream))
    }

    /// Connects over TLS. A server that does not like the client's certificate may say so with the first call only.
    pub fn tls(address: SocketAddr, mut config: rustls::ClientConfig) -> Result<Self, String> {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let runtime = runtime();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await?;
            connector.connect(name, stream).await
        });
        let stream = stream.map_err(|error| error.to_string())?;
        Ok(Self::over(runtime, TokioIo::new(stream)))
    }

    fn over<S>(runtime: Runtime, stream: S) -> Self
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let (sender, connection) = runtime
            .block_on(handshake(TokioExecutor::new(), stream))
            .unwrap();
        runtime.spawn(connection);
        Self { runtime, sender }
    }

    /// Calls a method with one message.
    pub fn call(&mut self, path: &str, message: &[u8]) -> Ended {
        self.call_with(path, &[], framed(message))
    }

    /// Calls a method with further headers and a body as it is.
    pub fn call_with(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Ended {
        self.try_call("localhost", path, headers, body).unwrap()
    }

    /// The same under any authority; an error when the connection breaks.
    pub fn try_call(
        &mut self,
        authority: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Ended, hyper::Error> {
        let mut request = hyper::Request::builder()
            .method("POST")
            .uri(format!("http://{authority}{path}"))
            .header("te", "trailers");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let whole = async {
                sender.ready().await?;
                let (head, body) = sender.send_request(request).await?.into_parts();
                let body = body.collect().await?;
                let mut headers = head.headers;
                let trailers = body.trailers().cloned().unwrap_or_default();
                headers.extend(trailers.clone());
                Ok::<_, hyper::Error>((head.status, headers, trailers, body.to_bytes()))
            };
            let (status, headers, trailers, body) = tokio::time::timeout(PATIENCE, whole)
                .await
                .expect("no answer in time")?;
            Ok(ended(status.as_u16(), headers, trailers, &body))
        })
    }
}

fn ended(
    status: u16,
    headers: hyper::HeaderMap,
    trailers: hyper::HeaderMap,
    body: &Bytes,
) -> Ended {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Ended {
        status,
        code: header("grpc-status").map_or(-1, |code| code.parse().unwrap()),
        text: header("grpc-message").unwrap_or_default().to_owned(),
        message: body
            .get(5..)
            .map_or_else(Bytes::new, |rest| body.slice_ref(rest)),
        headers,
        trailers,
    }
}

/// A message with its prefix.
pub fn framed(message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}
